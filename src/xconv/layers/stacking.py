"""Tensors joined and parted under NumPy's names: keras.ops.append, hstack, vstack, dstack, hsplit, array_split ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.concat import Concat, Stack
from xconv.layers.places import known_sizes
from xconv.layers.recipe import Composed, Method, Recipe
from xconv.layers.steps import Taken
from xconv.spec import Example, KerasLayer, Sample, Slot

__all__ = ["Stacking", "joined", "stacked"]


def joined(recipe: Recipe, items: Sequence[Taken], axis: int) -> Taken:
    """Tensors one after the other."""
    at = axes.normal(axis, recipe.rank(items[0]))
    return items[0] if len(items) == 1 else recipe.add(Concat(at), *items)


def stacked(recipe: Recipe, items: Sequence[Taken], axis: int) -> Taken:
    """Tensors along a new axis, counted in the result."""
    return recipe.add(Stack(axes.normal(axis, recipe.rank(items[0]) + 1)), *items)


def _tensors(layer: KerasLayer) -> list[Slot]:
    items = layer.argument(0, "xs")
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, Slot) for item in items):
        raise Unsupported(f"{layer.kind} with a constant", remedy="hold the array in a layer's weight")
    return list(items)


def _append(layer: KerasLayer, recipe: Recipe) -> Taken:
    items, axis = [layer.argument(0, "x1"), layer.argument(1, "x2")], layer.get("axis")
    if not all(isinstance(item, Slot) for item in items):
        raise Unsupported("append with a constant", remedy="hold the array in a layer's weight")
    if axis is None:
        return joined(recipe, [recipe.flat(item) for item in items], 0)
    return joined(recipe, items, axis)


def _hstack(layer: KerasLayer, recipe: Recipe) -> Taken:
    items = _tensors(layer)
    return joined(recipe, items, min(recipe.rank(items[0]) - 1, 1))


def _vstack(layer: KerasLayer, recipe: Recipe) -> Taken:
    items = [recipe.expanded(item, 0) if recipe.rank(item) == 1 else item for item in _tensors(layer)]
    return joined(recipe, items, 0)


def _dstack(layer: KerasLayer, recipe: Recipe) -> Taken:
    new: Mapping[int, tuple[int, ...]] = {1: (0, 2), 2: (2,)}
    items = [recipe.expanded(item, *new.get(recipe.rank(item), ())) for item in _tensors(layer)]
    return joined(recipe, items, 2)


def _parts(recipe: Recipe, item: Taken, axis: int, cuts: Sequence[int]) -> tuple[Taken, ...]:
    """What lies between cuts; these count from the back where they are negative."""
    (size,) = known_sizes(recipe.shape(item), (axes.normal(axis, recipe.rank(item)),))
    places = [slice(0, cut).indices(size)[1] for cut in cuts]
    if any(start >= stop for start, stop in pairwise((0, *places, size))):
        raise Mismatch(f"{size} places cut at {list(cuts)} leave an empty tensor")
    return tuple(
        recipe.between(item, axis, a or None, None if b == size else b) for a, b in pairwise((0, *places, size))
    )


def _split_along(axis: int) -> Method:
    """hsplit, vsplit and dsplit differ in the axis."""

    def split(layer: KerasLayer, recipe: Recipe) -> tuple[Taken, ...]:
        x, given = layer.argument(0, "x"), layer.argument(1, "indices_or_sections")
        at = min(axis, recipe.rank(x) - 1) if axis == 1 else axis
        if not isinstance(given, int):
            return _parts(recipe, x, at, list(given))
        (size,) = known_sizes(recipe.shape(x), (at,))
        if size % given:
            raise Mismatch(f"{size} places cannot be parted in {given} equal ones")
        return _parts(recipe, x, at, range(size // given, size, size // given))

    return split


def _array_split(layer: KerasLayer, recipe: Recipe) -> tuple[Taken, ...]:
    x, given = layer.argument(0, "x"), layer.argument(1, "indices_or_sections")
    axis = axes.normal(layer.get("axis", 0), recipe.rank(x))
    if not isinstance(given, int):
        return _parts(recipe, x, axis, list(given))
    (size,) = known_sizes(recipe.shape(x), (axis,))
    sizes = [size // given + (place < size % given) for place in range(given)]
    return _parts(recipe, x, axis, list(accumulate(sizes))[:-1])


METHODS: Mapping[str, Method] = {
    "ops.Append": _append,
    "ops.ArraySplit": _array_split,
    "ops.Dsplit": _split_along(2),
    "ops.Dstack": _dstack,
    "ops.Hsplit": _split_along(1),
    "ops.Hstack": _hstack,
    "ops.Vsplit": _split_along(0),
    "ops.Vstack": _vstack,
}

BOTH = (Slot(0), Slot(1))

CASES = (
    Example("ops.Append", ((4, 3), (2, 3)), {"axis": -2}, args=BOTH),
    Example("ops.Append", ((4, 3), (2,)), args=BOTH),
    Example("ops.ArraySplit", ((7, 3),), {"indices_or_sections": 3, "axis": 1}, args=(Slot(0),)),
    Example("ops.Dsplit", ((4, 6),), {"indices_or_sections": 3}, args=(Slot(0),)),
    Example("ops.Dsplit", ((4, 6),), {"indices_or_sections": [1, 4]}, args=(Slot(0),)),
    Example("ops.Dstack", ((), ()), args=([*BOTH],)),
    Example("ops.Dstack", ((4,), (4,)), args=([*BOTH],)),
    Example("ops.Dstack", ((4, 3), (4, 2)), args=([*BOTH],)),
    Example("ops.Hsplit", ((4, 3),), {"indices_or_sections": 2}, args=(Slot(0),)),
    Example("ops.Hstack", ((4, 3), (2, 3)), args=([*BOTH],)),
    Example("ops.Vsplit", ((6, 3),), {"indices_or_sections": 2}, args=(Sample(0),)),
    Example("ops.Vsplit", ((6, 3),), {"indices_or_sections": [1, 4]}, args=(Sample(0),)),
    Example("ops.Vstack", ((4, 3), (4, 3)), args=([*BOTH],)),
)


class Stacking(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
