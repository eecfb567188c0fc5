"""The preprocessing that belongs to a live model: as the zoo or timm remembers it, or as its user names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xconv.errors import InvalidInput
from xconv.preprocessing.description import Preprocessing
from xconv.preprocessing.steps import Step
from xconv.zoo.origins import Origin, origin
from xconv.zoo.preprocessing import of

__all__ = ["Pipeline", "pipeline_of"]

Pipeline = Callable[[Any], npt.NDArray[Any]]
"""What makes (height, width, 3) of a picture."""
REMEDY = "give preprocessing=: a Preprocessing, or a library and a name, 'keras resnet50' or 'timm resnet50 a1_in1k'"


def pipeline_of(model: Any, preprocessing: Any = None) -> Pipeline:
    """What is done to a picture before this model takes it; the result is channels-last.

    Args:
        model: a model that `xconv.zoo.load` returned, one that timm made, or another one.
        preprocessing: a Preprocessing, or the words of `xconv.preprocessing.of`: library, name and perhaps a tag.

    Raises:
        InvalidInput: nothing says what is done to a picture, or the words are none.
    """
    if preprocessing is not None:
        return _given(preprocessing)
    try:
        known = origin(model)
    except InvalidInput as error:
        if isinstance(getattr(model, "pretrained_cfg", None), dict):
            return of(model).with_layout("channels_last")
        what = f"nothing says how pictures are prepared for this {type(model).__name__}"
        raise InvalidInput(what, remedy=REMEDY) from error
    made = of_origin(known)
    return (lambda picture: _turned(made(picture))) if known.rotated else made


def _given(preprocessing: Any) -> Preprocessing:
    if isinstance(preprocessing, Preprocessing):
        return preprocessing.with_layout("channels_last")
    words = preprocessing.split() if isinstance(preprocessing, str) else []
    if len(words) not in (2, 3):
        raise InvalidInput(f"preprocessing={preprocessing!r}", remedy=REMEDY)
    library, name, *tag = words
    return of(name, library, weights=tag[0] if tag else None).with_layout("channels_last")


def of_origin(known: Origin) -> Preprocessing:
    """The preprocessing of the weights that a model of the zoo has, for its size, and scaled where it does not do so.

    Raises:
        InvalidInput: the model takes another size than its weights' owner prepares.
    """
    tag = known.weights if known.published and known.source != "keras" else None
    size = known.sides if known.source == "keras" else None
    name = known.network if known.source == "keras" else known.name
    made = of(name, known.source, weights=tag, size=size)
    if known.input_shape[0] is not None and made.size not in (None, known.sides):
        what = f"{known.source} prepares pictures of {_times(made.size)} for it, it takes {_times(known.sides)}"
        raise InvalidInput(what, place=known.name, remedy=REMEDY)
    same = made.values.order == known.pixels.order and made.values.scaling.near(known.pixels.scaling)
    if same:
        return made.with_layout("channels_last")  # to the last bit as its owner does it
    scaling = known.pixels.by_place()
    steps = Step.of("multiply", scaling.factor), Step.of("add", scaling.offset)
    return replace(made, channels=known.pixels.letters, steps=steps, layout="channels_last")


def _times(size: Any) -> str:
    return "x".join(map(str, size))


def _turned(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The picture turned by 180 degrees."""
    return np.ascontiguousarray(picture[::-1, ::-1])
