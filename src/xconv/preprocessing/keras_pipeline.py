"""A description as layers of Keras: its own where they compute the same, one of xconv's otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xconv.frameworks import require
from xconv.preprocessing.description import KEEP, LAST, Preprocessing
from xconv.preprocessing.steps import RGB, Step

__all__ = ["pipeline"]


def pipeline(description: Preprocessing, name: str | None = None) -> Any:
    """A layer that gives the pixels of the description.

    Raises:
        MissingFramework: Keras is not installed.
    """
    keras = require("keras", "keras", "a preprocessing as Keras layers")
    from xconv.preprocessing.keras_layers import Preprocess

    own = _own(keras, description)
    if own is None:
        return Preprocess(description, name=name)
    if description.frame == KEEP:
        return own[0] if len(own) == 1 and name is None else keras.layers.Pipeline(own, name=name)
    first = Preprocess(replace(description, steps=()))
    return keras.layers.Pipeline([first, *own], name=name) if own else Preprocess(description, name=name)


def _own(keras: Any, description: Preprocessing) -> list[Any] | None:
    """Keras's layers for the numbers, or None where it has none that compute exactly them."""
    if (description.channels, description.layout, description.dtype) != (RGB, LAST, "float32"):
        return None
    layers, steps = [], list(description.steps)
    while steps:
        layer, count = _scaled(keras, steps) or _normalised(keras, steps) or (None, 0)
        if layer is None:
            return None
        layers.append(layer)
        steps = steps[count:]
    return layers or None


def _scaled(keras: Any, steps: list[Step]) -> tuple[Any, int] | None:
    """`x * scale + offset`; an offset of zero changes nothing but the sign of zero."""
    if steps[0].operation != "multiply":
        return None
    follows = len(steps) > 1 and steps[1].operation == "add"
    offset = steps[1].numbers if follows else (0.0,) * 3
    return keras.layers.Rescaling(_short(steps[0].numbers), _short(offset), dtype="float32"), 1 + follows


def _normalised(keras: Any, steps: list[Step]) -> tuple[Any, int] | None:
    """`(x - mean) / sqrt(variance)`, where the root of the variance is the deviation to the last bit."""
    if [step.operation for step in steps[:2]] != ["subtract", "divide"]:
        return None
    deviation = np.array(steps[1].numbers, np.float32)
    variance = np.square(steps[1].numbers).astype(np.float32)
    if (np.sqrt(variance) != deviation).any() or (deviation <= keras.config.epsilon()).any():
        return None
    options = {"mean": list(steps[0].numbers), "variance": [float(one) for one in variance]}
    return keras.layers.Normalization(**options, dtype="float32"), 2


def _short(numbers: tuple[float, ...]) -> Any:
    return numbers[0] if len(set(numbers)) == 1 else list(numbers)
