"""The numbers of two aligned models, array by array: which differ, and what those of `b` are of those of `a` (`apart`).

Every difference is told once: as an arrangement (`forms`), as a rounding, as initial values, or as other numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import TypeAlias

import numpy as np

from xconv.causes.blocks import blocks
from xconv.causes.claims import taken_whole
from xconv.causes.forms import Form
from xconv.causes.initial_values import initialisers_of
from xconv.causes.readings import Reading, readings, same_sums
from xconv.causes.rounding import rounding
from xconv.comparison.case import Case, numbers
from xconv.graph import Node
from xconv.layers.recurrent import Recurrent
from xconv.statistics import Array, ratio
from xconv.weights import Weight

__all__ = ["ALONE", "FRESH", "OTHER", "Apart", "Compared", "compared"]

OTHER = "other"
"""What `rest` says of numbers that are none of those of `a` in any arrangement."""
FRESH = "fresh"
"""What `rest` says of the zeros or ones with which a layer begins."""
INITIAL = {"bias": 0.0, "beta": 0.0, "mean": 0.0, "gamma": 1.0, "variance": 1.0}
ALONE = 0.2
"""Arrays that are correlated less than this have nothing in common."""
Print: TypeAlias = tuple[tuple[int, ...], bytes]
"""The shape of an array and a few of its numbers, by which it is looked for."""
MANY = 4096
"""In larger arrays sums are compared before any rearrangement is tried."""


@dataclass(frozen=True, slots=True)
class Apart:
    """Two arrays that should be one."""

    a: Node
    b: Node
    role: str
    source: str
    """The role in `a` whose numbers `b` has in this one; the same but where two were exchanged."""
    forms: tuple[Form, ...]
    """What makes the numbers of `b` of those of `a`, one after the other."""
    rest: str
    """What is left between them then: '' nothing, the name of a rounding, `FRESH` or `OTHER`."""
    relative: float
    """max|a-b| / max|a|."""
    correlation: float
    size: int
    wanted: Array | None = None
    """What `b` should hold, where it is not what `a` holds: what another layer makes up for is in it."""
    reverse: bool = False
    """Whether it is `a` that holds the rounded numbers."""
    drawn: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """The initialisers that draw such numbers as `a` has, and as `b` has; looked for where they are uncorrelated."""
    prints: Print = ((), b"")
    """That of what `b` holds."""
    again: bool = False
    """Whether it is the same two arrays as of an earlier pair: a layer called twice, a tied weight."""


@dataclass(frozen=True, slots=True)
class Compared:
    """All arrays that both models have: how many, how many numbers, and those that differ."""

    arrays: int
    numbers: int
    shared: int
    """How many are equal, those aside that hold the zeros or ones of a new layer."""
    apart: tuple[Apart, ...]
    prints: Mapping[Print, tuple[tuple[str, str], ...]]
    """The nodes and roles of `a` by the prints of their arrays."""


def compared(case: Case) -> Compared:
    """Every array of a matched pair that has a counterpart of its shape, compared once."""
    if "arrays" not in case.memory:
        case.memory["arrays"] = _Comparison(case).run()
    result: Compared = case.memory["arrays"]
    return result


class _Comparison:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.seen: dict[tuple[Weight, Weight], bool] = {}
        self.arrays = self.numbers = self.shared = 0
        self.prints: dict[Print, tuple[tuple[str, str], ...]] = {}

    def run(self) -> Compared:
        whole = taken_whole(self.case)
        pairs = [(a, b) for a, b in self.case.pairs() if type(a.spec) is type(b.spec) and a.name not in whole]
        found = [apart for a, b in pairs for apart in self._pair(a, b)]
        return Compared(self.arrays, self.numbers, self.shared, tuple(found), self.prints)

    def _pair(self, a: Node, b: Node) -> Iterator[Apart]:
        ours, theirs, again = {}, {}, set()
        for role, weight in a.weights.items():
            other = b.weights.get(role)
            if other is None or other.shape != weight.shape:
                continue
            if self.seen.get((weight, other)) is False:
                continue  # a layer that is called again
            one, two = numbers(self.case.a.graph.arrays, weight), numbers(self.case.b.graph.arrays, other)
            differs = not np.array_equal(one, two)
            if (weight, other) in self.seen:
                again.add(role)
            else:
                self.arrays += 1
                self.numbers += one.size
                self.shared += not differs and not _is_initial(role, one)
                known = self.prints.get(_print(one), ())
                self.prints[_print(one)] = (*known, (a.name, role))
            self.seen[weight, other] = differs
            if differs:
                ours[role], theirs[role] = one, two
        if ours:
            every = {**self._rest_of(a, ours), **ours}
            yield from (replace(item, again=item.role in again) for item in self._explained(a, b, every, theirs))

    def _rest_of(self, a: Node, known: Mapping[str, Array]) -> dict[str, Array]:
        """The other arrays of a recurrent layer: what stands in its one direction may belong to the other."""
        if not isinstance(a.spec, Recurrent):
            return {}
        arrays = self.case.a.graph.arrays
        return {role: numbers(arrays, weight) for role, weight in a.weights.items() if role not in known}

    def _explained(self, a: Node, b: Node, ours: Mapping[str, Array], theirs: dict[str, Array]) -> Iterator[Apart]:
        for role, meant in list(self._otherwise(a, b, ours, theirs)):
            left = rounding(meant, theirs[role])
            if left is not None:
                del theirs[role]
                if left:
                    yield Apart(a, b, role, role, (), left, 0.0, 1.0, meant.size, meant)
        exchanged = _exchanged(ours, theirs)
        for role, found in theirs.items():
            source = exchanged.get(role, role)
            candidates = [Reading(source, ())]
            if source == role:
                candidates += readings(self.case, a, role, ours, found)
            chosen, rest = _best(ours, found, candidates)
            if rest is None:
                rest = FRESH if _is_initial(role, found) or _is_constant(found, ours[role]) else OTHER
            relative, correlation = _relative(ours[role], found), _correlation(ours[role], found)
            item = Apart(a, b, role, chosen.source, chosen.forms, rest, relative, correlation, found.size)
            back = rounding(found, ours[role]) if rest == OTHER else None
            if back:
                item = replace(item, rest=back, reverse=True)
            if item.rest in (OTHER, FRESH):
                item = replace(item, prints=_print(found))
                if abs(correlation) < ALONE or found.ndim == 1:
                    theirs_drawn = (FRESH,) if rest == FRESH else _drawn(b, role, found)
                    item = replace(item, drawn=(_drawn(a, role, ours[role]), theirs_drawn))
            if item.forms or item.rest or item.source != role:
                yield item

    def _otherwise(
        self, a: Node, b: Node, ours: Mapping[str, Array], theirs: Mapping[str, Array]
    ) -> Iterator[tuple[str, Array]]:
        """What a role of `b` should hold where that is not what `a` holds."""
        wanted = blocks(self.case).wanted
        for role, found in theirs.items():
            meant = wanted.get((b.name, role))
            meant = same_sums(a.spec, role, ours[role], found) if meant is None else meant
            if meant is not None:
                yield role, meant


def _best(ours: Mapping[str, Array], found: Array, candidates: Iterable[Reading]) -> tuple[Reading, str | None]:
    """The first reading that leaves nothing, else one that leaves a rounding; and what it leaves, None for all."""
    chosen: tuple[Reading, str | None] | None = None
    first: Reading | None = None
    alike: dict[str, bool] = {}
    for reading in candidates:
        first = first or reading
        start = ours[reading.source]
        if reading.forms and reading.keeps_numbers and reading.source not in alike:
            alike[reading.source] = _alike(start, found)
        if reading.forms and reading.keeps_numbers and not alike[reading.source]:
            continue
        made = start
        for form in reading.forms:
            made = form.forward(made)
        left = rounding(made, found)
        if left == "" or (left and not reading.forms):
            return reading, left
        if left and chosen is None:
            chosen = reading, left
    assert first is not None  # noqa: S101  the array as it is comes first
    return chosen or (first, None)


def _exchanged(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, str]:
    """Roles that hold each other's numbers, each with the role whose numbers it has; empty where it is no exchange."""
    sources: dict[str, str] = {}
    for role, found in theirs.items():
        if rounding(ours[role], found) is not None:
            continue
        for other in theirs:
            if other != role and ours[other].shape == found.shape and rounding(ours[other], found) is not None:
                sources[role] = other
                break
    closed = sorted(sources) == sorted(sources.values())
    telling = any(np.ptp(ours[source]) > 0 for source in sources.values())
    return sources if closed and telling else {}


def _alike(ours: Array, theirs: Array) -> bool:
    """Whether two arrays may hold the same numbers, rounded or not, in any arrangement: by their sums.

    Of arrays that have nothing to do with each other, one in a thousand passes, which costs some time, no more.
    """
    if ours.size < MANY:
        return True
    one, two = ours.ravel(), theirs.ravel()
    squares = [float(np.einsum("i,i->", array, array, dtype=np.float64)) for array in (one, two)]
    if not np.isfinite(squares).all() or abs(squares[0] - squares[1]) > 0.05 * squares[0]:
        return False
    apart = abs(float(one.sum(dtype=np.float64)) - float(two.sum(dtype=np.float64)))
    return apart <= 0.05 * sqrt(squares[0])


def _relative(ours: Array, theirs: Array) -> float:
    """max|a-b| / max|a|, block by block, so that no whole copy is held."""
    difference = np.subtract(theirs, ours, dtype=np.result_type(ours, theirs))
    return ratio(float(np.abs(difference, out=difference).max(initial=0.0)), float(max(ours.max(), -ours.min())))


def _correlation(ours: Array, theirs: Array) -> float:
    """Pearson's correlation; 0 where an array is constant."""
    one, two = ours.ravel(), theirs.ravel()
    means = one.mean(dtype=np.float64), two.mean(dtype=np.float64)
    product, first, second = (
        float(np.einsum("i,i->", x, y, dtype=np.float64)) / one.size for x, y in ((one, two), (one, one), (two, two))
    )
    spread = max(first - means[0] ** 2, 0.0) * max(second - means[1] ** 2, 0.0)
    return float((product - means[0] * means[1]) / np.sqrt(spread)) if spread > 0 else 0.0


def _print(array: Array) -> Print:
    return tuple(array.shape), array.ravel()[:: max(1, array.size // 16)].tobytes()


def _is_constant(found: Array, ours: Array) -> bool:
    """Whether a vector is one number throughout, as the scale of a layer begins, and what it should be is not."""
    return found.ndim == 1 < found.size and not np.ptp(found) and bool(np.ptp(ours))


def _drawn(node: Node, role: str, array: Array) -> tuple[str, ...]:
    return (FRESH,) if _is_initial(role, array) else initialisers_of(node, role, array)


def _is_initial(role: str, array: Array) -> bool:
    name = next((known for known in INITIAL if role == known or role.startswith(known) or role.endswith(known)), None)
    return name is not None and not np.count_nonzero(array != INITIAL[name])
