"""A weight on its way from one framework to the other: where it comes from, and how its axes are rearranged.

A `Weight` holds no numbers, only a key and a rearrangement: split the axes, put them in order, join them. That is
all that layouts ever need, it composes, it can be undone, and it can be written to a file and replayed on another
checkpoint. The numbers live once, in an `ArraySource` under the key, and are read when the target model is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from xconv import axes
from xconv.errors import Mismatch, Unsupported

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ArraySource", "Arrays", "NumpySource", "Shape", "Weight", "without_leading_ones"]

Shape: TypeAlias = tuple[int, ...]


class ArraySource(Protocol):
    """An array that can be read in blocks of rows: a dataset of a file, a live variable, a NumPy array."""

    @property
    def shape(self) -> Shape:
        """The shape as the source stores it."""

    @property
    def dtype(self) -> str:
        """The NumPy name of the element type, or 'bfloat16'."""

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Pairs of (first row, rows) in order, together the whole array; each holds a multiple of `multiple` rows.

        Rows are along the first axis that is longer than 1, so that a 1x1 kernel can be read in parts too.

        A scalar comes as one block of rank 0. A block is valid until the next one is asked for: copy what you keep.
        """


Arrays: TypeAlias = Mapping[str, ArraySource]


@dataclass(frozen=True, slots=True)
class NumpySource:
    """An array in memory as an `ArraySource`."""

    array: np.ndarray[Any, Any]

    @property
    def shape(self) -> Shape:
        """The array's shape."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> str:
        """The array's dtype; two-byte opaque elements are bfloat16."""
        return "bfloat16" if self.array.dtype.kind == "V" else self.array.dtype.name

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The array as one block."""
        yield 0, self.array


@dataclass(frozen=True, slots=True)
class Weight:
    """`source.reshape(split).transpose(order).reshape(shape)`, or a constant where `key` is empty.

    >>> kernel = Weight.of("conv1/kernel", (7, 7, 3, 64)).transpose((3, 2, 0, 1))
    >>> kernel.shape, kernel.order
    ((64, 3, 7, 7), (3, 2, 0, 1))
    >>> kernel.transpose((2, 3, 1, 0)) == Weight.of("conv1/kernel", (7, 7, 3, 64))
    True
    """

    key: str
    source: Shape
    split: Shape
    order: axes.Order
    shape: Shape
    dtype: str = "float32"
    constant: float | None = None

    @classmethod
    def of(cls, key: str, shape: Shape, dtype: str = "float32") -> Weight:
        """The source array as it is."""
        return cls(key, shape, shape, axes.identity(len(shape)), shape, dtype)

    @classmethod
    def full(cls, shape: Shape, value: float, dtype: str = "float32") -> Weight:
        """A constant that no source array holds."""
        return replace(cls.of("", shape, dtype), constant=value)

    def transpose(self, order: axes.Order) -> Weight:
        """The weight with its axes in another order.

        Raises:
            Mismatch: the axes were joined before in a way that this order would tear apart.
        """
        if self.constant is not None:
            return Weight.full(axes.apply(self.shape, order), self.constant, self.dtype)
        split, places = self._regrouped(self.shape)
        groups = _groups(axes.apply(split, places), self.shape)
        new_order = tuple(axis for group in axes.apply(groups, order) for axis in group)
        return self._normal(split, axes.apply(places, new_order), axes.apply(self.shape, order))

    def reshape(self, shape: Shape) -> Weight:
        """The weight with its axes split or joined, in memory order.

        Raises:
            Mismatch: another number of elements.
        """
        if prod(shape) != prod(self.shape):
            raise Mismatch(f"{self.key or 'a constant'} of shape {self.shape} cannot become {shape}")
        return self._normal(*self._regrouped(shape), shape)

    def apply(self, array: Any) -> Any:
        """The rearrangement carried out on a NumPy array or torch tensor of the source's shape.

        >>> import numpy as np
        >>> Weight.of("fc/kernel", (2, 3)).transpose((1, 0)).apply(np.arange(6).reshape(2, 3)).tolist()
        [[0, 3], [1, 4], [2, 5]]
        """
        split = array.reshape(self.split)
        moved = split.permute(self.order) if hasattr(split, "permute") else split.transpose(self.order)
        return moved.reshape(self.shape)

    def undo(self, array: Any) -> Any:
        """The source array back from the rearranged one: `undo(apply(x)) == x`."""
        split = array.reshape(axes.apply(self.split, self.order))
        back = axes.inverse(self.order)
        moved = split.permute(back) if hasattr(split, "permute") else split.transpose(back)
        return moved.reshape(self.source)

    def _regrouped(self, shape: Shape) -> tuple[Shape, axes.Order]:
        """`split` and `order` cut finely enough that every axis of `shape` is made of whole factors."""
        refined = _refine(axes.apply(self.split, self.order), shape)
        if refined is None:
            raise Mismatch(f"the axes of {self.key} {self.shape} cannot be regrouped to {shape}")
        factors = [refined[place] for place in axes.inverse(self.order)]
        starts = [sum(len(f) for f in factors[:axis]) for axis in range(len(factors))]
        order = tuple(starts[axis] + i for axis in self.order for i in range(len(factors[axis])))
        return tuple(size for f in factors for size in f), order

    def _normal(self, split: Shape, order: axes.Order, shape: Shape) -> Weight:
        """The shortest equal record: axes that stay neighbours are one axis again."""
        if self.constant is not None:
            return Weight.full(shape, self.constant, self.dtype)
        if axes.moves_only_ones(split, order):
            split, order = self.source, axes.identity(len(self.source))
        return replace(self, split=split, order=order, shape=shape)


def without_leading_ones(shape: Shape) -> Shape:
    """The shape from its first axis that is longer than 1 on; one axis is always left.

    >>> without_leading_ones((1, 1, 64, 128)), without_leading_ones((1, 1))
    ((64, 128), (1,))
    """
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape) - 1)
    return shape[first:]


def _groups(sizes: Shape, shape: Shape) -> list[tuple[int, ...]]:
    """For each axis of `shape`, the places in `sizes` that make it up."""
    groups: list[tuple[int, ...]] = []
    place = 0
    for size in shape:
        start = place
        while place < len(sizes) and prod(sizes[start : place + 1]) <= size and prod(sizes[start:place]) < size:
            place += 1
        if size == 1 and place < len(sizes) and sizes[place] == 1:
            place += 1
        groups.append(tuple(range(start, place)))
    if groups:
        groups[-1] += tuple(range(place, len(sizes)))
    return groups


def _refine(sizes: tuple[int, ...], shape: Shape) -> list[tuple[int, ...]] | None:
    """Each of `sizes` as factors, cut wherever an axis of `shape` begins; None where the cuts do not divide."""
    cuts = {prod(shape[i:]) for i in range(len(shape) + 1)}
    refined = []
    for i, size in enumerate(sizes):
        inner = prod(sizes[i + 1 :])
        marks = sorted((cut for cut in cuts if inner < cut < inner * size), reverse=True)
        factors, outer = [], inner * size
        for mark in [*marks, inner]:
            if not mark:
                raise Unsupported(f"weights without a number, of sizes {sizes}", remedy="leave out what owns them")
            if outer % mark:
                return None
            factors.append(outer // mark)
            outer = mark
        refined.append(tuple(factors))
    return refined
