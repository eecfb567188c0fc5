"""The resize kernels of Pillow, torch and TensorFlow, each as a matrix along one axis, in float64.

Libraries give one word, 'bilinear', to several functions. Here every function is a `Kernel` of its own:

    interpolation   nearest, bilinear, bicubic, area, box, hamming, lanczos3, lanczos5, gaussian, mitchellcubic
    antialias       whether the kernel grows with the factor when the image shrinks
    grid            half-pixel (pixels are areas), corners (the corner pixels stay), old (top left corners meet)
    variant         a=-0.5 or a=-0.75 of a bicubic; whose nearest or area it is
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["CATALOGUE", "Floats", "Kernel", "matrix"]

Floats: TypeAlias = npt.NDArray[np.float64]
Filter: TypeAlias = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One way to compute the pixels of a resized image.

    >>> print(Kernel("bicubic", True, variant="a=-0.5"))
    bicubic (a=-0.5), antialiased
    >>> print(Kernel("bilinear", False, "corners"))
    bilinear, not antialiased, corners aligned
    """

    interpolation: str
    antialias: bool
    grid: str = "half-pixel"
    variant: str = ""

    @property
    def function(self) -> str:
        """The interpolation and its variant."""
        return f"{self.interpolation} ({self.variant})" if self.variant else self.interpolation

    def __str__(self) -> str:
        words = [self.function]
        if self.interpolation not in ("nearest", "area"):
            words.append("antialiased" if self.antialias else "not antialiased")
        if self.grid != "half-pixel":
            words.append({"corners": "corners aligned", "old": "on the old grid (top left corners aligned)"}[self.grid])
        return ", ".join(words)


def triangle(x: Floats) -> Floats:
    """Of bilinear interpolation."""
    return np.asarray(np.maximum(1 - np.abs(x), 0.0))


def cubic(x: Floats, a: float) -> Floats:
    """Keys's cubic; `a` is -0.5 in Pillow and TensorFlow, -0.75 in torch and OpenCV."""
    x = np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _lanczos(x: Floats, radius: int) -> Floats:
    return np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


def _gaussian(x: Floats) -> Floats:
    return np.where(np.abs(x) < 1.5, np.exp(-2 * x * x), 0.0)


def _mitchell(x: Floats) -> Floats:
    x = np.abs(x)
    inner = (7 * x - 12) * x * x / 6 + 16 / 18
    outer = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _hamming(x: Floats) -> Floats:
    return np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0.0)


def _box(x: Floats) -> Floats:
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


FILTERS: dict[str, tuple[Filter, float]] = {
    "box": (_box, 0.5),
    "hamming": (_hamming, 1.0),
    "bilinear": (triangle, 1.0),
    "bicubic": (lambda x: cubic(x, -0.5), 2.0),
    "lanczos3": (lambda x: _lanczos(x, 3), 3.0),
    "lanczos5": (lambda x: _lanczos(x, 5), 5.0),
    "gaussian": (_gaussian, 1.5),
    "mitchellcubic": (_mitchell, 2.0),
}
"""The function and its support, for kernels that are sampled at the pixels and made to sum to one."""

CATALOGUE = (
    Kernel("bilinear", True),
    Kernel("bilinear", False),
    Kernel("bicubic", True, variant="a=-0.5"),
    Kernel("bicubic", False, variant="a=-0.75"),
    Kernel("bicubic", False, variant="a=-0.5"),
    Kernel("nearest", False),
    Kernel("nearest", False, "old"),
    Kernel("nearest", False, "corners"),
    Kernel("area", True),
    Kernel("area", True, variant="adaptive mean"),
    Kernel("lanczos3", True),
    Kernel("lanczos3", False),
    Kernel("box", True),
    Kernel("hamming", True),
    Kernel("bilinear", False, "corners"),
    Kernel("bilinear", False, "old"),
    Kernel("bicubic", False, "corners", "a=-0.75"),
    Kernel("lanczos5", True),
    Kernel("lanczos5", False),
    Kernel("gaussian", True),
    Kernel("gaussian", False),
    Kernel("mitchellcubic", True),
    Kernel("mitchellcubic", False),
)
"""Every kernel that a preprocessing is compared with."""


@lru_cache(maxsize=256)
def matrix(kernel: Kernel, before: int, after: int) -> Floats:
    """The weights, (after, before): a row for every new pixel.

    >>> matrix(Kernel("bilinear", False), 2, 4)[1].tolist()
    [0.75, 0.25]
    >>> matrix(Kernel("area", True), 3, 2)[0].round(3).tolist()
    [0.667, 0.333, 0.0]
    """
    if kernel.interpolation == "nearest":
        return _nearest(kernel.grid, before, after)
    if kernel.interpolation == "area":
        return _adaptive(before, after) if kernel.variant else _overlaps(before, after)
    if kernel.antialias or kernel.interpolation not in ("bilinear", "bicubic"):
        return _sampled(kernel, before, after)
    taps, weights = _taps(kernel, before, after)
    return _gathered(taps, weights, before, renormalised=kernel.variant == "a=-0.5")


def _nearest(grid: str, before: int, after: int) -> Floats:
    steps = np.arange(after)
    match grid:
        case "corners":
            places = np.floor(steps * ((before - 1) / max(after - 1, 1)) + 0.5)
        case "old":
            places = np.floor(steps * (before / after))
        case _:  # Pillow adds the step up, which decides where a place falls on a border
            step = before / after
            places = np.floor(np.cumsum(np.r_[step * 0.5, np.full(after - 1, step)]))
    return np.asarray(np.eye(before)[np.minimum(places, before - 1).astype(int)])


def _overlaps(before: int, after: int) -> Floats:
    """Each new pixel is the mean of the area that it covers: TensorFlow's and OpenCV's area."""
    edges = np.arange(after + 1) * (before / after)
    old = np.arange(before)
    covered = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return _unit(np.maximum(covered, 0.0))


def _adaptive(before: int, after: int) -> Floats:
    """Each new pixel is the mean of all pixels that it touches: torch's area."""
    steps = np.arange(after)[:, None]
    old = np.arange(before)
    return _unit(((old >= steps * before // after) & (old < -(-(steps + 1) * before // after))).astype(float))


def _sampled(kernel: Kernel, before: int, after: int) -> Floats:
    function, support = FILTERS[kernel.interpolation]
    scale = before / after
    grown = max(scale, 1.0) if kernel.antialias else 1.0
    centre = (np.arange(after)[:, None] + 0.5) * scale
    old = np.arange(before)
    first = np.floor(np.maximum(centre - support * grown + 0.5, 0))
    last = np.floor(np.minimum(centre + support * grown + 0.5, before))
    weights = np.where((old >= first) & (old < last), function((old - centre + 0.5) * (1 / grown)), 0.0)
    # summed in Pillow's order, because its weights are rounded to 22 bits
    return np.asarray(weights * (1 / np.cumsum(weights, axis=1)[:, -1:]))


def _taps(kernel: Kernel, before: int, after: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The pixels that each new one is made of, inside the image or not, and their weights."""
    a = float(kernel.variant.removeprefix("a=") or "nan")
    scale, shift = before / after, 0.5
    if a == -0.5:  # TensorFlow's: places in float32, weights read from a table
        place = ((np.arange(after, dtype="f4") + np.float32(0.5)) * np.float32(scale) - np.float32(0.5)).astype(float)
        base = np.floor(place)
        part = np.rint((place - base) * 1024) / 1024
        return base[:, None].astype(int) + np.arange(-1, 3), cubic(part[:, None] - np.arange(-1, 3), a)
    if kernel.grid == "corners":
        scale = (before - 1) / max(after - 1, 1)
    if kernel.grid != "half-pixel":
        shift = 0.0
    place = (np.arange(after) + shift) * scale - shift
    if kernel.interpolation == "bilinear":
        place = np.maximum(place, 0.0)
    base = np.floor(place)
    part = place - base
    if kernel.interpolation == "bilinear":
        return base[:, None].astype(int) + np.arange(2), triangle(part[:, None] - np.arange(2))
    return base[:, None].astype(int) + np.arange(-1, 3), cubic(part[:, None] - np.arange(-1, 3), a)


def _gathered(taps: npt.NDArray[np.int64], weights: Floats, before: int, *, renormalised: bool) -> Floats:
    """Taps outside the image mean its edge, or count for nothing."""
    if renormalised:
        weights = np.where((taps >= 0) & (taps < before), weights, 0.0)
    result = np.zeros((len(taps), before))
    rows = np.repeat(np.arange(len(taps)), taps.shape[1])
    np.add.at(result, (rows, np.clip(taps, 0, before - 1).ravel()), weights.ravel())
    return _unit(result) if renormalised else result


def _unit(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
