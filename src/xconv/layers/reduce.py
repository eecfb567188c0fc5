"""Reductions of keras.ops over any axes  <->  torch.mean, sum, amax, var ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.elementwise import Elementwise
from xconv.layers.places import places_of, renamed, without
from xconv.layers.pool import GlobalPool
from xconv.layers.reshape import Regroup
from xconv.layers.steps import Steps, Taken
from xconv.layers.unary import Cast, Unary
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Moved,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

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
    aten_ops = (*sorted(set(FUNCTIONS.values())), "aminmax", "max", "min", "std_mean", "var_mean")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axes (None: all of them, the batch too) and keepdims."""
        for key in ("dtype", "initial"):
            if layer.get(key) is not None:
                raise Unsupported(f"{key}={layer.get(key)!r} of a reduction", remedy="leave it out")
        over = places_of(layer.argument(1, "axis"), len(layer.inputs[0]))
        name = FUNCTIONS[layer.kind.removeprefix("ops.")]
        return Op(cls(name, over, bool(layer.argument(2, "keepdims", False))))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """One number or several; a maximum along an axis comes with its place, of two tensors it is elementwise."""
        call.get("self")
        if "other" in call.arguments:
            return Elementwise.from_torch(replace(call, op=f"{call.op}imum"))
        rank = len(call.inputs[0])
        dim = call.get("dim")
        over = places_of(None if dim == [] else dim, rank)
        keepdims = bool(call.get("keepdim", False))
        steps = Steps()
        source = _source(steps, call)
        if call.op in ("var", "std", "var_mean", "std_mean"):
            return _spread(steps, call, cls(call.op.removesuffix("_mean"), over, keepdims))
        if call.op == "aminmax":
            made = [steps.add(cls(name, over, keepdims), source, name=name) for name in ("amin", "amax")]
            return _returning(steps, *made)
        if call.op in ("max", "min"):
            largest = steps.add(cls(f"a{call.op}", over, keepdims), source)
            if len(call.outputs) == 1:
                return steps.done()
            place = steps.add(Argument(f"arg{call.op}", over[0], keepdims), source, name="place")
            return _returning(steps, largest, place)
        if call.op == "mean" and rank in (4, 5) and over == tuple(range(2, rank)):
            steps.add(GlobalPool("average", keepdims, 1), source)
        else:
            steps.add(cls(call.op, over, keepdims), source)
        return steps.done()

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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every function over one axis, over several with keepdim; corrections; what comes in pairs; global pools."""
        for name in ("amax", "amin", "logsumexp", "mean", "std", "sum", "var"):
            yield TorchExample(f"torch.{name}", ((4, 5, 3),), args=(Slot(0), 1))
            yield TorchExample(f"torch.{name}", ((4, 5, 3),), args=(Slot(0), (-1, 1)), kwargs={"keepdim": True})
        yield TorchExample("torch.mean", ((4, 5, 3),), args=(Slot(0), (2, 3)))
        yield TorchExample("torch.mean", ((4, 5, 3, 2),), args=(Slot(0), (-1, -2, -3)), kwargs={"keepdim": True})
        yield TorchExample("torch.mean", ((4, 5),), args=(Slot(0), 2))
        yield TorchExample("torch.prod", ((4, 5, 3),), args=(Slot(0), 2))
        for name in ("all", "any"):
            yield TorchExample(f"torch.{name}", ((4, 5),), args=(Slot(0), 1), values="boolean")
            yield TorchExample(f"torch.{name}", ((4, 5),), args=(Slot(0),), values="boolean")
        yield TorchExample("torch.sum", ((4, 5),), args=(Slot(0), 1), values="boolean")
        for name in ("amax", "max", "mean", "min", "prod", "sum", "var"):
            yield TorchExample(f"torch.{name}", ((4, 5),), args=(Slot(0),))
        for correction in (0, 1, 2):
            options = {"dim": (2, 3), "correction": correction, "keepdim": True}
            yield TorchExample("torch.var", ((4, 5, 3),), args=(Slot(0),), kwargs=options)
        yield TorchExample("torch.std", ((None, 5),), args=(Slot(0), 1))
        for name in ("max", "min", "var_mean", "std_mean"):
            yield TorchExample(f"torch.{name}", ((4, 5, 3),), args=(Slot(0), 1))
        yield TorchExample("torch.max", ((4, 5, 3), (4, 5, 3)), args=(Slot(0), Slot(1)))


@dataclass(frozen=True, slots=True)
class Argument(Spec):
    """The place of the largest (or smallest) number along one axis, as a 32-bit integer."""

    name: str
    axis: int
    keepdims: bool

    order = Order.AXES
    keras_kinds = "ops.Argmax", "ops.Argmin"
    aten_ops = "argmax", "argmin"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """One axis."""
        axis = layer.argument(1, "axis")
        if not isinstance(axis, int):
            raise Unsupported(f"{layer.kind} over all axes counts in memory order", remedy="give it one axis")
        place = axes.normal(axis, len(layer.inputs[0]))
        return Op(cls(layer.kind.removeprefix("ops.").lower(), place, bool(layer.argument(2, "keepdims", False))))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """One axis; without one, the place in memory order. torch counts with 64 bits."""
        call.get("self")
        dim, keepdims = call["dim"], bool(call["keepdim"])
        if dim is not None:
            return (Op(cls(call.op, axes.normal(dim, len(call.inputs[0])), keepdims)),)
        if keepdims:
            raise Unsupported(f"{call.op} over all axes with keepdim", remedy="name one axis")
        return Op(Regroup((None,)), {}, "flat"), Op(cls(call.op, 0, keepdims=False))

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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Both, with and without keepdim, over everything."""
        yield TorchExample("torch.argmax", ((4, 5, 3),), args=(Slot(0), -1))
        yield TorchExample("torch.argmin", ((4, 5, 3),), args=(Slot(0), 1), kwargs={"keepdim": True})
        yield TorchExample("torch.argmax", ((4, 5),), args=(Slot(0),))


def _source(steps: Steps, call: AtenCall) -> Taken:
    """What is reduced: the input, in another dtype where torch counts in it."""
    dtype = call.get("dtype")
    counts = call.op in ("sum", "prod") and call.dtypes[0] == "bool"
    if (dtype is not None and call.dtype != call.dtypes[0]) or counts:
        return steps.add(Cast(call.dtype), Slot(0), name="cast")
    return Slot(0)


def _returning(steps: Steps, *made: Made) -> tuple[Op, ...]:
    """The Ops, with these as the results."""
    *ops, last = steps.done()
    return (*ops, replace(last, returns=made))


def _spread(steps: Steps, call: AtenCall, population: Reduce) -> tuple[Op, ...]:
    """Variance or deviation times n / (n - correction), with the mean where it is asked for.

    Where n is open, it is counted.
    """
    correction = call.get("correction", int(bool(call.get("unbiased", True))))
    correction = 1 if correction is None else correction
    result = steps.add(population if not correction else replace(population, name="var"), Slot(0))
    sizes = [call.inputs[0][axis] for axis in population.over]
    if correction and None not in sizes:
        count = prod(size for size in sizes if size is not None)
        factor = count / (count - correction) if count > correction else float("inf")
        result = steps.add(Elementwise("multiply", (Slot(0), factor)), result, name="corrected")
    elif correction:
        ones = steps.add(Unary("ones_like"), Slot(0), name="ones")
        count_of = steps.add(replace(population, name="sum"), ones, name="count")
        fewer = steps.add(Elementwise("subtract", (Slot(0), float(correction))), count_of, name="fewer")
        share = steps.add(Elementwise("divide", (Slot(0), Slot(1))), count_of, fewer, name="share")
        result = steps.add(Elementwise("multiply", (Slot(0), Slot(1))), result, share, name="corrected")
    if correction and population.name == "std":
        result = steps.add(Unary("sqrt"), result, name="root")
    if len(call.outputs) == 1:
        return steps.done()
    mean = steps.add(replace(population, name="mean"), Slot(0), name="mean")
    return _returning(steps, result, mean)
