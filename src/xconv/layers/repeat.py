"""RepeatVector  <->  Tensor.unsqueeze and expand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv.errors import Mismatch
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["RepeatVector"]


@dataclass(frozen=True, slots=True)
class RepeatVector(Spec):
    """The vector of each sample `count` times, one below the other.

    >>> RepeatVector(4).out_shape((None, 3))
    (None, 4, 3)
    """

    count: int

    order = Order.WRITTEN
    keras_kinds = ("RepeatVector",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The count."""
        if len(layer.inputs[0]) != 2:
            raise Mismatch(f"RepeatVector needs an input of rank 2, it gets {layer.inputs[0]}")
        return Op(cls(layer["n"]))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """RepeatVector."""
        return KerasLayer("RepeatVector", {"n": self.count}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """A new axis, expanded without a copy."""
        return TorchCall("Tensor.expand", (TorchCall("torch.unsqueeze", (Slot(0), 1)), -1, self.count, -1))

    def out_shape(self, *inputs: Shape) -> Shape:
        """(batch, count, features)."""
        return inputs[0][0], self.count, inputs[0][1]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """One case."""
        yield Example("RepeatVector", ((3,),), {"n": 4})
