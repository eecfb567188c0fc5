"""Biases and betas that the target has no place for, as formulas in the means of the BatchNorms behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xconv.comparison import shifts as carried
from xconv.comparison.case import Case
from xconv.comparison.shifts import Amount, Joined, Nothing, Origin, Own
from xconv.spec import Computed
from xconv.transfers.places import read_from
from xconv.transfers.plan import Fill, Formula, Join, Sum

__all__ = ["Shift", "Shifts", "shifts"]


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much less a value is in the target than in the source, for each channel."""

    formula: Formula
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Shifts:
    """What each BatchNorm takes off its mean, by node; and what stands in the way of the weights that no one takes."""

    taken: Mapping[str, Shift] = field(default_factory=dict)
    homeless: Mapping[Origin, str] = field(default_factory=dict)


def shifts(case: Case) -> Shifts:
    """Where every bias and beta of `a` goes that `b` has no place for."""
    others = {name: case.nodes_b[other] for name, other in case.alignment.to_b.items()}
    found = carried.shifts(case.a.graph, others)
    computed = case.a.graph.computed
    taken = {name: Shift(_formula(shift.amount, computed), shift.origins) for name, shift in found.taken.items()}
    return Shifts(taken, found.homeless)


def _formula(amount: Amount, computed: Mapping[str, Computed]) -> Formula:
    if isinstance(amount, Own):
        return read_from(amount.weight, computed)
    if isinstance(amount, Nothing):
        return Fill((amount.size,), 0.0)
    if isinstance(amount, Joined):
        return Join(tuple(_formula(part, computed) for part in amount.parts))
    return Sum(_formula(amount.one, computed), _formula(amount.other, computed))
