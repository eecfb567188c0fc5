"""The layers of preprocessing at the beginning of a Keras model, and the model from there on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xconv.errors import InvalidInput
from xconv.frameworks import require
from xconv.keras.walk import Step as Call
from xconv.keras.walk import graph_of, steps
from xconv.preprocessing.description import KEEP, LAST, Preprocessing
from xconv.preprocessing.keras_owners import resizing
from xconv.preprocessing.steps import Step

__all__ = ["numbers_of", "split"]

KINDS = ("Rescaling", "Normalization", "Resizing", "Preprocess")


def split(model: Any) -> tuple[Preprocessing, Any]:
    """The description of the first layers, and a model of the others.

    Raises:
        InvalidInput: the model does not begin with preprocessing.
    """
    graph = graph_of(model)
    if graph is None or len(graph.inputs) != 1:
        said = "it is a subclassed model" if graph is None else f"it has {len(graph.inputs)} inputs"
        remedy = "give a Functional or built Sequential model of one picture"
        raise InvalidInput(f"{said}: where its preprocessing ends is not known", place=model.name, remedy=remedy)
    lifted = _lifted(graph)
    description = Preprocessing(dtype=_dtype(lifted[0]))
    for layer in lifted:
        description = _with(description, layer)
    return description, _rest(model, graph, lifted[-1])


def _lifted(graph: Any) -> list[Any]:
    """The layers of preprocessing, in order; each is the only one that takes what comes before it."""
    calls = steps(graph)
    tensor, found = graph.inputs[0], list[Any]()
    while True:
        users = [call for call in calls if id(tensor) in call.inputs]
        if len(users) != 1 or type(users[0].operation).__name__ not in KINDS or _is_output(graph, tensor):
            break
        found.append(users[0].operation)
        tensor = _output(graph, users[0])
    shape = graph.inputs[0].shape
    if not found or not users or _is_output(graph, tensor):
        raise InvalidInput(_beginning(users, found), place=graph.name, remedy=_remedy(users))
    if len(shape) != 4 or shape[-1] != 3:
        raise InvalidInput(f"it takes {shape}, which are no pictures of (height, width, 3)", place=graph.name)
    return found


def _beginning(users: list[Call], found: list[Any]) -> str:
    if found:
        return "it is preprocessing altogether"
    names = " and ".join(f"{call.operation.name} ({type(call.operation).__name__})" for call in users) or "nothing"
    return f"it begins with {names}, which is no preprocessing"


def _remedy(users: list[Call]) -> str:
    if len(users) == 1 and graph_of(users[0].operation) is not None:
        return f"split the model inside: model.get_layer({users[0].operation.name!r})"
    return f"preprocessing is {', '.join(KINDS[:-1])}, or a layer of Preprocessing.to_keras()"


def _output(graph: Any, call: Call) -> Any:
    """The tensor that a call gives, as the graph holds it."""
    tensors = (
        node.output_tensors[0] for nodes in graph._nodes_by_depth.values() for node in nodes if node.output_tensors
    )
    return next(tensor for tensor in tensors if id(tensor) == call.outputs[0])


def _is_output(graph: Any, tensor: Any) -> bool:
    return any(tensor is output for output in graph.outputs)


def _dtype(layer: Any) -> str:
    return "float64" if layer.compute_dtype == "float64" else "float32"


def _with(description: Preprocessing, layer: Any) -> Preprocessing:
    """The description with what a layer does behind."""
    if type(layer).__name__ in ("Rescaling", "Normalization"):
        return description.then(_numbers(layer))
    if description.frame != KEEP or description.steps:
        said = "it resizes numbers that were scaled before"
        raise InvalidInput(said, place=layer.name, remedy="put the resize in front of the scaling")
    if type(layer).__name__ == "Preprocess":
        if layer.preprocessing.layout != LAST:
            raise InvalidInput(
                "it gives the channels first", place=layer.name, remedy="lift out one with channels last"
            )
        own: Preprocessing = layer.preprocessing
        return own
    made = resizing(
        (layer.height, layer.width),
        layer.interpolation,
        antialias=layer.antialias,
        crop_to_aspect_ratio=layer.crop_to_aspect_ratio,
        pad_to_aspect_ratio=layer.pad_to_aspect_ratio,
        fill_value=layer.fill_value,
    )
    if layer.data_format != LAST:
        raise InvalidInput(f"data_format={layer.data_format!r}", place=layer.name, remedy="pictures have channels last")
    return replace(made, dtype=description.dtype)


def _numbers(layer: Any) -> tuple[Step, ...]:
    if type(layer).__name__ == "Rescaling":
        scale, offset = (numbers_of(_held(one, layer), layer.name) for one in (layer.scale, layer.offset))
        made = Step.of("multiply", scale), Step.of("add", offset)
        return made if any(offset) else made[:1]
    if layer.invert:
        raise InvalidInput("it undoes a normalisation", place=layer.name)
    keras = require("keras", "keras", "a model's preprocessing")
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(one)) for one in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance.astype(np.float64)), keras.config.epsilon())
    return Step.of("subtract", numbers_of(mean, layer.name)), Step.of("divide", numbers_of(deviation, layer.name))


def _held(numbers: Any, layer: Any) -> Any:
    """As a layer in float64 computes with them: a backend may hold constants in float32."""
    if layer.compute_dtype != "float64":
        return numbers
    keras = require("keras", "keras", "a model's preprocessing")
    return keras.ops.convert_to_numpy(keras.ops.cast(numbers, "float64"))


def numbers_of(given: Any, place: str) -> tuple[float, ...]:
    """One number for each of three channels.

    Raises:
        InvalidInput: it is not one number, nor one for each channel.
    """
    array = np.asarray(given, np.float64)
    if array.size not in (1, 3) or (array.size == 3 and array.size != max(array.shape)):
        raise InvalidInput(
            f"numbers of shape {array.shape}", place=place, remedy="a preprocessing has one for a channel"
        )
    return tuple(float(one) for one in np.broadcast_to(array.ravel(), (3,)))


def _rest(model: Any, graph: Any, last: Any) -> Any:
    """The same layers behind an Input of the same name."""
    keras = require("keras", "keras", "a model without its preprocessing")
    tensor = next(_output(graph, call) for call in steps(graph) if call.operation is last)
    inner = keras.Model(tensor, graph._outputs_struct, name=model.name)
    door = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=graph.inputs[0]._keras_history.operation.name)
    return keras.models.clone_model(inner, input_tensors=door, clone_function=lambda layer: layer)
