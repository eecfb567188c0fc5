"""Layers of two networks that are one and take something else: another branch, or layers in another order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from xconv.alignment import commutes
from xconv.comparison.case import Case
from xconv.graph import Node, Value
from xconv.layers.recurrent import Recurrent

__all__ = ["Wire", "around", "sources", "wires_of"]


@dataclass(frozen=True, slots=True)
class Wire:
    """A pair of layers, by name, that take something else; empty names for what the networks return."""

    a: str
    b: str
    takes_a: tuple[Value, ...]
    takes_b: tuple[Value, ...]


def wires_of(case: Case) -> Mapping[str, tuple[Wire, ...]]:
    """The wires by cause: 'layer_order' where both networks have the same layers one before the other, 'residual'."""
    found = list(_unlike(case))
    turned = _turned(case, found)
    causes: dict[str, list[Wire]] = {}
    for wire in found:
        near = around(case, wire)
        cause = "recurrent" if _takes_states(case, wire) else "layer_order" if near & turned else "residual"
        causes.setdefault(cause, []).append(wire)
    return {cause: tuple(wires) for cause, wires in causes.items()}


def around(case: Case, wire: Wire) -> set[str]:
    """The nodes of `a` that a wire is about: who takes, what it takes there, and what it takes in `b`."""
    there = {case.alignment.to_a.get(value.node, "") for value in wire.takes_b}
    return {wire.a, *(value.node for value in wire.takes_a), *there} - {""}


def _takes_states(case: Case, wire: Wire) -> bool:
    """Whether both take something of one recurrent layer: all steps, the last one, a state."""
    ours = {value.node for value in wire.takes_a if isinstance(case.nodes_a[value.node].spec, Recurrent)}
    return {case.alignment.to_b.get(name) for name in ours} == {value.node for value in wire.takes_b} and bool(ours)


def _unlike(case: Case) -> Iterator[Wire]:
    for a, b in case.pairs():
        if not _same_inputs(case, a.inputs, b.inputs, commutes(a)):
            yield Wire(a.name, b.name, a.inputs, b.inputs)
    ours, theirs = case.a.graph.output_values(), case.b.graph.output_values()
    if not _same_inputs(case, ours, theirs, free=False):
        yield Wire("", "", ours, theirs)


def _same_inputs(case: Case, ours: tuple[Value, ...], theirs: tuple[Value, ...], free: bool) -> bool:
    """Whether two nodes take the same, up to lone nodes, which are told by themselves."""
    if len(ours) != len(theirs):
        return False
    mine = [
        {case.in_b(value) for value in sources(case.nodes_a, value, case.alignment.to_b)} - {None} for value in ours
    ]
    others: list[set[Value | None]] = [{*sources(case.nodes_b, value, case.alignment.to_a)} for value in theirs]
    for place, wanted in enumerate(mine):
        order = sorted(range(len(others)), key=lambda other: other != place) if free else [place]
        chosen = next((other for other in order if _meet(wanted, others[other])), None)
        if chosen is None:
            return False
        if free:
            others[chosen] = set()
    return True


def _meet(ours: set[Value | None], theirs: set[Value | None]) -> bool:
    return bool(ours & theirs) or not ours


def sources(nodes: Mapping[str, Node], value: Value, paired: Collection[str]) -> set[Value]:
    """The values with a counterpart of which lone nodes make a value; the value itself where it has one."""
    found, waiting, seen = set[Value](), [value], set[Value]()
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.node in paired:
            found.add(value)
        else:
            waiting += nodes[value.node].inputs
    return found


def _turned(case: Case, found: list[Wire]) -> set[str]:
    """The nodes of `a` that in `b` stand on the other side of a neighbour."""
    turned: set[str] = set()
    for wire in found:
        for value in wire.takes_a:
            for before in sources(case.nodes_a, value, case.alignment.to_b) if wire.a else ():
                there = case.alignment.to_b[before.node]
                if there != wire.b and _is_near(case, wire.b, there):
                    turned |= {wire.a, before.node}
    return turned


def _is_near(case: Case, first: str, then: str, steps: int = 4) -> bool:
    """Whether `then` comes a few nodes behind `first` in `b`."""
    reached = {first}
    for _ in range(steps):
        reached = {
            user.name
            for name in reached
            for index in range(len(case.nodes_b[name].shapes))
            for user in case.users_b.get(Value(name, index), ())
        }
        if then in reached:
            return True
    return False
