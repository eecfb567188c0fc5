"""Values written into a tensor: at known places by joining and taking, at rows of numbers by keras.ops.scatter_update.

Where several values meet in one place and replace it, the last one stays, as in torch on a CPU; torch leaves it open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from xconv.errors import Unsupported
from xconv.layers.concat import Concat, Stack
from xconv.layers.indexed import OneHot, ScatterUpdate
from xconv.layers.recipe import Recipe
from xconv.layers.steps import Taken
from xconv.layers.take import Take
from xconv.layers.tile import Along, Tile
from xconv.spec import Shape

__all__ = [
    "added",
    "as_rows",
    "count_of",
    "filled",
    "filled_at",
    "joined_size",
    "lines_of",
    "multiplied",
    "numbered",
    "replaced",
    "spread",
    "written",
    "zeros_of",
]


def filled(recipe: Recipe, like: Taken, number: float) -> Taken:
    """One number in the shape and the dtype of a tensor."""
    if number == 1:
        return recipe.each("ones_like", like)
    zeros = recipe.each("zeros_like", like)
    return zeros if number == 0 else recipe.both("add", zeros, number)


def zeros_of(recipe: Recipe, item: Taken, axis: int) -> Taken:
    """An integer 0 for every place along one axis of a tensor."""
    for other in reversed(range(recipe.rank(item))):
        if other != axis:
            item = recipe.at(item, other, 0)
    return recipe.cast(recipe.each("zeros_like", item), "int32")


def count_of(recipe: Recipe, item: Taken, axis: int) -> Taken:
    """How many places an axis has, counted where its size is open."""
    return recipe.reduce("sum", recipe.both("add", zeros_of(recipe, item, axis), 1), (0,))


def numbered(recipe: Recipe, like: Taken, axis: int) -> Taken:
    """0, 1, 2 ... along one axis, in the shape of a tensor of integers."""
    ones = recipe.both("add", recipe.both("multiply", like, 0), 1)
    counted = recipe.add(Along("cumsum", axis), ones)
    return recipe.both("subtract", counted, 1)


def joined_size(sizes: Sequence[int | None]) -> int | None:
    """The size of several axes as one; None where one of them is open.

    >>> joined_size((2, 3)), joined_size((2, None)), joined_size(())
    (6, None, 1)
    """
    return None if None in sizes else prod(size for size in sizes if size is not None)


def lines_of(recipe: Recipe, item: Taken) -> Taken:
    """All axes but the last as one."""
    shape = recipe.shape(item)
    lines = joined_size(shape[:-1]), shape[-1]
    if lines == (None, None):
        raise Unsupported("a write along an axis of open size, with others of open size", remedy="give known sizes")
    return recipe.shaped(item, lines)


def spread(recipe: Recipe, item: Taken, have: Shape, target: Shape, line: Callable[[int], Taken]) -> Taken:
    """A tensor of one shape as torch broadcasts it to another.

    `line` gives an integer 0 for every place along an axis of the target that is open.
    """
    missing = len(target) - len(have)
    item, have = recipe.expanded(item, *range(missing)), (*(1,) * missing, *have)
    for axis, size in enumerate(target):
        if have[axis] == 1 and size is None:
            item = recipe.add(Take(axis), item, line(axis))
    times = tuple(size or 1 if old == 1 else 1 for old, size in zip(have, target, strict=True))
    return item if all(time == 1 for time in times) else recipe.add(Tile(times), item)


# ------------------------------------------------------------------------------------------------- known places


def replaced(
    recipe: Recipe, x: Taken, axis: int, places: Sequence[int], values: Taken, numbers: Sequence[int] | None = None
) -> Taken:
    """The tensor with other values at these places of an axis; `numbers` says which values, where not in turn."""
    size = recipe.shape(x)[axis] or 0
    sources = list(range(size))
    for number, place in enumerate(places):
        sources[place] = size + (number if numbers is None else numbers[number])
    return recipe.add(Take(axis, tuple(sources)), recipe.add(Concat(axis), x, values))


def filled_at(recipe: Recipe, x: Taken, axis: int, places: Sequence[int], number: float) -> Taken:
    """The tensor with one number at these places of an axis."""
    one = filled(recipe, recipe.between(x, axis, None, 1), number)
    return replaced(recipe, x, axis, places, one, (0,) * len(places))


def added(recipe: Recipe, x: Taken, axis: int, places: Sequence[int], values: Taken) -> Taken:
    """The tensor with values added at these places of an axis: of those that meet in one, a layer for each."""
    size = recipe.shape(x)[axis] or 0
    at = [[number for number, place in enumerate(places) if place == wanted] for wanted in range(size)]
    deep = max(map(len, at))
    layers = [found[layer] if layer < len(found) else len(places) for layer in range(deep) for found in at]
    nothing = filled(recipe, recipe.between(values, axis, None, 1), 0)
    taken: Taken = recipe.add(Take(axis, tuple(layers)), recipe.add(Concat(axis), values, nothing))
    if deep > 1:
        before, after = recipe.shape(x)[:axis], recipe.shape(x)[axis + 1 :]
        taken = recipe.reduce("sum", recipe.shaped(taken, (*before, deep, size, *after)), (axis,))
    return recipe.both("add", x, taken)


# ------------------------------------------------------------------------------------------------- computed places


def as_rows(recipe: Recipe, *numbers: Taken) -> Taken:
    """One row for every place: the numbers, all in one shape, along the axes that they name."""
    size = joined_size(recipe.shape(numbers[0]))
    if len(numbers) == 1:
        return recipe.shaped(numbers[0], (size, 1))
    return recipe.shaped(recipe.add(Stack(recipe.rank(numbers[0])), *numbers), (size, len(numbers)))


def written(
    recipe: Recipe, x: Taken, rows: Taken, values: Taken, how: str, *, include: bool = True, dtype: str = "float32"
) -> Taken:
    """The tensor with values at the places that the rows name along its first axes.

    `how` a value meets what is there: 'replace', 'sum', 'mean', 'amax', 'amin'. What was there counts where `include`.
    """

    def update(into: Taken, new: Taken, reduction: str | None) -> Taken:
        return recipe.add(ScatterUpdate("ops.ScatterUpdate", (("reduction", reduction),)), into, rows, new)

    match how:
        case "replace":
            return update(x, values, None)
        case "sum":
            start = x if include else update(x, filled(recipe, values, 0), None)
            return update(start, values, "add")
        case "mean":
            ones = filled(recipe, x, 1)
            start = ones if include else update(ones, filled(recipe, values, 0), None)
            count = update(start, filled(recipe, values, 1), "add")
            total = written(recipe, x, rows, values, "sum", include=include)
            if not include:  # where nothing is written, what is there stays
                count = recipe.both("maximum", count, filled(recipe, x, 1))
            return recipe.both("divide" if "float" in dtype else "floor_divide", total, count)
        case "amax" | "amin":
            lowest = float("-inf") if how == "amax" else float("inf")
            none = filled(recipe, values, lowest) if "float" in dtype else values
            made = update(x if include else update(x, none, None), values, how.removeprefix("a"))
            if "float" not in dtype:
                return made
            start = _holes(recipe, x) if include else filled(recipe, x, 0)  # TensorFlow passes over what is NaN
            return recipe.both("add", made, update(start, _holes(recipe, values), "add"))
    raise Unsupported(f"values that meet by {how!r}", remedy="use sum, mean, prod, amax or amin")


def _holes(recipe: Recipe, item: Taken) -> Taken:
    """What is NaN, and zeros."""
    return recipe.where(recipe.each("isnan", item), item, 0.0)


def multiplied(recipe: Recipe, lines: Taken, numbers: Taken, values: Taken, *, include: bool) -> Taken:
    """Lines times the values of each of their places; `numbers` name the places, for every line or for all alike."""
    size = recipe.shape(lines)[1]
    if size is None:
        raise Unsupported("products along an axis of open size", remedy="give known sizes")
    hit = recipe.add(OneHot.made(size, -1, "bool"), numbers)
    product = recipe.reduce("prod", recipe.where(hit, recipe.expanded(values, 2), 1), (1,))
    if include:
        return recipe.both("multiply", lines, product)
    return recipe.where(recipe.reduce("any", hit, (1,)), product, lines)
