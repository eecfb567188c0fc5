"""What the families that name axes share: axes as Keras gives them, sizes that must be known, renaming."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xconv import axes
from xconv.errors import Mismatch
from xconv.spec import Shape

__all__ = ["grown", "known_sizes", "places_of", "renamed", "without"]


def places_of(value: Any, rank: int) -> tuple[int, ...]:
    """Non-negative axes in ascending order, from an axis or a sequence of axes; all of them for None.

    >>> places_of(-1, 4), places_of([3, -3], 4), places_of(None, 2)
    ((3,), (1, 3), (0, 1))
    """
    given = range(rank) if value is None else value if isinstance(value, (list, tuple)) else (value,)
    places = tuple(sorted(axes.normal(axis, rank) for axis in given))
    if len(set(places)) != len(places):
        raise Mismatch(f"axes {value} name one axis twice")
    return places


def known_sizes(shape: Shape, over: Sequence[int]) -> tuple[int, ...]:
    """The sizes along these axes.

    Raises:
        Mismatch: one of them is known only at run time.
    """
    sizes = [shape[axis] for axis in over]
    known = tuple(size for size in sizes if size is not None)
    if len(known) != len(sizes):
        raise Mismatch(f"axes {tuple(over)} of {shape} must have known sizes", remedy="give the model an input shape")
    return known


def renamed(over: Sequence[int], order: axes.Order) -> tuple[tuple[int, ...], axes.Order]:
    """Axes by their places in `written.transpose(order)`, ascending, and the sequence in which they come then.

    >>> renamed((1, 3), (0, 3, 1, 2))
    ((1, 2), (1, 0))
    """
    places = [order.index(axis) for axis in over]
    sequence = tuple(sorted(range(len(places)), key=places.__getitem__))
    return tuple(sorted(places)), sequence


def without(order: axes.Order, over: Sequence[int]) -> axes.Order:
    """The order of what is left when the written axes `over` disappear.

    >>> without((0, 3, 1, 2), (1, 2))
    (0, 1)
    """
    return tuple(axis - sum(gone < axis for gone in over) for axis in order if axis not in over)


def grown(order: axes.Order, places: Sequence[int]) -> axes.Order:
    """The order with new axes at `places` of the written result, which keep those places in the held one.

    >>> grown((0, 3, 1, 2), (1,))
    (0, 1, 4, 2, 3)
    """
    rank = len(order) + len(places)
    old = [place for place in range(rank) if place not in places]
    result = [old[axis] for axis in order]
    for place in sorted(places):
        result.insert(place, place)
    return tuple(result)
