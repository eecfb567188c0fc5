"""Every kernel as a matrix along one axis, in float64: a row for every new pixel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xconv.kernels import DOUBLE, FILTERS, FUSED, SINGLE, Floats, Kernel, cubic, triangle

__all__ = ["Span", "matrix"]

Span: TypeAlias = tuple[int, int]
"""The first pixel of a part along one axis, and how many there are."""


@lru_cache(maxsize=256)
def matrix(kernel: Kernel, before: int, after: int, span: Span | None = None) -> Floats:
    """The weights, (after, before): a row for every new pixel.

    With a `span`, only that part of the axis is resized, but a kernel of Pillow sees the pixels beside it too.

    >>> matrix(Kernel("bilinear", False), 2, 4)[1].tolist()
    [0.75, 0.25]
    >>> matrix(Kernel("area", True), 3, 2)[0].round(3).tolist()
    [0.667, 0.333, 0.0]
    """
    if kernel.interpolation == "nearest":
        return _nearest(kernel, before, after, span)
    if kernel.interpolation == "area":
        return _adaptive(before, after) if kernel.variant else _overlaps(kernel, before, after)
    if kernel.antialias or kernel.interpolation not in ("bilinear", "bicubic"):
        return _sampled(kernel, before, after, span) if kernel.places == DOUBLE else _spans(kernel, before, after)
    taps, weights = _taps(kernel, before, after)
    return _gathered(taps, weights, before, renormalised=kernel.variant == "a=-0.5")


def _nearest(kernel: Kernel, before: int, after: int, span: Span | None) -> Floats:
    number: Any = np.float64 if kernel.places == DOUBLE else np.float32
    steps, step = np.arange(after, dtype=number), number(before) / number(after)
    if kernel.grid == "corners":
        places = np.floor(steps * number((before - 1) / max(after - 1, 1)) + number(0.5))
    elif kernel.grid == "old" or kernel.places != DOUBLE:
        places = np.floor((steps + number(0.0 if kernel.grid == "old" else 0.5)) * step)
    else:  # Pillow adds the step up, which decides where a place falls on a border
        first, length = span or (0, before)
        step = length / after
        places = np.floor(np.cumsum(np.r_[first + step * 0.5, np.full(after - 1, step)]))
    return np.asarray(np.eye(before)[np.minimum(places, before - 1).astype(int)])


def _overlaps(kernel: Kernel, before: int, after: int) -> Floats:
    """Each new pixel is the mean of the area that it covers: TensorFlow's and OpenCV's area."""
    number: Any = np.float64 if kernel.places == DOUBLE else np.float32
    step = number(before) / number(after)
    edges = np.arange(after + 1, dtype=number) * step
    old = np.arange(before, dtype=number)
    covered = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    if kernel.places == DOUBLE:
        return _unit(np.maximum(covered, 0.0))
    inside = (old < edges[:-1, None]) & (old + 1 > edges[1:, None])
    return np.asarray(np.where(inside, 1.0, np.maximum(covered, 0.0).astype(np.float64) / float(step)))


def _adaptive(before: int, after: int) -> Floats:
    """Each new pixel is the mean of all pixels that it touches: torch's area."""
    steps = np.arange(after)[:, None]
    old = np.arange(before)
    return _unit(((old >= steps * before // after) & (old < -(-(steps + 1) * before // after))).astype(float))


def _sampled(kernel: Kernel, before: int, after: int, span: Span | None) -> Floats:
    function, support = FILTERS[kernel.interpolation]
    start, length = span or (0, before)
    scale = length / after
    grown = max(scale, 1.0) if kernel.antialias else 1.0
    centre = start + (np.arange(after)[:, None] + 0.5) * scale
    old = np.arange(before)
    first = np.floor(np.maximum(centre - support * grown + 0.5, 0))
    last = np.floor(np.minimum(centre + support * grown + 0.5, before))
    weights = np.where((old >= first) & (old < last), function((old - centre + 0.5) * (1 / grown)), 0.0)
    # summed in Pillow's order, because its weights are rounded to 22 bits
    return np.asarray(weights * (1 / np.cumsum(weights, axis=1)[:, -1:]))


def _spans(kernel: Kernel, before: int, after: int) -> Floats:
    """The same in float32: TensorFlow inverts the scale, torch does not."""
    function, support = FILTERS[kernel.interpolation]
    one: Any = np.float32(1)
    half: Any = np.float32(0.5)
    scale: Any = np.float32(before) / np.float32(after)
    if kernel.places == SINGLE:
        scale = one / (np.float32(after) / np.float32(before))
    grown = max(scale, one) if kernel.antialias else one
    centre = (np.arange(after, dtype="f4")[:, None] + half) * scale
    old = np.arange(before, dtype="f4")
    reach = np.float32(support) * grown
    inside = (old >= np.ceil(centre - reach - half)) & (old <= np.floor(centre + reach - half))
    places = ((old + half - centre) * (one / grown)).astype(np.float64)
    return _unit(np.where(inside, function(places), 0.0))


def _taps(kernel: Kernel, before: int, after: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The pixels that each new one is made of, inside the image or not, and their weights."""
    a = float(kernel.variant.removeprefix("a=") or "nan")
    place = _places(kernel, before, after)
    if kernel.interpolation == "bilinear":
        place = np.maximum(place, 0.0)
    base = np.floor(place)
    part = place - base
    if kernel.interpolation == "bilinear":
        return base[:, None].astype(int) + np.arange(2), triangle(part[:, None] - np.arange(2))
    if a == -0.5:  # TensorFlow reads its weights from a table
        part = np.rint(part * 1024) / 1024
    return base[:, None].astype(int) + np.arange(-1, 3), cubic(part[:, None] - np.arange(-1, 3), a)


def _places(kernel: Kernel, before: int, after: int) -> Floats:
    """Where the centre of every new pixel lies, in old pixels."""
    double = kernel.places == DOUBLE and kernel.variant != "a=-0.5"  # TensorFlow's bicubic is in float32 always
    number: Any = np.float64 if double else np.float32
    steps, shift = np.arange(after, dtype=number), number(0.5 if kernel.grid == "half-pixel" else 0.0)
    scale = number(before) / number(after)
    if kernel.grid == "corners":
        scale = number(before - 1) / number(max(after - 1, 1))
    if kernel.places == FUSED:  # exact in float64, then rounded once
        exact = (steps + shift).astype(float) * float(scale) - float(shift)
        return np.asarray(exact.astype(np.float32), np.float64)
    return np.asarray((steps + shift) * scale - shift, np.float64)


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
