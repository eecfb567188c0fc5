"""Places picked by number: keras.ops.take, take_along_axis  <->  aten.index, index_select, gather."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.expand import ExpandDims, Squeeze
from xconv.layers.places import known_sizes
from xconv.layers.reshape import Permute, Regroup, regrouping
from xconv.layers.slicing import WHOLE, Item, Slicing
from xconv.layers.steps import Steps
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Moved,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["Take", "TakeAlong"]


@dataclass(frozen=True, slots=True)
class Take(Spec):
    """The places along `axis` that the numbers in `places` name, or, where that is None, those of a second input.

    >>> Take(1, (0, 2)).out_shape((None, 5, 3)), Take(1).out_shape((None, 5, 3), (7,))
    ((None, 2, 3), (None, 7, 3))
    """

    axis: int
    places: tuple[int, ...] | None = None
    rank: int = 1
    """How many axes the numbers of a second input have."""

    order = Order.AXES
    keras_kinds = ("ops.Take",)
    aten_ops = "index", "index_select"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op | Sequence[Op]:
        """The axis, and numbers or a tensor of numbers; one of the rank of the other has one axis more in between."""
        axis, given = layer.argument(2, "axis"), layer.argument(1, "indices")
        rank = len(layer.inputs[0])
        if axis is None:
            raise Unsupported("take from a flat tensor", remedy="reshape it, and give an axis")
        axis = axes.normal(axis, rank)
        if isinstance(given, Slot):
            if given != Slot(1):
                raise Unsupported("take from an array by a tensor", remedy="give the array as an input")
            if len(layer.inputs[1]) == rank and rank > 1:
                return _by_its_own_rank(axis, rank)
            return Op(cls(axis, None, len(layer.inputs[1])))
        numbers = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(numbers, (list, tuple)) or not all(isinstance(number, int) for number in numbers):
            raise Unsupported("take by numbers that are not one list", remedy="take by a list of numbers")
        return Op(cls(axis, tuple(numbers)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The axes that are indexed, joined to one; a list of numbers or a tensor of them; the result's own axes.

        The reader resolves masks and several tensors of constants to one list of numbers in the joined axes.
        """
        call.get("self")
        over, index = tuple(call["over"]), call["index"]
        if call.get("each"):
            return _one_each(call.inputs[0], index)
        ops: list[Op] = []
        shape = call.inputs[0]
        if len(over) > 1:
            ops, shape, over = _joined(shape, over)
        (axis,) = over
        x: Slot | Made = Made(len(ops) - 1) if ops else Slot(0)
        if not isinstance(index, Slot):
            ops.append(Op(_taken(axis, tuple(index), len(shape)), {}, "", (x,)))
            size: Shape = (len(index),)
        else:
            size = call.inputs[index.index]
            flat: Slot | Made = index
            if len(size) != 1:
                size = (None if None in size else prod(n for n in size if n is not None),)
                ops.append(Op(Regroup(size), {}, "index", (index,)))
                flat = Made(len(ops) - 1)
            ops.append(Op(cls(axis), {}, "", (x, flat)))
        made = (*shape[:axis], *size, *shape[axis + 1 :])
        if len(made) != len(call.outputs[0]) or made != call.outputs[0]:
            ops.append(Op(regrouping(made, call.outputs[0]), {}, "shape"))
        return ops

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        numbers = Slot(1) if self.places is None else list(self.places)
        return KerasLayer("ops.Take", {"axis": self.axis}, inputs=tuple(inputs), args=(Slot(0), numbers))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """Indexing."""
        numbers = TorchCall("Tensor.long", (Slot(1),)) if self.places is None else list(self.places)
        return TorchCall("operator.getitem", (Slot(0), (*(slice(None),) * self.axis, numbers)))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The axis becomes those of the indices."""
        size = (len(self.places),) if self.places is not None else inputs[1]
        return (*inputs[0][: self.axis], *size, *inputs[0][self.axis + 1 :])

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axis by its new place; the numbers' axes stay side by side, in their order."""
        more = self.rank - 1
        after: list[int] = []
        for place in order:
            taken = place == self.axis
            after += range(place, place + self.rank) if taken else [place + more * (place > self.axis)]
        return Moved(replace(self, axis=order.index(self.axis)), weights, tuple(after))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """A list of numbers; tensors of numbers have another rank than the table, which no common order moves."""
        yield Example("ops.Take", ((4, 5, 3),), {"axis": 2}, args=(Slot(0), [4, 0, 0, 2]))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """One axis and several, side by side and apart; numbers from the back; progressions; many numbers."""
        every = slice(None)
        many = [(7 * i) % 5 for i in range(300)]
        for key in (
            (every, [2, 0, 0, 1]),
            (every, every, [-1, 0, 3]),
            (every, every, [0, 2, 4]),
            (every, [[2, 0], [1, 1]]),
            (every, [0, 1], [3, 2]),
            (every, [0, 1], every, [2, 1]),
            (every, every, many),
        ):
            yield TorchExample("operator.getitem", ((4, 5, 3),), args=(Slot(0), key))


def _by_its_own_rank(axis: int, rank: int) -> Sequence[Op]:
    """Indices of the rank of the tensor: tensors of one rank would be turned together, which these must not be."""
    steps = Steps()
    numbers = steps.add(ExpandDims((rank,)), Slot(1), name="numbers")
    taken = steps.add(Take(axis, None, rank + 1), Slot(0), numbers, name="taken")
    steps.add(Squeeze((axis + rank,)), taken)
    return steps.done()


@dataclass(frozen=True, slots=True)
class TakeAlong(Spec):
    """For every place of the second input, the element of the first at the number that stands there, along `axis`."""

    axis: int

    order = Order.AXES
    keras_kinds = ("ops.TakeAlongAxis",)
    aten_ops = "gather", "take_along_dim"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """The axis; the others have the same sizes, or the numbers are the same along them."""
        axis, given = layer.argument(2, "axis"), layer.argument(1, "indices")
        if axis is None or given != Slot(1):
            raise Unsupported("take_along_axis of a flat tensor, or by an array", remedy="give an axis and a tensor")
        axis = axes.normal(axis, len(layer.inputs[0]))
        if len(layer.inputs[0]) != len(layer.inputs[1]):
            raise Unsupported("take_along_axis by indices of another rank", remedy="expand the indices before")
        ops: list[Op] = []
        for place, (size, numbers) in enumerate(zip(*layer.inputs, strict=True)):
            if place == axis or size == numbers:
                continue
            if size is None or numbers != 1:
                remedy = "broadcast the indices before"
                raise Unsupported("take_along_axis with other axes of unequal sizes", remedy=remedy)
            ops.append(Op(Take(place, (0,) * size), {}, f"wide{place}", (Made(len(ops) - 1) if ops else Slot(1),)))
        return (*ops, Op(cls(axis), {}, "", (Slot(0), Made(len(ops) - 1) if ops else Slot(1))))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The axis; what lies outside the numbers along other axes is cut off."""
        call.get("sparse_grad")
        x, index = call["self"], call.get("index", call.get("indices"))
        dim = call["dim"]
        if not isinstance(x, Slot) or not isinstance(index, Slot) or dim is None:
            raise Unsupported(f"{call.op} of a flat tensor", remedy="give it a dimension")
        axis = axes.normal(dim, len(call.inputs[0]))
        before, numbers = call.inputs[x.index], call.inputs[index.index]
        if call.op == "take_along_dim":
            return (Op(cls(axis), {}, "", (x, index)),)
        items = tuple(
            _until(place, wanted) if place != axis and size != wanted else WHOLE
            for place, (size, wanted) in enumerate(zip(before, numbers, strict=True))
        )
        if all(item == WHOLE for item in items):
            return (Op(cls(axis), {}, "", (x, index)),)
        return Op(Slicing(items), {}, "cut", (x,)), Op(cls(axis), {}, "", (Made(0), index))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.TakeAlongAxis", {"axis": self.axis}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.gather; torch.export takes a batch for fixed that meets torch.take_along_dim."""
        return TorchCall("torch.gather", (Slot(0), self.axis, TorchCall("Tensor.long", (Slot(1),))))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The size of the numbers along the axis; the others broadcast."""
        pairs = zip(*inputs, strict=True)
        return tuple(
            n if place == self.axis else (m if n == 1 or n is None else n) for place, (m, n) in enumerate(pairs)
        )

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Inner and last axis; numbers that are the same along other axes."""
        for axis in (1, 2):
            shapes = ((6, 5), (6, 5))
            yield Example("ops.TakeAlongAxis", shapes, {"axis": axis}, args=(Slot(0), Slot(1)), values="integers")
        wide = ((6, 5, 2), (3, 1, 1))
        yield Example("ops.TakeAlongAxis", wide, {"axis": 1}, args=(Slot(0), Slot(1)), values="integers")


def _until(place: int, size: int | None) -> Item:
    """The first places of an axis, whose number must be known."""
    if size is None:
        raise Unsupported(f"gather from a part of axis {place} of open size", remedy="give the network known sizes")
    return None, size, None


def _one_each(shape: Shape, index: Slot) -> Sequence[Op]:
    """Of every sample, the place along axis 1 that its own number names."""
    sizes = known_sizes(shape, tuple(range(2, len(shape))))
    ops = [Op(Regroup((None, 1)), {}, "index", (index,))]
    if prod(sizes) > 1:
        ops.append(Op(Take(1, (0,) * prod(sizes)), {}, "wide"))
    if sizes:
        ops.append(Op(regrouping((None, prod(sizes)), (None, 1, *sizes)), {}, "numbers"))
    found = Op(TakeAlong(1), {}, "", (Slot(0), Made(len(ops) - 1)))
    return (*ops, found, Op(Slicing((WHOLE, 0, *(WHOLE,) * len(sizes))), {}, "place"))


def _taken(axis: int, places: tuple[int, ...], rank: int) -> Spec:
    """A slice where the numbers are an ascending progression, otherwise those numbers."""
    step = places[1] - places[0] if len(places) > 1 else 1
    if places and places[0] >= 0 and step > 0 and places == tuple(range(places[0], places[-1] + 1, step)):
        item: Item = (places[0] or None, places[-1] + 1, None if step == 1 else step)
        return Slicing((*(WHOLE,) * axis, item, *(WHOLE,) * (rank - axis - 1)))
    return Take(axis, places)


def _joined(shape: Shape, over: tuple[int, ...]) -> tuple[list[Op], Shape, tuple[int]]:
    """The axes `over` as one: in their place where they lie side by side, otherwise in front, as torch does."""
    ops: list[Op] = []
    if over != tuple(range(over[0], over[0] + len(over))):
        order = (*over, *(axis for axis in range(len(shape)) if axis not in over))
        ops.append(Op(Permute(order), {}, "front", (Slot(0),)))
        shape, over = axes.apply(shape, order), tuple(range(len(over)))
    first, last = over[0], over[-1]
    sizes = known_sizes(shape, over)
    joined = (*shape[:first], prod(sizes), *shape[last + 1 :])
    source: Slot | Made = Made(0) if ops else Slot(0)
    ops.append(Op(regrouping(shape, joined), {}, "joined", (source,)))
    if len(joined) + len(sizes) - 1 != len(shape):
        raise Mismatch(f"axes {over} of {shape} cannot be joined")
    return ops, joined, (first,)
