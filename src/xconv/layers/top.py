"""The largest along the last axis: keras.ops.top_k  <->  torch.topk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.reshape import Permute
from xconv.layers.unary import Unary
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["Top"]


@dataclass(frozen=True, slots=True)
class Top(Spec):
    """The `count` largest along the last axis, the largest first, and where they stood; of equals, any."""

    count: int

    order = Order.WRITTEN
    keras_kinds = ("ops.TopK",)
    aten_ops = ("topk",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """How many; their order is what both do."""
        layer.argument(2, "sorted")
        return Op(cls(layer.argument(1, "k")))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Along the last axis, the largest first; otherwise turned and with the other sign before and after."""
        call.get("self")
        call.get("sorted")
        rank = len(call.inputs[0])
        axis = axes.normal(call["dim"], rank)
        largest, count = call["largest"], call["k"]
        ops = [] if axis == rank - 1 else [Op(Permute(axes.move_axis(rank, axis, rank - 1)), {}, "last", (Slot(0),))]
        if not largest:
            ops.append(Op(Unary("neg"), {}, "negative", (_last(ops),)))
        ops.append(Op(cls(count), {}, "", (_last(ops),)))
        values, indices = Made(len(ops) - 1), Made(len(ops) - 1, 1)
        if not largest:
            ops.append(Op(Unary("neg"), {}, "values", (values,)))
            values = Made(len(ops) - 1)
        if axis != rank - 1:
            back = Permute(axes.move_axis(rank, rank - 1, axis))
            ops += [Op(back, {}, "back", (values,)), Op(back, {}, "indices", (indices,))]
            values, indices = Made(len(ops) - 2), Made(len(ops) - 1)
        last = ops.pop()
        return *ops, Op(last.spec, last.weights, last.name, last.inputs, returns=(values, indices))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.TopK", {"k": self.count, "sorted": True}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.topk."""
        return TorchCall("torch.topk", (Slot(0), self.count))

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """The values, and their places."""
        size = inputs[0][-1]
        if size is not None and size < self.count:
            raise Mismatch(f"the {self.count} largest of {size}")
        return ((*inputs[0][:-1], self.count),) * 2

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """A few of them, and all."""
        yield Example("ops.TopK", ((4, 5),), {"k": 2, "sorted": True}, args=(Slot(0),))
        yield Example("ops.TopK", ((5,),), {"k": 5, "sorted": True}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """The largest and the smallest, along the last axis and another."""
        yield TorchExample("torch.topk", ((4, 5),), args=(Slot(0), 2))
        yield TorchExample("torch.topk", ((4, 5),), args=(Slot(0), 3, 1, False))


def _last(ops: Sequence[Op]) -> Slot | Made:
    """What the last of these Ops makes, or the call's own tensor."""
    return Made(len(ops) - 1) if ops else Slot(0)
