"""Live layers whose variables are not their weights: quantised ones, and those that LoRA adapts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xconv.errors import Unsupported
from xconv.keras.quantized import VARIABLES, float_embeddings, float_kernel, source_policy
from xconv.keras.variables import LiveVariable
from xconv.weights import ArraySource, NumpySource

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Adapter", "Merged", "Options", "adapter_of", "float_policy", "float_sources", "mode_of"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a Keras model is to be read where it can be read in more than one way."""

    dtype: str | None = None
    """The dtype policy of all layers, in place of their own."""
    dequantize: bool = False
    """Whether quantised layers become the float layers that their weights stand for."""
    keep_lora: bool = False
    """Whether the matrices of LoRA stay parameters; else they are added to the kernel."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """The matrices of LoRA beside a kernel: it is used as kernel + factor * a @ b."""

    variable: Any
    """The kernel or the table, where it is a variable."""
    a: Any
    b: Any
    factor: float


@dataclass(frozen=True, slots=True)
class Merged:
    """The array of a kernel with what LoRA adds to it, computed when it is read, rounded once to the kernel's type."""

    base: ArraySource
    a: ArraySource
    b: ArraySource
    factor: float

    @property
    def shape(self) -> tuple[int, ...]:
        """The kernel's shape."""
        return self.base.shape

    @property
    def dtype(self) -> str:
        """The kernel's dtype."""
        return self.base.dtype

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The whole array as one block."""
        del multiple
        base, a, b = (_numbers(item).astype("float64") for item in (self.base, self.a, self.b))
        yield 0, (base + self.factor * (a @ b)).astype(self.dtype)


def adapter_of(layer: Any) -> Adapter | None:
    """The matrices of a layer that LoRA adapts."""
    if not getattr(layer, "lora_enabled", False):
        return None
    name = "embeddings" if hasattr(layer, "lora_embeddings_a") else "kernel"
    a, b = getattr(layer, f"lora_{name}_a"), getattr(layer, f"lora_{name}_b")
    return Adapter(getattr(layer, f"_{name}"), a, b, layer.lora_alpha / layer.lora_rank)


def mode_of(layer: Any) -> str | None:
    """How a layer is quantised."""
    mode = getattr(layer, "quantization_mode", None)
    return str(mode).partition("/")[0] if mode and getattr(layer, "_is_quantized", False) else None


def float_sources(layer: Any, mode: str) -> list[ArraySource]:
    """The arrays of the float layer that the weights of a quantised one stand for, in the order of its class.

    Raises:
        Unsupported: a class of which that is not known.
    """
    kind = type(layer).__name__
    kind = "Embedding" if kind == "ReversibleEmbedding" else kind
    names = VARIABLES.get(kind, {}).get(mode)
    if names is None:
        raise Unsupported(f"a {type(layer).__name__} quantised in {mode}", remedy="convert the float model")
    held = {name: _numbers(LiveVariable(item)) for name, item in _variables(layer, names)}
    if kind == "Embedding":
        tables = [float_embeddings(mode, held, layer.output_dim)]
        if hasattr(layer, "reverse_embeddings"):
            tables.append(_reverse_table(layer, mode))
        return [NumpySource(table) for table in tables]
    if kind == "EinsumDense" and mode == "int8":
        held["kernel_scale"] = _array(layer._adjust_scale_for_dequant(layer.kernel_scale))
    kernel = float_kernel(mode if _is_calibrated(layer, mode) else "float8", held)
    shape = getattr(layer, "original_kernel_shape", None)
    kernel = kernel.reshape(shape) if shape is not None else kernel
    return [NumpySource(kernel), *([LiveVariable(layer.bias)] if layer.bias is not None else [])]


def _is_calibrated(layer: Any, mode: str) -> bool:
    return mode not in ("gptq", "awq") or bool(getattr(layer, f"is_{mode}_calibrated", False))


def _variables(layer: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in dict.fromkeys(("kernel", *names)):
        attribute = f"_{name}" if name in ("kernel", "embeddings") else name
        item = getattr(layer, attribute, None)
        if item is not None:
            yield name, item


def _reverse_table(layer: Any, mode: str) -> Any:
    """The second table of a ReversibleEmbedding whose weights are not tied: a kernel (features, rows)."""
    given = {
        "kernel": _numbers(LiveVariable(layer.reverse_embeddings)),
        "kernel_scale": _numbers(LiveVariable(layer.reverse_embeddings_scale)),
    }
    if mode == "int8":
        return float_kernel("int8", given)
    raise Unsupported(f"a ReversibleEmbedding with a table of its own for the way back, in {mode}")


def _numbers(source: ArraySource) -> Any:
    import numpy as np

    return np.concatenate([np.atleast_1d(np.array(block)) for _, block in source.blocks()]).reshape(source.shape)


def _array(tensor: Any) -> Any:
    import keras

    return keras.ops.convert_to_numpy(tensor)


def float_policy(layer: Any) -> str:
    """The policy that a quantised layer had before."""
    found = source_policy(layer.dtype_policy.name)
    return found[1] if found else str(layer.dtype_policy.name)
