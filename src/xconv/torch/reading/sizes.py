"""Shapes and sizes of a program: the known ones as numbers, the others as None or as the expression that they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from xconv.spec import Shape

__all__ = ["exact", "opened", "shape_of", "size_of"]

GROWS = frozenset({"broadcast_to", "expand", "expand_as", "repeat", "tile"})
"""Operators that make an axis of size 1 as long as they are told."""


def shape_of(tensor: torch.Tensor) -> Shape:
    """The shape, None for every size that is open.

    >>> shape_of(torch.ones(2, 3))
    (2, 3)
    """
    return tuple(size_of(size) for size in tensor.shape)


def size_of(size: Any) -> Any:
    """A number, or None for one that is known only at run time."""
    if isinstance(size, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        return size.node.maybe_as_int() if isinstance(size, torch.SymInt) else None
    return size


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
