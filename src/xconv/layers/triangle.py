"""The lower or upper triangle of the last two axes: keras.ops.tril, triu  <->  aten.tril, triu."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

__all__ = ["Triangle"]


@dataclass(frozen=True, slots=True)
class Triangle(Spec):
    """Zeros above the diagonal of the last two axes, or with `upper` below it; `diagonal` counts to the right."""

    upper: bool = False
    diagonal: int = 0

    order = Order.WRITTEN
    keras_kinds = "ops.Tril", "ops.Triu"
    aten_ops = "tril", "triu"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The diagonal."""
        return Op(cls(layer.kind == "ops.Triu", layer.argument(1, "k", 0)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The diagonal."""
        call.get("self")
        return Op(cls(call.op == "triu", call["diagonal"]))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        kind = "ops.Triu" if self.upper else "ops.Tril"
        return KerasLayer(kind, {"k": self.diagonal}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.tril or triu."""
        return TorchCall("torch.triu" if self.upper else "torch.tril", (Slot(0), self.diagonal))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both triangles, beside the diagonal."""
        yield Example("ops.Tril", ((4, 5),), args=(Slot(0),))
        yield Example("ops.Triu", ((3, 5, 4),), {"k": -1}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Both triangles, beside the diagonal."""
        yield TorchExample("torch.tril", ((4, 5),), args=(Slot(0), 1))
        yield TorchExample("torch.triu", ((3, 5, 4),), args=(Slot(0), -1))
