"""Whether one array is another one rounded, and to what: float16, bfloat16, an int8 grid (`rounding`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from xconv.statistics import Array

__all__ = ["LAST_DIGITS", "rounding"]

COARSEST = 0.08
"""The largest error of any rounding here, in units of the largest number: half a step of int4 is 1/14."""
LAST_DIGITS = "float32's last digits"
DIGITS = 8 * 2.0**-24
"""A few units in the last place of float32."""
SAME = 1e-14
"""A difference that float64 makes by itself."""
FEW = 16
"""In an array of fewer numbers a grid would be found by chance."""
SAMPLE = 512
FLOATS = "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"
STEPS = {"int8": 127, "int8 from -128": 128, "int4": 7}
"""How many steps the largest number is from zero."""


def rounding(meant: Array, found: Array) -> str | None:
    """To what `meant` was rounded to give `found`; empty where they are equal, None where it is no rounding.

    >>> numbers = np.linspace(-1, 1, 50, dtype="float32") ** 3
    >>> rounding(numbers, numbers.astype("float16")), rounding(numbers, np.round(numbers * 127) / 127)
    ('float16', 'int8')
    >>> rounding(numbers, numbers), rounding(numbers, numbers * 1.001) is None
    ('', True)
    """
    if np.array_equal(meant, found):
        return ""
    if not meant.size or meant.dtype.kind != "f" or found.dtype.kind != "f":
        return None
    step = max(1, meant.size // SAMPLE)
    few = meant.ravel()[::step], found.ravel()[::step]
    with np.errstate(all="ignore"):
        size = float(max(meant.max(), -meant.min()))
        if not (_distance(*few) <= COARSEST * size and _distance(meant, found) <= COARSEST * size):
            return None
        if _distance(meant, found) <= SAME * size:
            return ""
        for name, rounded in _roundings():
            if np.array_equal(rounded(few[0]), few[1]) and np.array_equal(rounded(meant), found):
                return name
        if _distance(meant, found) <= DIGITS * size:
            return LAST_DIGITS
        return _grid(meant.astype(np.float64), found.astype(np.float64))


def _distance(meant: Array, found: Array) -> float:
    return float(np.abs(np.subtract(found, meant, dtype=np.float64)).max())


def _roundings() -> Iterator[tuple[str, Callable[[Array], Array]]]:
    for name in FLOATS:
        yield name, lambda array, name=name: _cast(array, name)  # type: ignore[misc]
    yield "tf32", lambda array: _masked(array, nearest=True)
    yield "bfloat16, cut off instead of rounded", lambda array: _masked(array, nearest=False)


def _cast(array: Array, name: str) -> Array:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.to(getattr(torch, name)).to(torch.float64).numpy()


def _masked(array: Array, nearest: bool) -> Array:
    """The numbers with 10 bits after the point to the nearest, as TF32 has; or cut off behind 7, those of bfloat16."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    if not nearest:
        return (bits & np.uint32(0xFFFF0000)).view(np.float32)
    odd = (bits >> np.uint32(13)) & np.uint32(1)
    return ((bits + np.uint32(0x0FFF) + odd) & np.uint32(0xFFFFE000)).view(np.float32)


def _grid(meant: Array, found: Array) -> str | None:
    """The name of the grid of whole steps on which `found` lies, one for all or one for each output channel."""
    if meant.size < FEW:
        return None
    rows = found.reshape(len(found), -1) if found.ndim > 1 else found.reshape(1, -1)
    there = meant.reshape(rows.shape)
    for where, over in (("", None), (" by channel", 1)):
        if over and rows.shape[0] == 1:
            continue
        size = np.abs(rows).max(axis=over, keepdims=True)
        for name, count in STEPS.items():
            if _on_steps(there, rows, size / count):
                return f"{name}{where}"
        reach = rows.max(axis=over, keepdims=True) - rows.min(axis=over, keepdims=True)
        if _on_steps(there, rows, reach / 255):
            return f"uint8 with a zero point{where}"
    return None


def _on_steps(meant: Array, found: Array, step: Array) -> bool:
    """Whether every number is a whole number of steps, and less than one step from what is meant."""
    safe = np.where(step > 0, step, 1.0)
    off = found / safe
    return bool(np.all(np.abs(off - np.round(off)) <= 1e-3) and np.all(np.abs(found - meant) <= safe * (1 + 1e-3)))
