"""Weights into a network that was built for them: a file, a state_dict, a live model. Nothing in a file is executed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xconv.errors import InvalidInput, Mismatch, Problem
from xconv.transfers.by_names import by_names
from xconv.transfers.checkpoints import Checkpoint, framework_of, open_checkpoint
from xconv.transfers.ends import state_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["fill_keras", "fill_torch", "is_file"]

DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""How torchvision's files of DenseNet name what its class has called `norm1` and `conv1` since 2018."""
AUXILIARY = "AuxLogits."


def is_file(given: Any) -> bool:
    """Whether weights are given as the path of a file, and not as a tag.

    >>> is_file("imagenet"), is_file("trained.pth")
    (False, True)
    """
    if isinstance(given, os.PathLike):
        return True
    return isinstance(given, str) and (Path(given).is_file() or Path(given).suffix != "" or os.sep in given)


def fill_keras(model: Any, given: Any) -> tuple[str, ...]:
    """Weights into a Keras model of the same architecture, all or none; gives what is to be told.

    Args:
        model: a Functional Keras model.
        given: the path of a `.h5`, `.weights.h5` or `.keras` file, a live model, or a mapping of arrays by
            `layer/index`.

    Raises:
        Mismatch: weights that do not fit.
        Unreadable, NotFound: the file is not what it should be.
        InvalidInput: something else.
    """
    from xconv.comparison.opened import is_keras

    if isinstance(given, (str, os.PathLike)):
        if framework_of(given) != "keras":
            what, remedy = "holds weights of torch", "name the library that they are of: source='torchvision' or 'timm'"
            raise InvalidInput(what, place=str(given), remedy=remedy)
        found = open_checkpoint(given, config=model)
    elif isinstance(given, Mapping):
        from xconv.keras.checkpoint import arrays_of

        found = Checkpoint("the mapping of arrays", "keras", arrays_of(given))
    elif is_keras(given):
        return _from_live(given, model)
    else:
        raise InvalidInput(f"a {type(given).__name__} holds no weights for a Keras model")
    return by_names(found, model).notes


def fill_torch(module: nn.Module, given: Any, *, top: Iterable[str] = ()) -> tuple[str, ...]:
    """Weights into a module of torchvision or timm, all or none; gives what is to be told.

    Args:
        module: the network.
        given: the path of a `.pth`, `.pt`, `.bin` or `.safetensors` file, a state_dict, or a live module.
        top: names that a file may hold besides: those of the top that the module has not.

    Raises:
        Mismatch: weights that do not fit.
        Unreadable, NotFound: the file is not what it should be.
        InvalidInput: something else.
    """
    names = tuple(state_of(module))
    if isinstance(given, (str, os.PathLike)):
        if framework_of(given) != "torch":
            what, remedy = "holds weights of Keras", "leave source= at 'keras'"
            raise InvalidInput(what, place=str(given), remedy=remedy)
        found = open_checkpoint(given, names=names)
    else:
        found = _from_state(given)
    arrays = {DENSE_LAYER.sub(r"\1\2", key): array for key, array in found.arrays.items()}
    over = {key for key in top if key in arrays and key not in names}
    arrays = {key: array for key, array in arrays.items() if key not in over}
    if getattr(module, "AuxLogits", None) is not None and not any(key.startswith(AUXILIARY) for key in arrays):
        from xconv.zoo.bodies import without_auxiliary

        without_auxiliary(module)
    done = by_names(Checkpoint(found.place, "torch", arrays, found.notes, found.left), module)
    return (*done.notes, *([f"left in {found.place}: the top, {len(over)} arrays"] if over else []))


def _from_state(given: Any) -> Checkpoint:
    from xconv.torch.arrays import TensorSource

    state = given.state_dict() if hasattr(given, "state_dict") else given
    if not isinstance(state, Mapping):
        raise InvalidInput(f"a {type(given).__name__} holds no weights for a torch module")
    odd = [Problem(str(key), f"is a {type(value).__name__}") for key, value in state.items() if not _is_tensor(value)]
    if odd:
        raise InvalidInput("is no state_dict", problems=odd)
    return Checkpoint("the state_dict", "torch", {str(key): TensorSource(value) for key, value in state.items()})


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _from_live(given: Any, model: Any) -> tuple[str, ...]:
    """The weights of a live model of the same constructor, whose layers may be numbered otherwise."""
    from xconv.zoo.keras_networks import copy_weights

    ours, theirs = model.weights, given.weights
    problems = [
        Problem(a.path, f"has shape {tuple(b.shape)}, {tuple(a.shape)} is needed")
        for a, b in zip(ours, theirs, strict=False)
        if tuple(a.shape) != tuple(b.shape)
    ]
    if len(ours) != len(theirs):
        problems.append(Problem("", f"{len(theirs)} weights are given, {len(ours)} are needed"))
    kinds = [[type(layer).__name__ for layer in each.layers if layer.weights] for each in (model, given)]
    if kinds[0] != kinds[1]:
        problems.append(Problem("", "its layers are of other classes, or stand in another order"))
    if problems:
        raise Mismatch(f"the weights of {given.name} do not fit {model.name}", problems=problems)
    copy_weights(given, model)
    return ()
