"""Nodes that only one of two networks has, put into the other or taken out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from xconv.comparison.case import Case
from xconv.comparison.edits import inserted, without
from xconv.errors import Mismatch
from xconv.graph import Graph, Node, Value
from xconv.weights import Weight

__all__ = ["bypassed", "grafted"]

FOREIGN = "a:"
"""What stands before the key of a weight that came with a node of the other model."""


def bypassed(graph: Graph, names: Collection[str]) -> Graph:
    """The graph without these nodes, each of which passes its first input on."""
    for name in names:
        if name in graph.by_name():
            graph = without(graph, name)
    return graph


def grafted(graph: Graph, case: Case, names: Collection[str]) -> Graph:
    """Graph `b` of a case, or what became of it, with these nodes of `a`, which have one input, where `a` has them.

    Raises:
        Mismatch: what is before or behind such a node has no counterpart.
    """
    grafting = _Grafting(case, graph)
    for node in case.a.graph.nodes:
        if node.name in names:
            grafting.add(node)
    return grafting.graph


@dataclass(slots=True)
class _Grafting:
    case: Case
    graph: Graph
    made: dict[str, Value] = field(default_factory=dict)
    """What a node that was put in makes, by its name in `a`."""

    def add(self, node: Node) -> None:
        if len(node.inputs) != 1:
            raise Mismatch(f"{node.name} has {len(node.inputs)} inputs", place=node.name)
        behind = self._located(node.inputs[0])
        reached = list(self._reached(node))
        known = self.graph.by_name()
        users = [name for name in reached if name in known and behind in known[name].inputs]
        ends = None in reached
        if not users and not ends:
            raise Mismatch(f"nothing behind {node.name} has a counterpart", place=node.name)
        weights = {role: _foreign(weight) for role, weight in node.weights.items()}
        arrays = {_foreign(w).key: self.case.a.graph.arrays[w.key] for w in node.weights.values() if w.key}
        before = set(known)
        graph = replace(self.graph, arrays={**self.graph.arrays, **arrays})
        new = replace(node, name=f"{FOREIGN}{node.name}", weights=weights)
        if users:
            self.graph = inserted(graph, new, behind, users, outputs=ends)
        else:
            self.graph = inserted(graph, new, behind, (), outputs=True)
        (name,) = {item.name for item in self.graph.nodes} - before
        self.made[node.name] = Value(name)

    def _located(self, value: Value) -> Value:
        """The value of `b` that a value of `a` is; over nodes that `b` lacks, that of their input."""
        if value.node in self.made:
            return self.made[value.node]
        found = self.case.in_b(value)
        if found is not None:
            return found
        node = self.case.nodes_a[value.node]
        if len(node.inputs) != 1:
            raise Mismatch("it has no counterpart", place=str(value))
        return self._located(node.inputs[0])

    def _reached(self, node: Node) -> Iterator[str | None]:
        """The nodes of `b` that take what the node makes, over nodes that `b` lacks; None for the network's end."""
        value = Value(node.name)
        if value in self.case.a.graph.output_values():
            yield None
        for user in self.case.users_a.get(value, ()):
            name = self.case.alignment.to_b.get(user.name)
            if name is not None:
                yield name
            elif user.name in self.made:
                yield self.made[user.name].node
            else:
                yield from self._reached(user)


def _foreign(weight: Weight) -> Weight:
    return replace(weight, key=f"{FOREIGN}{weight.key}") if weight.key else weight
