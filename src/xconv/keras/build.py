"""Keras records -> a live keras.Model: its layers made from their configs, called, and filled with their weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from xconv.errors import Mismatch, Unsupported
from xconv.frameworks import require
from xconv.graph import map_structure, values_in
from xconv.keras.op_modules import module_of
from xconv.keras.records import Entry, KerasModel, Ref
from xconv.keras.sequence import sequence

if TYPE_CHECKING:
    from xconv.weights import Arrays, Weight

__all__ = ["build", "dtype_of", "numbers"]


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
        with _without_initial_values(made[name]):
            outcome = made[name](*args, **kwargs)
        for place, tensor in enumerate(values_in(outcome)):
            results[Ref(name, index, place)] = tensor
    for entry in model.entries:
        if entry.weights:
            _fill(made[entry.name], entry, model.arrays)
    inputs, outputs = (map_structure(lambda ref: results[ref], ports) for ports in (model.inputs, model.outputs))
    result = keras.Model(inputs, outputs, name=model.name)
    for entry in model.entries:
        if not entry.trainable:
            made[entry.name].trainable = False
    return result


def dtype_of(model: KerasModel) -> str:
    """The floating-point type of the weights; of the inputs where there are no weights.

    Raises:
        Unsupported: there are several.
    """
    weights = {weight.dtype for entry in model.entries for weight in entry.weights if weight.key}
    inputs = {str(entry.config["dtype"]) for entry in model.entries if entry.kind == "InputLayer"}
    found = sorted(dtype for dtype in weights or inputs if "float" in dtype)
    if len(found) > 1:
        raise Unsupported(f"weights of several types: {', '.join(found)}", remedy="module.float() makes them one")
    return found[0] if found else "float32"


def numbers(weight: Weight, arrays: Arrays) -> np.ndarray[Any, Any]:
    """The numbers of a weight, rearranged."""
    if weight.constant is not None:
        return np.full(weight.shape, weight.constant, dtype=weight.dtype)
    blocks = [block for _, block in arrays[weight.key].blocks()]
    whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    result: np.ndarray[Any, Any] = weight.apply(whole.reshape(weight.source))
    return result


def _made(keras: Any, entry: Entry, dtype: str) -> Any:
    """One layer or operation, from its config."""
    config = dict(entry.config)
    if not entry.is_op and entry.kind != "InputLayer":
        config["dtype"] = dtype
    module = module_of(entry.kind) if entry.is_op else entry.module
    held = {"module": module, "class_name": entry.kind, "config": config, "registered_name": None}
    if entry.is_op:
        held["registered_name"] = entry.kind
    return keras.saving.deserialize_keras_object(held, safe_mode=True)


@contextmanager
def _without_initial_values(layer: Any) -> Iterator[None]:
    """Variables are made with zeros: random ones would be thrown away, and cost more than the conversion."""
    if getattr(layer, "built", True) or not hasattr(layer, "trainable"):
        yield
        return
    from keras import initializers

    own = {name: item for name, item in vars(layer).items() if isinstance(item, initializers.Initializer)}
    zeros = initializers.Zeros()
    for name in own:
        setattr(layer, name, zeros)
    try:
        yield
    finally:
        for name, item in own.items():
            setattr(layer, name, item)


def _fill(layer: Any, entry: Entry, arrays: Mapping[str, Any]) -> None:
    """Assign the weights to the layer's variables, which Keras keeps in creation order."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    variables = [variable for variable in own if "seed_generator" not in variable.path] or list(layer.variables)
    if len(variables) != len(entry.weights):
        raise Mismatch(
            f"{entry.kind} has {len(variables)} variables, it is given {len(entry.weights)}", place=entry.name
        )
    for variable, weight in zip(variables, entry.weights, strict=True):
        if tuple(variable.shape) != weight.shape:
            what = f"{variable.name} has shape {tuple(variable.shape)}, its weight {weight.shape}"
            raise Mismatch(what, place=entry.name)
        variable.assign(numbers(weight, arrays))
