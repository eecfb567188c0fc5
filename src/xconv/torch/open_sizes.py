"""Sizes that are known only at run time: which call needs one, and which tensor has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx

from xconv.layers.elementwise import Elementwise
from xconv.layers.expand import ExpandDims
from xconv.layers.slicing import WHOLE, Slicing
from xconv.layers.tile import Tile
from xconv.layers.unary import Cast, Unary
from xconv.spec import Shape, Slot, Spec

__all__ = ["carrier", "exact", "filling", "opened", "vector"]

GROWS = frozenset({"broadcast_to", "expand", "expand_as", "repeat", "tile"})
"""Operators that make an axis of size 1 as long as they are told."""


def exact(tensor: torch.Tensor) -> tuple[Any, ...]:
    """The shape with the expression of every open size; comparing the sizes themselves would go by the example."""
    return tuple(size.node.expr if hasattr(size, "node") else size for size in tensor.shape)


def opened(node: fx.Node, name: str) -> Any:
    """The expression of the open size that such a call gives to an axis whose size was known; None if there is none."""
    if name not in GROWS:
        return None
    before, after = exact(node.all_input_nodes[0].meta["val"]), exact(node.meta["val"])
    before = (*(1,) * (len(after) - len(before)), *before)
    return next((new for old, new in zip(before, after, strict=True) if old == 1 and not isinstance(new, int)), None)


def carrier(node: fx.Node, holds: Callable[[tuple[Any, ...]], bool], found: Callable[[fx.Node], Any]) -> Any:
    """The first tensor before `node` that the network computes and whose sizes are asked for; None if there is none."""
    for other in node.graph.nodes:
        if other is node:
            return None
        value = other.meta.get("val")
        if isinstance(value, torch.Tensor) and found(other) is not None and holds(exact(value)):
            return other
    return None


def vector(shape: Shape, axis: int) -> Iterator[Spec]:
    """A 0 for every place along one axis of a tensor: whatever it holds, NaN too."""
    if len(shape) > 1:
        yield Slicing(tuple(WHOLE if place == axis else 0 for place in range(len(shape))))
    yield Unary("zeros_like")


def filling(shape: Shape, number: float, dtype: str, have: str) -> Iterator[Spec]:
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
