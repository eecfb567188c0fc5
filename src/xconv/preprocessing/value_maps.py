"""What is done to the numbers of every channel: their order, a factor and an offset, by the names that people know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from xconv.kernels import Floats

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "MODES", "RGB", "Scaling", "ValueMap"]

Channels = tuple[float, float, float]
RGB = (0, 1, 2)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (123.68, 116.779, 103.939)
TOLERANCE = 2e-6


@dataclass(frozen=True, slots=True)
class Scaling:
    """`factor * x + offset` for red, green and blue in 0..255.

    >>> print(Scaling((1 / 127.5,) * 3, (-1.0,) * 3))
    x / 127.5 - 1 (mode 'tf')
    """

    factor: Channels
    offset: Channels

    @classmethod
    def normal(cls, mean: Channels, std: Channels) -> Scaling:
        """(x / 255 - mean) / std."""
        factor = tuple(1 / (255 * s) for s in std)
        return cls(_three(factor), _three(-m / s for m, s in zip(mean, std, strict=True)))

    def after(self, first: Scaling) -> Scaling:
        """This scaling, applied to the result of another one."""
        factor = (a * b for a, b in zip(self.factor, first.factor, strict=True))
        offset = (a * b + c for a, b, c in zip(self.factor, first.offset, self.offset, strict=True))
        return Scaling(_three(factor), _three(offset))

    def reversed(self) -> Scaling:
        """The same with red's and blue's numbers exchanged."""
        return Scaling(_three(self.factor[::-1]), _three(self.offset[::-1]))

    def near(self, other: Scaling, noise: float = 0.0) -> bool:
        """Whether both make the same numbers of 0..255, but for rounding or this much noise."""
        size = max(self.reach(), other.reach(), 1e-30)
        mine, theirs = (np.outer((0.0, 255.0), s.factor) + np.array(s.offset) for s in (self, other))
        return bool(np.abs(mine - theirs).max() <= max(TOLERANCE * size, noise))

    def reach(self) -> float:
        """The largest size of a number that it makes."""
        return float(np.abs(np.outer((0.0, 255.0), self.factor) + np.array(self.offset)).max())

    def exact(self, noise: float = 0.0) -> Scaling:
        """The known scaling that this measured one is, or itself."""
        return next((mode for _, mode in _known() if self.near(mode, noise)), self)

    def twice(self) -> str:
        """The two scalings that this one is made of, where it is no single known one."""
        single = any(self.near(mode) for mode in MODES.values())
        return "" if single else next((name for name, mode in _known() if self.near(mode)), "")

    def __str__(self) -> str:
        name = next((name for name, mode in _known() if self.near(mode)), "")
        return name or self.in_numbers()

    def in_numbers(self) -> str:
        """As (x / 255 - mean) / std."""
        std = [1 / (255 * f) for f in self.factor]
        mean = [-o * s for o, s in zip(self.offset, std, strict=True)]
        return f"(x / 255 - {_listed(mean)}) / {_listed(std)}"


def _three(values: Iterable[float]) -> Channels:
    one, two, three = map(float, values)
    return one, two, three


def _listed(values: list[float]) -> str:
    rounded = [float(f"{value:.5g}") for value in values]
    return f"{rounded[0]:g}" if len(set(rounded)) == 1 else "(" + ", ".join(f"{value:g}" for value in rounded) + ")"


MODES = {
    "no scaling (0..255)": Scaling((1.0,) * 3, (0.0,) * 3),
    "x / 255": Scaling((1 / 255,) * 3, (0.0,) * 3),
    "x / 127.5 - 1 (mode 'tf')": Scaling((1 / 127.5,) * 3, (-1.0,) * 3),
    "(x / 255 - mean) / std of ImageNet (mode 'torch')": Scaling.normal(IMAGENET_MEAN, IMAGENET_STD),
    "minus the means of ImageNet, no scaling (mode 'caffe')": Scaling((1.0,) * 3, _three(-m for m in CAFFE_MEAN)),
    "x / 128 - 1": Scaling((1 / 128,) * 3, (-1.0,) * 3),
    "x - 128": Scaling((1.0,) * 3, (-128.0,) * 3),
}
"""The scalings that have a name."""


def _known() -> Iterator[tuple[str, Scaling]]:
    """The named scalings, then what two of them in turn make."""
    yield from MODES.items()
    changing = list(MODES.items())[1:]
    for (first, one), (second, two) in product(changing, changing):
        name = f"scaled twice: {first}, and of that {second}" if first != second else f"scaled twice: {first}"
        yield name, two.after(one)
        if one.reversed() != one:
            yield f"{name}, the channels reversed in between", two.after(one.reversed())


@dataclass(frozen=True, slots=True)
class ValueMap:
    """`order` names the source of every channel of the result; `scaling` is told for red, green and blue."""

    order: tuple[int, int, int]
    scaling: Scaling

    def made(self, levels: Floats) -> Floats:
        """The result of a picture (height, width, RGB) in 0..255."""
        scaled = levels * np.array(self.scaling.factor) + np.array(self.scaling.offset)
        return np.asarray(scaled[..., list(self.order)])

    def levels(self, result: Floats) -> Floats:
        """The picture behind a result."""
        places = [self.order.index(channel) for channel in RGB]
        return np.asarray((result[..., places] - np.array(self.scaling.offset)) / np.array(self.scaling.factor))

    def by_place(self) -> Scaling:
        """The scaling of the first, second and third channel of the result."""
        factor, offset = self.scaling.factor, self.scaling.offset
        return Scaling(_three(factor[i] for i in self.order), _three(offset[i] for i in self.order))

    @property
    def letters(self) -> str:
        """The order of the channels.

        >>> ValueMap((2, 1, 0), MODES["x / 255"]).letters
        'BGR'
        """
        return "".join("RGB"[channel] for channel in self.order)
