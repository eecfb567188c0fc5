"""The same layers one behind the other in another order: BatchNorm before or after the activation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xconv.causes.structure import Found, found
from xconv.causes.wires import Wire, around
from xconv.causes.wording import names_of
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node

__all__ = ["layer_order"]


def layer_order(case: Case) -> Iterator[Suspicion]:
    """Layers that stand in another order, one finding for each place."""
    everything = found(case, "layer_order")
    if everything.lone:
        lone = everything.lone
        before = [", ".join(node.inputs[0].node for node in side) for side in (lone.a, lone.b)]
        text = f"{names_of(lone.a)} behind {before[0]} in the one, behind {before[1]} in the other"
        yield Found(case, "layer_order", lone=lone).suspicion(text)
    for wires in _places(case, everything.wires):
        chain = [node for node in (case.nodes_a.get(wire.a) for wire in wires) if node is not None]
        inside = _exchanged(case, chain)
        ours = names_of(inside)
        theirs = names_of([case.nodes_b[case.alignment.to_b[node.name]] for node in _in_b(case, inside)])
        part = Found(case, "layer_order", wires=wires)
        text = f"layers stand in another order: {ours} in the one, {theirs} in the other"
        yield part.suspicion(text, f"call them in the order {', '.join(_names(case, inside))}")


def _places(case: Case, wires: Sequence[Wire]) -> Iterator[tuple[Wire, ...]]:
    """The wires that belong together: the one takes what the other makes."""
    groups: list[tuple[set[str], list[Wire]]] = []
    for wire in wires:
        names = around(case, wire)
        joined = [group for group in groups if group[0] & names]
        rest = [group for group in groups if not group[0] & names]
        merged = (names.union(*(g[0] for g in joined)), [w for g in joined for w in g[1]] + [wire])
        groups = [*rest, merged]
    yield from (tuple(group[1]) for group in groups)


def _exchanged(case: Case, chain: list[Node]) -> list[Node]:
    """Those that stand on another side of one another: all but the one behind them, which only takes the last."""
    order = {name: place for place, name in enumerate(case.nodes_b)}
    places = [order[case.alignment.to_b[node.name]] for node in chain]
    moved = [
        node
        for i, node in enumerate(chain)
        if any((places[i] < places[j]) != (i < j) for j in range(len(chain)) if j != i)
    ]
    return moved or chain


def _in_b(case: Case, nodes: list[Node]) -> list[Node]:
    order = {name: place for place, name in enumerate(case.nodes_b)}
    return sorted(nodes, key=lambda node: order[case.alignment.to_b[node.name]])


def _names(case: Case, nodes: list[Node]) -> list[str]:
    return [case.alignment.to_b[node.name] for node in nodes]
