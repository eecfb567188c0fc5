"""Networks of keras.applications, built as they are asked for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from xconv.errors import InvalidInput, Unsupported
from xconv.frameworks import require
from xconv.preprocessing.value_maps import Scaling
from xconv.zoo.records import Network
from xconv.zoo.wanted import AS_SOURCE, Wanted

__all__ = [
    "copy_weights",
    "keras_network",
    "neutral_scaling",
    "scaling_within",
    "with_scaling_of_file",
    "without_scaling",
]

DEVIATIONS = (0.229, 0.224, 0.225)
"""Of ImageNet's channels; the files of EfficientNet hold them where the layer expects their squares."""
SCALING = ("Rescaling", "Normalization", "PreStem")


def keras_network(network: Network, wanted: Wanted, *, dtype: str | None = None) -> Any:
    """The network of keras.applications with the initial weights of its constructor.

    Args:
        network: which one.
        wanted: its form.
        dtype: the dtype policy of its layers; by default the one that is set.

    Raises:
        InvalidInput: what the constructor refuses, in its words.
        MissingFramework: Keras is not installed.
    """
    keras = require("keras", "keras", "a network of keras.applications")
    activation = wanted.classifier_activation
    options: dict[str, Any] = {"classifier_activation": "softmax" if activation == AS_SOURCE else activation}
    if wanted.scaling is False:
        options |= network.inside
    with _policy(keras, dtype), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Weights for input shape")
        try:
            return getattr(keras.applications, network.keras)(
                include_top=wanted.include_top,
                weights=None,
                input_shape=wanted.shape(network) if wanted.input_shape or wanted.include_top else None,
                pooling=wanted.pooling,
                classes=wanted.classes,
                **network.variant,
                **options,
            )
        except ValueError as error:
            raise InvalidInput(str(error).strip(), place=f"keras.applications.{network.keras}") from error


def with_scaling_of_file(model: Any) -> tuple[Any, str]:
    """The network with the scaling that the weights in it are for, and what was done about it.

    The published files of EfficientNet V1 hold standard deviations where Normalization expects their squares. For
    weights='imagenet' Keras adds a Rescaling that makes up for it, and for the same file by its path it adds none.
    Here it is added wherever the numbers are these.
    """
    kinds = [type(layer).__name__ for layer in model.layers]
    if kinds[1:3] != ["Rescaling", "Normalization"] or kinds[3] == "Rescaling":
        return model, ""
    layer = model.layers[2]
    if not layer.weights:
        return model, ""
    held = np.asarray(layer.variance, dtype="float64").reshape(-1)
    if held.shape != (len(DEVIATIONS),) or not np.allclose(held, DEVIATIONS, rtol=1e-6, atol=0):
        return model, ""
    keras = require("keras", "keras", "a network of keras.applications")
    name, taken = "rescaling_1", {each.name for each in model.layers}
    while name in taken:
        name = f"{name}_1"
    changed = type(model).from_config(_with_rescaling(model.get_config(), layer.name, name, keras))
    copy_weights(model, changed)
    what = (
        f"the file holds the channels' standard deviations where {layer.name} expects their squares; {name} makes up "
        "for it, as Keras does for weights='imagenet'"
    )
    return changed, what


def _with_rescaling(config: dict[str, Any], before: str, name: str, keras: Any) -> dict[str, Any]:
    """The configuration of a network with a Rescaling behind a layer."""
    entries = []
    for entry in config["layers"]:
        entries.append({**entry, "inbound_nodes": _renamed(entry["inbound_nodes"], before, name)})
        if entry["name"] == before:
            scale = [1 / math.sqrt(deviation) for deviation in DEVIATIONS]
            layer = keras.layers.Rescaling(scale, name=name, dtype=entry["config"]["dtype"])
            called = {"args": (_reference(entry["inbound_nodes"], before),), "kwargs": {}}
            added = keras.saving.serialize_keras_object(layer)
            entries.append({**added, "name": name, "inbound_nodes": [called]})
    return {**config, "layers": entries}


def _reference(nodes: Any, layer: str) -> dict[str, Any]:
    """The tensor that a layer gives, in the words of a configuration; of one like those that it is called with."""
    given = nodes[0]["args"][0]
    return {**given, "config": {**given["config"], "keras_history": [layer, 0, 0]}}


def _renamed(item: Any, old: str, new: str) -> Any:
    """The calls in a configuration with another layer in the place of one."""
    if isinstance(item, dict):
        if "keras_history" in item and item["keras_history"][0] == old:
            return {**item, "keras_history": [new, *item["keras_history"][1:]]}
        return {key: _renamed(value, old, new) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)(_renamed(value, old, new) for value in item)
    return item


def scaling_within(model: Any) -> Scaling:
    """What the layers that a network begins with do to pixels, by the numbers that they hold.

    Every one of them is a product and a sum for each channel, so two pictures tell all.
    """
    keras = require("keras", "keras", "a network of keras.applications")
    first = keras.Model(model.input, _behind_scaling(model))
    height, width = (size or 32 for size in model.input.shape[1:3])
    pictures = np.broadcast_to(np.array([0.0, 255.0]).reshape(2, 1, 1, 1), (2, height, width, 3))
    black, white = keras.ops.convert_to_numpy(first(pictures)).astype("float64")[:, 0, 0]
    measured = Scaling(_channels((white - black) / 255), _channels(black))
    return measured.exact(noise=4 * float(np.finfo("float32").eps) * measured.reach())


def _channels(numbers: Any) -> tuple[float, float, float]:
    red, green, blue = map(float, numbers)
    return red, green, blue


def _behind_scaling(model: Any) -> Any:
    """What the scaling of pixels that a network begins with gives; its input where it has none."""
    behind = model.input
    for layer in model.layers[1:]:
        if type(layer).__name__ not in SCALING:
            break
        behind = layer.output
    return behind


def without_scaling(model: Any) -> Any:
    """A copy of the network behind the scaling of pixels that it begins with; the model itself where it has none."""
    keras = require("keras", "keras", "a network of keras.applications")
    behind = _behind_scaling(model)
    if behind is model.input:
        return model
    shared = keras.Model(behind, model.output, name=model.name)
    copied = type(shared).from_config(shared.get_config(), custom_objects=_classes(model))
    copy_weights(shared, copied)
    return copied


def _classes(model: Any) -> dict[str, Any]:
    """The classes of its layers, some of which Keras does not find by their names."""
    return {type(layer).__name__: type(layer) for layer in model.layers}


def copy_weights(model: Any, other: Any) -> None:
    """All weights of a model into another one of the same layers; what a Normalization computes with is made anew."""
    other.set_weights(model.get_weights())
    for layer in other.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def neutral_scaling(model: Any) -> str:
    """Make the scaling that an EfficientNet begins with do nothing, and say how.

    Its constructor cannot leave it out: a Rescaling divides by 255, and Normalization then by the root of a variance of
    1/255 squared.

    Raises:
        Unsupported: it begins with other layers.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ in SCALING]
    if [type(layer).__name__ for layer in layers] != ["Rescaling", "Normalization"] or not layers[1].weights:
        names = ", ".join(layer.name for layer in layers)
        raise Unsupported(f"scales pixels in {names}, which cannot be made to do nothing", place=model.name)
    rescaling, normalization = layers
    values = {"mean": rescaling.offset, "variance": rescaling.scale**2}
    for weight in normalization.weights:
        if weight.name in values:
            weight.assign(np.full(weight.shape, values[weight.name]))
    normalization.finalize_state()
    return (
        f"{rescaling.name} and {normalization.name}, which the constructor cannot leave out, undo each other: the "
        "model takes what its source takes"
    )


@contextmanager
def _policy(keras: Any, dtype: str | None) -> Iterator[None]:
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
