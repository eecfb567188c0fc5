"""A description as layers of Keras: its own where they compute the same, one of xconv's otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xconv.frameworks import require
from xconv.preprocessing.description import KEEP, LAST, Preprocessing
from xconv.preprocessing.steps import RGB

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
    """Rescaling layers for the numbers, or None where they would not compute exactly them.

    Keras's Normalization is not among them: it takes pictures either with a batch axis or without.
    """
    if (description.channels, description.layout, description.dtype) != (RGB, LAST, "float32"):
        return None
    layers, steps = [], list(description.steps)
    while steps:
        if steps[0].operation != "multiply":
            return None
        count = 2 if len(steps) > 1 and steps[1].operation == "add" else 1
        offset = steps[1].numbers if count == 2 else (0.0,) * 3
        layers.append(keras.layers.Rescaling(_short(steps[0].numbers), _short(offset), dtype="float32"))
        steps = steps[count:]
    return layers or None


def _short(numbers: tuple[float, ...]) -> Any:
    return numbers[0] if len(set(numbers)) == 1 else list(numbers)
