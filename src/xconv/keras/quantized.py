"""Quantised layers of Keras: the float weights that their whole numbers, scales and zero points stand for.

Keras's layers also round what they are called on, in int8 and float8, while they run. A float layer does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from xconv.errors import Unsupported
from xconv.keras.records import Entry, KerasModel
from xconv.weights import ArraySource, NumpySource, Weight

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DEQUANTIZE", "VARIABLES", "dequantized", "float_embeddings", "float_kernel", "note_on", "source_policy"]

Array: TypeAlias = "np.ndarray[Any, Any]"

_DENSE = {
    "int8": ("kernel", "bias", "kernel_scale"),
    "int4": ("kernel", "bias", "kernel_scale", "kernel_zero", "g_idx"),
    "float8": (
        *("kernel", "bias", "inputs_scale", "inputs_amax_history", "kernel_scale", "kernel_amax_history"),
        *("outputs_grad_scale", "outputs_grad_amax_history"),
    ),
    "gptq": ("bias", "quantized_kernel", "kernel_scale", "kernel_zero", "g_idx"),
    "awq": ("bias", "quantized_kernel", "kernel_scale", "kernel_zero", "awq_scales", "g_idx"),
}
_EMBEDDING = {
    "int8": ("embeddings", "embeddings_scale"),
    "int4": ("embeddings", "embeddings_scale", "embeddings_zero", "g_idx"),
}
VARIABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Dense": _DENSE,
    "EinsumDense": _DENSE,
    "Embedding": _EMBEDDING,
}
"""The variables of a quantised layer in the order of its file, by class and mode."""

DEQUANTIZE = "keras_to_torch(..., dequantize=True) gives the float layer that its weights stand for"

_LIVE = "load the file with keras.models.load_model and give the live model"


def source_policy(policy: Any) -> tuple[str, str] | None:
    """The mode of a quantised dtype policy in a config, and the policy that the layer had before; None for another.

    >>> source_policy({"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}})
    ('int8', 'float32')
    """
    if not isinstance(policy, Mapping):
        mode, _, before = str(policy).partition("_from_")
        return (mode.partition("/")[0], before) if before else None
    config = policy.get("config", policy)
    mode = config.get("mode")
    return (str(mode).partition("/")[0], str(config.get("source_name") or "float32")) if mode else None


def float_kernel(mode: str, held: Mapping[str, Array]) -> Array:
    """The kernel of a quantised Dense layer as a matrix (inputs, outputs), from its variables by name."""
    if mode == "float8" or ("quantized_kernel" not in held and mode in ("gptq", "awq")):
        return held["kernel"]
    scale = held["kernel_scale"]
    if mode == "int8":
        return held["kernel"].astype(scale.dtype) / scale
    if mode == "int4":
        whole = _unpacked(held["kernel"], scale.shape[-1], 1, signed=True)
        return _scaled(whole, scale, held.get("kernel_zero"), held.get("g_idx"), 0)
    packed = held["quantized_kernel"]
    columns = scale.shape[0]
    whole = packed if len(packed) == columns and mode == "gptq" else _unpacked(packed, columns, 0, signed=False)
    kernel = _scaled(whole, scale, held["kernel_zero"], held["g_idx"], -1).T
    if mode == "awq":
        kernel = kernel / held["awq_scales"][:, None]
    return kernel


def float_embeddings(mode: str, held: Mapping[str, Array], width: int) -> Array:
    """The table of a quantised Embedding with rows of `width` numbers."""
    table, scale, zero = held["embeddings"], held["embeddings_scale"], held.get("embeddings_zero")
    whole = table if mode == "int8" else _unpacked(table, width, 1, signed=True)
    return _scaled(whole, scale if zero is not None else scale[:, None], zero, held.get("g_idx"), -1)


def _unpacked(packed: Array, size: int, axis: int, *, signed: bool) -> Array:
    """Two numbers of four bits from each byte along an axis, the lower one first."""
    import numpy as np

    data = np.ascontiguousarray(packed).view("uint8")
    pairs = np.stack([data & 15, data >> 4], axis + 1)
    shape = list(data.shape)
    shape[axis] *= 2
    whole = pairs.reshape(shape).take(np.arange(size), axis).astype("int16")
    return (whole ^ 8) - 8 if signed else whole


def _scaled(whole: Array, scale: Array, zero: Array | None, groups: Array | None, axis: int) -> Array:
    """Whole numbers as the numbers that they stand for: divided by a scale, or moved and multiplied by groups."""
    if zero is None or groups is None:
        return whole.astype(scale.dtype) / scale
    places = groups.astype("int64")
    moved: Array = whole.astype(scale.dtype) - zero.astype(scale.dtype).take(places, axis)
    moved *= scale.take(places, axis)
    return moved


def dequantized(model: KerasModel) -> KerasModel:
    """The records of a file with every quantised layer as the float layer that its weights stand for.

    Raises:
        Unsupported: a class or mode whose weights cannot be told from the file alone.
    """
    arrays = dict(model.arrays)
    return replace(model, entries=_without_quantized(model.entries, arrays), arrays=arrays)


def _without_quantized(entries: Sequence[Entry], arrays: dict[str, ArraySource]) -> tuple[Entry, ...]:
    return tuple(_float_entry(entry, arrays) for entry in entries)


def _float_entry(entry: Entry, arrays: dict[str, ArraySource]) -> Entry:
    if entry.inner is not None:
        inner = replace(entry.inner, entries=_without_quantized(entry.inner.entries, arrays))
        return replace(entry, inner=inner)
    found = source_policy(entry.config.get("dtype"))
    if found is None or entry.is_op:
        return entry
    mode, policy = found
    names = _names(entry, mode)
    held = {
        name: _array(arrays.pop(weight.key)) for name, weight in zip(names, entry.weights, strict=False) if weight.key
    }
    place = entry.weights[0].key.rpartition("/")[0]
    weights = []
    for index, array in enumerate(_float_weights(entry, mode, held)):
        key = f"{place}/{index}"
        arrays[key] = NumpySource(array)
        weights.append(Weight.of(key, array.shape, array.dtype.name))
    config = {**entry.config, "dtype": policy}
    return replace(entry, config=config, weights=tuple(weights), problem="", notes=(*entry.notes, note_on(mode)))


def note_on(mode: str) -> str:
    """What a reader of the report should know of a layer that was quantised.

    >>> note_on("float8")
    'was quantised in float8: its weights are those that it held; inputs and weights are no longer rounded'
    """
    if mode == "float8":
        return "was quantised in float8: its weights are those that it held; inputs and weights are no longer rounded"
    return f"was quantised in {mode}: its weights are those that its whole numbers stand for; inputs are not rounded"


def _names(entry: Entry, mode: str) -> tuple[str, ...]:
    """The names of the variables that an entry has."""
    known = VARIABLES.get(entry.kind, {}).get(mode)
    if known is None or (entry.kind == "EinsumDense" and mode != "float8"):
        raise Unsupported(f"a {entry.kind} in {mode}, from a file", place=entry.name, remedy=_LIVE)
    biased = bool(entry.config.get("use_bias", True) if entry.kind == "Dense" else entry.config.get("bias_axes"))
    names = tuple(name for name in known if name != "bias" or biased)
    if len(entry.weights) == len(names) - 2 and mode == "int4":
        names = names[:-2]
    if len(entry.weights) != len(names):
        what = f"a {entry.kind} in {mode} with {len(entry.weights)} variables, not {len(names)} ({', '.join(names)})"
        raise Unsupported(what, place=entry.name, remedy=_LIVE)
    return names


def _float_weights(entry: Entry, mode: str, held: Mapping[str, Array]) -> list[Array]:
    """The arrays of the float layer, in the order of its class."""
    if entry.kind == "Embedding":
        return [float_embeddings(mode, held, int(entry.config["output_dim"]))]
    kernel = held["kernel"] if mode == "float8" else float_kernel(mode, held)
    return [kernel, *([held["bias"]] if "bias" in held else [])]


def _array(source: ArraySource) -> Array:
    import numpy as np

    return np.concatenate([np.atleast_1d(np.array(block)) for _, block in source.blocks()]).reshape(source.shape)
