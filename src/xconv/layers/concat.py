"""Concatenate, keras.ops.concatenate, stack, split, unstack  <->  torch.cat, stack, split, chunk, unbind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.places import known_sizes
from xconv.layers.slicing import WHOLE, Slicing
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

__all__ = ["Concat", "Split", "Stack", "Unstack"]


@dataclass(frozen=True, slots=True)
class Concat(Spec):
    """Tensors one after the other along `axis`.

    >>> Concat(3).out_shape((None, 4, 5, 3), (None, 4, 5, 2))
    (None, 4, 5, 5)
    """

    axis: int

    order = Order.AXES
    keras_kinds = "Concatenate", "ops.Concatenate"
    aten_ops = "cat", "concat", "concatenate"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axis."""
        check_tensors(layer)
        return Op(cls(axes.normal(layer.argument(1, "axis", 0), len(layer.inputs[0]))))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The axis."""
        check_slots(call)
        return Op(cls(axes.normal(call.get("dim", 0), len(call.inputs[0]))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Concatenate; the operation where the batch itself grows, or is not the first axis."""
        if self.axis == 0 or any(shape[0] is not None for shape in inputs):
            return KerasLayer("ops.Concatenate", {"axis": self.axis}, inputs=tuple(inputs), args=(slots(inputs),))
        return KerasLayer("Concatenate", {"axis": self.axis}, inputs=tuple(inputs), args=(slots(inputs),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.cat."""
        return TorchCall("torch.cat", (slots(inputs),), {"dim": self.axis})

    def out_shape(self, *inputs: Shape) -> Shape:
        """The sum of the sizes along the axis; the others must agree."""
        axis = axes.normal(self.axis, len(inputs[0]))
        sizes = [shape[axis] for shape in inputs if len(shape) == len(inputs[0])]
        total = None if None in sizes else sum(size for size in sizes if size is not None)
        return tuple(total if place == axis else size for place, size in enumerate(common_shape(inputs, axis)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Last axis, an inner one, three tensors of unequal sizes."""
        yield Example("Concatenate", ((4, 5, 3), (4, 5, 2)), args=([Slot(0), Slot(1)],))
        three = [Slot(0), Slot(1), Slot(2)]
        yield Example("Concatenate", ((4, 5, 3), (1, 5, 3), (2, 5, 3)), {"axis": 1}, args=(three,))
        yield Example("ops.Concatenate", ((4, 3), (4, 2)), {"axis": -1}, args=([Slot(0), Slot(1)],))
        yield Example("ops.Concatenate", ((4, 3), (4, 3)), {"axis": 0}, args=([Slot(0), Slot(1)],))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Channels, an inner axis, the last one from the back, the batch, one tensor twice."""
        two = [Slot(0), Slot(1)]
        yield TorchExample("torch.cat", ((3, 4, 5), (2, 4, 5)), args=(two, 1))
        yield TorchExample("torch.cat", ((3, 4, 5), (3, 4, 2), (3, 4, 1)), args=([*two, Slot(2)], -1))
        yield TorchExample("torch.cat", ((3, 4), (3, 4)), args=(two, 0))
        yield TorchExample("torch.cat", ((3, 4),), args=([Slot(0), Slot(0)], 1))


@dataclass(frozen=True, slots=True)
class Stack(Spec):
    """Tensors of one shape along a new axis, at this place of the result."""

    axis: int

    order = Order.AXES
    keras_kinds = ("ops.Stack",)
    aten_ops = "stack", "unfold"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axis, counted in the result."""
        check_tensors(layer)
        return Op(cls(axes.normal(layer.argument(1, "axis", 0), len(layer.inputs[0]) + 1)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """The axis, counted in the result; sliding windows are what stands at each of their places, on a new axis."""
        if call.op == "unfold":
            return _windows(call)
        check_slots(call)
        return Op(cls(axes.normal(call.get("dim", 0), len(call.inputs[0]) + 1)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Stack", {"axis": self.axis}, inputs=tuple(inputs), args=(slots(inputs),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.stack."""
        return TorchCall("torch.stack", (slots(inputs),), {"dim": self.axis})

    def out_shape(self, *inputs: Shape) -> Shape:
        """One more axis, with a place for each tensor."""
        shape = common_shape(inputs)
        return (*shape[: self.axis], len(inputs), *shape[self.axis :])

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The new axis stays at its place; those behind it count one more."""
        after = [axis + (axis >= self.axis) for axis in order]
        return Moved(self, weights, (*after[: self.axis], self.axis, *after[self.axis :]))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """In front of the others, and last."""
        yield Example("ops.Stack", ((4, 5, 3), (4, 5, 3)), {"axis": 1}, args=([Slot(0), Slot(1)],))
        yield Example("ops.Stack", ((4, 3), (4, 3)), {"axis": -1}, args=([Slot(0), Slot(1)],))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """In front of the batch, behind it, last."""
        two = [Slot(0), Slot(1)]
        for axis in (0, 1, -1):
            yield TorchExample("torch.stack", ((4, 3), (4, 3)), args=(two, axis))
        yield TorchExample("Tensor.unfold", ((7, 3),), args=(Slot(0), 1, 3, 2))
        yield TorchExample("Tensor.unfold", ((4, 6),), args=(Slot(0), -1, 2, 1))


@dataclass(frozen=True, slots=True)
class Split(Spec):
    """One tensor cut along `axis`: into `parts` equal parts, or before each place in `parts`.

    >>> Split(2, (1, 3)).out_shapes((None, 4, 5))
    ((None, 4, 1), (None, 4, 2), (None, 4, 2))
    """

    axis: int
    parts: int | tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("ops.Split",)
    aten_ops = "chunk", "split", "split_with_sizes", "tensor_split"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A number of parts, or the places of the cuts."""
        parts = layer.argument(1, "indices_or_sections")
        axis = axes.normal(layer.argument(2, "axis", 0), len(layer.inputs[0]))
        known_sizes(layer.inputs[0], (axis,))
        return Op(cls(axis, parts if isinstance(parts, int) else tuple(int(place) for place in parts)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The sizes that torch gives to the parts, whatever the operator is called."""
        for key in call.arguments:
            call.get(key)
        axis = axes.normal(call.get("dim", 0), len(call.inputs[0]))
        known_sizes(call.inputs[0], (axis,))
        sizes = [known_sizes(shape, (axis,))[0] for shape in call.outputs]
        if len(set(sizes)) == 1:
            return Op(cls(axis, len(sizes)))
        return Op(cls(axis, tuple(accumulate(sizes[:-1]))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        parts = self.parts if isinstance(self.parts, int) else list(self.parts)
        config = {"indices_or_sections": parts, "axis": self.axis}
        return KerasLayer("ops.Split", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.tensor_split, which counts as Keras does."""
        return TorchCall("torch.tensor_split", (Slot(0), self.parts), {"dim": self.axis})

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """One shape per part."""
        axis, size = axes.normal(self.axis, len(inputs[0])), inputs[0][self.axis]
        lengths: list[int | None] = []
        if isinstance(self.parts, int):
            if size is not None and size % self.parts:
                raise Mismatch(f"{size} places cannot be cut into {self.parts} equal parts")
            lengths = [None if size is None else size // self.parts] * self.parts
        else:
            cuts = (0, *self.parts, size)
            lengths = [None if end is None else end - (start or 0) for start, end in pairwise(cuts)]
        return tuple((*inputs[0][:axis], length, *inputs[0][axis + 1 :]) for length in lengths)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Equal parts, cuts."""
        yield Example("ops.Split", ((4, 5, 6),), {"indices_or_sections": 3, "axis": -1}, args=(Slot(0),))
        yield Example("ops.Split", ((4, 5, 3),), {"indices_or_sections": [1, 3], "axis": 2}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Equal parts, parts with a rest, parts of given sizes, cuts."""
        shapes = ((6, 7, 5),)
        yield TorchExample("torch.chunk", shapes, args=(Slot(0), 3, 1))
        yield TorchExample("torch.chunk", shapes, args=(Slot(0), 3, 2))
        yield TorchExample("torch.split", shapes, args=(Slot(0), 2, -1))
        yield TorchExample("torch.split", shapes, args=(Slot(0), [1, 4, 2], 2))
        yield TorchExample("torch.tensor_split", shapes, args=(Slot(0), 3, 2))
        yield TorchExample("torch.tensor_split", shapes, args=(Slot(0), [1, 5], 2))


@dataclass(frozen=True, slots=True)
class Unstack(Spec):
    """One tensor for every place along `axis`, which disappears."""

    axis: int
    count: int

    order = Order.AXES
    keras_kinds = ("ops.Unstack",)
    aten_ops = ("unbind",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axis, whose size must be known."""
        axis = axes.normal(layer.argument(2, "axis", 0), len(layer.inputs[0]))
        count = layer.argument(1, "num")
        size = layer.inputs[0][axis] if count is None else count
        if size is None:
            raise Unsupported("unstack along an axis of unknown size", remedy="give the model an input shape")
        return Op(cls(axis, size))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The axis, whose size must be known."""
        call.get("self")
        axis = axes.normal(call.get("dim", 0), len(call.inputs[0]))
        return Op(cls(axis, *known_sizes(call.inputs[0], (axis,))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Unstack", {"num": None, "axis": self.axis}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.unbind."""
        return TorchCall("torch.unbind", (Slot(0),), {"dim": self.axis})

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """The shape without the axis, for each place."""
        return ((*inputs[0][: self.axis], *inputs[0][self.axis + 1 :]),) * self.count

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axes behind the one that disappears count one less."""
        after = tuple(axis - (axis > self.axis) for axis in order if axis != self.axis)
        return Moved(replace(self, axis=order.index(self.axis)), weights, after)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Last and inner axis."""
        yield Example("ops.Unstack", ((4, 5, 3),), {"num": None, "axis": -1}, args=(Slot(0),))
        yield Example("ops.Unstack", ((2, 5, 3),), {"num": 2, "axis": 1}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Inner and last axis."""
        yield TorchExample("torch.unbind", ((2, 5, 3),), args=(Slot(0), 1))
        yield TorchExample("torch.unbind", ((2, 5, 3),), args=(Slot(0), -1))


def _windows(call: AtenCall) -> Sequence[Op]:
    """For each place in a window a slice that jumps by the step, all of them on a new last axis."""
    call.get("self")
    shape = call.inputs[0]
    axis, size, step = axes.normal(call["dimension"], len(shape)), call["size"], call["step"]
    (length,) = known_sizes(shape, (axis,))
    reach = (length - size) // step * step + 1
    before, after = (WHOLE,) * axis, (WHOLE,) * (len(shape) - axis - 1)
    parts = [
        Op(Slicing((*before, (place, place + reach, step), *after)), {}, f"place{place}", (Slot(0),))
        for place in range(size)
    ]
    return *parts, Op(Stack(len(shape)), {}, "", tuple(Made(place) for place in range(size)))


def slots(inputs: Sequence[Any]) -> list[Slot]:
    """A place for each input."""
    return [Slot(i) for i in range(len(inputs))]


def check_tensors(layer: KerasLayer) -> None:
    """Refuse a list of tensors that has constants in it."""
    given = layer.argument(0, "xs", layer.argument(0, "x"))
    if given is None or list(given) != slots(layer.inputs):
        raise Unsupported("a constant among the tensors", remedy="hold the constant in a layer's weight")


def check_slots(call: AtenCall) -> None:
    """Refuse a list of tensors of unequal ranks, which torch takes for empty ones."""
    call.get("tensors")
    if len({len(shape) for shape in call.inputs}) != 1:
        raise Unsupported(f"{call.op} of tensors of shapes {', '.join(map(str, call.inputs))}")


def common_shape(shapes: Sequence[Shape], but: int | None = None) -> Shape:
    """The shape that all share, except along axis `but`; a known size wins over None.

    Raises:
        Mismatch: the shapes differ.
    """
    result: list[int | None] = []
    for place, sizes in enumerate(zip(*shapes, strict=False)):
        known = {size for size in sizes if size is not None}
        if len(known) > 1 and place != but:
            raise Mismatch(f"shapes {', '.join(map(str, shapes))} do not fit together")
        result.append(known.pop() if known else None)
    if len({len(shape) for shape in shapes}) != 1:
        raise Mismatch(f"shapes {', '.join(map(str, shapes))} differ in rank")
    return tuple(result)
