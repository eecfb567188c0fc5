"""Axes of size 1 that come and go: keras.ops.expand_dims, squeeze  <->  torch.unsqueeze, squeeze."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.places import grown, places_of, renamed, without
from xconv.layers.reshape import Permute
from xconv.spec import AtenCall, Example, KerasLayer, Moved, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["ExpandDims", "MoveAxis", "Squeeze"]


@dataclass(frozen=True, slots=True)
class ExpandDims(Spec):
    """New axes of size 1 at these ascending places of the result."""

    places: tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("ops.ExpandDims",)
    aten_ops = ("unsqueeze",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """One axis or several, counted in the result."""
        axis = layer.argument(1, "axis")
        count = len(axis) if isinstance(axis, (list, tuple)) else 1
        return Op(cls(places_of(axis, len(layer.inputs[0]) + count)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """One axis, counted in the result."""
        call.get("self")
        return Op(cls((axes.normal(call["dim"], len(call.outputs[0])),)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        axis = self.places[0] if len(self.places) == 1 else self.places
        return KerasLayer("ops.ExpandDims", {"axis": axis}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.unsqueeze, nested for several axes."""
        call = TorchCall("torch.unsqueeze", (Slot(0), self.places[0]))
        for place in self.places[1:]:
            call = TorchCall("torch.unsqueeze", (call, place))
        return call

    def out_shape(self, *inputs: Shape) -> Shape:
        """The sizes with ones between."""
        rest = iter(inputs[0])
        rank = len(inputs[0]) + len(self.places)
        return tuple(1 if place in self.places else next(rest) for place in range(rank))

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The new axes keep their places."""
        return Moved(self, weights, grown(order, self.places))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Last, inner, two at once."""
        yield Example("ops.ExpandDims", ((4, 5, 3),), {"axis": -1}, args=(Slot(0),))
        yield Example("ops.ExpandDims", ((5, 3),), {"axis": 1}, args=(Slot(0),))
        yield Example("ops.ExpandDims", ((5, 3),), {"axis": (1, 3)}, args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class Squeeze(Spec):
    """The ascending axes `over`, each of size 1, gone."""

    over: tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("ops.Squeeze",)
    aten_ops = ("squeeze",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axes named, or every axis of size 1."""
        axis, shape = layer.argument(1, "axis"), layer.inputs[0]
        ones = [place for place, size in enumerate(shape) if size == 1]
        over = places_of(ones if axis is None else axis, len(shape))
        if not set(over) <= set(ones):
            raise Mismatch(f"axes {over} of {shape} are not all of size 1")
        return Op(cls(over))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | tuple[Op, ...]:
        """The axes named that have size 1, or every axis of size 1; torch leaves the others alone."""
        call.get("self")
        dim, shape = call.get("dim"), call.inputs[0]
        named = places_of(dim, len(shape))
        over = tuple(axis for axis in named if shape[axis] == 1)
        return Op(cls(over)) if over else ()

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        axis = self.over[0] if len(self.over) == 1 else self.over
        return KerasLayer("ops.Squeeze", {"axis": axis}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.squeeze."""
        return TorchCall("torch.squeeze", (Slot(0), self.over))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The other sizes."""
        return tuple(size for axis, size in enumerate(inputs[0]) if axis not in self.over)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axes by their new places."""
        return Moved(replace(self, over=renamed(self.over, order)[0]), weights, without(order, self.over))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """One axis, two, all."""
        yield Example("ops.Squeeze", ((4, 1, 3),), {"axis": 2}, args=(Slot(0),))
        yield Example("ops.Squeeze", ((1, 4, 1),), {"axis": (1, -1)}, args=(Slot(0),))
        yield Example("ops.Squeeze", ((1, 1, 3),), {"axis": None}, args=(Slot(0),))


class MoveAxis(Permute):
    """keras.ops.swapaxes and moveaxis, which are a `Permute`."""

    __slots__ = ()
    keras_kinds = "ops.Swapaxes", "ops.Moveaxis"
    aten_ops = ()

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Two axes that change places, or axes and where they go."""
        rank = len(layer.inputs[0])
        if layer.kind == "ops.Swapaxes":
            first, second = (axes.normal(layer.argument(i, f"axis{i}"), rank) for i in (1, 2))
            swap = {first: second, second: first}
            return Op(Permute(tuple(swap.get(axis, axis) for axis in range(rank))))
        source, target = layer.argument(1, "source"), layer.argument(2, "destination")
        sources = source if isinstance(source, (list, tuple)) else [source]
        targets = target if isinstance(target, (list, tuple)) else [target]
        return Op(Permute(axes.moved_axes(rank, sources, targets)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Each of them."""
        yield Example("ops.Swapaxes", ((4, 5, 3),), {"axis1": 1, "axis2": -1}, args=(Slot(0),))
        yield Example("ops.Moveaxis", ((4, 5, 3),), {"source": -1, "destination": 1}, args=(Slot(0),))
        yield Example("ops.Moveaxis", ((4, 5, 3),), {"source": (1, 3), "destination": (2, 1)}, args=(Slot(0),))
