"""The length of a vector  <->  torch.linalg.vector_norm, spelled out with what Keras has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from xconv.layers.elementwise import Elementwise
from xconv.layers.places import places_of
from xconv.layers.reduce import Reduce
from xconv.layers.steps import Steps, Taken
from xconv.layers.unary import Cast, Unary
from xconv.spec import AtenCall, Op, Slot, Spec, TorchExample

__all__ = ["VectorNorm", "length"]


@dataclass(frozen=True, slots=True)
class VectorNorm(Spec):
    """(sum of |x|^p)^(1/p): never in a graph by itself, only what it is made of."""

    aten_ops = ("linalg_vector_norm",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The power, the axes (None: all) and keepdim."""
        for key in ("self", "dtype"):
            call.get(key)
        over = places_of(call["dim"], len(call.inputs[0]))
        steps = Steps()
        source: Taken = Slot(0)
        if call.dtype != call.dtypes[0]:
            source = steps.add(Cast(call.dtype), source, name="cast")
        length(steps, source, float(call["ord"]), over, keepdims=bool(call["keepdim"]), dtype=call.dtype)
        return steps.done()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Powers, axes, everything."""
        target = "torch.linalg.vector_norm"
        for power in (0.0, 1.0, 2.0, 3.0, 0.5, inf, -inf):
            values = "positive" if power == 0.5 else "normal"
            options = {"ord": power, "dim": (1, 3), "keepdim": True}
            yield TorchExample(target, ((4, 5, 3),), args=(Slot(0),), kwargs=options, values=values)
        yield TorchExample(target, ((4, 5, 3),), args=(Slot(0), 2, 1))
        yield TorchExample(target, ((4, 5),), args=(Slot(0),))


def length(
    steps: Steps, source: Taken, power: float, over: tuple[int, ...], *, keepdims: bool, dtype: str = "float32"
) -> Taken:
    """Ops for the length of `source` over these axes."""
    if power == 2:
        squares = steps.add(Unary("square"), source, name="squares")
        return steps.add(Unary("sqrt"), steps.add(Reduce("sum", over, keepdims), squares, name="sum"), name="root")
    if power == 0:
        other = steps.add(Elementwise("not_equal", (Slot(0), 0.0)), source, name="nonzero")
        counted = steps.add(Cast(dtype), other, name="counted")
        return steps.add(Reduce("sum", over, keepdims), counted, name="count")
    sizes = steps.add(Unary("abs"), source, name="sizes")
    if abs(power) == inf:
        return steps.add(Reduce("amax" if power > 0 else "amin", over, keepdims), sizes, name="extreme")
    if power == 1:
        return steps.add(Reduce("sum", over, keepdims), sizes, name="sum")
    powers = steps.add(Elementwise("power", (Slot(0), power)), sizes, name="powers")
    total = steps.add(Reduce("sum", over, keepdims), powers, name="sum")
    return steps.add(Elementwise("power", (Slot(0), 1 / power)), total, name="root")
