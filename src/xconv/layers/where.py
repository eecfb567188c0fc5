"""keras.ops.where  <->  torch.where, masked_fill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv.errors import Unsupported
from xconv.layers.elementwise import broadcast, number_of, wired
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

__all__ = ["Where"]


@dataclass(frozen=True, slots=True)
class Where(Spec):
    """`yes` where the condition holds, `no` elsewhere; each is a tensor or a number."""

    yes: Slot | float
    no: Slot | float

    order = Order.ANY
    keras_kinds = ("ops.Where",)
    aten_ops = "masked_fill", "where"
    as_tensors = ()
    takes_sizes = "self", "other", "value"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A condition that is a tensor, and two operands."""
        condition = layer.argument(0, "condition")
        yes, no = layer.argument(1, "x1"), layer.argument(2, "x2")
        if condition != Slot(0) or not all(isinstance(item, (Slot, int, float)) for item in (yes, no)):
            raise Unsupported("where with an array, or with a condition alone", remedy="give it tensors or numbers")
        return Op(cls(yes, no))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """where takes the condition first; masked_fill puts a value where the mask holds."""
        if call.op == "where":
            condition, items = call["condition"], (call.get("self"), call.get("other"))
        else:
            condition, items = call["mask"], (call["value"], call["self"])
        operands, taken = wired(condition, *map(number_of, items))
        if operands[:1] != (Slot(0),) or len(operands) != 3:
            raise Unsupported("where with a condition alone", remedy="give it both values")
        return Op(cls(*operands[1:]), {}, "", tuple(taken))

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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Truth values alone: a condition must be one, and an example feeds all its inputs alike."""
        three = ((4, 5, 3),) * 3
        yield TorchExample("torch.where", three, args=(Slot(0), Slot(1), Slot(2)), values="boolean")
        yield TorchExample("torch.where", three[:1], args=(Slot(0), 1.5, -2.0), values="boolean")
        yield TorchExample("torch.masked_fill", three[:2], args=(Slot(1), Slot(0), True), values="boolean")
