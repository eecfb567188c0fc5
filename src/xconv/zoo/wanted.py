"""Which form of a network is asked for: its top, pooling, classes and size; refused where Keras itself refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from xconv.errors import InvalidInput, Problem
from xconv.zoo.records import Network, Published

__all__ = [
    "AS_SOURCE",
    "Pooling",
    "Wanted",
    "picture_shape",
    "refuse_published",
    "refuse_settings",
    "refuse_unknown",
]

Pooling: TypeAlias = Literal["avg", "max"] | None

AS_SOURCE = "as source"
"""The word for the activation that the source has: a softmax in keras.applications, none in torch."""
CLASSES = 1000
PRECISIONS = ("float16", "bfloat16", "float32", "float64")
TRAINED_AT = {"MobileNet": (128, 160, 192, 224), "MobileNetV2": (96, 128, 160, 192, 224)}
"""Sizes besides the usual one at which Keras takes published weights with their top."""
ANY_SIZE = ("MobileNetV3Large", "MobileNetV3Small")
"""Constructors that take published weights with their top at every size."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the constructors of keras.applications call by these names.

    `scaling` is their `include_preprocessing`; None is what the source does.
    """

    include_top: bool = True
    pooling: Pooling = None
    classes: int = CLASSES
    input_shape: tuple[int | None, ...] | None = None
    classifier_activation: str | None = AS_SOURCE
    scaling: bool | None = None

    def shape(self, network: Network) -> tuple[int | None, ...]:
        """The shape of a picture, channels last: as it is given, else as Keras takes it.

        >>> from xconv.zoo.catalogue import find
        >>> Wanted().shape(find("vgg16")), Wanted(include_top=False).shape(find("vgg16"))
        ((224, 224, 3), (None, None, 3))
        """
        if self.input_shape is not None:
            return self.input_shape
        return (network.size, network.size, 3) if self.include_top else (None, None, 3)

    def channels_first(self, network: Network) -> tuple[int | None, ...]:
        """The same as torch has it."""
        height, width, channels = self.shape(network)
        return channels, height, width


def picture_shape(given: Any) -> tuple[Any, ...] | None:
    """A shape as its caller gives it, in Python's own numbers where they are numbers.

    >>> picture_shape([224, 224, 3])
    (224, 224, 3)

    Raises:
        InvalidInput: it is no sequence.
    """
    if given is None:
        return None
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidInput(f"{given!r} is no picture", place="input_shape", remedy="write (height, width, 3)")
    return tuple(int(size) if isinstance(size, np.integer) else size for size in given)


def refuse_settings(seed: Any, dtype: Any) -> None:
    """Refuse what is no seed and no precision, before anything is fetched or built.

    Raises:
        InvalidInput: see above.
    """
    problems = []
    if seed is not None and not (_is_size(seed) or (seed == 0 and not isinstance(seed, bool))):
        problems.append(Problem("seed", f"{seed!r} is no seed", "give a whole number, 0 or above"))
    if dtype is not None and dtype not in PRECISIONS:
        problems.append(Problem("dtype", f"{dtype!r} is no precision", f"use {', '.join(map(repr, PRECISIONS))}"))
    if problems:
        raise InvalidInput("there is no such setting", problems=problems)


def refuse_unknown(wanted: Wanted, network: Network, *, torch: bool) -> None:
    """Refuse what no constructor takes, all of it in one error.

    Args:
        wanted: what is asked for.
        network: of which network.
        torch: whether a network of torchvision or timm takes part; they take three channels.

    Raises:
        InvalidInput: see above.
    """
    problems = list(_problems(wanted, network, torch))
    if problems:
        raise InvalidInput(f"{network.name} cannot be made so", problems=problems)


def refuse_published(wanted: Wanted, network: Network, published: Published, *, keras: bool) -> None:
    """Refuse what the published weights do not fit, as the constructors of keras.applications do.

    Raises:
        InvalidInput: another number of classes; with the top another size than Keras allows, where they are Keras's.
    """
    what = f"{network.name} {published.tag}"
    if wanted.include_top and wanted.classes != CLASSES:
        remedy = "load it with include_top=False, or weights=None"
        raise InvalidInput(f"the weights have {CLASSES} classes, classes={wanted.classes}", place=what, remedy=remedy)
    shape = wanted.shape(network)
    if shape[-1] != len("RGB"):
        raise InvalidInput(f"the weights are for 3 channels, input_shape={shape}", place=what)
    if not keras or not wanted.include_top or network.keras in ANY_SIZE:
        return
    sizes = TRAINED_AT.get(network.keras, (network.size,))
    if shape not in [(size, size, 3) for size in (*sizes, network.size)]:
        allowed = " or ".join(map(str, sorted({*sizes, network.size})))
        remedy = f"use {allowed} pixels, or include_top=False; a path of the same file is taken at any size"
        raise InvalidInput(f"Keras takes them with their top at {allowed} pixels alone", place=what, remedy=remedy)


def _problems(wanted: Wanted, network: Network, torch: bool) -> Iterator[Problem]:
    if wanted.pooling not in (None, "avg", "max"):
        yield Problem("pooling", f"{wanted.pooling!r} is no pooling", "use None, 'avg' or 'max'")
    if wanted.include_top and wanted.pooling is not None:
        yield Problem("pooling", "is for a network without its top", "use include_top=False, or leave it out")
    if not _is_size(wanted.classes):
        yield Problem("classes", f"{wanted.classes!r} is no number of classes")
    shape: Sequence[Any] = wanted.shape(network)
    if len(shape) != len("HWC") or not all(size is None or _is_size(size) for size in shape):
        yield Problem("input_shape", f"{tuple(shape)} is no picture", "write (height, width, 3)")
        return
    height, width, channels = shape
    if wanted.include_top and None in (height, width):
        yield Problem("input_shape", "a network with its top has a fixed size", "give height and width")
    elif height == len("RGB") and channels != height:
        yield Problem("input_shape", f"{tuple(shape)} has its channels first", f"write {(width, channels, height)}")
        return
    elif any(size is not None and size < network.smallest for size in (height, width)):
        least = network.smallest
        yield Problem("input_shape", f"{height} x {width} is too small", f"give at least {least} x {least}")
    if channels is None or (torch and channels != len("RGB")):
        yield Problem("input_shape", f"{channels} channels", "torchvision and timm build it for 3")


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0
