"""Keras records -> a live keras.Model: its layers made from their configs, called, and filled with their weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xconv.errors import Mismatch
from xconv.frameworks import require
from xconv.graph import map_structure, values_in
from xconv.keras.depth import room_for
from xconv.keras.layer_configs import described, dtype_of, layer_dtype
from xconv.keras.numbers import numbers, on_backend, unset
from xconv.keras.records import Entry, KerasModel, Ref
from xconv.keras.sequence import sequence

if TYPE_CHECKING:
    from xconv.weights import Arrays

__all__ = ["build", "variables_of"]


def build(model: KerasModel, dtype: str | None = None) -> Any:
    """The Functional model of the records, every layer with its weights.

    Args:
        model: what `records_of` returned.
        dtype: of the layers' variables and of what they compute in; by default that of the weights.

    Raises:
        Unsupported: weights of several floating-point types.
        Mismatch: a weight has another shape than its layer.
    """
    keras = require("keras", "keras", "a Keras model")
    entries = {entry.name: entry for entry in model.entries}
    dtype = dtype or dtype_of(model)
    made: dict[str, Any] = {}
    results: dict[Ref, Any] = {}
    for name, index in sequence(model, entries, ""):
        entry = entries[name]
        if name not in made:
            made[name] = _made(keras, entry, dtype)
        if entry.kind == "InputLayer":
            results[Ref(name)] = made[name].output
            continue
        call = entry.calls[index]
        args, kwargs = map_structure(
            lambda leaf: results.get(leaf, leaf) if isinstance(leaf, Ref) else leaf, (call.args, dict(call.kwargs))
        )
        with _without_initial_values(keras, made[name]):
            outcome = made[name](*args, **kwargs)
        for place, tensor in enumerate(values_in(outcome)):
            results[Ref(name, index, place)] = tensor
    for entry in model.entries:
        if entry.name in made and not entry.is_op:
            _fill(made[entry.name], entry, model.arrays, layer_dtype(entry, dtype), keras.backend.backend())
    inputs, outputs = (map_structure(lambda ref: results[ref], ports) for ports in (model.inputs, model.outputs))
    with room_for(len(model.entries)):
        result = keras.Model(inputs, outputs, name=model.name)
    for entry in model.entries:
        if not entry.trainable and not entry.is_op:
            made[entry.name].trainable = False
    return result


def _made(keras: Any, entry: Entry, dtype: str) -> Any:
    """One layer or operation, from its config."""
    return keras.saving.deserialize_keras_object(described(entry, dtype), safe_mode=True)


@contextmanager
def _without_initial_values(keras: Any, layer: Any) -> Iterator[None]:
    """Variables are made of memory without numbers: random ones would be thrown away, and cost more than the rest."""
    if getattr(layer, "built", True) or not hasattr(layer, "trainable"):
        yield
        return
    kind = keras.initializers.Initializer
    owned = [(part, key, item) for part in layer._flatten_layers() for key, item in vars(part).items()]
    found = [(part, key, item) for part, key, item in owned if isinstance(item, kind)]
    nothing = _nothing(keras)
    for part, key, _ in found:
        setattr(part, key, nothing)
    try:
        yield
    finally:
        for part, key, item in found:
            setattr(part, key, item)


def _nothing(keras: Any) -> Any:
    """An initializer that gives memory as it is; every variable made by it is filled."""

    class Nothing(keras.initializers.Initializer):  # type: ignore[misc]
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            """Memory of this shape."""
            return on_backend(unset(tuple(shape), str(dtype or "float32")), keras.backend.backend())

    return Nothing()


def variables_of(layer: Any) -> list[Any]:
    """The variables of a layer in the order in which its weights are given.

    SpectralNormalization lists the kernel of the layer inside as its own, before its vector.
    """
    if type(layer).__name__ == "SpectralNormalization":
        return [layer.vector_u, *layer.layer.weights]
    return list(layer.weights)


def _fill(layer: Any, entry: Entry, arrays: Arrays, dtype: str, backend: str) -> None:
    """Assign the weights to the layer's variables and to those of the layers it keeps, in creation order."""
    variables = variables_of(layer)
    if len(variables) != len(entry.weights):
        raise Mismatch(
            f"{entry.kind} has {len(variables)} variables, it is given {len(entry.weights)}", place=entry.name
        )
    for variable, weight in zip(variables, entry.weights, strict=True):
        if tuple(variable.shape) != weight.shape:
            what = f"{variable.name} has shape {tuple(variable.shape)}, its weight {weight.shape}"
            raise Mismatch(what, place=entry.name)
        variable.assign(on_backend(numbers(weight, arrays, dtype), backend))
    if hasattr(layer, "finalize_state"):  # a Normalization computes with numbers that it makes of its variables
        layer.finalize_state()
