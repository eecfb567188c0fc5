"""Permutations of axes, as plain tuples; `array.transpose(order)` is the meaning of every `order` here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from xconv.errors import InvalidInput

__all__ = [
    "Order",
    "apply",
    "channels_first",
    "compose",
    "identity",
    "inverse",
    "is_identity",
    "merged",
    "move_axis",
    "moves_only_ones",
    "normal",
]

Order: TypeAlias = tuple[int, ...]
T = TypeVar("T")


def identity(rank: int) -> Order:
    """The order that changes nothing.

    >>> identity(3)
    (0, 1, 2)
    """
    return tuple(range(rank))


def is_identity(order: Order) -> bool:
    """Whether `order` changes nothing."""
    return order == identity(len(order))


def apply(items: Sequence[T], order: Order) -> tuple[T, ...]:
    """The items in the new order: the shape of `array.transpose(order)`.

    >>> apply(("N", "H", "W", "C"), (0, 3, 1, 2))
    ('N', 'C', 'H', 'W')
    """
    return tuple(items[axis] for axis in order)


def inverse(order: Order) -> Order:
    """The order that undoes `order`.

    >>> inverse((0, 3, 1, 2))
    (0, 2, 3, 1)
    """
    result = [0] * len(order)
    for place, axis in enumerate(order):
        result[axis] = place
    return tuple(result)


def compose(first: Order, second: Order) -> Order:
    """One order for `array.transpose(first).transpose(second)`.

    >>> compose((0, 3, 1, 2), (0, 2, 3, 1))
    (0, 1, 2, 3)
    """
    return apply(first, second)


def move_axis(rank: int, source: int, target: int) -> Order:
    """The order that brings axis `source` to place `target` and keeps the others in sequence.

    >>> move_axis(4, 3, 1)
    (0, 3, 1, 2)
    """
    others = [axis for axis in range(rank) if axis != source]
    return (*others[:target], source, *others[target:])


def channels_first(rank: int) -> Order:
    """Channels-last to channels-first.

    >>> channels_first(4), channels_first(3), channels_first(2)
    ((0, 3, 1, 2), (0, 2, 1), (0, 1))
    """
    return move_axis(rank, rank - 1, 1) if rank > 1 else identity(rank)


def moves_only_ones(shape: Sequence[int | None], order: Order) -> bool:
    """Whether `transpose(order)` only moves axes of size 1, so that memory order stays.

    >>> moves_only_ones((None, 1, 1, 8), (0, 3, 1, 2)), moves_only_ones((None, 2, 1, 8), (0, 3, 1, 2))
    (True, False)
    """
    wide = [axis for axis in order if shape[axis] != 1]
    return wide == sorted(wide)


def merged(shape: tuple[int, ...], order: Order) -> tuple[tuple[int, ...], Order]:
    """The same transpose with as few axes as say it: without those of size 1, neighbours that stay neighbours joined.

    >>> merged((3, 3, 64, 128), (3, 2, 0, 1)), merged((1, 1, 64, 128), (3, 2, 0, 1)), merged((2, 3), (0, 1))
    (((9, 64, 128), (2, 1, 0)), ((64, 128), (1, 0)), ((6,), (0,)))
    """
    runs: list[list[int]] = []
    for axis in order:
        if shape[axis] == 1:
            continue
        between = range(runs[-1][-1] + 1, axis) if runs and runs[-1][-1] < axis else None
        if between is not None and all(shape[other] == 1 for other in between):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    ranked = sorted(range(len(runs)), key=lambda place: runs[place])
    sizes = tuple(math.prod(shape[axis] for axis in runs[place]) for place in ranked)
    return sizes or (1,), tuple(ranked.index(place) for place in range(len(runs))) or (0,)


def normal(axis: int, rank: int) -> int:
    """A non-negative axis.

    >>> normal(-1, 4)
    3

    Raises:
        InvalidInput: the axis does not exist.
    """
    if not -rank <= axis < rank:
        raise InvalidInput(f"axis {axis} does not exist in a tensor of rank {rank}")
    return axis % rank
