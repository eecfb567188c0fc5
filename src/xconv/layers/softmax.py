"""Softmax, log-softmax and GLU along one axis  <->  torch.nn.Softmax, LogSoftmax, GLU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.layers.elementwise import Elementwise
from xconv.layers.places import places_of
from xconv.layers.reduce import Reduce
from xconv.layers.steps import Steps, Taken
from xconv.layers.unary import Cast, Unary
from xconv.layers.where import Where
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

__all__ = ["GLU", "Softmax"]

MASKED = -1e9
"""What Keras's layer puts in the place of a masked score."""


@dataclass(frozen=True, slots=True)
class Softmax(Spec):
    """exp(x) over its sum along `axis`; `log` for the logarithm of that."""

    axis: int
    log: bool = False

    order = Order.AXES
    keras_kinds = "Softmax", "ops.Softmax", "ops.LogSoftmax"
    aten_ops = "_log_softmax", "_softmax", "log_softmax", "softmax", "special_log_softmax", "special_softmax"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """The axis, which may be any but the batch's; over several, and with a mask, as Keras's layer computes it."""
        is_op = layer.kind.startswith("ops.")
        axis = layer.argument(1, "axis", -1) if is_op else layer["axis"]
        over = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        mask = None if is_op else layer.argument(1, "mask")
        steps, source = Steps(), Slot(0)
        if mask is not None:
            holds = steps.add(Elementwise("greater", (Slot(0), 0.5)), mask, name="mask")
            masked = steps.add(Where(Slot(1), MASKED), holds, source, name="masked")
            _shares(steps, masked, over, len(layer.inputs[0]), "softmax")
            steps.add(Where(Slot(1), 0.0), holds, Made(len(steps.ops) - 1))
        elif len(over) > 1:
            _shares(steps, source, over, len(layer.inputs[0]), "")
        else:
            return (Op(cls(over[0], layer.kind == "ops.LogSoftmax")),)
        return steps.done()

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """One axis; in another dtype after a cast."""
        for key in ("self", "half_to_float", "dtype"):
            call.get(key)
        ops = [] if call.dtypes[0] == call.dtype else [Op(Cast(call.dtype), {}, "cast")]
        return (*ops, Op(cls(axes.normal(call["dim"], len(call.inputs[0])), "log" in call.op)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Softmax, or the operation for the logarithm."""
        if self.log:
            return KerasLayer("ops.LogSoftmax", {"axis": self.axis}, inputs=tuple(inputs), args=(Slot(0),))
        return KerasLayer("Softmax", {"axis": self.axis}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Softmax or nn.LogSoftmax."""
        return TorchCall(f"torch.nn.{'LogSoftmax' if self.log else 'Softmax'}", config={"dim": self.axis})

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Last axis, an inner axis, several, the logarithm, masks of truth values and of numbers."""
        yield Example("Softmax", ((5, 3),))
        yield Example("Softmax", ((4, 5, 3),), {"axis": 1})
        yield Example("Softmax", ((4, 5, 3),), {"axis": [-1]})
        yield Example("Softmax", ((4, 5, 3),), {"axis": [1, -1]})
        yield Example("ops.Softmax", ((5, 3),), {"axis": 1}, args=(Slot(0),))
        yield Example("ops.LogSoftmax", ((5, 3),), {"axis": -1}, args=(Slot(0),))
        mask = {"mask": Slot(1)}
        yield Example("Softmax", ((5, 3),) * 2, {}, args=(Slot(0),), values="normal boolean", kwargs=mask)
        yield Example("Softmax", ((5, 3),) * 2, {"axis": [1, 2]}, args=(Slot(0),), values="normal unit", kwargs=mask)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every class and function, axes from either end."""
        yield TorchExample("torch.nn.Softmax", ((4, 5, 3),), {"dim": 1})
        yield TorchExample("torch.nn.Softmax", ((4, 5, 3),), {"dim": -1})
        yield TorchExample("torch.nn.Softmin", ((5, 3),), {"dim": 2})
        yield TorchExample("torch.nn.Softmax2d", ((4, 5, 3),))
        yield TorchExample("torch.nn.LogSoftmax", ((3,),), {"dim": 1})
        yield TorchExample("torch.softmax", ((5, 3),), args=(Slot(0), -2))


def _shares(steps: Steps, source: Taken, over: Sequence[int], rank: int, name: str) -> None:
    """Softmax over one axis or several."""
    if len(over) == 1:
        steps.add(Softmax(over[0]), source, name=name)
        return
    total = steps.add(Reduce("logsumexp", places_of(over, rank), keepdims=True), source, name="total")
    less = steps.add(Elementwise("subtract", (Slot(0), Slot(1))), source, total, name="logarithms")
    steps.add(Unary("exp"), less, name=name)


@dataclass(frozen=True, slots=True)
class GLU(Spec):
    """First half of `axis` times the sigmoid of the second half."""

    axis: int

    order = Order.AXES
    keras_kinds = ("ops.Glu",)
    aten_ops = ("glu",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axis."""
        return Op(cls(layer.argument(1, "axis", -1)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The axis."""
        call.get("self")
        return Op(cls(axes.normal(call["dim"], len(call.inputs[0]))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Glu", {"axis": self.axis}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.GLU."""
        return TorchCall("torch.nn.GLU", config={"dim": self.axis})

    def out_shape(self, *inputs: Shape) -> Shape:
        """Half as many along the axis."""
        axis = axes.normal(self.axis, len(inputs[0]))
        return tuple(n if i != axis or n is None else n // 2 for i, n in enumerate(inputs[0]))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """An even number of channels."""
        yield Example("ops.Glu", ((5, 6),), {"axis": -1}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """The last axis, the channels of a map."""
        yield TorchExample("torch.nn.GLU", ((5, 6),))
        yield TorchExample("torch.nn.GLU", ((6, 5, 3),), {"dim": 1})
