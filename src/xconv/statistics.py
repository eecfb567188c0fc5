"""How far two arrays are apart: absolute, relative, RMS-relative, cosine, argmax; pure NumPy, no framework."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Comparison", "compare", "spread"]

Array = npt.NDArray[Any]

SAFE = (1e-120, 1e120)
"""Sums of squares between these have lost nothing to underflow, and neither has a product of their roots."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The distance of an array `a` from its reference `b`.

    `max_rel` is max|a-b| / max|b|, `rms_rel` is the same with root mean squares; both are 0 where both arrays are
    all zero and infinite where only the reference is, where shapes differ, or where a value is not finite. Cosine is
    that of the flattened arrays. `argmax` is the share of positions, over all axes but the last, with the same
    argmax along the last axis; None for arrays with fewer than two axes or a last axis of size 1.
    """

    shape: tuple[int, ...]
    other_shape: tuple[int, ...]
    max_abs: float
    max_rel: float
    rms_rel: float
    cosine: float
    argmax: float | None
    nonfinite: int = 0
    """How many elements are NaN or infinite in either array and not the same infinity in both."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def compare(a: Array, b: Array) -> Comparison:
    """Compares `a` with its reference `b` in float64.

    NaN in both arrays is not agreement; the same infinity at the same place is.

    >>> import numpy as np
    >>> compare(np.array([1.0, 2.0]), np.array([1.0, 4.0])).max_rel
    0.5
    """
    if a.shape != b.shape:
        return Comparison(a.shape, b.shape, np.inf, np.inf, np.inf, np.nan, None)
    if a.size == 0:
        return Comparison(a.shape, b.shape, 0.0, 0.0, 0.0, 1.0, None)
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        return compare(_parts(a), _parts(b))
    left, right = (np.ascontiguousarray(array, dtype=np.float64) for array in (a, b))
    squares = _product(left, left), _product(right, right)
    if np.isfinite(squares).all():
        return _measure(left, right, squares, 0)
    finite = np.isfinite(left) & np.isfinite(right)
    bad = int(np.count_nonzero(~finite & ~(left == right)))
    left, right = np.where(finite, left, 0.0), np.where(finite, right, 0.0)
    return _measure(left, right, (_product(left, left), _product(right, right)), bad)


def _parts(array: Array) -> Array:
    return np.stack([np.real(array), np.imag(array)], axis=-1)


def _measure(left: Array, right: Array, squares: tuple[float, float], bad: int) -> Comparison:
    difference = left - right
    max_abs = _largest(difference)
    norms = _norm(left, squares[0]), _norm(right, squares[1])
    return Comparison(
        shape=left.shape,
        other_shape=right.shape,
        max_abs=np.inf if bad else max_abs,
        max_rel=np.inf if bad else ratio(max_abs, _largest(right)),
        rms_rel=np.inf if bad else ratio(_norm(difference, _product(difference, difference)), norms[1]),
        cosine=_cosine(left, right, norms),
        argmax=_argmax_agreement(left, right),
        nonfinite=bad,
    )


def _largest(array: Array) -> float:
    """max|array|, without an array of absolute values."""
    return float(max(array.max(), -array.min()))


def _product(left: Array, right: Array) -> float:
    """The sum of products; not finite if any value is not, or if it overflows.

    einsum, not dot: BLAS wakes its threads for every call, which costs ten times more on a busy machine.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.einsum("i,i->", left.ravel(), right.ravel()))


def ratio(error: float, size: float) -> float:
    """`error / size`, where 0/0 is 0 and x/0 is infinite.

    >>> ratio(1.0, 4.0), ratio(0.0, 0.0), ratio(1.0, 0.0)
    (0.25, 0.0, inf)
    """
    if error == 0:
        return 0.0
    return error / size if size else float(np.inf)


def _norm(array: Array, square: float) -> float:
    """The Euclidean norm, given the sum of squares; safe where that overflowed or underflowed."""
    if SAFE[0] < square < SAFE[1]:
        return float(np.sqrt(square))
    size = _largest(array)
    return size * float(np.sqrt(_product(array / size, array / size))) if size else 0.0


def _cosine(left: Array, right: Array, norms: tuple[float, float]) -> float:
    if norms == (0.0, 0.0):
        return 1.0
    if 0.0 in norms:
        return 0.0
    if all(SAFE[0] < norm < SAFE[1] for norm in norms):
        product = _product(left, right) / norms[0] / norms[1]
    else:
        product = _product(left / norms[0], right / norms[1])
    return float(np.clip(product, -1.0, 1.0))


def _argmax_agreement(left: Array, right: Array) -> float | None:
    if left.ndim < 2 or left.shape[-1] == 1:
        return None
    return float(np.mean(left.argmax(axis=-1) == right.argmax(axis=-1)))


def spread(array: Array) -> float:
    """How much an output differs between the examples of its batch, relative to its size.

    The largest max|y[i] - y[0]| / max|y|: near 0, the output hardly depends on the input, and a comparison of it
    proves little. Infinite where the values are not finite; 0 for a batch of one.

    >>> import numpy as np
    >>> spread(np.array([[4.0, 2.0], [4.0, 1.0]]))
    0.25
    """
    if array.size == 0:
        return 0.0
    values = np.asarray(array, dtype=np.float64)
    if not np.isfinite(values).all():
        return float(np.inf)
    return ratio(float(np.abs(values - values[:1]).max()), float(np.abs(values).max()))
