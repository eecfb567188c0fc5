"""Masking, and a mean over what a mask lets count: never one layer in a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv.errors import Unsupported
from xconv.layers.elementwise import Elementwise
from xconv.layers.expand import ExpandDims
from xconv.layers.reduce import Reduce
from xconv.layers.steps import Steps
from xconv.layers.unary import Unary
from xconv.layers.where import Where
from xconv.spec import Example, KerasLayer, Op, Slot, Spec

__all__ = ["Masking", "masked_mean"]


@dataclass(frozen=True, slots=True)
class Masking(Spec):
    """Zeros in the steps of which all features are one number; the others as they are."""

    keras_kinds = ("Masking",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """The number, and what it is compared with."""
        value = layer["mask_value"]
        if not isinstance(value, (int, float)):
            raise Unsupported(f"mask_value={value!r}, which is no number", remedy="give a number")
        last = len(layer.inputs[0]) - 1
        steps = Steps()
        differs = steps.add(Elementwise("not_equal", (Slot(0), float(value))), Slot(0), name="differs")
        valid = steps.add(Reduce("any", (last,), keepdims=True), differs, name="valid")
        steps.add(Where(Slot(1), 0), valid, Slot(0))
        return steps.done()

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Zeros, and another number."""
        yield Example("Masking", ((6, 1),), values="integers")
        yield Example("Masking", ((6, 5),), {"mask_value": 0.5})
        yield Example("Masking", ((6, 1),), {"mask_value": 2.0}, values="integers")


def masked_mean(mask: Slot, steps_axis: int, *, keepdims: bool) -> Sequence[Op]:
    """The mean of the valid steps of each sequence: not a number where there is none."""
    steps = Steps()
    valid = steps.add(ExpandDims((3 - steps_axis,)), mask, name="valid")
    real = steps.add(Where(Slot(1), 0.0), valid, Slot(0), name="real")
    ones = steps.add(Unary("ones_like"), Slot(0), name="ones")
    counted = steps.add(Where(Slot(1), 0.0), valid, ones, name="counted")
    total = steps.add(Reduce("sum", (steps_axis,), keepdims), real, name="total")
    count = steps.add(Reduce("sum", (steps_axis,), keepdims), counted, name="count")
    steps.add(Elementwise("divide", (Slot(0), Slot(1))), total, count)
    return steps.done()
