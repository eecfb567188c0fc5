"""What the fx nodes of a program stand for: values of the network, tensors that it holds, numbers, open sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import fx

from xconv.graph import Value
from xconv.spec import Shape
from xconv.torch.arrays import dtype_name
from xconv.torch.reading.in_place import Aliases
from xconv.torch.reading.sizes import exact, shape_of
from xconv.weights import Weight

__all__ = ["Counted", "Filled", "Held", "Meaning", "Meanings", "depends"]

Meaning: TypeAlias = Any
"""What an fx node stands for: a Value, a sequence of them, Held, Filled, Counted, a number, None (an open size)."""


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor that the network holds: a parameter (`learned`), a buffer or a constant."""

    weight: Weight
    learned: bool
    trains: bool
    """Whether training changes it: a parameter that is not frozen."""
    note: str = ""
    cast: str = ""
    """The narrower type to which a parameter is cast where it is used; it is held in its own."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A tensor of one number, whose size is known only at run time."""

    shape: Shape
    number: float
    dtype: str
    sizes: tuple[Any, ...]
    """The shape with the expression of every open size."""

    @classmethod
    def like(cls, tensor: torch.Tensor, number: float) -> Filled:
        """The number in the shape and dtype of a tensor."""
        return cls(shape_of(tensor), number, dtype_name(tensor.dtype), exact(tensor))


@dataclass(frozen=True, slots=True)
class Counted:
    """0, 1, 2 ... along the one axis whose size is known only at run time; the others have size 1."""

    shape: Shape
    dtype: str
    sizes: tuple[Any, ...]
    """The shape with the expression of the open size."""

    @classmethod
    def like(cls, tensor: torch.Tensor) -> Counted | None:
        """Such numbers in the shape and dtype of a tensor; None where it has other axes.

        >>> Counted.like(torch.ones(2, 3)) is None
        True
        """
        shape = shape_of(tensor)
        if shape.count(None) != 1 or any(size not in (None, 1) for size in shape):
            return None
        return cls(shape, dtype_name(tensor.dtype), exact(tensor))

    @property
    def axis(self) -> int:
        """The axis along which they are counted."""
        return self.shape.index(None)

    @property
    def size(self) -> Any:
        """The expression of the open size."""
        return self.sizes[self.axis]


@dataclass(frozen=True, slots=True)
class Meanings:
    """The meaning of every fx node that was read, and through `aliases` what it means after the writes so far."""

    found: dict[fx.Node, Meaning] = field(default_factory=dict)
    tensors: dict[fx.Node, torch.Tensor] = field(default_factory=dict)
    """The tensors of nodes that do not depend on the network's input, where they were needed."""
    aliases: Aliases = field(default_factory=Aliases)
    batches: set[Any] = field(default_factory=set)
    """The expressions of the inputs' first sizes, which torch.export keeps apart where nothing compares them."""

    def same_size(self, one: Any, other: Any) -> bool:
        """Whether two expressions are of one size; there is one batch."""
        return bool(one == other) or self.batches.issuperset((one, other))

    def now(self, node: fx.Node) -> Meaning:
        """What an fx node stands for now, after writes in place."""
        return self.found.get(self.aliases.now(node))

    def same(self, node: fx.Node, source: fx.Node) -> None:
        """Let a node stand for what another one stands for."""
        self.found[node] = self.found[source]
        if source in self.tensors:
            self.tensors[node] = self.tensors[source]

    def from_input(self, node: fx.Node) -> bool:
        """Whether an fx node depends on an input of the network."""
        seen: set[fx.Node] = set()
        wanted = [node]
        while wanted:
            item = wanted.pop()
            if item in seen:
                continue
            seen.add(item)
            if item.op == "placeholder" and item not in self.tensors:
                return True
            wanted += item.all_input_nodes
        return False


def depends(item: Meaning) -> bool:
    """Whether it depends on the network's input: a value, or a size that is open.

    >>> depends(3), depends(None), depends([1, Value("x")])
    (False, True, True)
    """
    return (
        isinstance(item, (Value, Filled, Counted))
        or item is None
        or (isinstance(item, list) and any(map(depends, item)))
    )
