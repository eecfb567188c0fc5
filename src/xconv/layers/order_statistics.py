"""What stands where in order: aten.median, nanmedian, kthvalue, cummax, cummin, logcumsumexp, as operations of Keras.

Each is the place of a number first, and then the number that stands there, as in torch: so its gradient goes to the
one place that is named. Which of equal numbers that is, torch leaves open but for cummax and cummin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.concat import Concat
from xconv.layers.recipe import Recipe
from xconv.layers.reduce import Argument
from xconv.layers.sorting import SortedPlaces
from xconv.layers.stacking import stacked
from xconv.layers.steps import Taken
from xconv.layers.take import TakeAlong
from xconv.layers.tile import Along
from xconv.spec import AtenCall, Op, Slot, Spec, TorchExample

__all__ = ["Ranked", "Running"]


@dataclass(frozen=True, slots=True)
class Ranked(Spec):
    """The number at one rank along an axis, or of all numbers, and its place; never one layer in a graph."""

    aten_ops = "kthvalue", "median", "nanmedian"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The lower of two middles; NaN is the largest number, the middle of all where there is one, or left out."""
        recipe, dim = Recipe(call.inputs), call.get("dim")
        x: Taken = call.get("self")
        if dim is None:
            x = recipe.flat(x)
        axis = axes.normal(-1 if dim is None else dim, recipe.rank(x))
        holes = recipe.each("isnan", x) if "float" in call.dtypes[0] else None
        if call.op == "kthvalue":
            place = recipe.expanded(recipe.at(_ordered(recipe, x, holes, axis), axis, call["k"] - 1), axis)
        else:
            place = _middle(recipe, x, holes, axis, spares=call.op == "nanmedian")
        found: Taken = recipe.add(TakeAlong(axis), x, place)
        if dim is None:
            found = found if holes is None else _shared(recipe, x, holes, found)
            return recipe.done(recipe.squeezed(found, 0))
        if call.get("keepdim", False):
            return recipe.done(found, place)
        return recipe.done(recipe.squeezed(found, axis), recipe.squeezed(place, axis))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Odd and even numbers of them; inner and last axes, all numbers; NaN; integers, all of which differ."""
        shape = ((4, 5, 3),)
        for name in ("median", "nanmedian"):
            for values in ("normal", "holes"):
                yield TorchExample(f"torch.{name}", shape, args=(Slot(0), 1), values=values)
                yield TorchExample(f"torch.{name}", shape, args=(Slot(0), -2), kwargs={"keepdim": True}, values=values)
                yield TorchExample(f"torch.{name}", ((4, 2),), args=(Slot(0),), values=values)
            yield TorchExample(f"torch.{name}", ((1,),), args=(Slot(0),), values="integers")
        for rank, axis in ((1, 1), (4, 1), (3, -1)):
            yield TorchExample("torch.kthvalue", shape, args=(Slot(0), rank, axis))
        yield TorchExample("torch.kthvalue", ((13, 2),), args=(Slot(0), 3, 1, True), values="holes")


@dataclass(frozen=True, slots=True)
class Running(Spec):
    """The largest, smallest or sum of exponentials of all numbers so far along an axis; never one layer in a graph."""

    aten_ops = "cummax", "cummin", "logcumsumexp"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Every number and the one 1, 2, 4 ... places before it together; of equal ones the later counts."""
        recipe, x = Recipe(call.inputs), call.get("self")
        axis = axes.normal(call["dim"], recipe.rank(x))
        size = recipe.shape(x)[axis]
        if size is None:
            raise Unsupported(f"{call.op} along an axis of open size", remedy="give input_shape with all sizes")
        if call.op == "logcumsumexp":
            return recipe.done(_exponentials(recipe, x, axis, size))
        floats = "float" in call.dtypes[0]
        place = _extremes(
            recipe, x, axis, size, "greater_equal" if call.op == "cummax" else "less_equal", floats=floats
        )
        return recipe.done(recipe.add(TakeAlong(axis), x, place), place)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Inner and last axes; one place; equal numbers, of which the last counts; NaN, which stays."""
        for name in cls.aten_ops:
            yield TorchExample(f"torch.{name}", ((4, 5, 3),), args=(Slot(0), 2))
            yield TorchExample(f"torch.{name}", ((9, 2),), args=(Slot(0), -2))
            yield TorchExample(f"torch.{name}", ((9, 1),), args=(Slot(0), -1), values="positive")
        for name in ("cummax", "cummin"):
            yield TorchExample(f"torch.{name}", ((11,),), args=(Slot(0), 1), values="integers")
            yield TorchExample(f"torch.{name}", ((11,),), args=(Slot(0), 1), values="holes")


# ------------------------------------------------------------------------------------------------------- one rank


def _ordered(recipe: Recipe, x: Taken, holes: Taken | None, axis: int) -> Taken:
    """The places from the smallest to the largest number, those of NaN at the end."""
    if holes is None:
        return recipe.add(SortedPlaces(axis), x)
    last = recipe.add(SortedPlaces(axis), recipe.cast(holes, "int32"))
    numbers = recipe.add(TakeAlong(axis), recipe.where(holes, inf, x), last)
    return recipe.add(TakeAlong(axis), last, recipe.add(SortedPlaces(axis), numbers))


def _middle(recipe: Recipe, x: Taken, holes: Taken | None, axis: int, *, spares: bool) -> Taken:
    """The place of the middle of the numbers along an axis, which stays with size 1."""
    size, left_out = recipe.shape(x)[axis], holes if spares else None
    ordered = _ordered(recipe, x, left_out, axis)
    if size is not None and left_out is None:
        place: Taken = recipe.between(ordered, axis, (size - 1) // 2, (size - 1) // 2 + 1)
    else:
        place = recipe.add(TakeAlong(axis), ordered, _half(recipe, x, left_out, axis))
    if holes is None or spares:
        return place
    first = recipe.add(Argument("argmax", axis, keepdims=True), recipe.cast(holes, "int32"))
    return recipe.where(recipe.reduce("any", holes, (axis,), keepdims=True), first, place)


def _half(recipe: Recipe, x: Taken, holes: Taken | None, axis: int) -> Taken:
    """The rank of the middle, of as many numbers as there are at run time; 0 where there are none."""
    ones = recipe.cast(recipe.each("ones_like", x), "int32")
    counted = ones if holes is None else recipe.where(holes, 0, ones)
    fewer = recipe.both("subtract", recipe.reduce("sum", counted, (axis,), keepdims=True), 1)
    return recipe.cast(recipe.both("floor_divide", recipe.both("maximum", fewer, 0), 2), "int32")


def _shared(recipe: Recipe, x: Taken, holes: Taken, found: Taken) -> Taken:
    """The one number that was found in a row, as the mean of all equal ones: among them torch shares the gradient."""
    equal = recipe.both("equal", x, found)
    mask = recipe.both("logical_or", equal, recipe.both("logical_and", holes, recipe.each("isnan", found)))
    ones = recipe.where(mask, recipe.each("ones_like", x), 0.0)
    total, count = (recipe.reduce("sum", item, (0,), keepdims=True) for item in (recipe.where(mask, x, 0.0), ones))
    return recipe.both("divide", total, count)


# ------------------------------------------------------------------------------------------------------- so far


def _extremes(recipe: Recipe, x: Taken, axis: int, size: int, holds: str, *, floats: bool) -> Taken:
    """The place of the largest or smallest so far; NaN stays until the next one."""
    ones = recipe.both("add", recipe.cast(recipe.each("zeros_like", x), "float32"), 1.0)
    place: Taken = recipe.cast(recipe.both("subtract", recipe.add(Along("cumsum", axis), ones), 1.0), "int32")
    value, step = x, 1
    while step < size:
        earlier, later = (_pair(recipe, item, axis, step) for item in (value, place))
        stays = recipe.both(holds, earlier[1], earlier[0])
        if floats:
            stays = recipe.both("logical_or", stays, recipe.each("isnan", earlier[1]))
        value, place = (
            recipe.add(Concat(axis), recipe.between(item, axis, 0, step), recipe.where(stays, new, old))
            for item, (old, new) in ((value, earlier), (place, later))
        )
        step *= 2
    return place


def _exponentials(recipe: Recipe, x: Taken, axis: int, size: int) -> Taken:
    """The logarithm of the sum of all exponentials so far."""
    step = 1
    while step < size:
        pair = stacked(recipe, _pair(recipe, x, axis, step), recipe.rank(x))
        sums = recipe.reduce("logsumexp", pair, (recipe.rank(x),))
        x, step = recipe.add(Concat(axis), recipe.between(x, axis, 0, step), sums), 2 * step
    return x


def _pair(recipe: Recipe, item: Taken, axis: int, step: int) -> tuple[Taken, Taken]:
    """What stands `step` places before each place that has such a one, and what stands there itself."""
    return recipe.between(item, axis, None, -step), recipe.between(item, axis, step, None)
