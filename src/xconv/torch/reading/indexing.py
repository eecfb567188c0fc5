"""What `x[:, mask, [2, 0]]` picks, where the indices are constants: one list of numbers along the joined axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xconv.errors import Unsupported
from xconv.spec import Shape

__all__ = ["FEW", "Picked", "as_one", "picked", "stands_apart"]

FEW = 256
"""As many numbers are written into the operation; more are held as a weight that is not trained."""


@dataclass(frozen=True, slots=True)
class Picked:
    """The axes that are indexed, and the places along them, counted as along one axis."""

    over: tuple[int, ...]
    places: torch.Tensor


def picked(shape: Shape, indices: Sequence[torch.Tensor | None]) -> Picked:
    """The axes and places that a list of constant indices names, one for each axis from the first; a mask has several.

    >>> import torch
    >>> picked((None, 2, 3), [None, torch.tensor([0, 1]), torch.tensor([-1, 0])]).places.tolist()
    [2, 3]
    >>> picked((None, 4), [None, torch.tensor([True, False, False, True])]).places.tolist()
    [0, 3]

    Raises:
        Unsupported: several axes, one of which has no known size; no place at all.
    """
    over: list[int] = []
    numbers: list[torch.Tensor] = []
    axis = 0
    for index in indices:
        parts = [] if index is None else list(index.nonzero(as_tuple=True)) if index.dtype == torch.bool else [index]
        over += range(axis, axis + len(parts))
        numbers += [part.long() for part in parts]
        axis += max(len(parts), 1)
    if any(not part.numel() for part in numbers):
        raise Unsupported(f"an index of {shape} that names no place", remedy="leave out what uses it")
    sizes = [size for size in (shape[place] for place in over) if size is not None]
    if len(over) == 1 and not sizes:
        return Picked(tuple(over), numbers[0])
    if len(sizes) < len(over):
        raise Unsupported(f"indices along an axis of open size of {shape}", remedy="give the network known sizes")
    return Picked(tuple(over), as_one(numbers, sizes))


def as_one(numbers: Sequence[torch.Tensor], sizes: Sequence[int]) -> torch.Tensor:
    """Places along several axes of these sizes, from either end, counted as along one axis.

    >>> as_one([torch.tensor([0, 1]), torch.tensor([-1, 0])], [2, 3]).tolist()
    [2, 3]
    """
    flat = torch.zeros((), dtype=torch.long)
    for part, size in zip(numbers, sizes, strict=True):
        flat = flat * size + part % size
    return flat


def stands_apart(first: Shape, others: Sequence[Shape], over: Sequence[int]) -> bool:
    """Whether the first index is along an axis in front that no other has, and they index the first axes of a tensor.

    Where it counts the whole batch, each sample is indexed alike: `x[arange, [2, 0]]`.

    >>> stands_apart((None, 1), [(2,)], (0, 1)), stands_apart((None,), [(2,)], (0, 1))
    (True, False)
    """
    rank = max(len(first), *map(len, others))
    apart = all(len(shape) < rank or shape[0] == 1 for shape in others)
    return apart and tuple(over) == tuple(range(len(over))) and len(first) == rank and first[0] is None
