"""What may stand where a BatchNorm's variance belongs: its root, its inverse, the other estimate (`variance_forms`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from xconv.causes.forms import Form
from xconv.statistics import Array

__all__ = ["estimate", "variance_forms"]

FEWEST = 4
"""Of fewer values no batch has its variance taken."""
SEEN = 1e-6
"""A smaller departure from 1 is lost in the rounding of float32."""
STEADY = 5e-7
"""How far the quotient of two rounded numbers may be from the quotient of the numbers."""


def variance_forms(variance: Array, found: Array, epsilon: float) -> Iterator[Form]:
    """What a formula makes of the variance; none can be undone to the last digit."""
    known = estimate(variance, found)
    if known is not None:
        count, larger = known
        factor = count / (count - 1) if larger else (count - 1) / count
        ours, theirs = ("n", "n - 1") if larger else ("n - 1", "n")
        yield _form(f"divided by {theirs}, not by {ours}, of n = {count:g} values", lambda v: v * factor)
    if np.all(variance > 0):
        yield _form("stored as its square root, the standard deviation", np.sqrt)
        yield _form("stored as the square root of variance + epsilon", lambda v: np.sqrt(v + epsilon))
        yield _form("stored as its inverse", lambda v: 1 / v)
        yield _form("stored as the inverse of the standard deviation", lambda v: 1 / np.sqrt(v))
        yield _form("stored as 1 / sqrt(variance + epsilon), as it is used", lambda v: 1 / np.sqrt(v + epsilon))
    yield _form("stored as its square", np.square)
    yield _form("stored as variance + epsilon: epsilon is added twice", lambda v: v + epsilon)


def _form(says: str, function: Callable[[Array], Array]) -> Form:
    def forward(array: Array) -> Array:
        result: Array = function(array.astype(np.float64))
        return result

    return Form("statistics", says, forward, None)


def estimate(ours: Array, theirs: Array) -> tuple[float, bool] | None:
    """How many values n the variances are of, where they differ by n / (n - 1); and whether `theirs` is the larger.

    >>> variance = np.linspace(1, 2, 9)
    >>> estimate(variance, variance * 50 / 49)
    (50.0, True)
    >>> estimate(variance, variance * 3) is None
    True
    """
    if ours.size < FEWEST or not np.all(ours > 0) or not np.all(theirs > 0):
        return None
    quotient = theirs.astype(np.float64) / ours
    factor = float(np.median(quotient))
    larger = factor > 1
    factor = factor if larger else 1 / factor
    if factor - 1 < SEEN or np.ptp(quotient) > STEADY:
        return None
    count = factor / (factor - 1)
    doubt = STEADY * count**2
    whole = round(count)
    if count < FEWEST - 0.5 or (doubt < 0.1 and abs(count - whole) > doubt + 0.01):
        return None
    return (float(whole), larger)
