"""Values written at the places that tensors of numbers name: `x[:, [1, 3]] = y`, aten.index_put, index_add ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Unsupported
from xconv.layers.placing import count_of
from xconv.layers.recipe import Recipe
from xconv.layers.steps import Taken
from xconv.layers.writes import Write
from xconv.spec import AtenCall, Made, Op, Shape, Slot, Spec, TorchExample

__all__ = ["IndexPut"]

WRAPS = ("index_fill", "index_put")
"""The operators that take negative numbers, counted from the end."""


@dataclass(frozen=True, slots=True)
class IndexPut(Spec):
    """A tensor with other values, or with values added, at places along one axis or several."""

    aten_ops = "index_add", "index_copy", "index_fill", "index_put", "index_reduce"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Never a Spec of its own: where the places are known, values are joined and taken; else rows of numbers.

        The reader resolves what is indexed: `over`, `index` (numbers, or tensors) and the shape `target` of what is
        written; or a `mask`, and how many axes are before it.
        """
        recipe = Recipe(call.inputs)
        x, values = call["self"], call.get("values", call.get("source", call.get("value")))
        how = call.get("reduce") or ("sum" if call.op == "index_add" or call.get("accumulate") else "replace")
        alpha, include = call.get("alpha", 1), bool(call.get("include_self", True))
        if alpha != 1:
            values = recipe.both("multiply", values, alpha)
        have = tuple(call["have"])
        if call.get("mask") is not None:
            return recipe.done(_masked(recipe, x, call["mask"], call["before"], values, how, have))
        if not have and isinstance(values, (Slot, Made)):
            have = recipe.shape(values)
        write = Write(recipe, x, tuple(call["over"]), tuple(call["target"]), values, have, how)
        index = call["index"]
        if all(isinstance(item, int) for item in index):
            return recipe.done(write.at_known(index))
        numbers: list[Taken] = [recipe.cast(item, "int32") for item in index]
        if call.op in WRAPS:
            numbers = [_from_start(recipe, x, *pair) for pair in zip(write.over, numbers, strict=True)]
        return recipe.done(write.at_computed(numbers, call.dtype, include=include))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Numbers that are computed, along one axis and several, the batch too; one number for all values."""
        row = ((5, 2), (), (5, 2))
        args: tuple[Any, ...] = (Slot(0), 0, Slot(1), Slot(2))
        yield TorchExample("torch.index_copy", row, args=args, values="normal places normal")
        yield TorchExample("torch.index_fill", row[:2], args=(Slot(0), 1, Slot(1), 0.75), values="normal places")
        fed = "normal bits normal"
        yield TorchExample("torch.index_add", row, args=args, kwargs={"alpha": -0.5}, values=fed)
        for include in (True, False):
            for reduce in ("mean", "amax", "amin"):
                kwargs = {"reduce": reduce, "include_self": include}
                yield TorchExample("torch.index_reduce", row, args=args, kwargs=kwargs, values="normal places normal")
        for accumulate in (False, True):
            put: dict[str, Any] = {"target": "torch.index_put", "kwargs": {"accumulate": accumulate}}
            one = (Slot(0), (Slot(1),), Slot(2))
            yield TorchExample(inputs=row, args=one, values=fed, **put)
            several = (Slot(0), (Slot(1), Slot(2)), Slot(3))
            yield TorchExample(
                inputs=((4, 5), (1,), (3,), (3, 1)), args=several, values="normal bits places normal", **put
            )


def _from_start(recipe: Recipe, x: Taken, axis: int, numbers: Taken) -> Taken:
    """Negative numbers counted from the start of the axis."""
    size: Any = recipe.shape(x)[axis]
    if size is None:
        size = count_of(recipe, x, axis)
    return recipe.where(recipe.both("less", numbers, 0), recipe.both("add", numbers, size), numbers)


def _masked(recipe: Recipe, x: Taken, mask: Taken, before: int, values: Any, how: str, have: Shape) -> Taken:
    """The tensor with the same values wherever a mask holds."""
    rank, covers = recipe.rank(x), recipe.rank(mask)
    after = rank - before - covers
    if not isinstance(values, (int, float)) and recipe.rank(values) > after:
        place = recipe.rank(values) - after - 1
        if have[place] != 1:
            raise Unsupported(
                "as many values as a mask has places that hold", remedy="use torch.where or Tensor.masked_scatter"
            )
        values = recipe.expanded(values, *range(place, place + covers - 1))
    if how == "sum":
        values = recipe.both("add", x, values)
    holds = recipe.expanded(mask, *range(covers, covers + after))
    return recipe.where(holds, values, x)
