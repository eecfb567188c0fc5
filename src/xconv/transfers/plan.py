"""What goes where when weights are transferred, as plain data: `Plan`. It holds no numbers and no framework.

A formula says what an array of the target is, in terms of the source's arrays. It is written in the form in which
layers are compared (`passes.CANONICAL`, channels-first, rows first), so a layout is not its business: `Take` brings an
array of the source into that form, and `Assignment.target` takes it from there to the target's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from xconv.weights import Shape, Weight

__all__ = [
    "COUNTERS",
    "Assignment",
    "Fill",
    "Flip",
    "Formula",
    "Join",
    "Left",
    "Part",
    "Plan",
    "Product",
    "Sum",
    "Take",
    "Unfilled",
    "is_move",
    "shape_of",
    "taken",
]

COUNTERS = "num_batches_tracked"
"""What a BatchNorm of torch counts in training; a state_dict without it is loaded as one with 0."""


@dataclass(frozen=True, slots=True)
class Take:
    """An array of the source, rearranged."""

    weight: Weight


@dataclass(frozen=True, slots=True)
class Fill:
    """One number everywhere."""

    shape: Shape
    value: float


@dataclass(frozen=True, slots=True)
class Flip:
    """The other way round along these axes, `block` places in a row staying together."""

    of: Formula
    axes: tuple[int, ...]
    block: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """The rows from `start` to before `stop`."""

    of: Formula
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Join:
    """Rows one below the other."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """`of + factor * other`, number by number."""

    of: Formula
    other: Formula
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Product:
    """`of` times a vector, whose numbers belong to the places along `axis`."""

    of: Formula
    vector: Formula
    axis: int = 0


Formula: TypeAlias = Take | Fill | Flip | Part | Join | Sum | Product


@dataclass(frozen=True, slots=True)
class Assignment:
    """One array of the target, or rows of it, and what it becomes.

    `target.undo(result)` is the array as the target stores it. Where `rows` is given, the formula makes those rows of
    `target.apply(array)` alone. Several assignments of one array with the same rows must give the same numbers: it is a
    weight that layers share.
    """

    target: Weight
    formula: Formula
    layer: str
    """The target's layer."""
    role: str
    """What the array is to its layer: 'kernel', 'mean'."""
    source_layers: tuple[str, ...] = ()
    rows: tuple[int, int] | None = None
    note: str = ""
    """What was done besides moving, in words; empty for a rearrangement."""
    condition: str = ""
    """Where the result is exact under a condition alone: 'inference'."""


@dataclass(frozen=True, slots=True)
class Left:
    """An array of the source that goes nowhere, and why.

    `must_be` is the one number that all of its numbers must be, so that leaving it out changes nothing; None where that
    does not depend on them.
    """

    weight: Weight
    layer: str
    role: str
    reason: str
    must_be: float | None = None


@dataclass(frozen=True, slots=True)
class Unfilled:
    """An array of the target that keeps its numbers, and why."""

    weight: Weight
    layer: str
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Every array of the target, and every array of the source.

    `source` and `target` are the names of the two models, `frameworks` what each is made in: 'keras' or 'torch'. Keys
    of weights are `layer/index` in Keras and names in the state_dict in torch.
    """

    source: str
    target: str
    frameworks: tuple[str, str]
    assignments: tuple[Assignment, ...]
    left: tuple[Left, ...] = ()
    unfilled: tuple[Unfilled, ...] = ()
    conditions: tuple[str, ...] = field(default=())
    """Under what conditions the target computes what the source does: 'inference', 'rotated', 'channels swapped'."""
    notes: tuple[str, ...] = field(default=())

    def sources(self) -> dict[str, Weight]:
        """The arrays of the source that are read, by key."""
        every = [weight for item in self.assignments for weight in taken(item.formula)]
        return {weight.key: weight for weight in every}

    def targets(self) -> dict[str, tuple[Assignment, ...]]:
        """The assignments by the target's key."""
        found: dict[str, tuple[Assignment, ...]] = {}
        for item in self.assignments:
            found[item.target.key] = (*found.get(item.target.key, ()), item)
        return found


def taken(formula: Formula) -> Iterator[Weight]:
    """The arrays that a formula reads.

    >>> [weight.key for weight in taken(Sum(Take(Weight.of("mean", (3,))), Take(Weight.of("bias", (3,))), -1.0))]
    ['mean', 'bias']
    """
    match formula:
        case Take(weight):
            if weight.constant is None:
                yield weight
        case Flip(of) | Part(of):
            yield from taken(of)
        case Join(parts):
            for part in parts:
                yield from taken(part)
        case Sum(of, other, _) | Product(of, other, _):
            yield from taken(of)
            yield from taken(other)


def shape_of(formula: Formula) -> Shape:
    """The shape of what a formula makes.

    >>> shape_of(Join((Part(Take(Weight.of("w", (6, 5))), 2, 4), Fill((3, 5), 0.0))))
    (5, 5)
    """
    match formula:
        case Take(weight):
            return weight.shape
        case Fill(shape, _):
            return shape
        case Part(of, start, stop):
            return (stop - start, *shape_of(of)[1:])
        case Join(parts):
            return (sum(shape_of(part)[0] for part in parts), *shape_of(parts[0])[1:])
        case Flip(of) | Sum(of) | Product(of):
            return shape_of(of)


def is_move(formula: Formula) -> bool:
    """Whether it moves numbers and computes none, so that they stay bit for bit.

    >>> is_move(Flip(Take(Weight.of("w", (3, 3))), (0, 1))), is_move(Sum(Fill((2,), 0.0), Fill((2,), 1.0)))
    (True, False)
    """
    match formula:
        case Take() | Fill():
            return True
        case Flip(of) | Part(of):
            return is_move(of)
        case Join(parts):
            return all(map(is_move, parts))
        case Sum() | Product():
            return False
