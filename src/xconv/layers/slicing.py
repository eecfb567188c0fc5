"""Slicing a tensor, `x[:, 1:, ..., 0]`: keras.ops.get_item  <->  aten.slice, select, narrow, torch's brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
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

__all__ = ["WHOLE", "Item", "Slicing"]

Item: TypeAlias = tuple[int | None, int | None, int | None] | int | None
"""A slice as (start, stop, step), an index, or a new axis."""

WHOLE: Item = (None, None, None)

LAST = 2**63 - 1
"""What torch writes for an end that is left out."""


@dataclass(frozen=True, slots=True)
class Slicing(Spec):
    """One item for each axis of the input, with None for every new axis between them.

    >>> Slicing((WHOLE, (1, None, None), None, 0)).out_shape((None, 4, 5))
    (None, 3, 1)
    """

    items: tuple[Item, ...]

    order = Order.AXES
    keras_kinds = ("ops.GetItem",)
    aten_ops = "narrow", "select", "slice"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The key, with the ellipsis written out."""
        key = layer.argument(1, "key")
        given = tuple(key) if isinstance(key, (tuple, list)) else (key,)
        places = [place for place, item in enumerate(given) if item is Ellipsis]
        missing = len(layer.inputs[0]) - sum(item is not None and item is not Ellipsis for item in given)
        if missing < 0 or len(places) > 1:
            raise Mismatch(f"{len(given)} indices for an input of shape {layer.inputs[0]}")
        cut = places[0] if places else len(given)
        rest = given[cut + 1 :]
        items = (*map(_item, given[:cut]), *(WHOLE,) * missing, *map(_item, rest))
        return Op(cls(items))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """One axis: an index, or a start and an end, either of which may be counted from the back."""
        call.get("self")
        rank = len(call.inputs[0])
        axis = axes.normal(call["dim"], rank)
        item: Item
        if call.op == "select":
            item = call["index"]
        else:
            start, end, step = call["start"], call.get("end"), call.get("step", 1)
            if call.op == "narrow":
                start = start + (call.inputs[0][axis] or 0) if start < 0 else start
                end = start + call["length"]
            item = _cut(start, end, step, call.inputs[0][axis])
        return Op(cls((*(WHOLE,) * axis, item, *(WHOLE,) * (rank - axis - 1))))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.GetItem", {}, inputs=tuple(inputs), args=(Slot(0), self._key()))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """Indexing."""
        return TorchCall("operator.getitem", (Slot(0), self._key()))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The lengths of the slices, 1 for each new axis."""
        sizes = iter(inputs[0])
        result: list[int | None] = []
        for item in self.items:
            size = 1 if item is None else next(sizes)
            if item is None or (isinstance(item, tuple) and item == WHOLE):
                result.append(size)
            elif isinstance(item, tuple):
                result.append(None if size is None else len(range(*slice(*item).indices(size))))
            elif size is not None and not -size <= item < size:
                raise Mismatch(f"index {item} does not exist along an axis of size {size}")
        return tuple(result)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The items in the order of the axes; new axes go last."""
        if axes.is_identity(order):
            return Moved(self, weights, axes.identity(sum(not isinstance(item, int) for item in self.items)))
        old = [item for item in self.items if item is not None]
        places = iter(range(len(self.items)))
        results = [next(places) if not isinstance(item, int) else -1 for item in self.items]
        of_axes = [place for place, item in zip(results, self.items, strict=True) if item is not None]
        new = [place for place, item in zip(results, self.items, strict=True) if item is None]
        after = (*(of_axes[axis] for axis in order if of_axes[axis] >= 0), *new)
        return Moved(replace(self, items=(*axes.apply(old, order), *(None,) * len(new))), weights, after)

    def _key(self) -> tuple[Any, ...]:
        """The items as Python writes them between brackets."""
        return tuple(slice(*item) if isinstance(item, tuple) else item for item in self.items)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Slices, steps, indices, new axes, an ellipsis."""
        whole = slice(None)
        for key in (
            (whole, slice(1, None), slice(None, None, 2)),
            (whole, slice(1, -1), Ellipsis, 0),
            (whole, None, slice(0, 3), None, 2),
            (Ellipsis, slice(-1, None)),
            (whole, 1),
        ):
            yield Example("ops.GetItem", ((4, 5, 3),), args=(Slot(0), key))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Ends from the back, ends out of range, steps, the batch, indices."""
        whole = slice(None)
        for key in (
            (whole, slice(1, None), slice(None, None, 2)),
            (whole, whole, slice(-3, -1)),
            (whole, slice(1, 100, 3), whole, slice(-100, 2)),
            (whole, 1, whole, -1),
            (slice(1, None),),
            (slice(None, None, 2), Ellipsis, 0),
        ):
            yield TorchExample("operator.getitem", ((4, 7, 3),), args=(Slot(0), key))
        yield TorchExample("torch.select", ((4, 7, 3),), args=(Slot(0), -2, -1))
        yield TorchExample("torch.narrow", ((4, 7, 3),), args=(Slot(0), 2, 2, 3))
        yield TorchExample("torch.narrow", ((4, 7, 3),), args=(Slot(0), -2, -3, 2))


def _item(item: Any) -> Item:
    """One item of a key as plain data."""
    if isinstance(item, slice):
        parts = (item.start, item.stop, item.step)
        if any(part is not None and not isinstance(part, int) for part in parts):
            raise Unsupported("a slice whose ends are computed", remedy="slice with numbers")
        if item.step is not None and item.step < 1:
            raise Unsupported("a slice that runs backwards, which torch lacks", remedy="use keras.ops.flip")
        return parts
    if item is None or (isinstance(item, int) and not isinstance(item, bool)):
        return item
    raise Unsupported(f"indexing with a {type(item).__name__}", remedy="use numbers, slices, None and ...")


def _cut(start: int | None, end: int | None, step: int, size: int | None) -> Item:
    """A slice without the ends that lie at the ends of the axis.

    >>> _cut(0, LAST, 2, 7), _cut(1, 9, 1, 7), _cut(-9, -1, 1, 7)
    ((None, None, 2), (1, None, None), (None, -1, None))
    """
    if start == 0 or (start is not None and size is not None and start <= -size):
        start = None
    if end is not None and (end == LAST or (size is not None and end >= size)):
        end = None
    return start, end, None if step == 1 else step
