"""Sizes as people give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    given: tuple[Any, ...] = (size, size) if isinstance(size, int) else tuple(size)
    if len(given) == 1:
        given = (given[0], given[0])
    if len(given) != 2 or not all(isinstance(side, int) and side > 0 for side in given):
        raise InvalidInput(f"{size} is no size", remedy="give the height and the width, at least 1")
    return given[0], given[1]
