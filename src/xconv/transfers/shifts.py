"""Biases and betas that the target has no place for, carried along to the means of the BatchNorms behind them.

    y = W x + b -> BatchNorm(mean m)          is          y = W x -> BatchNorm(mean m - b)

What a layer no longer adds is missing from every value behind it, up to the BatchNorm that takes it off its mean: over
sums of branches (ResNetV2), joins along the channels and pools. Behind anything else there is no place for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from xconv import axes
from xconv.comparison.case import Case
from xconv.graph import Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.concat import Concat
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.pool import GlobalPool, Pool
from xconv.spec import Slot
from xconv.transfers.places import read_from
from xconv.transfers.plan import Fill, Formula, Join, Sum

__all__ = ["Origin", "Shift", "Shifts", "shifts"]

Origin: TypeAlias = tuple[str, str]
"""A node of the source and the role of its weight."""


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much less a value is in the target than in the source, for each place along `axis`."""

    formula: Formula
    axis: int
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Shifts:
    """What each BatchNorm takes off its mean, by node; and what stands in the way of the weights that no one takes."""

    taken: Mapping[str, Shift] = field(default_factory=dict)
    homeless: Mapping[Origin, str] = field(default_factory=dict)


def shifts(case: Case) -> Shifts:
    """Where every bias and beta of `a` goes that `b` has no place for."""
    homeless: dict[Origin, str] = {}
    while True:
        walk = _Walk(case, frozenset(homeless))
        walk.run()
        if not walk.homeless:
            return Shifts(walk.taken, homeless)
        homeless |= walk.homeless


class _Walk:
    """One walk along the graph of the source, without what is known to have no home."""

    def __init__(self, case: Case, without: frozenset[Origin]) -> None:
        self.case, self.without = case, without
        self.held: dict[Value, Shift] = {}
        self.taken: dict[str, Shift] = {}
        self.homeless: dict[Origin, str] = {}

    def run(self) -> None:
        """Walks from the inputs to the outputs."""
        for node in self.case.a.graph.nodes:
            given = [self.held.get(value) for value in node.inputs]
            known = [shift for shift in given if shift is not None]
            passed = self._behind(node, given) if known else None
            if isinstance(passed, str):
                self._refuse(known, passed)
                passed = None
            both = [shift for shift in (passed, self._own(node)) if shift is not None]
            if both:
                self.held[Value(node.name)] = both[0] if len(both) == 1 else _sum(both)
        for value in self.case.a.graph.output_values():
            if value in self.held:
                self._refuse([self.held[value]], "nothing behind it can take it")

    def _refuse(self, shifts: list[Shift], why: str) -> None:
        for shift in shifts:
            self.homeless |= dict.fromkeys(shift.origins, why)

    def _own(self, node: Node) -> Shift | None:
        """What the target's layer no longer adds."""
        other = self.case.alignment.to_b.get(node.name)
        role = "beta" if isinstance(node.spec, BatchNorm) else "bias"
        if other is None or not isinstance(node.spec, (BatchNorm, Conv, Dense)) or (node.name, role) in self.without:
            return None
        if role not in node.weights or role in self.case.nodes_b[other].weights:
            return None
        formula = read_from(node.weights[role], self.case.a.graph.computed)
        return Shift(formula, axes.normal(node.spec.axis, len(node.shapes[0])), ((node.name, role),))

    def _behind(self, node: Node, given: list[Shift | None]) -> Shift | str | None:
        """What is missing behind a node; None where the node makes up for it; why it cannot be carried on."""
        spec, known = node.spec, [shift for shift in given if shift is not None]
        first = known[0]
        passes = f"behind it stands {node.layer or node.name} ({type(spec).__name__}), past which it cannot be carried"
        if isinstance(spec, BatchNorm):
            paired = node.name in self.case.alignment.to_b
            if not paired or axes.normal(spec.axis, len(node.shapes[0])) != first.axis:
                return passes
            self.taken[node.name] = first
            return None
        if isinstance(spec, Elementwise) and spec.name == "add":
            slots = all(isinstance(item, Slot) for item in spec.operands)
            same = len({self._shape(value) for value in node.inputs}) == 1 == len({shift.axis for shift in known})
            return _sum(known) if slots and same and len(spec.operands) == len(node.inputs) else passes
        if isinstance(spec, Concat):
            along = axes.normal(spec.axis, len(node.shapes[0])) == first.axis and len({s.axis for s in known}) == 1
            return self._joined(node, given, first) if along else passes
        if isinstance(spec, GlobalPool):
            return first if first.axis == 1 else passes
        counts = isinstance(spec, Pool) and spec.counts_pads and any(map(any, spec.padding or ()))
        return first if isinstance(spec, Pool) and not counts else passes

    def _joined(self, node: Node, given: list[Shift | None], first: Shift) -> Shift | str:
        parts: list[Formula] = []
        for value, shift in zip(node.inputs, given, strict=True):
            size = self._shape(value)[first.axis]
            if size is None:
                return "it is joined with channels of an open number"
            parts.append(shift.formula if shift is not None else Fill((size,), 0.0))
        origins = [origin for shift in given if shift is not None for origin in shift.origins]
        return Shift(Join(tuple(parts)), first.axis, tuple(origins))

    def _shape(self, value: Value) -> tuple[int | None, ...]:
        return self.case.nodes_a[value.node].shapes[value.index]


def _sum(shifts: list[Shift]) -> Shift:
    first, *others = shifts
    formula = first.formula
    for other in others:
        formula = Sum(formula, other.formula)
    return Shift(formula, first.axis, tuple(origin for shift in shifts for origin in shift.origins))
