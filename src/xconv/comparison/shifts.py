"""Biases and betas that the other model has no place for, carried along to the BatchNorms behind them (`shifts`).

    y = W x + b -> BatchNorm(mean m)          is          y = W x -> BatchNorm(mean m - b)

What a layer no longer adds is missing from every value behind it, up to the BatchNorm that takes it off its mean: over
sums of branches (ResNetV2), joins along the channels and pools. Behind anything else there is no place for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from xconv import axes
from xconv.graph import Graph, Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.concat import Concat
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.pool import GlobalPool, Pool
from xconv.spec import Slot
from xconv.weights import Weight

__all__ = ["Added", "Amount", "Joined", "Nothing", "Origin", "Own", "Shift", "Shifts", "shifts"]

Origin: TypeAlias = tuple[str, str]
"""A node and the role of its weight."""


@dataclass(frozen=True, slots=True)
class Own:
    """A weight of the graph."""

    weight: Weight


@dataclass(frozen=True, slots=True)
class Nothing:
    """Zeros for so many channels."""

    size: int


@dataclass(frozen=True, slots=True)
class Added:
    """The sum of two amounts."""

    one: Amount
    other: Amount


@dataclass(frozen=True, slots=True)
class Joined:
    """Amounts for channels that are joined."""

    parts: tuple[Amount, ...]


Amount: TypeAlias = Own | Nothing | Added | Joined


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much less a value is in the other model, for each place along `axis`."""

    amount: Amount
    axis: int
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Shifts:
    """What each BatchNorm takes off its mean, by node; and what stands in the way of the weights that no one takes."""

    taken: Mapping[str, Shift] = field(default_factory=dict)
    homeless: Mapping[Origin, str] = field(default_factory=dict)


def shifts(graph: Graph, others: Mapping[str, Node], without: Collection[Origin] = ()) -> Shifts:
    """Where every bias and beta of a graph goes that the other model has no place for.

    Args:
        graph: the one whose biases are carried, held channels-first.
        others: the counterparts of its nodes in the other model, by name.
        without: weights that are not carried.
    """
    homeless: dict[Origin, str] = {}
    while True:
        walk = _Walk(graph, others, frozenset((*without, *homeless)))
        walk.run()
        if not walk.homeless:
            return Shifts(walk.taken, homeless)
        homeless |= walk.homeless


class _Walk:
    """One walk along the graph, without what is known to have no home."""

    def __init__(self, graph: Graph, others: Mapping[str, Node], without: frozenset[Origin]) -> None:
        self.graph, self.others, self.without = graph, others, without
        self.shapes = graph.value_shapes()
        self.held: dict[Value, Shift] = {}
        self.taken: dict[str, Shift] = {}
        self.homeless: dict[Origin, str] = {}

    def run(self) -> None:
        """Walks from the inputs to the outputs."""
        for node in self.graph.nodes:
            given = [self.held.get(value) for value in node.inputs]
            known = [shift for shift in given if shift is not None]
            passed = self._behind(node, given) if known else None
            if isinstance(passed, str):
                self._refuse(known, passed)
                passed = None
            both = [shift for shift in (passed, self._own(node)) if shift is not None]
            if both:
                self.held[Value(node.name)] = both[0] if len(both) == 1 else _sum(both)
        for value in self.graph.output_values():
            if value in self.held:
                self._refuse([self.held[value]], "nothing behind it can take it")

    def _refuse(self, shifts: list[Shift], why: str) -> None:
        for shift in shifts:
            self.homeless |= dict.fromkeys(shift.origins, why)

    def _own(self, node: Node) -> Shift | None:
        """What the other model's layer does not add."""
        other = self.others.get(node.name)
        role = "beta" if isinstance(node.spec, BatchNorm) else "bias"
        if other is None or not isinstance(node.spec, (BatchNorm, Conv, Dense)) or (node.name, role) in self.without:
            return None
        if role not in node.weights or role in other.weights:
            return None
        axis = axes.normal(node.spec.axis, len(node.shapes[0]))
        return Shift(Own(node.weights[role]), axis, ((node.name, role),))

    def _behind(self, node: Node, given: list[Shift | None]) -> Shift | str | None:
        """What is missing behind a node; None where the node makes up for it; why it cannot be carried on."""
        spec, known = node.spec, [shift for shift in given if shift is not None]
        first = known[0]
        passes = f"behind it stands {node.layer or node.name} ({type(spec).__name__}), past which it cannot be carried"
        if isinstance(spec, BatchNorm):
            other = self.others.get(node.name)
            paired = other is not None and isinstance(other.spec, BatchNorm)
            if not paired or axes.normal(spec.axis, len(node.shapes[0])) != first.axis:
                return passes
            self.taken[node.name] = first
            return None
        if isinstance(spec, Elementwise) and spec.name == "add":
            slots = all(isinstance(item, Slot) for item in spec.operands)
            same = len({self.shapes[value] for value in node.inputs}) == 1 == len({shift.axis for shift in known})
            return _sum(known) if slots and same and len(spec.operands) == len(node.inputs) else passes
        if isinstance(spec, Concat):
            along = axes.normal(spec.axis, len(node.shapes[0])) == first.axis and len({s.axis for s in known}) == 1
            return self._joined(node, given, first) if along else passes
        if isinstance(spec, GlobalPool):
            return first if first.axis == 1 else passes
        counts = isinstance(spec, Pool) and spec.counts_pads and any(map(any, spec.padding or ()))
        return first if isinstance(spec, Pool) and not counts else passes

    def _joined(self, node: Node, given: list[Shift | None], first: Shift) -> Shift | str:
        parts: list[Amount] = []
        for value, shift in zip(node.inputs, given, strict=True):
            size = self.shapes[value][first.axis]
            if size is None:
                return "it is joined with channels of an open number"
            parts.append(shift.amount if shift is not None else Nothing(size))
        origins = [origin for shift in given if shift is not None for origin in shift.origins]
        return Shift(Joined(tuple(parts)), first.axis, tuple(origins))


def _sum(shifts: list[Shift]) -> Shift:
    first, *others = shifts
    amount = first.amount
    for other in others:
        amount = Added(amount, other.amount)
    return Shift(amount, first.axis, tuple(origin for shift in shifts for origin in shift.origins))
