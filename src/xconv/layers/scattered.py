"""Values written where a tensor of numbers says, one number for each value: aten.scatter ...; masked_scatter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.concat import Concat
from xconv.layers.placing import as_rows, filled, lines_of, multiplied, numbered, written
from xconv.layers.recipe import Recipe
from xconv.layers.steps import Taken
from xconv.layers.take import Take
from xconv.layers.tile import Along
from xconv.spec import AtenCall, Op, Shape, Slot, Spec, TorchExample

__all__ = ["MaskedScatter", "Scattered"]

WORDS = {None: "replace", "add": "sum", "multiply": "prod"}
"""What aten.scatter calls them -> how a value meets what is there."""


@dataclass(frozen=True, slots=True)
class Scattered(Spec):
    """Each value at the place along one axis that its number names; along the other axes it stays where it is."""

    aten_ops = "scatter", "scatter_add", "scatter_reduce"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Never a Spec of its own: the axis brought to the end and the others joined, the places as rows."""
        x, index, source = call["self"], call["index"], call.get("src", call.get("value"))
        reduce, include = call.get("reduce"), bool(call.get("include_self", True))
        how = "sum" if call.op == "scatter_add" else WORDS.get(reduce, str(reduce))
        recipe = Recipe(call.inputs)
        axis = axes.normal(call["dim"], recipe.rank(x))
        if isinstance(source, Slot):
            source = _cut(recipe, source, recipe.shape(index), range(recipe.rank(x)))
        others = [place for place in range(recipe.rank(x)) if place != axis]
        corner, behind = _corner(recipe, x, recipe.shape(index), others)
        result = _written(recipe, axis, corner, index, source, how, include=include, dtype=call.dtype)
        for place, rest in reversed(behind):
            result = recipe.add(Concat(place), result, rest)
        return recipe.done(result)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every way in which values meet; numbers for some places alone; the batch."""
        three: dict[str, Any] = {"args": (Slot(0), 1, Slot(1), Slot(2)), "values": "normal places normal"}
        flat = ((5,), (3,), (3,))
        yield TorchExample("torch.scatter", flat, **three)
        yield TorchExample("torch.scatter_add", flat, **three)
        inner = ((4, 5, 3), (2, 6, 2), (2, 6, 2))
        for target in ("torch.scatter", "torch.scatter_add"):
            args = (Slot(0), 2, Slot(1), Slot(2))
            yield TorchExample(target, inner, args=args, values="normal places normal")
        for include in (True, False):
            for reduce in ("sum", "prod", "mean", "amax", "amin"):
                kwargs = {"reduce": reduce, "include_self": include}
                yield TorchExample("torch.scatter_reduce", ((5, 4), (6, 3), (6, 3)), **three, kwargs=kwargs)
        whole: dict[str, Any] = {**three, "values": "integers places integers"}
        for reduce in ("mean", "amax", "prod"):
            kwargs = {"reduce": reduce, "include_self": False}
            yield TorchExample("torch.scatter_reduce", ((5,), (6,), (6,)), **whole, kwargs=kwargs)
        for reduce in ("add", "multiply"):
            yield TorchExample("torch.scatter", ((5,), (6,), (6,)), **whole, kwargs={"reduce": reduce})
        number: dict[str, Any] = {"args": (Slot(0), -1, Slot(1), 0.75), "values": "normal places"}
        yield TorchExample("torch.scatter", ((4, 5), (4, 2)), **number)
        batch = (Slot(0), 0, Slot(1), Slot(2))
        yield TorchExample("torch.scatter_add", ((4, 5),) * 3, args=batch, values="normal bits normal")


def _cut(recipe: Recipe, item: Taken, shape: Shape, places: Sequence[int]) -> Taken:
    """The first elements along these axes, as many as the shape says."""
    for place in places:
        have, wanted = recipe.shape(item)[place], shape[place]
        if have != wanted and wanted is None:
            raise Unsupported(f"as many numbers along axis {place} as are known at run time", remedy="give known sizes")
        if have != wanted:
            item = recipe.between(item, place, None, wanted)
    return item


def _corner(recipe: Recipe, x: Taken, shape: Shape, others: Sequence[int]) -> tuple[Taken, Sequence[tuple[int, Taken]]]:
    """The part of the tensor that numbers are given for, and what lies behind it along each axis."""
    behind: list[tuple[int, Taken]] = []
    for place in others:
        have, wanted = recipe.shape(x)[place], shape[place]
        if have == wanted:
            continue
        if have is None or wanted is None:
            raise Unsupported(f"a write into a part of axis {place} of open size", remedy="give known sizes")
        behind.append((place, recipe.between(x, place, wanted, None)))
        x = recipe.between(x, place, None, wanted)
    return x, behind


def _written(
    recipe: Recipe, axis: int, x: Taken, index: Taken, source: Any, how: str, *, include: bool, dtype: str
) -> Taken:
    """The tensor as lines along the axis, with the values in them, and as it was again."""
    last = recipe.rank(x) - 1
    turned = recipe.moved(x, axis, last)
    lines = lines_of(recipe, turned)
    numbers = lines_of(recipe, recipe.moved(recipe.cast(index, "int32"), axis, last))
    if isinstance(source, (int, float)):
        one = filled(recipe, recipe.between(recipe.between(lines, 0, None, 1), 1, None, 1), source)
        flat = recipe.add(Take(0), recipe.flat(one), recipe.each("zeros_like", recipe.flat(numbers)))
        values = recipe.shaped(flat, recipe.shape(numbers))
    else:
        values = lines_of(recipe, recipe.moved(source, axis, last))
    if how == "prod":
        made = multiplied(recipe, lines, numbers, values, include=include)
    else:
        rows = as_rows(recipe, numbered(recipe, numbers, 0), numbers)
        made = written(recipe, lines, rows, recipe.flat(values), how, include=include, dtype=dtype)
    return recipe.moved(recipe.shaped(made, recipe.shape(turned)), last, axis)


@dataclass(frozen=True, slots=True)
class MaskedScatter(Spec):
    """The values of another tensor, one after the other in memory order, where a mask holds."""

    aten_ops = ("masked_scatter",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Never a Spec of its own: a place takes as many values before it as the mask has holding places before it."""
        x, mask, source = call["self"], call["mask"], call["source"]
        recipe = Recipe(call.inputs)
        shape = recipe.shape(x)
        if shape != call.outputs[0]:
            raise Unsupported(f"masked_scatter of {shape} by a larger mask", remedy="expand the tensor before")
        if recipe.shape(mask) != shape:
            mask = recipe.both("logical_and", recipe.cast(recipe.each("ones_like", x), "bool"), mask)
        counted = recipe.add(Along("cumsum", 0), recipe.cast(recipe.flat(mask), "int32"))
        number = recipe.both("maximum", recipe.both("subtract", counted, 1), 0)
        taken = recipe.shaped(recipe.add(Take(0), recipe.flat(source), number), shape)
        return recipe.done(recipe.where(mask, taken, x))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """A mask of all places, and one for whole rows."""
        for mask in ((4, 5), (4, 1)):
            shapes = ((4, 5), mask, (6, 4))
            yield TorchExample("torch.masked_scatter", shapes, values="normal boolean normal")
