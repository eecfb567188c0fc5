"""What a shape that does not fit is likely to be: other axes, other classes, another width or depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from fractions import Fraction
from itertools import permutations
from math import prod

from xconv import axes
from xconv.weights import Shape

__all__ = ["groups_of", "likely", "permutation", "times_as_wide", "variant_by_names"]

NAMED = 3
"""How many places are named of many."""


def permutation(ours: Shape, theirs: Shape) -> axes.Order | None:
    """An order of axes in which the one shape is the other: that of a kernel between the frameworks before all others.

    >>> permutation((3, 3, 16, 32), (32, 16, 3, 3)), permutation((3, 3, 3, 5), (5, 3, 3, 3))
    ((3, 2, 0, 1), (3, 2, 0, 1))
    """
    if sorted(ours) != sorted(theirs):
        return None
    rank, orders = len(ours), [axes.identity(len(ours))]
    if rank > 1:
        ends = [0, 1], [rank - 1, rank - 2]
        orders += [axes.moved_axes(rank, *ends), axes.moved_axes(rank, *ends[::-1])]
    return next((order for order in (*orders, *permutations(range(rank))) if axes.apply(ours, order) == theirs), None)


def likely(shape: Shape, wanted: Shape) -> str:
    """What an array of this shape is likely to be, where another is needed.

    >>> likely((7, 7, 3, 64), (64, 3, 7, 7))
    'with its axes in the order (3, 2, 0, 1) it would fit'
    >>> likely((10, 512), (1000, 512))
    'it is made for another number of classes or filters'
    """
    order = permutation(shape, wanted)
    if order is not None:
        return f"with its axes in the order {order} it would fit"
    if prod(shape) == prod(wanted):
        return "it holds as many numbers, and would fit if it were reshaped"
    if len(shape) == len(wanted) and sum(a != b for a, b in zip(shape, wanted, strict=True)) == 1:
        return "it is made for another number of classes or filters"
    return "it is of another architecture or input size"


def times_as_wide(pairs: Iterable[tuple[Shape, Shape]], least: int = 2) -> tuple[Fraction, int] | None:
    """How many times as wide the second shapes are, and how many say so; None where fewer than two do.

    Args:
        pairs: shapes that should be equal.
        least: how many axes must differ for a pair to count.

    >>> times_as_wide([((8, 3, 3, 3), (6, 3, 3, 3)), ((8, 8, 3, 3), (6, 6, 3, 3)), ((8, 8), (6, 6))])
    (Fraction(3, 4), 2)
    """
    ratios: Counter[Fraction] = Counter()
    for ours, theirs in pairs:
        changed = [place for place, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b]
        if len(ours) == len(theirs) and len(changed) >= least and 0 not in ours and sorted(ours) != sorted(theirs):
            ratios[Fraction(theirs[changed[0]], ours[changed[0]])] += 1
    if not ratios:
        return None
    ratio, count = ratios.most_common(1)[0]
    return (ratio, count) if count > 1 else None


def variant_by_names(
    sizes: Sequence[tuple[str, Shape, Shape]], surplus: Sequence[str], missing: Sequence[str], known: Iterable[str]
) -> str:
    """Which variant of the architecture the arrays of a file seem to be of; empty where nothing says so.

    Args:
        sizes: the name of every array that does not fit, its shape, and the shape that is needed.
        surplus: the names that the architecture does not know.
        missing: the names that the file lacks.
        known: all names of the architecture.
    """
    found = []
    layers = {_layer(name) for name, _, _ in sizes}
    wide = times_as_wide(((ours, theirs) for _, ours, theirs in sizes), 1) if len(layers) > 1 else None
    if wide is not None:
        found.append(f"the layers that are needed are {float(wide[0]):.3g} times as wide")
    elif len(layers) == 1 and not missing and not surplus:
        changed = {(a, b) for _, ours, theirs in sizes for a, b in zip(ours, theirs, strict=False) if a != b}
        if len(changed) == 1:
            ((ours_, theirs_),) = changed
            found.append(f"{layers.pop()} has {ours_} classes or filters, {theirs_} are needed")
    names = list(known)
    besides = groups_of(surplus, {*names} - {*missing})
    if besides and not missing:
        found.append(f"the file has {_listed(besides)} besides")
    present = {*names, *surplus} - {*missing}
    lacking = groups_of(missing, present)
    if lacking and not surplus:
        found.append(f"the file lacks {_listed(lacking)}")
    return f"it seems to be of another variant of the architecture: {'; '.join(found)}" if found else ""


def groups_of(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The shortest beginnings of names that none of the others has, each once.

    >>> groups_of(["layer3.6.conv1.weight", "layer3.6.bn1.bias", "layer3.7.conv1.weight"], ["layer3.5.conv1.weight"])
    ['layer3.6', 'layer3.7']
    """
    taken = {start for name in others for start in _beginnings(name)}
    found: dict[str, None] = {}
    for name in names:
        found[_first_new(name, taken)] = None
    return list(found)


def _first_new(name: str, taken: Container[str]) -> str:
    return next((start for start in _beginnings(name) if start not in taken), name)


def _beginnings(name: str) -> list[str]:
    mark = _mark(name)
    parts = name.split(mark)
    return [mark.join(parts[:count]) for count in range(1, len(parts) + 1)]


def _layer(name: str) -> str:
    return name.rpartition(_mark(name))[0]


def _mark(name: str) -> str:
    """Keys of Keras are `layer/index`, names of torch have dots."""
    return "/" if "/" in name else "."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
