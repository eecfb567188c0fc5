"""The weights that go nowhere, and those that nothing comes to: none is forgotten, each has its reason."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from xconv.comparison.case import Case
from xconv.comparison.opened import Opened
from xconv.graph import Node
from xconv.passes.without_unused import without_unused
from xconv.transfers.holdings import Holdings
from xconv.transfers.places import read_from
from xconv.transfers.plan import Assignment, Left, Unfilled, taken

__all__ = ["Accounts"]

UNUSED = "nothing that {} computes in inference uses it"


@dataclass(frozen=True, slots=True)
class Accounts:
    """What is left of the source and what stays of the target, by key."""

    case: Case
    source: Holdings
    target: Holdings
    left: dict[str, Left] = field(default_factory=dict)
    unfilled: dict[str, Unfilled] = field(default_factory=dict)

    def leave(self, node: Node, role: str, reason: str, must_be: float | None = None) -> None:
        """A weight of the source goes nowhere."""
        for item in taken(read_from(node.weights[role], self.case.a.graph.computed)):
            whole = self.source.weight(item.key) if item.key in self.source.arrays else item
            self.left.setdefault(item.key, Left(whole, node.layer or node.name, role, reason, must_be))

    def keep(self, node: Node, role: str, reason: str) -> None:
        """A weight of the target stays as it is."""
        for item in taken(read_from(node.weights[role], self.case.b.graph.computed)):
            whole = self.target.weight(item.key) if item.key in self.target.arrays else item
            self.unfilled.setdefault(item.key, Unfilled(whole, node.layer or node.name, role, reason))

    def close(self, assignments: Iterable[Assignment], ends: Container[str]) -> None:
        """All that no pair of layers has said: weights of lone layers, and arrays that no layer uses."""
        self._lone(ends)
        items = list(assignments)
        read = {weight.key for item in items for weight in taken(item.formula)}
        for key in _others(self.source, {*read, *self.left}):
            reason = self.source.without_meaning(key) or UNUSED.format(self.case.a.name)
            if key in self.source.uses:
                reason = f"{self.case.a.name} computes other weights from it, and those are moved"
            self.left[key] = Left(self.source.weight(key), *self.source.named(key), reason)
        for key in _others(self.target, {*(item.target.key for item in items), *self.unfilled}):
            reason = self.target.without_meaning(key) or UNUSED.format(self.case.b.name)
            self.unfilled[key] = Unfilled(self.target.weight(key), *self.target.named(key), reason)

    def _lone(self, ends: Container[str]) -> None:
        lacks = "{} has no such layer"
        used_a, used_b = _used(self.case.a), _used(self.case.b)
        for node in self.case.only_a():
            for role in node.weights if node.name in used_a else ():
                more = ", what stands at the ends alone is yours to do" if node.name in ends else ""
                self.leave(node, role, lacks.format(self.case.b.name) + more)
        for node in self.case.only_b():
            for role in node.weights if node.name in used_b else ():
                self.keep(node, role, lacks.format(self.case.a.name))


def _others(held: Holdings, known: Iterable[str]) -> Iterator[str]:
    """The keys of a model's arrays but those that are known, and other names of the same tensors."""
    first = {held.shared.get(key, key) for key in known}
    return (key for key in held.arrays if held.shared.get(key, key) not in first)


def _used(side: Opened) -> dict[str, Node]:
    """The nodes on which an output depends."""
    return without_unused(side.graph).by_name()
