"""Which place each maximum of a pool has, and values put back there: the indices of aten.max_pool2d, max_unpool2d."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from xconv.errors import Mismatch, Unsupported
from xconv.layers.concat import Stack
from xconv.layers.geometry import Sizes
from xconv.layers.pad_axes import PadAxes
from xconv.layers.placing import as_rows, filled, joined_size, numbered, written
from xconv.layers.recipe import Recipe
from xconv.layers.reduce import Argument
from xconv.layers.slicing import WHOLE, Item, Slicing
from xconv.layers.steps import Taken
from xconv.layers.take import TakeAlong
from xconv.layers.tile import Tile
from xconv.padding import Pads, effective
from xconv.spec import AtenCall, Made, Op, Shape, Slot, Spec, TorchExample

__all__ = ["MaxUnpool", "places_of_maxima"]


@dataclass(frozen=True, slots=True)
class MaxUnpool(Spec):
    """Zeros with each value at the place that its number counts in memory order within one channel."""

    aten_ops = "max_unpool2d", "max_unpool3d"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Never a Spec of its own: a line of zeros for every channel, and rows of numbers."""
        x, index, size = call["self"], call["indices"], call["output_size"]
        call.get("stride")
        call.get("padding")
        if any(not isinstance(number, int) for number in size):
            raise Unsupported("a size that is computed", remedy="give input_shape with all sizes")
        recipe = Recipe(call.inputs)
        shape = recipe.shape(x)
        outer = shape[: len(shape) - len(size)]
        flat = joined_size(outer), joined_size(shape[len(outer) :])
        if flat == (None, None):
            raise Mismatch(f"{call.op} of {shape}", remedy="give input_shape with all sizes")
        values, numbers = recipe.shaped(x, flat), recipe.shaped(recipe.cast(index, "int32"), flat)
        zeros = recipe.add(Tile((1, prod(size))), filled(recipe, recipe.between(values, 1, None, 1), 0))
        rows = as_rows(recipe, numbered(recipe, numbers, 0), numbers)
        made = written(recipe, zeros, rows, recipe.flat(values), "replace")
        return recipe.done(recipe.shaped(made, (*outer, *size)))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every rank, sizes that are given."""
        args = (Slot(0), Slot(1), 2)
        for rank, target in ((1, "max_unpool1d"), (2, "max_unpool2d"), (3, "max_unpool3d")):
            shapes = ((3, *(3, 2, 2)[:rank]),) * 2
            yield TorchExample(f"torch.nn.functional.{target}", shapes, args=args, values="normal places")
        kwargs = {"output_size": (5, 5)}
        shapes = ((2, 2, 2),) * 2
        yield TorchExample("torch.nn.functional.max_unpool2d", shapes, args=args, kwargs=kwargs, values="normal places")


def places_of_maxima(
    inputs: Sequence[Shape], kernel: Sizes, stride: Sizes, dilation: Sizes, pads: Pads, offset: int
) -> Sequence[Op]:
    """The place of each window's first maximum, counted in memory order within one channel; known sizes alone.

    Along the last axis first: of a row the first maximum, then of the rows the first that has it. `offset` Ops come
    before these.
    """
    recipe = Recipe(inputs)
    shape = recipe.shape(Slot(0))
    whole = recipe.cast(recipe.each("isnan", Slot(0)), "int32")  # any integers that are computed
    flat = recipe.shaped(whole, (*shape[:2], joined_size(shape[2:])))
    places = recipe.shaped(numbered(recipe, flat, 2), shape)
    values: Taken = Slot(0)
    if any(map(any, pads)):
        around = ((0, 0), (0, 0), *pads)
        values = recipe.add(PadAxes(around, "constant", float("-inf")), values)
        places = recipe.add(PadAxes(around, "replicate"), places)  # a window of -inf alone has its first real place
    for axis in reversed(range(2, len(shape))):
        k, s, d = kernel[axis - 2], stride[axis - 2], dilation[axis - 2]
        if k == s == 1:
            continue
        cuts = _cuts(recipe.rank(values), axis, (recipe.shape(values)[axis] or 0, k, s, d))
        seen = recipe.add(Stack(axis), *(recipe.add(cut, values) for cut in cuts))
        counted = recipe.add(Stack(axis), *(recipe.add(cut, places) for cut in cuts))
        values = recipe.reduce("amax", seen, (axis,))
        largest = recipe.both(
            "equal", seen, recipe.expanded(values, axis)
        )  # Keras's argmax takes -0.0 for less than 0.0
        first = recipe.add(Argument("argmax", axis, keepdims=True), recipe.cast(largest, "int32"))
        places = recipe.squeezed(recipe.add(TakeAlong(axis), counted, first), axis)
    return [replace(op, name=f"places.{op.name}", inputs=_shifted(op.inputs, offset)) for op in recipe.ops]


def _cuts(rank: int, axis: int, window: tuple[int, int, int, int]) -> list[Slicing]:
    """What every place in a window sees along one axis."""
    size, kernel, stride, dilation = window
    positions = (size - effective(kernel, dilation)) // stride + 1
    items: list[Item] = [(i * dilation, i * dilation + (positions - 1) * stride + 1, stride) for i in range(kernel)]
    return [Slicing(tuple(item if other == axis else WHOLE for other in range(rank))) for item in items]


def _shifted(inputs: Sequence[Taken] | None, offset: int) -> tuple[Taken, ...]:
    """The same tensors where so many Ops come before."""
    return tuple(Made(item.op + offset, item.index) if isinstance(item, Made) else item for item in inputs or ())
