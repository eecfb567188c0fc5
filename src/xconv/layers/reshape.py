"""Reshape, Flatten, Permute and shape operations  <->  aten.view, permute ..., torch.reshape, torch.permute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

__all__ = ["Flatten", "Permute", "Regroup", "Reshape", "Unsqueeze", "regrouping"]


@dataclass(frozen=True, slots=True)
class Reshape(Spec):
    """Other axes over the same elements in memory order; `target` is without the batch, None for at most one size.

    >>> Reshape((4, None)).out_shape((None, 2, 6))
    (None, 4, 3)
    """

    target: Shape

    order = Order.WRITTEN
    keras_kinds = ("Reshape", "ops.Reshape")
    aten_ops = "flatten", "reshape", "reshape_as", "unflatten", "view", "view_as", "_unsafe_view"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The target shape; one size may be -1."""
        if layer.kind == "Reshape":
            target = tuple(layer["target_shape"])
        else:
            target = tuple(None if size == -1 else size for size in layer.argument(1, "newshape"))
            if not _keeps_batch(layer.inputs[0], target):
                return Op(Regroup(target))
            target = target[1:]
        return Op(cls(_resolve(target, layer.inputs[0])))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The sizes that torch gives to the result, whatever the operator is called."""
        for key in call.arguments:
            call.get(key)
        before, after = call.inputs[0], _as_asked(call)
        whole = call.op == "flatten" and len(after) == 2 < len(before) and _keeps_batch(before, after)
        return Op(Flatten() if whole else regrouping(before, after))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Reshape."""
        target = tuple(-1 if size is None else size for size in self.target)
        return KerasLayer("Reshape", {"target_shape": target}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """Tensor.reshape with the batch left open; flatten where a size is open too."""
        if None not in self.target:
            return TorchCall("torch.reshape", (Slot(0), (-1, *self.target)))
        if self.target == (None,):
            return TorchCall("torch.flatten", (Slot(0),), {"start_dim": 1})
        batch = TorchCall("Tensor.size", (Slot(0), 0))
        return TorchCall("torch.reshape", (Slot(0), (batch, *(-1 if n is None else n for n in self.target))))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The batch and the target."""
        return (inputs[0][0], *_resolve(self.target, inputs[0]))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """A split, a join, an open size."""
        yield Example("Reshape", ((4, 6),), {"target_shape": (2, 3, 4)})
        yield Example("Reshape", ((4, 3, 2),), {"target_shape": (8, -1)})
        yield Example("Reshape", ((None, 6),), {"target_shape": (-1, 3)})
        yield Example("ops.Reshape", ((4, 6),), {"newshape": (-1, 3, 8)}, args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class Regroup(Spec):
    """Other axes over the same elements, the batch taking part: windows of an image become samples of their own.

    `target` has all axes, with None for at most one size, which is what is left over.

    >>> Regroup((None, 7, 7, 3)).out_shape((None, 8, 7, 7, 3))
    (None, 7, 7, 3)
    """

    target: Shape

    order = Order.WRITTEN

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        target = tuple(-1 if size is None else size for size in self.target)
        return KerasLayer("ops.Reshape", {"newshape": target}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.reshape."""
        return TorchCall("torch.reshape", (Slot(0), tuple(-1 if size is None else size for size in self.target)))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The target."""
        if self.target.count(None) > 1:
            raise Unsupported(
                f"a reshape of {inputs[0]} to {self.target} leaves several sizes open",
                remedy="give the network an input of known size",
            )
        return self.target


@dataclass(frozen=True, slots=True)
class Flatten(Spec):
    """All axes but the batch as one, in the written order: (H, W, C) for a channels-last tensor."""

    order = Order.WRITTEN
    keras_kinds = ("Flatten",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """With data_format 'channels_first' the channels are moved last, as Keras does."""
        rank = len(layer.inputs[0])
        if layer.get("data_format") == "channels_first" and rank > 2:
            return Op(Permute(axes.move_axis(rank, 1, rank - 1)), {}, "channels_last"), Op(cls())
        return (Op(cls()),)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Flatten."""
        return KerasLayer("Flatten", {"data_format": "channels_last"}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Flatten; a batch of numbers becomes a column, as in Keras."""
        if len(inputs[0]) == 1:
            return TorchCall("torch.unsqueeze", (Slot(0), 1))
        return TorchCall("torch.nn.Flatten")

    def out_shape(self, *inputs: Shape) -> Shape:
        """(batch, product of the rest)."""
        rest = inputs[0][1:]
        return inputs[0][0], None if None in rest else prod(n for n in rest if n is not None)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Ranks 1 to 4."""
        yield Example("Flatten", ((4, 5, 3),))
        yield Example("Flatten", ((3, 4, 5),), {"data_format": "channels_first"})
        yield Example("Flatten", ((6,),))


@dataclass(frozen=True, slots=True)
class Permute(Spec):
    """`tensor.transpose(axes)`, the batch axis included. The layout module turns it into a fact about order."""

    axes: axes.Order

    order = Order.WRITTEN
    keras_kinds = ("Permute", "ops.Transpose")
    aten_ops: ClassVar[tuple[str, ...]] = (
        *("adjoint", "mH", "mT", "movedim", "numpy_T", "permute", "swapaxes", "swapdims", "t", "transpose"),
    )

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Permute counts from 1 and leaves out the batch; the operation names all axes, or reverses them."""
        rank = len(layer.inputs[0])
        if layer.kind == "Permute":
            return Op(cls((0, *layer["dims"])))
        given = layer.argument(1, "axes")
        return Op(cls(tuple(reversed(range(rank))) if given is None else tuple(axes.normal(a, rank) for a in given)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """All axes, two that change places, or some and where they go."""
        rank = len(call.inputs[0])
        call.get("self")
        given = [call.get(key) for key in call.arguments if key != "self"]
        if call.op == "permute":
            return Op(cls(tuple(axes.normal(axis, rank) for axis in call["dims"])))
        if call.op in ("t", "numpy_T"):
            return Op(cls(tuple(reversed(range(rank)))))
        if call.op in ("adjoint", "mH", "mT"):
            return Op(cls((*range(rank - 2), rank - 1, rank - 2)))
        if call.op == "movedim":
            sources, targets = ([item] if isinstance(item, int) else item for item in given)
            return Op(cls(axes.moved_axes(rank, sources, targets)))
        first, second = (axes.normal(axis, rank) for axis in given)
        swap = {first: second, second: first}
        return Op(cls(tuple(swap.get(axis, axis) for axis in range(rank))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Permute, or the operation where the batch moves."""
        if self.axes[0] == 0:
            return KerasLayer("Permute", {"dims": self.axes[1:]}, inputs=tuple(inputs))
        return KerasLayer("ops.Transpose", {"axes": self.axes}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.permute."""
        return TorchCall("torch.permute", (Slot(0), self.axes))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The sizes in the new order."""
        return axes.apply(inputs[0], self.axes)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Three axes and two."""
        yield Example("Permute", ((4, 5, 3),), {"dims": (3, 1, 2)})
        yield Example("ops.Transpose", ((4, 5),), {"axes": (0, 2, 1)}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Matrices in the last two axes."""
        yield TorchExample("torch.adjoint", ((4, 5, 3),))


@dataclass(frozen=True, slots=True)
class Unsqueeze(Spec):
    """New axes of size 1 at these places of the result.

    >>> Unsqueeze((2, 3)).out_shape((None, 8))
    (None, 8, 1, 1)
    """

    places: tuple[int, ...]

    order = Order.WRITTEN

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """keras.ops.expand_dims."""
        axis = self.places[0] if len(self.places) == 1 else self.places
        return KerasLayer("ops.ExpandDims", {"axis": axis}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.unsqueeze, nested for several axes."""
        call: Slot | TorchCall = Slot(0)
        for place in sorted(self.places):
            call = TorchCall("torch.unsqueeze", (call, place))
        return call if isinstance(call, TorchCall) else TorchCall("torch.nn.Identity")

    def out_shape(self, *inputs: Shape) -> Shape:
        """The sizes with ones between."""
        rest = iter(inputs[0])
        rank = len(inputs[0]) + len(self.places)
        return tuple(1 if place in self.places else next(rest) for place in range(rank))


def _as_asked(call: AtenCall) -> Shape:
    """The sizes of the result, with a number where one is asked for: torch may state it as a share of the batch.

    >>> _as_asked(AtenCall("view", {"size": [-1, 2, 4]}, ((None, 4),), ((None, None, 4),)))
    (None, 2, 4)
    """
    stated = call.outputs[0]
    asked = call.get("size", call.get("shape"))
    if not isinstance(asked, (list, tuple)) or len(asked) != len(stated):
        return stated
    known = (size if isinstance(size, int) and size >= 0 else None for size in asked)
    return tuple(own if size is None else size for own, size in zip(stated, known, strict=True))


def regrouping(before: Shape, after: Shape) -> Spec:
    """The reshape from one shape to the other; one that leaves the batch alone where that is so.

    >>> regrouping((None, 4, 6), (None, 24)), regrouping((2, None, 6), (None, 6))
    (Reshape(target=(24,)), Regroup(target=(None, 6)))
    """
    return Reshape(_resolve(after[1:], before)) if _keeps_batch(before, after) else Regroup(after)


def _resolve(target: Shape, shape: Shape) -> Shape:
    """The target with its open size computed, None where it stays open."""
    given = tuple(None if size in (None, -1) else size for size in target)
    rest = shape[1:]
    known = prod(n for n in given if n is not None)
    if None in rest:
        return given
    total = prod(n for n in rest if n is not None)
    if given.count(None) > 1 or (known and total % known) or (None not in given and known != total):
        raise Mismatch(f"a tensor of shape {shape} cannot be reshaped to {target}")
    return tuple(total // max(known, 1) if size is None else size for size in given)


def _keeps_batch(before: Shape, after: Shape) -> bool:
    """Whether a reshape from one shape to the other leaves the batch axis alone.

    >>> _keeps_batch((None, 4, 6), (None, 24)), _keeps_batch((None, 4, 6), (None, 6)), _keeps_batch((3, 4), (12,))
    (True, False, False)
    """
    if not before or not after or before[0] is not None or after[0] is not None:
        return False
    if None in before[1:] or None in after[1:]:
        return None in after[1:]  # where no size is open any more, one of them went into the batch
    return prod(n for n in before[1:] if n is not None) == prod(n for n in after[1:] if n is not None)
