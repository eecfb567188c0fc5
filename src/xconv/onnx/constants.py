"""Numbers in an ONNX file are rounded to float32; which numbers they were before.

A network that is taken to float64 needs the epsilon that its author wrote, 1e-5, and not the float32 nearest to it.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

__all__ = ["meant"]

LARGEST_DENOMINATOR = 12
LARGEST_ROOTED = 4096
SHORT = 6
"""A number of so few digits was written as a decimal."""
KNOWN = tuple(
    sign * value
    for value in (math.sqrt(2), math.sqrt(0.5), math.sqrt(2 / math.pi), math.pi, math.e, math.log(2), 1 / math.log(2))
    for sign in (1, -1)
)


def meant(value: float) -> float:
    """The number that a float32 was rounded from: a known constant, a fraction, a root, else its shortest decimal.

    Each of these is the same number in float32.

    >>> meant(float(np.float32(1e-5))), meant(float(np.float32(1 / 6))) == 1 / 6
    (1e-05, True)
    >>> meant(float(np.float32(math.sqrt(2)))) == math.sqrt(2), meant(float(np.float32(64**-0.5))), meant(1.5)
    (True, 0.125, 1.5)
    >>> meant(float(np.float32(3**-0.25))) == 3**-0.25
    True
    """
    single = np.float32(value)
    if not np.isfinite(single) or float(single) != value:
        return value  # an infinity, or a number of float64
    for known in KNOWN:
        if np.float32(known) == single:
            return known
    simple = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    if simple and np.float32(simple.numerator / simple.denominator) == single:
        return simple.numerator / simple.denominator
    short = str(single)
    return float(short) if len(short.strip("-0.").partition("e")[0]) <= SHORT else _root(value) or float(short)


def _root(value: float) -> float:
    """The second or fourth root of a whole number, or its reciprocal: what attention scales by; 0 where it is none."""
    size = abs(value)
    for power in (2, 4):
        for sign in (1, -1):
            whole = round(size ** (sign * power))
            if 1 < whole <= LARGEST_ROOTED:
                root = math.copysign(whole ** (sign / power), value)
                if np.float32(root) == np.float32(value):
                    return root
    return 0.0
