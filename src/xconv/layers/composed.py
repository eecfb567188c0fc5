"""ATen operators that are another layer or several, and never one in a graph: lerp, addcmul, cdist, convolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv.errors import Unsupported
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.elementwise import Elementwise
from xconv.layers.expand import ExpandDims
from xconv.layers.norm import length
from xconv.layers.steps import Steps
from xconv.spec import AtenCall, Op, Slot, Spec, TorchExample

__all__ = ["Convolution", "Distances", "Lerp", "Product"]


@dataclass(frozen=True, slots=True)
class Lerp(Spec):
    """start + weight * (end - start)."""

    aten_ops = ("lerp",)
    as_tensors = "self", "end"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The weight is a number or a tensor."""
        start, end, weight = call["self"], call["end"], call["weight"]
        two = (Slot(0), Slot(1))
        steps = Steps()
        way = steps.add(Elementwise("subtract", two), end, start, name="way")
        if isinstance(weight, Slot):
            part = steps.add(Elementwise("multiply", two), way, weight, name="part")
        else:
            part = steps.add(Elementwise("multiply", (Slot(0), float(weight))), way, name="part")
        steps.add(Elementwise("add", two), start, part)
        return steps.done()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """A number and a tensor."""
        yield TorchExample("torch.lerp", ((4, 5, 3),) * 2, args=(Slot(0), Slot(1), 0.25))
        yield TorchExample("torch.lerp", ((4, 5, 3),) * 3, args=(Slot(0), Slot(1), Slot(2)))


@dataclass(frozen=True, slots=True)
class Product(Spec):
    """x + value * first * second, or * first / second."""

    aten_ops = "addcdiv", "addcmul"
    as_tensors = "self", "tensor1", "tensor2"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The number is multiplied with the first factor, as torch does."""
        x, first, second, value = call["self"], call["tensor1"], call["tensor2"], call["value"]
        two = (Slot(0), Slot(1))
        steps = Steps()
        if value != 1:
            first = steps.add(Elementwise("multiply", (Slot(0), float(value))), first, name="scaled")
        name = "multiply" if call.op == "addcmul" else "divide"
        steps.add(Elementwise("add", two), x, steps.add(Elementwise(name, two), first, second, name="product"))
        return steps.done()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """With a number and without; a product and a quotient."""
        yield TorchExample("torch.addcmul", ((4, 5, 3),) * 3)
        yield TorchExample("torch.addcmul", ((4, 5, 3),) * 3, kwargs={"value": -0.5})
        yield TorchExample("torch.addcdiv", ((4, 3),) * 3, kwargs={"value": 2.0}, values="positive")


@dataclass(frozen=True, slots=True)
class Convolution(Spec):
    """What every convolution is in a program that torch has decomposed; never a layer by itself."""

    aten_ops = ("convolution",)
    holds = "weight", "bias"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """The convolution or the transposed one, by the number of its axes."""
        transposed = call["transposed"]
        extra = call["output_padding"]
        given = {key: item for key, item in call.arguments.items() if key != "transposed"}
        if not transposed and any(extra):
            raise Unsupported("a convolution with output_padding", remedy="pad its output")
        if not transposed:
            given.pop("output_padding")
        name = f"conv{'_transpose' if transposed else ''}{len(call.inputs[0]) - 2}d"
        inner = AtenCall(name, given, call.inputs, call.outputs, call.dtypes, call.dtype)
        ops = (ConvTranspose if transposed else Conv).from_torch(inner)
        call.unread.clear()
        call.unread.update(inner.unread)
        return ops


@dataclass(frozen=True, slots=True)
class Distances(Spec):
    """The length of the difference of every row of one tensor and every row of another."""

    aten_ops = "_cdist_forward", "cdist"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Powers as for vector_norm; how torch computes it is no part of the meaning."""
        call.get("compute_mode")
        rank = max(map(len, call.inputs))
        steps = Steps()
        first, second = call["x1"], call["x2"]
        rows = steps.add(ExpandDims((len(call.inputs[first.index]) - 1,)), first, name="rows")
        others = steps.add(ExpandDims((len(call.inputs[second.index]) - 2,)), second, name="others")
        way = steps.add(Elementwise("subtract", (Slot(0), Slot(1))), rows, others, name="way")
        length(steps, way, float(call["p"]), (rank,), keepdims=False, dtype=call.dtype)
        return steps.done()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Euclid's distance, and by single steps."""
        yield TorchExample("torch.cdist", ((4, 5), (3, 5)))
        yield TorchExample("torch.cdist", ((4, 5), (3, 5)), args=(Slot(0), Slot(1), 1.0))
