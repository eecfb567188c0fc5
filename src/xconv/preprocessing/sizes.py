"""Sizes as people give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from xconv.errors import InvalidInput
from xconv.preprocessing.pictures import Size

__all__ = ["sides"]


def sides(size: int | Sequence[int]) -> Size:
    """Height and width; one number stands for both.

    >>> sides(224), sides((65, 79))
    ((224, 224), (65, 79))

    Raises:
        InvalidInput: it is no size.
    """
    given: tuple[Any, ...] = tuple(size) if isinstance(size, Iterable) else (size, size)
    if len(given) == 1:
        given = (given[0], given[0])
    if len(given) != 2 or not all(map(_is_side, given)):
        raise InvalidInput(f"{size!r} is no size", remedy="give the height and the width, at least 1")
    return int(given[0]), int(given[1])


def _is_side(given: Any) -> bool:
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool) and bool(given > 0)
