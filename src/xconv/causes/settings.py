"""Pairs of layers that say something else in the same field: what most causes are found and mended by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from xconv.comparison.case import Case
from xconv.comparison.trial import Mend, Trial
from xconv.graph import Node
from xconv.spec import Spec

__all__ = ["Change", "as_in_a", "changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """A pair of layers of one kind and the fields in which they differ."""

    a: Node
    b: Node
    fields: tuple[str, ...]

    def said(self, node: Node) -> str:
        """What a side says in these fields."""
        values = (getattr(node.spec, name) for name in self.fields)
        return ", ".join(f"{name} {value}" for name, value in zip(self.fields, values, strict=True))


def changed(case: Case, kinds: tuple[type[Spec], ...], names: Sequence[str]) -> Iterator[Change]:
    """The pairs of these kinds that differ in some of these fields."""
    for a, b in case.pairs():
        if isinstance(a.spec, kinds) and type(a.spec) is type(b.spec):
            own = {entry.name for entry in fields(a.spec)}
            found = tuple(name for name in names if name in own and _value(a, name) != _value(b, name))
            if found:
                yield Change(a, b, found)


def _value(node: Node, name: str) -> Any:
    return getattr(node.spec, name)


def as_in_a(changes: Sequence[Change]) -> Mend:
    """The remedy that gives every such layer of `b` what `a` says in these fields."""

    def mend(trial: Trial) -> Trial:
        known = trial.b.by_name()
        nodes: dict[str, Node | None] = {}
        for change in changes:
            now = known.get(change.b.name)
            if now is not None:
                said = {name: getattr(change.a.spec, name) for name in change.fields}
                nodes[now.name] = replace(now, spec=replace(now.spec, **said))
        return replace(trial, b=trial.b.rebuilt(nodes))

    return mend
