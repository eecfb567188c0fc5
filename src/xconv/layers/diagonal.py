"""The diagonal of two axes: keras.ops.diagonal  <->  torch.diagonal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.layers.places import known_sizes
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

__all__ = ["Diagonal"]


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
