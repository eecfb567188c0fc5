"""Tensors of one number and of a size known only at run time: made from a tensor of the network that has the size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from xconv.errors import Unsupported
from xconv.graph import Value
from xconv.layers.elementwise import Elementwise
from xconv.layers.expand import ExpandDims
from xconv.layers.io import Variable
from xconv.layers.slicing import WHOLE, Slicing
from xconv.layers.tile import Along, Tile
from xconv.layers.unary import Cast, Unary
from xconv.spec import Shape, Slot, Spec
from xconv.torch.arrays import dtype_name
from xconv.torch.reading.draft import Draft
from xconv.torch.reading.meanings import Counted, Filled, Meaning, Meanings
from xconv.torch.reading.sizes import exact

__all__ = ["Fillings"]


@dataclass(frozen=True, slots=True)
class Fillings:
    """The tensors of one number that were asked for; each is made once."""

    draft: Draft
    meanings: Meanings
    made: dict[Filled | Counted, Value] = field(default_factory=dict)
    lines: dict[Any, tuple[Value, Value]] = field(default_factory=dict)
    """For the expression of an open size, as many zeros: of the dtype of the tensor that has it, and integers."""

    def zeros(self, node: fx.Node, size: Any) -> Value:
        """As many integer zeros as an open size says."""
        return self._lines(node, size)[1]

    def counted(self, node: fx.Node, counted: Counted) -> Value:
        """0, 1, 2 ... as many as an open size says, made from a tensor that has it."""
        if counted in self.made:
            return self.made[counted]
        value, name = self.zeros(node, counted.size), f"{node.name}.counted"
        for spec in _counting(counted):
            value = self.draft.plain(spec, value, name)
        self.draft.dtypes[value] = counted.dtype
        self.made[counted] = value
        return value

    def whole(self, node: fx.Node, filled: Filled) -> Value:
        """A tensor of one number, made from one of its sizes or from one that has its open size."""
        if filled in self.made:
            return self.made[filled]
        name = f"{node.name}.filled"
        source = self._carrier(node, lambda sizes: sizes == filled.sizes)
        if source is not None:
            shape: Shape = (None,)
            value = self.draft.plain(Unary("zeros_like"), self.meanings.now(source), name)
            have = dtype_name(source.meta["val"].dtype)
        elif filled.shape.count(None) != 1:
            raise Unsupported(f"a tensor of shape {filled.shape} made of one number", remedy="give known sizes")
        else:
            shape = filled.shape
            value = self._lines(node, filled.sizes[shape.index(None)])[0]
            have = self.draft.dtype_of(value)
        for spec in _filling(shape, filled.number, filled.dtype, have):
            value = self.draft.plain(spec, value, name)
        self.draft.dtypes[value] = filled.dtype
        self.made[filled] = value
        return value

    def _lines(self, node: fx.Node, size: Any) -> tuple[Value, Value]:
        """As many zeros as an open size says, made from a tensor that has it."""
        if size not in self.lines:
            source = self._carrier(node, lambda sizes: size in sizes)
            if source is None:
                raise Unsupported(f"a tensor of the open size {size}, which no tensor has", remedy="give known sizes")
            value: Value = self.meanings.now(source)
            name = f"{value.node.partition('.')[0]}.zeros"
            for spec in _line(self.draft.shape_of(value), exact(source.meta["val"]).index(size)):
                value = self.draft.plain(spec, value, name)
            self.draft.dtypes[value] = dtype_name(source.meta["val"].dtype)
            self.lines[size] = value, self.draft.plain(Cast("int32"), value, value.node)
        return self.lines[size]

    def _carrier(self, node: fx.Node, holds: Callable[[tuple[Any, ...]], bool]) -> fx.Node | None:
        """The first tensor before `node` that the network computes and whose sizes are asked for."""
        other: fx.Node
        for other in node.graph.nodes:
            if other is node:
                return None
            value = other.meta.get("val")
            if isinstance(value, torch.Tensor) and self._is_computed(other) and holds(exact(value)):
                return other
        return None

    def _is_computed(self, node: fx.Node) -> bool:
        """Whether an fx node stands for one value that the network computes."""
        found: Meaning = self.meanings.now(node)
        return isinstance(found, Value) and not isinstance(self.draft.nodes[found.node].spec, Variable)


def _line(shape: Shape, axis: int) -> Iterator[Spec]:
    """A 0 for every place along one axis of a tensor: whatever it holds, NaN too."""
    if len(shape) > 1:
        yield Slicing(tuple(WHOLE if place == axis else 0 for place in range(len(shape))))
    yield Unary("zeros_like")


def _counting(counted: Counted) -> Iterator[Spec]:
    """From as many integer zeros to 0, 1, 2 ... in the shape."""
    yield Elementwise("add", (Slot(0), 1))
    yield Along("cumsum", 0)
    yield Elementwise("subtract", (Slot(0), 1))
    if "int" not in counted.dtype:
        yield Cast(counted.dtype)
    if len(counted.shape) > 1:
        yield ExpandDims(tuple(place for place, size in enumerate(counted.shape) if size is not None))


def _filling(shape: Shape, number: float, dtype: str, have: str) -> Iterator[Spec]:
    """From zeros of dtype `have`, of this shape or one for every place of its open axis: the number in the shape."""
    whole = int(number) if "int" in dtype else float(number)
    if dtype not in (have, "bool"):
        yield Cast("int32" if "int" in dtype else dtype)
    if number:
        yield Elementwise("add", (Slot(0), whole))
    if dtype == "bool":
        yield Cast("bool")
    if len(shape) > 1:
        yield ExpandDims(tuple(place for place, size in enumerate(shape) if size is not None))
    if any(size not in (None, 1) for size in shape):
        yield Tile(tuple(size or 1 for size in shape))
