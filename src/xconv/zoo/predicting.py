"""`xconv.zoo.predict`: what a network sees in a picture, by the names of its classes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xconv import axes
from xconv.comparison.opened import is_keras
from xconv.errors import InvalidInput, XConvError
from xconv.keras.walk import as_array, graph_of, no_gradients
from xconv.torch.record import KEY, Record
from xconv.zoo.classes import class_names
from xconv.zoo.endings import Ending, ending_of_keras, run_with_ending
from xconv.zoo.origins import origin
from xconv.zoo.pipelines import pipeline_of

__all__ = ["Prediction", "Predictions", "predict"]

SUM = 1e-3
"""How near to 1 the sum of probabilities is, in half precision too."""
NAMELESS = "the classes have no names: give names= to see them"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class: its place among the outputs, its WordNet id and name (empty where unknown), and its probability."""

    index: int
    wnid: str
    name: str
    score: float

    def __str__(self) -> str:
        return "  ".join(filter(None, (f"{self.score:7.2%}", f"{self.index:5d}", self.wnid, self.name)))


@dataclass(frozen=True, slots=True)
class Predictions:
    """The likeliest classes of one picture, the best first; a sequence of `Prediction`s.

    `ending` is what the network ends in: of logits the scores are their softmax, log-probabilities are exponentiated,
    and what a softmax or a sigmoid made is told as it is. `note` is what its reader should know.
    """

    best: tuple[Prediction, ...]
    ending: Ending
    note: str = ""

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.best)

    def __len__(self) -> int:
        return len(self.best)

    def __getitem__(self, place: int) -> Prediction:
        return self.best[place]

    def __str__(self) -> str:
        return "\n".join([*map(str, self.best), *filter(None, [self.note])])


def predict(model: Any, image: Any, top: int = 5, *, preprocessing: Any = None, names: Any = None) -> Predictions:
    """The likeliest classes of a picture.

    Args:
        model: a live Keras model or a torch module with one output, a score for each class. It is run in inference
            mode and left as it was.
        image: a picture: a path, a file, an image of Pillow, an array (height, width, 3) of uint8.
        top: how many classes.
        preprocessing: what is done to the picture: an `xconv.preprocessing.Preprocessing`, or a library and a name,
            'keras resnet50', 'timm resnet50 a1_in1k'. Not needed for a model that `xconv.zoo.load` returned, which
            knows, nor for one that timm made.
        names: of the classes, in order: strings, or (wnid, name). A thousand classes are those of ImageNet-1k, which
            Keras, torchvision and timm count alike; of any other number only the places are told.

    Returns:
        `Predictions`, with the same names from either framework. A softmax is applied to logits alone: whether the
        network ends in one is read from its graph, or seen when it is run.

    Raises:
        InvalidInput: a model without its top, several outputs, 1001 classes without names; a picture that is none;
            nothing that says how pictures are prepared.
    """
    wanted: Any = top
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise InvalidInput(f"top={top!r}", remedy="give how many classes are wanted")
    if isinstance(model, (str, os.PathLike)):
        raise InvalidInput(f"{os.fspath(model)} is no model", remedy="load it, and give the live model")
    _refuse_headless(model)
    picture = pipeline_of(model, preprocessing)(image)
    if picture.ndim != 3:
        raise InvalidInput(f"a list of {len(picture)} pictures", remedy="give one picture at a time")
    run = _run_keras if is_keras(model) else _run_torch
    scores, ending = run(model, picture[None])
    if scores.ndim != 2:
        what = f"it returns {'x'.join(map(str, scores.shape[1:]))} numbers, no score for each class"
        raise InvalidInput(what, remedy="give a model with its top; xconv.features and feature_length tell of others")
    known = class_names(scores.shape[1], names)
    values, ending = _probabilities(scores[0].astype(np.float64), ending)
    order = np.argsort(-values, kind="stable")[:top]
    best = tuple(Prediction(int(i), known[i].wnid, known[i].name, float(values[i])) for i in order)
    return Predictions(best, ending, "" if any(name.name for name in known) else NAMELESS)


def _refuse_headless(model: Any) -> None:
    """Refuse what is known to have no classes.

    Raises:
        InvalidInput: the zoo loaded it without its top, or timm made it without classes.
    """
    if getattr(model, "num_classes", None) == 0 and isinstance(getattr(model, "pretrained_cfg", None), dict):
        what = f"timm made this {type(model).__name__} with num_classes=0: it returns features"
        raise InvalidInput(what, remedy="make it with its classes; xconv.feature_length tells of features")
    try:
        known = origin(model)
    except InvalidInput:
        return
    if not known.include_top:
        raise InvalidInput(f"{known.name} was loaded without its top", remedy="load it with include_top=True")


def _run_keras(model: Any, pictures: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Ending]:
    """What a Keras model returns for pictures, channels last, and what it ends in."""
    graph = graph_of(model)
    shape = tuple(graph.inputs[0].shape) if graph is not None else (None, None, None, 3)
    if len(shape) == 4 and shape[3] != 3 and shape[1] == 3:
        pictures = np.ascontiguousarray(pictures.transpose(axes.channels_first(4)))
    _check_size(shape, pictures.shape, str(model.name))
    with no_gradients(model):
        result = model(pictures, training=False)
    if isinstance(result, (list, tuple, dict)):
        raise InvalidInput(f"{model.name} has several outputs", remedy="give a model with one")
    try:
        ending = ending_of_keras(model)
    except XConvError:
        ending = "logits"  # a graph that cannot be read; the numbers tell a softmax all the same
    return as_array(result, model), ending


def _run_torch(model: Any, pictures: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Ending]:
    """The same of a torch module; a converted one says whether it takes channels first."""
    import torch

    if not isinstance(model, torch.nn.Module):
        what = f"a {type(model).__name__} is no model"
        raise InvalidInput(what, remedy="give a Keras model or an nn.Module")
    found = getattr(model, "meta", {}).get(KEY)
    last = isinstance(found, Record) and found.input_layout == "channels_last"
    held = pictures if last else np.ascontiguousarray(pictures.transpose(axes.channels_first(4)))
    weight = next((one for one in model.parameters() if one.is_floating_point()), torch.empty(0))
    result, ending = run_with_ending(model, torch.from_numpy(held).to(weight.device, weight.dtype))
    if not isinstance(result, torch.Tensor):
        raise InvalidInput(f"{type(model).__name__} returns no single tensor", remedy="give a model with one output")
    return result.double().cpu().numpy(), ending


def _check_size(shape: tuple[int | None, ...], given: tuple[int, ...], name: str) -> None:
    """Refuse pictures of another size than the model's.

    Raises:
        InvalidInput: they are.
    """
    if len(shape) != 4 or any(want not in (None, have) for want, have in zip(shape[1:], given[1:], strict=True)):
        sizes = "x".join("?" if size is None else str(size) for size in shape[1:])
        what = f"it takes {sizes}, the prepared picture is {'x'.join(map(str, given[1:]))}"
        raise InvalidInput(what, place=name, remedy="give a preprocessing= of its size")


def _probabilities(scores: npt.NDArray[Any], ending: Ending) -> tuple[npt.NDArray[Any], Ending]:
    """The probabilities that scores stand for, never by a second softmax."""
    if ending in ("softmax", "sigmoid"):
        return scores, ending
    if bool((scores >= 0).all()) and abs(scores.sum() - 1) < SUM:
        return scores, "softmax"  # of several, averaged
    shifted = np.exp(scores - scores.max())  # of log-probabilities it is their exponential
    return shifted / shifted.sum(), ending
