"""A part of a tensor written anew: aten.slice_scatter, select_scatter, copy ...  ->  slices and concatenation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.concat import Concat
from xconv.layers.expand import ExpandDims
from xconv.layers.io import Identity
from xconv.layers.places import known_sizes
from xconv.layers.slicing import WHOLE, Slicing
from xconv.spec import AtenCall, Made, Op, Slot, Spec, TorchExample

__all__ = ["Scatter"]


@dataclass(frozen=True, slots=True)
class Scatter(Spec):
    """What `x[:, 1:3] = y` means where nothing is written in place: x before, y, x behind."""

    aten_ops = "copy", "diagonal_scatter", "select_scatter", "slice_scatter"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Never a Spec of its own: the pieces along one axis, joined."""
        source = call["src"]
        if call.op == "copy":
            if call.inputs[0] != call.inputs[source.index]:
                raise Unsupported(
                    f"{call.inputs[source.index]} written into {call.inputs[0]}", remedy="expand it first"
                )
            return (Op(Identity(), {}, "", (source,)),)
        if call.op == "diagonal_scatter":
            return _diagonal(call)
        shape = call.inputs[0]
        axis = axes.normal(call["dim"], len(shape))
        if call.op == "slice_scatter" and call["step"] != 1:
            return _stepped(call, axis)
        ops: list[Op] = []
        middle: Slot | Made = source
        if call.op == "select_scatter":
            ops, middle = [Op(ExpandDims((axis,)), {}, "part", (source,))], Made(0)
            start = call["index"] if call["index"] >= 0 or shape[axis] is None else call["index"] + (shape[axis] or 0)
            end: int | None = start + 1
        else:
            start, end = _bounds(call, shape[axis])
        if start == 0 and end is None:
            return (*ops, Op(Identity(), {}, "", (middle,)))
        if start < 0 or (end is not None and end < 0):
            raise Unsupported("a write that counts from the end of an open size", remedy="give known sizes")
        return (*ops, *_joined(axis, len(shape), start, end, middle, len(ops)))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """A slice in the middle, at the end, of every second place, a diagonal, a single place."""
        two, slots = ((4, 5), (2, 5)), (Slot(0), Slot(1))
        yield TorchExample("torch.slice_scatter", two, args=slots, kwargs={"dim": 1, "start": 1, "end": 3})
        yield TorchExample("torch.slice_scatter", two, args=slots, kwargs={"dim": 1, "start": -2})
        steps = {"dim": 2, "start": 1, "step": 2}
        yield TorchExample("torch.slice_scatter", ((4, 5), (4, 2)), args=slots, kwargs=steps)
        one = ((4, 5), (4,))
        cube, options = (3, 4, 3), {"dim1": 1, "dim2": 2}
        yield TorchExample("torch.diagonal_scatter", (cube, (3, 3)), args=slots, kwargs=options)
        options = {"offset": -1, "dim1": 3, "dim2": 1}
        yield TorchExample("torch.diagonal_scatter", (cube, (4, 2)), args=slots, kwargs=options)
        yield TorchExample("torch.select_scatter", one, args=slots, kwargs={"dim": -1, "index": -2})


def _diagonal(call: AtenCall) -> Sequence[Op]:
    """The places of a diagonal; torch gives what stands there along the last axis."""
    from xconv.layers.recipe import Recipe
    from xconv.layers.writes import Write

    shape, source, offset = call.inputs[0], call["src"], call["offset"]
    over = [axes.normal(call[key], len(shape)) for key in ("dim1", "dim2")]
    rows, columns = known_sizes(shape, over)
    pairs = [(row, row + offset) for row in range(rows) if 0 <= row + offset < columns]
    if over[0] > over[1]:
        over, columns, pairs = over[::-1], rows, [pair[::-1] for pair in pairs]
    recipe = Recipe(call.inputs)
    front = over[0] if over[1] == over[0] + 1 else 0
    values = recipe.moved(source, -1, front)
    sizes = recipe.shape(values)
    write = Write(recipe, Slot(0), tuple(over), sizes, values, sizes, "replace")
    return recipe.done(write.at_known([row * columns + column for row, column in pairs]))


def _stepped(call: AtenCall, axis: int) -> Sequence[Op]:
    """Every so many places, each with its part."""
    from xconv.layers.placing import replaced
    from xconv.layers.recipe import Recipe

    size = call.inputs[0][axis]
    if size is None:
        raise Unsupported("a write to every nth place of an axis of open size", remedy="give known sizes")
    places = range(*slice(call["start"], call["end"], call["step"]).indices(size))
    recipe = Recipe(call.inputs)
    return recipe.done(replaced(recipe, Slot(0), axis, places, call["src"]))


def _bounds(call: AtenCall, size: int | None) -> tuple[int, int | None]:
    """Where the slice begins and ends; None where it goes on to the end."""
    start, end = call["start"] or 0, call["end"]
    if size is not None:
        first, last, _ = slice(start, end).indices(size)
        return first, None if last == size else last
    return start, None if end is None or end >= 2**63 - 1 else end


def _joined(axis: int, rank: int, start: int, end: int | None, middle: Slot | Made, made: int) -> Iterator[Op]:
    """What stays before, the new part, what stays behind."""
    parts: list[Slot | Made] = [middle]
    if start > 0:
        yield Op(_cut(axis, rank, 0, start), {}, "before", (Slot(0),))
        parts.insert(0, Made(made))
        made += 1
    if end is not None:
        yield Op(_cut(axis, rank, end, None), {}, "behind", (Slot(0),))
        parts.append(Made(made))
    yield Op(Concat(axis), {}, "", tuple(parts))


def _cut(axis: int, rank: int, start: int, end: int | None) -> Slicing:
    """A piece along one axis."""
    return Slicing(tuple((start or None, end, None) if place == axis else WHOLE for place in range(rank)))
