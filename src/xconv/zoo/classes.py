"""The classes of ImageNet-1k, in the order in which Keras, torchvision and timm count them: by WordNet id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from xconv.errors import InvalidInput

__all__ = ["ClassName", "class_names", "imagenet_classes"]

IMAGENET, WITH_BACKGROUND = 1000, 1001


@dataclass(frozen=True, slots=True)
class ClassName:
    """A class: its WordNet id ('n02123045') and its name ('tabby'); either may be empty."""

    wnid: str
    name: str


@cache
def imagenet_classes() -> tuple[ClassName, ...]:
    """The thousand classes of ImageNet-1k, with the names that torchvision gives them.

    >>> imagenet_classes()[281]
    ClassName(wnid='n02123045', name='tabby')
    """
    text = files("xconv.zoo").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(ClassName(*line.split("\t")) for line in text.splitlines())


def class_names(count: int, names: Any = None) -> tuple[ClassName, ...]:
    """What the classes of a network are called.

    Args:
        count: how many it has.
        names: theirs, in order: strings, or (wnid, name). Without them a thousand classes are those of ImageNet-1k, and
            any other number of classes has no names.

    Raises:
        InvalidInput: another number of names than of classes; 1001 classes without names, of which one is a background
            that may stand first or last.
    """
    if names is not None:
        given = tuple(names.values() if isinstance(names, Mapping) else names)
        if len(given) != count:
            raise InvalidInput(f"{len(given)} names for {count} classes", remedy="give a name for each, in order")
        return tuple(map(_named, given))
    if count == WITH_BACKGROUND:
        what = "1001 classes: those of ImageNet and a background, which may stand first or last"
        raise InvalidInput(what, remedy="give names=, one for each class in order")
    return imagenet_classes() if count == IMAGENET else (ClassName("", ""),) * count


def _named(name: Any) -> ClassName:
    if isinstance(name, str):
        return ClassName("", name)
    if isinstance(name, Sequence) and len(name) == 2 and all(isinstance(part, str) for part in name):
        return ClassName(name[0], name[1])
    raise InvalidInput(f"{name!r} is no name of a class", remedy="give a string, or a pair (wnid, name)")
