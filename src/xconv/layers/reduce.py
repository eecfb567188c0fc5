"""Reductions of keras.ops over any axes  <->  torch.mean, sum, amax, var ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.places import places_of, renamed, without
from xconv.spec import Example, KerasLayer, Moved, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Argument", "Reduce"]

FUNCTIONS = {
    "All": "all",
    "Amax": "amax",
    "Amin": "amin",
    "Any": "any",
    "Logsumexp": "logsumexp",
    "Max": "amax",
    "Mean": "mean",
    "Min": "amin",
    "Prod": "prod",
    "Std": "std",
    "Sum": "sum",
    "Var": "var",
}
"""The class of keras.ops -> the torch function."""


@dataclass(frozen=True, slots=True)
class Reduce(Spec):
    """One number for all places along the ascending axes `over`; variance and deviation are the population's.

    >>> Reduce("mean", (1, 2), False).out_shape((None, 4, 5, 3))
    (None, 3)
    """

    name: str
    over: tuple[int, ...]
    keepdims: bool

    order = Order.AXES
    keras_kinds = tuple(f"ops.{kind}" for kind in FUNCTIONS)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axes (None: all of them, the batch too) and keepdims."""
        for key in ("dtype", "initial"):
            if layer.get(key) is not None:
                raise Unsupported(f"{key}={layer.get(key)!r} of a reduction", remedy="leave it out")
        over = places_of(layer.argument(1, "axis"), len(layer.inputs[0]))
        name = FUNCTIONS[layer.kind.removeprefix("ops.")]
        return Op(cls(name, over, bool(layer.argument(2, "keepdims", False))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        names = {name: kind for kind, name in reversed(FUNCTIONS.items())}
        config = {"axis": list(self.over), "keepdims": self.keepdims}
        return KerasLayer(f"ops.{names[self.name]}", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """The function with dim and keepdim; prod takes one axis at a time."""
        if self.name == "prod":
            call: Slot | TorchCall = Slot(0)
            for axis in reversed(self.over):
                call = TorchCall("torch.prod", (call,), {"dim": axis, "keepdim": self.keepdims})
            return call if isinstance(call, TorchCall) else TorchCall("torch.clone")
        options: dict[str, Any] = {"dim": self.over, "keepdim": self.keepdims}
        if self.name in ("var", "std"):
            options["correction"] = 0
        return TorchCall(f"torch.{self.name}", (Slot(0),), options)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The axes gone, or of size 1."""
        kept = ((1 if axis in self.over else size, axis) for axis, size in enumerate(inputs[0]))
        return tuple(size for size, axis in kept if self.keepdims or axis not in self.over)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axes by their new places."""
        after = order if self.keepdims else without(order, self.over)
        return Moved(replace(self, over=renamed(self.over, order)[0]), weights, after)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every function over one axis, two axes with keepdims, all axes."""
        for kind in FUNCTIONS:
            values = "boolean" if kind in ("All", "Any") else "normal"
            yield Example(f"ops.{kind}", ((4, 5, 3),), {"axis": -1, "keepdims": False}, args=(Slot(0),), values=values)
            yield Example(
                f"ops.{kind}", ((4, 5, 3),), {"axis": [1, 3], "keepdims": True}, args=(Slot(0),), values=values
            )
        yield Example("ops.Mean", ((4, 5, 3),), {"axis": [1, 2], "keepdims": False}, args=(Slot(0),))
        yield Example("ops.Sum", ((4, 3),), {"axis": None, "keepdims": False}, args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class Argument(Spec):
    """The place of the largest (or smallest) number along one axis, as a 32-bit integer."""

    name: str
    axis: int
    keepdims: bool

    order = Order.AXES
    keras_kinds = "ops.Argmax", "ops.Argmin"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """One axis."""
        axis = layer.argument(1, "axis")
        if not isinstance(axis, int):
            raise Unsupported(f"{layer.kind} over all axes counts in memory order", remedy="give it one axis")
        place = axes.normal(axis, len(layer.inputs[0]))
        return Op(cls(layer.kind.removeprefix("ops.").lower(), place, bool(layer.argument(2, "keepdims", False))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"axis": self.axis, "keepdims": self.keepdims}
        return KerasLayer(f"ops.{self.name.capitalize()}", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.argmax or argmin, as a 32-bit integer."""
        call = TorchCall(f"torch.{self.name}", (Slot(0),), {"dim": self.axis, "keepdim": self.keepdims})
        return TorchCall("Tensor.int", (call,))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The axis gone, or of size 1."""
        return Reduce(self.name, (self.axis,), self.keepdims).out_shape(*inputs)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axis by its new place."""
        after = order if self.keepdims else without(order, (self.axis,))
        return Moved(replace(self, axis=order.index(self.axis)), weights, after)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both, with and without keepdims."""
        yield Example("ops.Argmax", ((4, 5, 3),), {"axis": -1, "keepdims": False}, args=(Slot(0),))
        yield Example("ops.Argmin", ((4, 5, 3),), {"axis": 1, "keepdims": True}, args=(Slot(0),))
