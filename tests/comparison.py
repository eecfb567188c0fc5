"""The one comparison of the suite: largest difference over largest expected value."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["as_array", "assert_same", "told", "watched"]

PARTS: list[str] = []
WATCHERS: list[Callable[[str, float], None]] = []


@contextmanager
def told(what: str) -> Iterator[None]:
    """Says in which part of a test something failed, or was compared."""
    PARTS.append(what)
    try:
        yield
    except BaseException as error:
        error.add_note(f"while comparing {what}")
        raise
    finally:
        PARTS.pop()


@contextmanager
def watched(seen: Callable[[str, float], None]) -> Iterator[None]:
    """Tells of every comparison meanwhile: its part, innermost, and the relative error."""
    WATCHERS.append(seen)
    try:
        yield
    finally:
        WATCHERS.pop()


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """A NumPy array of a NumPy array, a number, a torch tensor, a Keras tensor or variable."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)


def assert_same(actual: Any, expected: Any, *, relative: float = 1e-10, dtype: bool = True) -> None:
    """Fails unless max|actual - expected| <= relative * max|expected|.

    Shapes, and dtypes unless `dtype=False`, must be equal, and infinities and NaN must stand at the same places.
    A tolerance of 0 asks for equal values. Where all expected values are 0 the difference itself is compared.
    """
    a, b = as_array(actual), as_array(expected)
    assert a.shape == b.shape, f"shape {a.shape} is not {b.shape}"
    if dtype:
        assert a.dtype == b.dtype, f"dtype {a.dtype} is not {b.dtype}"
    if not b.size:
        return
    a, b = _wide(a), _wide(b)
    finite = np.isfinite(b)
    assert np.array_equal(a[~finite], b[~finite], equal_nan=True), (
        f"{np.sum(~finite)} expected values are not finite, and the actual ones there are others"
    )
    assert np.isfinite(a[finite]).all(), f"{np.sum(~np.isfinite(a[finite]))} values are not finite"
    difference = np.zeros(b.shape)
    difference[finite] = np.abs(a[finite] - b[finite])
    largest, scale = difference.max(), np.abs(b[finite]).max(initial=0.0)
    error = largest / scale if scale else largest
    for seen in WATCHERS:
        seen(PARTS[-1] if PARTS else "", float(error))
    if error > relative:
        worst = tuple(int(i) for i in np.unravel_index(difference.argmax(), difference.shape))
        raise AssertionError(
            f"relative error {error:.3g} is above {relative:g}: largest difference {largest:.6g} at {worst} "
            f"({a[worst]!r}, expected {b[worst]!r}); {np.sum(difference > relative * (scale or 1))} of {b.size} values "
            f"differ, shape {b.shape}"
        )


def _wide(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """In a type wide enough to subtract in."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
