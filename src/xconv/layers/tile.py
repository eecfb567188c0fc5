"""Places repeated, reversed, shifted, summed up: keras.ops.tile, repeat, flip, roll, cumsum  <->  torch's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.expand import ExpandDims
from xconv.layers.places import places_of, renamed
from xconv.layers.reshape import Regroup, regrouping
from xconv.layers.take import Take
from xconv.layers.unary import Cast
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

__all__ = ["Along", "Flip", "Tile"]


@dataclass(frozen=True, slots=True)
class Along(Spec):
    """Along one axis: 'repeat' each place `amount` times, 'roll' all by `amount` places, 'cumsum' or 'cumprod'."""

    name: str
    axis: int
    amount: int = 0

    order = Order.AXES
    keras_kinds = "ops.Cumprod", "ops.Cumsum", "ops.Repeat", "ops.Roll"
    aten_ops = "cumprod", "cumsum", "repeat_interleave", "roll"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op | Sequence[Op]:
        """One axis, and one number for all places; without an axis, all the numbers in one row."""
        name = layer.kind.removeprefix("ops.").lower()
        if name.startswith("cum"):
            return _running(name, layer)
        key = {"repeat": "repeats", "roll": "shift"}.get(name)
        amount = 0 if key is None else layer.argument(1, key)
        axis = layer.argument(1 if key is None else 2, "axis")
        amount, axis = _only(amount), _only(axis)
        if axis is None and isinstance(amount, int):
            ops = Op(Regroup((None,)), {}, "flat"), Op(cls(name, 0, amount), {}, "rolled")
            return (*ops, Op(Regroup(layer.inputs[0]))) if name == "roll" else (ops[0], Op(ops[1].spec))
        if not isinstance(axis, int) or not isinstance(amount, int):
            raise Unsupported(f"{name} by {amount} along {axis}", remedy="give it one axis and one number")
        return Op(cls(name, axes.normal(axis, len(layer.inputs[0])), amount))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """One axis after the other; the flat tensor where no axis is given."""
        call.get("self")
        before, after = call.inputs[0], call.outputs[0]
        if call.op.startswith("cum"):
            call.get("dtype")
            cast = (Op(Cast(call.dtype), {}, "cast"),) if call.dtype != call.dtypes[0] else ()
            return (*cast, Op(cls(call.op, axes.normal(call["dim"], len(before)))))
        if call.op == "roll":
            name, amounts, given = "roll", call["shifts"], call.get("dims")
        else:
            call.get("output_size")
            name, amounts, given = "repeat", call["repeats"], call.get("dim")
        amounts, dims = _all(amounts), [] if given is None else _all(given)
        if any(not isinstance(amount, int) for amount in amounts):
            raise Unsupported(f"{call.op} by numbers that the network computes", remedy="give it one number")
        pairs = zip(amounts, [axes.normal(dim, len(before)) for dim in dims], strict=False)
        ops = [Op(cls(name, dim, amount), {}, f"axis{dim}" if len(dims) > 1 else "") for amount, dim in pairs]
        if dims or len(before) == 1:
            return ops or (Op(cls(name, 0, amounts[0])),)
        flat = Regroup((None,)), cls(name, 0, amounts[0])
        rest = () if name == "repeat" else (Op(regrouping((None,), after), {}, "shape"),)
        return Op(flat[0], {}, "flat"), Op(flat[1]), *rest

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"axis": self.axis}
        config |= {"repeat": {"repeats": self.amount}, "roll": {"shift": self.amount}}.get(self.name, {})
        return KerasLayer(f"ops.{self.name.capitalize()}", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.repeat_interleave, roll, cumsum or cumprod."""
        if self.name.startswith("cum"):
            return TorchCall(f"torch.{self.name}", (Slot(0), self.axis))
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
        yield Example("ops.Cumprod", ((4, 3),), {"axis": -1, "dtype": None}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """One axis, several, none."""
        shapes = ((4, 5, 3),)
        yield TorchExample("torch.roll", shapes, args=(Slot(0), -2, 2))
        yield TorchExample("torch.roll", shapes, args=(Slot(0), (1, -2), (1, -2)))
        yield TorchExample("torch.roll", shapes, args=(Slot(0), 7))
        yield TorchExample("torch.cumsum", shapes, args=(Slot(0), -1))
        yield TorchExample("torch.cumprod", shapes, args=(Slot(0), 2))
        yield TorchExample("torch.repeat_interleave", shapes, args=(Slot(0), 3, 1))
        yield TorchExample("torch.repeat_interleave", shapes, args=(Slot(0), 2))


@dataclass(frozen=True, slots=True)
class Flip(Spec):
    """The places along the ascending axes `over` in reverse."""

    over: tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("ops.Flip",)
    aten_ops = "flip", "fliplr", "flipud"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axes."""
        return Op(cls(places_of(layer.argument(1, "axis"), len(layer.inputs[0]))))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The axes; none of them is nothing."""
        call.get("self")
        dims = call.get("dims", [1] if call.op == "fliplr" else [0])
        return (Op(cls(places_of(dims, len(call.inputs[0])))),) if dims else ()

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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """One axis, two, the batch."""
        for over in ([1], [-1, 2], [0]):
            yield TorchExample("torch.flip", ((4, 5, 3),), args=(Slot(0), over))


@dataclass(frozen=True, slots=True)
class Tile(Spec):
    """Each axis as often after itself as `repeats` says."""

    repeats: tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("ops.Tile",)
    aten_ops = "broadcast_to", "expand", "expand_as", "repeat", "tile"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A number for each axis; those in front may be left out."""
        given, rank = layer.argument(1, "repeats"), len(layer.inputs[0])
        repeats = (given,) if isinstance(given, int) else tuple(given)
        if len(repeats) > rank or any(not isinstance(number, int) for number in repeats):
            raise Unsupported(f"tile by {given!r} of a tensor of rank {rank}", remedy="expand its axes first")
        return Op(cls((1,) * (rank - len(repeats)) + repeats))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """New axes in front; axes of size 1 that become as long as the batch; the others so many times.

        `zeros` has a 0 for every place of the axis that is open: what takes them repeats its first place so often.
        """
        for key in call.arguments:
            call.get(key)
        after, zeros = call.outputs[0], call.get("zeros")
        new = len(after) - len(call.inputs[0])
        before = (*(1,) * new, *call.inputs[0])
        given = call.get("repeats", call.get("dims"))
        given = None if given is None else [*(1,) * (len(after) - len(given)), *given]
        opened = [
            axis for axis, (old, size) in enumerate(zip(before, after, strict=True)) if size is None and old is not None
        ]
        if opened and (zeros is None or len(opened) > 1 or before[opened[0]] != 1):
            raise Unsupported(
                f"{call.op} from {before} to {after}", remedy="expand along axes of size 1 and known size"
            )
        repeats = tuple(_times(axis, before, after, given) for axis in range(len(after)))
        ops = [Op(ExpandDims(tuple(range(new))), {}, "axes", (Slot(0),))] if new else []
        for axis in opened:
            ops.append(Op(Take(axis), {}, "", (Made(0) if ops else Slot(0), zeros)))
        if any(times != 1 for times in repeats):
            ops.append(Op(cls(repeats), {}, "tile" if opened else "", (Made(len(ops) - 1) if ops else Slot(0),)))
        return ops

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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Axes of size 1 that grow, new axes, repeats of every axis."""
        yield TorchExample("Tensor.expand", ((1, 5, 1),), args=(Slot(0), -1, 4, -1, 3))
        yield TorchExample("Tensor.expand", ((4, 3),), args=(Slot(0), 2, -1, -1, -1))
        yield TorchExample("Tensor.expand_as", ((1, 3), (4, 3)))
        yield TorchExample("Tensor.repeat", ((4, 3),), args=(Slot(0), 1, 2, 3))
        yield TorchExample("Tensor.repeat", ((4, 3),), args=(Slot(0), 2, 1, 1, 2))
        yield TorchExample("torch.tile", ((4, 3),), args=(Slot(0), (2, 2)))


def _running(name: str, layer: KerasLayer) -> Sequence[Op]:
    """A running sum or product, in another dtype where one is given."""
    axis, dtype = layer.argument(1, "axis"), layer.get("dtype")
    ops = [] if dtype is None else [Op(Cast(dtype), {}, "cast")]
    if axis is None:
        return (*ops, Op(Regroup((None,)), {}, "flat"), Op(Along(name, 0)))
    return (*ops, Op(Along(name, axes.normal(axis, len(layer.inputs[0])))))


def _times(axis: int, before: Shape, after: Shape, given: Sequence[int | None] | None) -> int:
    """How often an axis comes after itself."""
    old, size = before[axis], after[axis]
    if given is not None and given[axis] is not None:
        return int(given[axis] or 0)
    return 1 if old is None or size is None else size // old


def _all(value: Any) -> list[Any]:
    """A sequence of one from a single item."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _only(value: Any) -> Any:
    """The item of a sequence of one."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
