"""How the pixels of a resized image are rounded: not at all, at the end, or after each direction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xconv.kernel_matrices import Span, matrix
from xconv.kernels import Floats, Kernel

__all__ = [
    "ARITHMETICS",
    "CUT_OFF",
    "DESCRIBED",
    "FLOAT",
    "PILLOW",
    "PILLOW_13",
    "PILLOW_DOWN",
    "ROUNDED",
    "TORCH",
    "Pass",
    "blocks",
    "deviation",
    "in_words",
    "passes",
    "resized",
]

FLOAT = "in floating point"
ROUNDED = "in floating point, rounded to 8 bits"
CUT_OFF = "in floating point, cut off to 8 bits"
PILLOW = "in 8 bits, rounded after each direction (Pillow)"
PILLOW_DOWN = "in 8 bits, rounded after each direction, the height first (Pillow)"
"""Pillow begins with the width, from version 13 on with the direction that it takes to be cheaper."""
PILLOW_13 = "in 8 bits, rounded after each direction, the height first where it shrinks by far more (Pillow 13)"
TORCH = "in 8 bits with weights of 16 bits (torch on uint8 tensors)"
NEAR = 0.006
"""Of 255 levels: what a resize in float32 is off by."""
ARITHMETICS = (FLOAT, ROUNDED, CUT_OFF, PILLOW, PILLOW_DOWN, TORCH)
"""Those that can be told from a resized picture; `PILLOW_13` is one of Pillow's two by the sizes."""
DESCRIBED = (FLOAT, ROUNDED, CUT_OFF, PILLOW, PILLOW_13, TORCH)
"""Those that a description can name."""
BAND = 64
"""So many new lines are computed from the old ones that they need."""


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """The resize along one axis: 0 is the height, 1 the width.

    `weights` are a row for every new line. With `bits` they are whole numbers, multiples of 2**-bits, and the sums are
    rounded to 0..255; without, everything stays in floating point. With `taken`, new lines are copies of old ones.
    """

    axis: int
    weights: Floats
    bits: int | None = None
    taken: bool = False

    def __call__(self, picture: Floats) -> Floats:
        """The picture (height, width, channels) with this axis resized."""
        lines = np.moveaxis(picture, self.axis, 0)
        flat = lines.reshape(len(lines), -1)
        if self.taken:
            made = flat[self.weights.argmax(axis=1)]
        else:
            made = np.concatenate([block @ flat[first:last] for first, last, block in blocks(self.weights)])
        if self.bits is not None:
            made = _eight_bits(np.floor((made + 2.0 ** (self.bits - 1)) / 2.0**self.bits))
        return np.moveaxis(made.reshape(-1, *lines.shape[1:]), 0, self.axis)


def blocks(weights: Floats) -> Iterator[tuple[int, int, Floats]]:
    """The matrix cut into bands of rows: the first and last column that a band needs, and the band there."""
    size = len(weights) if weights.shape[1] <= 4 * BAND else BAND
    for first in range(0, len(weights), size):
        band = weights[first : first + size]
        used = np.flatnonzero(band.any(axis=0))
        left, right = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        yield left, right, band[:, left:right]


def passes(
    size: tuple[int, int],
    wanted: tuple[int, int],
    kernel: Kernel,
    arithmetic: str,
    span: tuple[Span, Span] | None = None,
) -> tuple[Pass, ...]:
    """The passes that bring a picture of one size to another, in their order.

    `span` is the part of the picture that is resized, where the kernel sees what lies around it; otherwise all of it.

    >>> [one.axis for one in passes((90, 40), (30, 20), Kernel("bilinear", True), PILLOW_13)]
    [0, 1]
    """
    needed = [before != after or span is not None for before, after in zip(size, wanted, strict=True)]
    if not any(needed):
        return ()
    made = [_pass(kernel, arithmetic, axis, size[axis], wanted[axis], span and span[axis]) for axis in (0, 1)]
    if arithmetic not in (PILLOW, PILLOW_DOWN, PILLOW_13, TORCH):
        return made[1], made[0]
    down = arithmetic == PILLOW_DOWN
    if arithmetic == PILLOW_13:
        down = size[0] - wanted[0] > 2 * max(size[1] - wanted[1], 0)
    order = (0, 1) if down else (1, 0)
    return tuple(made[axis] for axis in order if needed[axis])


@lru_cache(maxsize=64)
def _pass(kernel: Kernel, arithmetic: str, axis: int, before: int, after: int, span: Span | None) -> Pass:
    weights = matrix(kernel, before, after, span)
    if kernel.interpolation == "nearest":
        return Pass(axis, weights, taken=True)
    if arithmetic in (PILLOW, PILLOW_DOWN, PILLOW_13):
        return Pass(axis, _whole(weights, 22), 22)
    if arithmetic == TORCH:  # 16 bits, with as many places after the point as the largest weight leaves
        largest = float(weights.max())
        bits = next(bits for bits in range(23) if bits == 22 or int(0.5 + largest * 2 ** (bits + 1)) >= 2**15)
        return Pass(axis, _whole(weights, bits), bits)
    return Pass(axis, weights)


def resized(
    picture: Floats,
    size: tuple[int, int],
    kernel: Kernel,
    arithmetic: str = FLOAT,
    span: tuple[Span, Span] | None = None,
) -> Floats:
    """The picture (height, width, channels) in another size.

    >>> picture = np.array([[0.0, 255.0]])[:, :, None]
    >>> resized(picture, (1, 3), Kernel("bilinear", False))[0, :, 0].tolist()
    [0.0, 127.5, 255.0]
    >>> resized(picture, (1, 3), Kernel("bilinear", True), PILLOW)[0, :, 0].tolist()
    [0.0, 128.0, 255.0]
    """
    result = picture
    for one in passes((picture.shape[0], picture.shape[1]), size, kernel, arithmetic, span):
        result = one(result)
    if arithmetic in (ROUNDED, CUT_OFF) and kernel.interpolation != "nearest":
        return _eight_bits(np.floor(result + 1e-4) if arithmetic == CUT_OFF else np.rint(result))
    return result


def in_words(arithmetic: str) -> str:
    """What to call it: Pillow's order is Pillow's own affair."""
    return PILLOW if arithmetic in (PILLOW_DOWN, PILLOW_13) else arithmetic


def deviation(seen: Floats, exact: Floats, made: Floats, arithmetic: str) -> Floats:
    """How far every pixel is from what the arithmetic says, of 255 levels.

    A pixel that lies as near to the border between two levels as float32 can tell may be rounded to either.
    """
    if arithmetic in (ROUNDED, CUT_OFF):
        middle = seen if arithmetic == ROUNDED else seen + 0.5
        whole = np.abs(seen - np.rint(seen))
        return np.maximum(np.maximum(np.abs(np.clip(exact, 0, 255) - middle) - 0.5 - NEAR, 0), whole)
    return np.abs(made - seen)


def _whole(weights: Floats, bits: int) -> Floats:
    """As whole multiples of 2**-bits; their sums with pixels are exact in float64."""
    return np.trunc(weights * 2.0**bits + np.copysign(0.5, weights))


def _eight_bits(values: Floats) -> Floats:
    return np.clip(values, 0.0, 255.0)
