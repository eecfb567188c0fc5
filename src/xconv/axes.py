"""Permutations of axes, as plain tuples; `array.transpose(order)` is the meaning of every `order` here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias, TypeVar

from xconv.errors import InvalidInput

__all__ = [
    "Order",
    "apply",
    "channels_first",
    "channels_last",
    "compose",
    "identity",
    "inverse",
    "is_identity",
    "merged",
    "move_axis",
    "moved_axes",
    "moves_only_ones",
    "normal",
    "regrouped",
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


def moved_axes(rank: int, sources: Sequence[int], targets: Sequence[int]) -> Order:
    """The order that brings each source axis to its target place, the others in sequence, as numpy.moveaxis does.

    >>> moved_axes(4, [-1], [1]), moved_axes(4, [1, 3], [2, 1])
    ((0, 3, 1, 2), (0, 3, 1, 2))
    """
    chosen = [normal(axis, rank) for axis in sources]
    result = [axis for axis in range(rank) if axis not in chosen]
    for place, axis in sorted(zip((normal(axis, rank) for axis in targets), chosen, strict=True)):
        result.insert(place, axis)
    return tuple(result)


def channels_first(rank: int) -> Order:
    """Channels-last to channels-first.

    >>> channels_first(4), channels_first(3), channels_first(2)
    ((0, 3, 1, 2), (0, 2, 1), (0, 1))
    """
    return move_axis(rank, rank - 1, 1) if rank > 1 else identity(rank)


def channels_last(rank: int) -> Order:
    """Channels-first to channels-last.

    >>> channels_last(4), channels_last(3), channels_last(2)
    ((0, 2, 3, 1), (0, 2, 1), (0, 1))
    """
    return move_axis(rank, 1, rank - 1) if rank > 1 else identity(rank)


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


def regrouped(before: Sequence[int | None], after: Sequence[int | None], order: Order) -> Order | None:
    """How `x.reshape(after)` is held when `x`, of shape `before`, is held as `x.transpose(order)` and only reshaped.

    None where that is not possible: axes that the reshape joins, or the parts of one that it splits, would have to
    move. A size that is open (None) must stay an axis of its own; the batch, axis 0, may be joined with axes after it.

    >>> regrouped((None, 8, 5, 6), (None, 8, 30), (0, 2, 3, 1)), regrouped((None, 8, 5, 6), (None, 240), (0, 2, 3, 1))
    ((0, 2, 1), None)
    >>> regrouped((None, 4, 5, 6, 3), (None, 5, 6, 3), (0, 1, 4, 2, 3))
    (0, 3, 1, 2)
    """
    blocks = _blocks(before, after)
    if blocks is None:
        return None
    block_of = {axis: place for place, (sources, _) in enumerate(blocks) for axis in sources if before[axis] != 1}
    sequence = [(block_of[axis], axis) for axis in order if axis in block_of]
    runs = [block for place, (block, _) in enumerate(sequence) if not place or sequence[place - 1][0] != block]
    if len(runs) != len(set(runs)) or any(a > b for (m, a), (n, b) in pairwise(sequence) if m == n):
        return None
    rest = [place for place in range(len(blocks)) if place not in runs]
    return tuple(axis for place in (*runs, *rest) for axis in blocks[place][1])


def _blocks(before: Sequence[int | None], after: Sequence[int | None]) -> list[tuple[list[int], list[int]]] | None:
    """The least groups of neighbouring axes that hold the same elements before and after a reshape."""
    blocks: list[tuple[list[int], list[int]]] = []
    left, right = 0, 0
    while left < len(before) or right < len(after):
        sources: list[int] = []
        targets: list[int] = []
        if left < len(before) and right < len(after) and before[left] is None and after[right] is None:
            sources, targets = _open(before, after) if left == right == 0 else ([left], [right])
        else:
            size, other = 1, 1
            while not (sources or targets) or size != other:
                if size <= other and left + len(sources) < len(before):
                    sources.append(left + len(sources))
                    size *= before[sources[-1]] or 0
                elif right + len(targets) < len(after):
                    targets.append(right + len(targets))
                    other *= after[targets[-1]] or 0
                else:
                    return None
                if not size or not other:
                    return None
        left, right = left + len(sources), right + len(targets)
        blocks.append((sources, targets))
    return blocks


def _open(before: Sequence[int | None], after: Sequence[int | None]) -> tuple[list[int], list[int]]:
    """The open axes 0 before and after a reshape, with those after them that they are joined with."""
    if None in (*before[1:], *after[1:]):
        return [0], [0]
    sizes, others = ([size or 1 for size in shape[1:]] for shape in (before, after))
    left = right = 0
    while math.prod(sizes[left:]) != math.prod(others[right:]):
        more = math.prod(sizes[left:]) > math.prod(others[right:])
        left, right = left + more, right + (not more)
    return list(range(left + 1)), list(range(right + 1))


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
