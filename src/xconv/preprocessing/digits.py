"""Whole weights as digits so small that float32 adds up their products exactly, on every device.

Pixels have 8 bits and the digits at most 8, so that the products survive matrix units of lower precision too (TF32,
bfloat16): what they round is wider than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconv.errors import Unsupported
from xconv.kernels import Floats
from xconv.preprocessing.arithmetic import Pass, blocks

__all__ = ["Band", "bands", "digits"]

LARGEST = 2**24
"""Up to this size float32 holds every whole number."""


def digits(whole: Floats) -> tuple[int, tuple[npt.NDArray[np.float32], ...]]:
    """The bits of a digit, and the matrices of digits, the lowest first.

    >>> bits, parts = digits(np.float64([[300.0, -5.0]]))
    >>> bits, [part.tolist() for part in parts]
    (8, [[[44.0, -5.0]], [[1.0, 0.0]]])

    Raises:
        Unsupported: a new pixel is made of more old ones than can be added up exactly.
    """
    taps = int((whole != 0).sum(axis=1).max(initial=1))
    fitting = [bits for bits in range(8, 1, -1) if 2 ** (bits - 1) * 255 * taps <= LARGEST]
    if not fitting:
        raise Unsupported(f"a pixel is made of {taps} others along one axis", remedy="shrink the picture in two steps")
    base, half = 2 ** fitting[0], 2 ** (fitting[0] - 1)
    parts, rest = [], whole
    while rest.any():
        digit = np.mod(rest + half, base) - half
        parts.append(digit.astype(np.float32))
        rest = (rest - digit) / base
    return fitting[0], tuple(parts) or (whole.astype(np.float32),)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Some new lines: the first and last old line that they need, and the digits of their weights.

    Weights in floating point are one digit of no bits.
    """

    first: int
    last: int
    bits: int
    parts: tuple[npt.NDArray[np.floating], ...]


def bands(one: Pass) -> Iterator[Band]:
    """The matrix of a pass, band by band."""
    for first, last, band in blocks(one.weights):
        bits, parts = digits(band) if one.bits is not None else (0, (band,))
        yield Band(first, last, bits, parts)
