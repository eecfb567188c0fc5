"""Places repeated, reversed, shifted, summed up: keras.ops.tile, repeat, flip, roll, cumsum  <->  torch.tile ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.places import places_of, renamed
from xconv.spec import Example, KerasLayer, Moved, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Along", "Flip", "Tile"]


@dataclass(frozen=True, slots=True)
class Along(Spec):
    """Along one axis: 'repeat' each place `amount` times, 'roll' all by `amount` places, or 'cumsum'."""

    name: str
    axis: int
    amount: int = 0

    order = Order.AXES
    keras_kinds = "ops.Cumsum", "ops.Repeat", "ops.Roll"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """One axis, and one number for all places."""
        name = layer.kind.removeprefix("ops.").lower()
        key = {"repeat": "repeats", "roll": "shift"}.get(name)
        amount = 0 if key is None else layer.argument(1, key)
        axis = layer.argument(1 if key is None else 2, "axis")
        amount, axis = _only(amount), _only(axis)
        if not isinstance(axis, int) or not isinstance(amount, int) or layer.get("dtype") is not None:
            raise Unsupported(f"{name} by {amount} along {axis}", remedy="give it one axis and one number")
        return Op(cls(name, axes.normal(axis, len(layer.inputs[0])), amount))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"axis": self.axis}
        config |= {"repeat": {"repeats": self.amount}, "roll": {"shift": self.amount}}.get(self.name, {})
        return KerasLayer(f"ops.{self.name.capitalize()}", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.repeat_interleave, roll or cumsum."""
        if self.name == "cumsum":
            return TorchCall("torch.cumsum", (Slot(0), self.axis))
        function = "torch.roll" if self.name == "roll" else "torch.repeat_interleave"
        return TorchCall(function, (Slot(0), self.amount, self.axis))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The axis is longer where places are repeated."""
        factor = self.amount if self.name == "repeat" else 1
        return tuple(n if n is None or i != self.axis else n * factor for i, n in enumerate(inputs[0]))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Inner and last axes."""
        yield Example("ops.Repeat", ((4, 5, 3),), {"repeats": 2, "axis": 1}, args=(Slot(0),))
        yield Example("ops.Roll", ((4, 5, 3),), {"shift": 2, "axis": 2}, args=(Slot(0),))
        yield Example("ops.Roll", ((4, 3),), {"shift": -1, "axis": -1}, args=(Slot(0),))
        yield Example("ops.Cumsum", ((4, 3),), {"axis": 1, "dtype": None}, args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class Flip(Spec):
    """The places along the ascending axes `over` in reverse."""

    over: tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("ops.Flip",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axes."""
        return Op(cls(places_of(layer.argument(1, "axis"), len(layer.inputs[0]))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Flip", {"axis": self.over}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.flip."""
        return TorchCall("torch.flip", (Slot(0), self.over))

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axes by their new places."""
        return Moved(replace(self, over=renamed(self.over, order)[0]), weights, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """One axis and two."""
        yield Example("ops.Flip", ((4, 5, 3),), {"axis": 1}, args=(Slot(0),))
        yield Example("ops.Flip", ((4, 5, 3),), {"axis": (1, 3)}, args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class Tile(Spec):
    """Each axis as often after itself as `repeats` says."""

    repeats: tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("ops.Tile",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A number for each axis; those in front may be left out."""
        given, rank = layer.argument(1, "repeats"), len(layer.inputs[0])
        repeats = (given,) if isinstance(given, int) else tuple(given)
        if len(repeats) > rank or any(not isinstance(number, int) for number in repeats):
            raise Unsupported(f"tile by {given!r} of a tensor of rank {rank}", remedy="expand its axes first")
        return Op(cls((1,) * (rank - len(repeats)) + repeats))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Tile", {"repeats": self.repeats}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.tile."""
        return TorchCall("torch.tile", (Slot(0), self.repeats))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The sizes times the repeats."""
        return tuple(None if n is None else n * times for n, times in zip(inputs[0], self.repeats, strict=True))

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The repeats in the order of the axes."""
        return Moved(replace(self, repeats=axes.apply(self.repeats, order)), weights, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """All axes, the last ones."""
        yield Example("ops.Tile", ((4, 5, 3),), {"repeats": (1, 2, 1, 3)}, args=(Slot(0),))
        yield Example("ops.Tile", ((4, 3),), {"repeats": (2, 1)}, args=(Slot(0),))


def _only(value: Any) -> Any:
    """The item of a sequence of one."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
