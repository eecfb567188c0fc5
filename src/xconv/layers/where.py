"""keras.ops.where  <->  torch.where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv.errors import Unsupported
from xconv.layers.elementwise import broadcast
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Where"]


@dataclass(frozen=True, slots=True)
class Where(Spec):
    """`yes` where the condition holds, `no` elsewhere; each is a tensor or a number."""

    yes: Slot | float
    no: Slot | float

    order = Order.ANY
    keras_kinds = ("ops.Where",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A condition that is a tensor, and two operands."""
        condition = layer.argument(0, "condition")
        yes, no = layer.argument(1, "x1"), layer.argument(2, "x2")
        if condition != Slot(0) or not all(isinstance(item, (Slot, int, float)) for item in (yes, no)):
            raise Unsupported("where with an array, or with a condition alone", remedy="give it tensors or numbers")
        return Op(cls(yes, no))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Where", {}, inputs=tuple(inputs), args=(Slot(0), self.yes, self.no))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.where, whose condition must be of truth values."""
        return TorchCall("torch.where", (TorchCall("Tensor.bool", (Slot(0),)), self.yes, self.no))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The broadcast shape."""
        return broadcast(inputs)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Two tensors, a number on either side."""
        three = ((4, 3), (4, 3), (4, 3))
        yield Example("ops.Where", three, args=(Slot(0), Slot(1), Slot(2)))
        yield Example("ops.Where", three[:2], args=(Slot(0), Slot(1), 0.5))
        yield Example("ops.Where", three[:2], args=(Slot(0), -0.5, Slot(1)))
