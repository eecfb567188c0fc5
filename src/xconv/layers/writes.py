"""A write at the places that one tensor of numbers names, or several together, along some axes of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xconv import axes
from xconv.layers.placing import (
    added,
    as_rows,
    filled,
    filled_at,
    joined_size,
    lines_of,
    multiplied,
    replaced,
    spread,
    written,
    zeros_of,
)
from xconv.layers.recipe import Recipe
from xconv.layers.steps import Taken
from xconv.layers.take import Take
from xconv.spec import Shape

__all__ = ["Write"]


@dataclass(frozen=True, slots=True)
class Write:
    """What is written into a tensor: values, as torch broadcasts them to `target`, and how they meet what is there."""

    recipe: Recipe
    x: Taken
    over: tuple[int, ...]
    """The axes that are indexed."""
    target: Shape
    values: Any
    have: Shape
    """The shape of the values, where they are a tensor."""
    how: str

    @property
    def order(self) -> axes.Order:
        """The axes with those that are indexed in front."""
        return (*self.over, *self._others())

    @property
    def front(self) -> int:
        """Where in the target the axes of the indices begin: in the place of axes that lie side by side, else at 0."""
        first = self.over[0]
        return first if self.over == tuple(range(first, first + len(self.over))) else 0

    def at_known(self, places: Sequence[int]) -> Taken:
        """At places that are counted along the indexed axes as along one."""
        recipe, axis = self.recipe, self.front
        if not places:
            return self.x
        order = axes.identity(recipe.rank(self.x)) if axis == self.over[0] else self.order
        turned = recipe.turned(self.x, order)
        shape, behind = recipe.shape(turned), axis + len(self.over)
        joined = recipe.shaped(turned, (*shape[:axis], joined_size(shape[axis:behind]), *shape[behind:]))
        made = recipe.shaped(self._at_places(joined, axis, places), shape)
        return recipe.turned(made, axes.inverse(order))

    def _at_places(self, x: Taken, axis: int, places: Sequence[int]) -> Taken:
        """The same along one axis."""
        recipe, shape = self.recipe, self.recipe.shape(x)
        if isinstance(self.values, (int, float)):
            if self.how == "replace":
                return filled_at(recipe, x, axis, places, self.values)
            one = filled(recipe, recipe.between(x, axis, None, 1), self.values)
            return added(recipe, x, axis, places, recipe.add(Take(axis, (0,) * len(places)), one))
        whole = spread(recipe, self.values, self.have, self.target, lambda place: self._line(place, None))
        whole = recipe.shaped(whole, (*shape[:axis], len(places), *shape[axis + 1 :]))
        return (replaced if self.how == "replace" else added)(recipe, x, axis, places, whole)

    def at_computed(self, index: Sequence[Taken], dtype: str, *, include: bool) -> Taken:
        """At the places that tensors of numbers name together, one for each of the axes."""
        recipe = self.recipe
        full = _alike(recipe, index)
        if self.how == "prod":
            return self._multiplied(full[0], include=include)
        turned = recipe.turned(self.x, self.order)
        rows, values = as_rows(recipe, *map(recipe.flat, full)), self._rows_of_values(turned, full[0])
        made = written(recipe, turned, rows, values, self.how, include=include, dtype=dtype)
        return recipe.turned(made, axes.inverse(self.order))

    def _multiplied(self, index: Taken, *, include: bool) -> Taken:
        """Products along one axis, by a row of numbers."""
        recipe, (axis,) = self.recipe, self.over
        last = recipe.rank(self.x) - 1
        turned = recipe.moved(self.x, axis, last)
        values = lines_of(recipe, recipe.moved(self.values, axis, last))
        lines, numbers = lines_of(recipe, turned), recipe.expanded(index, 0)
        made = multiplied(recipe, lines, numbers, values, include=include)
        return recipe.moved(recipe.shaped(made, recipe.shape(turned)), last, axis)

    def _rows_of_values(self, turned: Taken, index: Taken) -> Taken:
        """What belongs to each place: a number, or values along the axes that are not indexed."""
        recipe, count = self.recipe, self.recipe.rank(index)
        if isinstance(self.values, (int, float)):
            one = turned
            for _ in self.over[1:]:
                one = recipe.at(one, 0, 0)
            one = filled(recipe, recipe.between(one, 0, None, 1), self.values)
            return recipe.add(Take(0), one, recipe.each("zeros_like", recipe.flat(index)))
        whole = spread(recipe, self.values, self.have, self.target, lambda place: self._line(place, index))
        first, rank = self.front, len(self.target)
        whole = recipe.turned(whole, (*range(first, first + count), *range(first), *range(first + count, rank)))
        rest = recipe.shape(turned)[len(self.over) :]
        return recipe.shaped(whole, (joined_size(recipe.shape(index)), *rest))

    def _others(self) -> tuple[int, ...]:
        """The axes that are not indexed."""
        return tuple(axis for axis in range(self.recipe.rank(self.x)) if axis not in self.over)

    def _line(self, place: int, index: Taken | None) -> Taken:
        """An integer 0 for every place along an axis of the target, which is one of the indices or of the tensor."""
        others, first = self._others(), self.front
        count = len(self.target) - len(others)
        if index is not None and first <= place < first + count:
            return zeros_of(self.recipe, index, place - first)
        return zeros_of(self.recipe, self.x, others[place if place < first else place - count])


def _alike(recipe: Recipe, index: Sequence[Taken]) -> list[Taken]:
    """Tensors of integers, all in the shape to which torch broadcasts them."""
    if len({recipe.shape(item) for item in index}) == 1:
        return list(index)
    zeros, *more = (recipe.each("zeros_like", item) for item in index)
    for item in more:
        zeros = recipe.both("add", zeros, item)
    return [recipe.both("add", item, zeros) for item in index]
