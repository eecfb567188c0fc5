"""Order along an axis: keras.ops.sort, argsort, searchsorted  <->  torch.sort, argsort, searchsorted, bucketize."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.reshape import Regroup, regrouping
from xconv.layers.steps import Steps, Taken
from xconv.layers.unary import Unary
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["SearchSorted", "Sort", "SortedPlaces"]


@dataclass(frozen=True, slots=True)
class Sort(Spec):
    """The numbers along one axis, the smallest first."""

    axis: int

    order = Order.AXES
    keras_kinds = ("ops.Sort",)
    aten_ops = "msort", "sort"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """One axis; without one, all the numbers in one row."""
        return _along(cls, layer)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The numbers and where they stood; the largest first is the other way round of the negative ones."""
        call.get("self")
        call.get("stable")
        axis = axes.normal(call.get("dim", -1) if call.op == "sort" else 0, len(call.inputs[0]))
        steps = Steps()
        source: Taken = Slot(0)
        if call.get("descending", False):
            source = steps.add(Unary("neg"), source, name="negative")
        values = steps.add(cls(axis), source)
        if call.get("descending", False):
            values = steps.add(Unary("neg"), values, name="values")
        if len(call.outputs) == 1:
            return steps.done()
        places = steps.add(SortedPlaces(axis), source, name="places")
        *ops, last = steps.done()
        return (*ops, replace(last, returns=(values, places)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Sort", {"axis": self.axis}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.sort without the places."""
        return TorchCall("operator.getitem", (TorchCall("torch.sort", (Slot(0), self.axis)), 0))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Inner and last axis; equal numbers."""
        yield Example("ops.Sort", ((4, 5, 3),), {"axis": 2}, args=(Slot(0),))
        yield Example("ops.Sort", ((4, 3),), {"axis": -1}, args=(Slot(0),), values="integers")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Both directions; equal numbers stay in their sequence."""
        yield TorchExample("torch.sort", ((4, 5),), args=(Slot(0),))
        yield TorchExample("torch.sort", ((4, 5),), args=(Slot(0), 1), kwargs={"descending": True})
        options: dict[str, Any] = {"stable": True, "dim": 1}
        yield TorchExample("torch.sort", ((9, 2),), args=(Slot(0),), kwargs=options, values="integers")
        options = {**options, "descending": True}
        yield TorchExample("torch.sort", ((9, 2),), args=(Slot(0),), kwargs=options, values="integers")
        yield TorchExample("torch.msort", ((4, 5),), args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class SortedPlaces(Spec):
    """Where the numbers along one axis stood before they were sorted, as 32-bit integers; equal ones in sequence."""

    axis: int

    order = Order.AXES
    keras_kinds = ("ops.Argsort",)
    aten_ops = ("argsort",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """One axis; without one, all the numbers in one row."""
        return _along(cls, layer)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Either direction."""
        call.get("self")
        call.get("stable")
        op = Op(cls(axes.normal(call["dim"], len(call.inputs[0]))))
        return (Op(Unary("neg"), {}, "negative"), op) if call["descending"] else (op,)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Argsort", {"axis": self.axis}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.argsort, as 32-bit integers."""
        call = TorchCall("torch.argsort", (Slot(0),), {"dim": self.axis, "stable": True})
        return TorchCall("Tensor.int", (call,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Inner and last axis; equal numbers."""
        yield Example("ops.Argsort", ((4, 5, 3),), {"axis": 1}, args=(Slot(0),))
        yield Example("ops.Argsort", ((9, 3),), {"axis": -2}, args=(Slot(0),), values="integers")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Both directions."""
        yield TorchExample("torch.argsort", ((4, 5),), args=(Slot(0), 1, True))


@dataclass(frozen=True, slots=True)
class SearchSorted(Spec):
    """How many of the sorted numbers are smaller than each of the second input; with `right`, smaller or equal."""

    right: bool

    order = Order.WRITTEN
    keras_kinds = ("ops.SearchSorted",)
    aten_ops = "bucketize", "searchsorted"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The side."""
        if not all(isinstance(layer.argument(i, name), Slot) for i, name in enumerate(("sorted_sequence", "values"))):
            raise Unsupported("searchsorted with a constant", remedy="hold the array in a layer's weight")
        return Op(cls(layer.get("side", "left") == "right"))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """A sorted row, and numbers; torch counts with 64 bits unless told otherwise."""
        bucketize = call.op == "bucketize"
        row, numbers = (
            (call["boundaries"], call.get("self")) if bucketize else (call["sorted_sequence"], call.get("self"))
        )
        right = call.get("side") == "right" or bool(call["right"])
        call.get("out_int32")
        if call.get("sorter") is not None or not isinstance(row, Slot) or not isinstance(numbers, Slot):
            raise Unsupported(f"{call.op} with a sorter, or of a number", remedy="sort the row, and give tensors")
        if len(call.inputs[row.index]) != 1:
            raise Unsupported(f"{call.op} in several rows", remedy="use one row for all")
        shape, steps = call.inputs[numbers.index], Steps()
        if len(shape) == 1:
            return (Op(cls(right), {}, "", (row, numbers)),)
        flat = steps.add(Regroup((None,)), numbers, name="flat")
        steps.add(regrouping((None,), shape), steps.add(cls(right), row, flat, name="places"))
        return steps.done()

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"side": "right" if self.right else "left"}
        return KerasLayer("ops.SearchSorted", config, inputs=tuple(inputs), args=(Slot(0), Slot(1)))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.searchsorted, as 32-bit integers."""
        return TorchCall("torch.searchsorted", (Slot(0), Slot(1)), {"right": self.right, "out_int32": True})

    def out_shape(self, *inputs: Shape) -> Shape:
        """A number for each."""
        return inputs[1]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both sides; the row is not sorted, but both search it in halves."""
        for side in ("left", "right"):
            yield Example("ops.SearchSorted", ((), ()), {"side": side}, args=(Slot(0), Slot(1)))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Both functions."""
        yield TorchExample("torch.searchsorted", ((), (5,)), args=(Slot(0), Slot(1)), kwargs={"right": True})
        yield TorchExample("torch.bucketize", ((4, 3), ()), args=(Slot(0), Slot(1)))


def _along(cls: type[Sort] | type[SortedPlaces], layer: KerasLayer) -> tuple[Op, ...]:
    axis = layer.argument(1, "axis", -1)
    if axis is None:
        return Op(Regroup((None,)), {}, "flat"), Op(cls(0))
    return (Op(cls(axes.normal(axis, len(layer.inputs[0])))),)
