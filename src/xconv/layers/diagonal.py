"""The diagonal of two axes: keras.ops.diagonal  <->  torch.diagonal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.expand import ExpandDims
from xconv.layers.pad_axes import PadAxes
from xconv.layers.places import known_sizes
from xconv.layers.reshape import Regroup, regrouping
from xconv.layers.slicing import WHOLE, Slicing
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

__all__ = ["Diagonal", "DiagonalMatrix"]


@dataclass(frozen=True, slots=True)
class Diagonal(Spec):
    """The diagonal of two axes as a new last axis; `offset` counts along the second."""

    first: int
    second: int
    offset: int = 0

    order = Order.WRITTEN
    keras_kinds = ("ops.Diagonal",)
    aten_ops = ("diagonal",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The offset and two axes."""
        rank = len(layer.inputs[0])
        first, second = (axes.normal(layer.argument(i + 2, f"axis{i + 1}", i), rank) for i in (0, 1))
        known_sizes(layer.inputs[0], (first, second))
        return Op(cls(first, second, layer.argument(1, "offset", 0)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The offset and two axes."""
        call.get("self")
        first, second = (axes.normal(call[key], len(call.inputs[0])) for key in ("dim1", "dim2"))
        known_sizes(call.inputs[0], (first, second))
        return Op(cls(first, second, call["offset"]))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"offset": self.offset, "axis1": self.first, "axis2": self.second}
        return KerasLayer("ops.Diagonal", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.diagonal."""
        return TorchCall("torch.diagonal", (Slot(0), self.offset, self.first, self.second))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The other sizes, and how many places the diagonal has."""
        rows, columns = known_sizes(inputs[0], (self.first, self.second))
        length = min(rows, columns - self.offset) if self.offset >= 0 else min(rows + self.offset, columns)
        return (*(n for i, n in enumerate(inputs[0]) if i not in (self.first, self.second)), max(length, 0))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """The main diagonal, and one above it."""
        yield Example("ops.Diagonal", ((4, 3),), {"offset": 0, "axis1": 1, "axis2": 2}, args=(Slot(0),))
        yield Example("ops.Diagonal", ((4, 3, 5),), {"offset": 1, "axis1": 1, "axis2": 3}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """The main diagonal, and one below it, the axes the other way round."""
        yield TorchExample("torch.diagonal", ((4, 3),), args=(Slot(0), 0, 1, 2))
        yield TorchExample("torch.diagonal", ((4, 3, 5),), args=(Slot(0), -1, -1, 1))


@dataclass(frozen=True, slots=True)
class DiagonalMatrix(Spec):
    """A row of numbers as a diagonal, `offset` places to the right, and zeros around it."""

    offset: int = 0

    order = Order.WRITTEN
    keras_kinds = "ops.Diag", "ops.Diagflat"
    aten_ops = "diag", "diag_embed"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op | Sequence[Op]:
        """Of a matrix, its diagonal; diagflat takes the numbers of any tensor."""
        x, offset = layer.argument(0, "x"), layer.argument(1, "k", 0)
        if not isinstance(x, Slot):
            raise Unsupported(f"{layer.kind} of a constant", remedy="hold the array in a layer's weight")
        rank = len(layer.inputs[0])
        if rank == 1:
            return Op(cls(offset))
        if layer.kind == "ops.Diagflat":
            return Op(Regroup((None,)), {}, "flat"), Op(cls(offset))
        known_sizes(layer.inputs[0], (0, 1))
        return Op(Diagonal(0, 1, offset))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """Of more than a row, each row padded to one place more than it has, and folded anew."""
        call.get("self")
        shape, offset = call.inputs[0], call.get("offset", call.get("diagonal", 0))
        if call.op == "diag" and len(shape) == 2:
            known_sizes(shape, (0, 1))
            return Op(Diagonal(0, 1, offset))
        rank = len(shape)
        if {axes.normal(call.get(key, place), rank + 1) for key, place in (("dim1", -2), ("dim2", -1))} != {
            rank - 1,
            rank,
        }:
            raise Unsupported("a diagonal along other axes than the last two", remedy="turn the result")
        if rank == 1:
            return Op(cls(offset))
        (count,) = known_sizes(shape, (rank - 1,))
        whole = (WHOLE,) * (rank - 1)
        side = count + abs(offset)
        pads = ((0, 0),) * rank
        lines = regrouping((*shape, side + 1), (*shape[:-1], count * (side + 1)))
        before = max(offset, 0) + side * max(-offset, 0)
        full = count * (side + 1)
        ends = (before, max(side * side - full - before, 0))
        return (
            Op(ExpandDims((rank,)), {}, "column"),
            Op(PadAxes((*pads, (0, side)), "constant"), {}, "padded"),
            Op(lines, {}, "line"),
            Op(PadAxes((*pads[1:], ends), "constant"), {}, "placed"),
            Op(Slicing((*whole, (None, side * side, None))), {}, "cut"),
            Op(regrouping((*shape[:-1], side * side), (*shape[:-1], side, side))),
        )

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Diag", {"k": self.offset}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.diag."""
        return TorchCall("torch.diag", (Slot(0), self.offset))

    def out_shape(self, *inputs: Shape) -> Shape:
        """A square."""
        size = None if inputs[0][0] is None else inputs[0][0] + abs(self.offset)
        return size, size

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """The main diagonal, and one beside it."""
        yield Example("ops.Diag", ((),), {"k": 0}, args=(Slot(0),))
        yield Example("ops.Diag", ((),), {"k": -2}, args=(Slot(0),))
        yield Example("ops.Diagflat", ((2,),), {"k": 1}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """A batch of rows, the diagonals beside the main one."""
        for offset in (0, 2, -1):
            yield TorchExample("torch.diag_embed", ((4, 3),), args=(Slot(0), offset))
