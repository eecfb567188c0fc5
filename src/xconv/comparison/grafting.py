"""Nodes and wires that only one of two networks has, put into the other or taken out of it.

Every function takes graph `b` of a case, or what other edits made of it, and gives one that is nearer to `a`. They work
together in any order: a node of `a` that was put in before counts as the counterpart of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from xconv.alignment import commutes
from xconv.comparison.case import Case
from xconv.comparison.edits import ordered
from xconv.errors import Mismatch
from xconv.graph import Graph, Node, Value
from xconv.weights import ArraySource, Weight

__all__ = ["bypassed", "foreign_name", "grafted", "taken_over", "wired"]

FOREIGN = "a:"
"""What stands before the name of a node, or the key of a weight, that came from the other model."""


def foreign_name(name: str) -> str:
    """What a node of `a` is called once it is put into `b`."""
    return f"{FOREIGN}{name}"


def bypassed(graph: Graph, names: Collection[str], case: Case | None = None) -> Graph:
    """The graph without these nodes, each of which passes one input on.

    Of several inputs it is the one that leads to what `a` takes there, where a case is given; else the first.
    """
    known = graph.by_name()
    aliases: dict[Value, Value] = {}
    for node in (known[name] for name in names if name in known and known[name].inputs):
        place = _Moulding(case, graph).passed(node) if case is not None and len(node.inputs) > 1 else 0
        aliases.update({Value(node.name, index): node.inputs[place] for index in range(len(node.shapes))})
    return graph.rebuilt({value.node: None for value in aliases}, aliases)


def grafted(graph: Graph, case: Case, names: Collection[str]) -> Graph:
    """The graph with these nodes of `a`, with their weights, where `a` has them.

    Raises:
        Mismatch: what is before or behind such a node has no counterpart.
    """
    moulding = _Moulding(case, graph)
    for node in case.a.graph.nodes:
        if node.name in names and moulding.present(node.name) is None:
            moulding.graft(node)
    return moulding.result()


def wired(graph: Graph, case: Case, names: Collection[str]) -> Graph:
    """The graph in which these nodes of `a` (the outputs, for an empty name) take what they take there."""
    moulding = _Moulding(case, graph)
    for name in names:
        moulding.wire(name)
    return moulding.result()


def taken_over(graph: Graph, case: Case, names: Collection[str]) -> Graph:
    """The graph in which these nodes of `a` stand with their own settings and weights for their counterparts."""
    known = graph.by_name()
    nodes: dict[str, Node | None] = {}
    arrays: dict[str, ArraySource] = {}
    for name in names:
        ours, theirs = case.nodes_a[name], known.get(case.alignment.to_b.get(name, ""))
        if theirs is not None:
            arrays.update(_arrays(case, ours))
            nodes[theirs.name] = replace(theirs, spec=ours.spec, weights=_weights(ours))
    return replace(graph.rebuilt(nodes), arrays={**graph.arrays, **arrays})


class _Moulding:
    """Changes `graph`, which is `b` or what became of it."""

    def __init__(self, case: Case, graph: Graph) -> None:
        self.case, self.graph = case, graph
        self.known = graph.by_name()
        self.lone = frozenset(case.alignment.only_b)

    def present(self, name: str) -> str | None:
        """The node that a node of `a` is in the graph as it is now."""
        found = self.case.alignment.to_b.get(name, ""), foreign_name(name)
        return next((here for here in found if here in self.known), None)

    def located(self, value: Value) -> Value:
        """What a value of `a` is here; over nodes that are not here, that of their first input."""
        while True:
            name = self.present(value.node)
            if name is not None:
                return Value(name, value.index)
            inputs = self.case.nodes_a[value.node].inputs
            if not inputs:
                raise Mismatch("it has no counterpart", place=str(value))
            value = inputs[0]

    def sources(self, value: Value) -> set[Value]:
        """The value, and all that it is made of by nodes that `a` lacks."""
        found, waiting = set[Value](), [value]
        while waiting:
            value = waiting.pop()
            if value not in found:
                found.add(value)
                if value.node in self.lone and value.node in self.known:
                    waiting += self.known[value.node].inputs
        return found

    def users(self, node: Node) -> Iterator[tuple[str, int, int]]:
        """Who takes what a node of `a` makes, over nodes that are not here: its name in `a`, place, and which output.

        The network's own outputs are users without a name.
        """
        for place, value in enumerate(self.case.a.graph.output_values()):
            if value.node == node.name:
                yield "", place, value.index
        for index in range(len(node.shapes)):
            made = Value(node.name, index)
            for user in self.case.users_a.get(made, ()):
                if self.present(user.name) is None:
                    yield from ((name, place, index) for name, place, _ in self.users(user))
                    continue
                yield from ((user.name, place, index) for place, value in enumerate(user.inputs) if value == made)

    def taken(self, name: str) -> tuple[Value, ...]:
        """What the counterpart of a node of `a` takes now; the outputs, for an empty name."""
        return self.known[self.present(name) or ""].inputs if name else self.graph.output_values()

    def give(self, name: str, values: tuple[Value, ...]) -> None:
        """Gives the counterpart of a node of `a` these inputs; the network these outputs, for an empty name."""
        if name:
            here = self.present(name) or ""
            self.known[here] = replace(self.known[here], inputs=values)
        else:
            self.graph = replace(self.graph, outputs=values)

    def result(self) -> Graph:
        """The graph as it is now."""
        return ordered(replace(self.graph, nodes=tuple(self.known.values())))

    def graft(self, node: Node) -> None:
        """Puts a node of `a` before those that take it there, behind what they take now."""
        behind = tuple(self.located(value) for value in node.inputs)
        users = [
            (name, self.place(name, place, behind), index)
            for name, place, index in dict.fromkeys(self.users(node))
            if place < len(self.taken(name))
        ]
        if not users:
            raise Mismatch(f"nothing behind {node.name} has a counterpart", place=node.name)
        if len(behind) == 1:
            now = (self.taken(name)[place] for name, place, _ in users)
            behind = (next((value for value in now if behind[0] in self.sources(value)), behind[0]),)
        new = replace(node, name=foreign_name(node.name), inputs=behind, weights=_weights(node))
        self.graph = replace(self.graph, arrays={**self.graph.arrays, **_arrays(self.case, node)})
        for name, place, index in users:
            values = list(self.taken(name))
            values[place] = Value(new.name, index)
            self.give(name, tuple(values))
        self.known[new.name] = new

    def place(self, name: str, place: int, behind: Sequence[Value]) -> int:
        """At which place the counterpart takes what the user of `a` takes at this one: of a sum, the order is free."""
        if not name or not commutes(self.case.nodes_a[name]):
            return place
        taken = self.taken(name)
        first = sorted(range(len(taken)), key=lambda other: other != place)
        return next((other for other in first if self.sources(taken[other]) & set(behind)), place)

    def wire(self, name: str) -> None:
        """Lets the counterpart of a node of `a` take what that takes; nodes that `a` lacks may stand between."""
        inputs = self.case.nodes_a[name].inputs if name else self.case.a.graph.output_values()
        if name and self.present(name) is None:
            raise Mismatch("it has no counterpart", place=name)
        now = dict(enumerate(self.taken(name)))
        free = bool(name) and commutes(self.case.nodes_a[name])
        values = []
        for place, value in enumerate(inputs):
            want = self.located(value)
            if want.node.startswith(FOREIGN):
                self.wire(want.node.removeprefix(FOREIGN))
            places = sorted(now, key=lambda other: other != place) if free else [place] if place in now else []
            kept = next((other for other in places if want in self.sources(now[other])), None)
            values.append(want if kept is None else now.pop(kept))
        self.give(name, tuple(values))

    def passed(self, node: Node) -> int:
        """Which of its inputs a node that `a` lacks passes on: that which leads to what `a` takes in its stead."""
        users = self.graph.consumers()
        reached, waiting = {Value(node.name)}, [Value(node.name)]
        while waiting:
            value = waiting.pop()
            for user in users.get(value, ()):
                if user.name in self.lone:
                    new = {Value(user.name, index) for index in range(len(user.shapes))} - reached
                    reached |= new
                    waiting += new
                    continue
                ours = self.case.nodes_a.get(self.case.alignment.to_a.get(user.name, ""))
                wanted = {self.located(taken) for taken in ours.inputs} if ours is not None else set()
                for place, source in enumerate(node.inputs):
                    if wanted & self.sources(source):
                        return place
        return 0


def _weights(node: Node) -> dict[str, Weight]:
    return {
        role: replace(weight, key=foreign_name(weight.key)) if weight.key else weight
        for role, weight in node.weights.items()
    }


def _arrays(case: Case, node: Node) -> dict[str, ArraySource]:
    return {foreign_name(w.key): case.a.graph.arrays[w.key] for w in node.weights.values() if w.key}
