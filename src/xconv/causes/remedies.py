"""Remedies for what lies in the graph: settings, lone nodes, wires and sizes of `b` as `a` has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from xconv.causes.lone import Lone
from xconv.causes.settings import Change, as_in_a
from xconv.causes.wires import Wire
from xconv.causes.wording import said
from xconv.comparison.case import Case
from xconv.comparison.grafting import bypassed, grafted, taken_over, wired
from xconv.comparison.trial import Mend, Trial
from xconv.diagnosis.records import Place

__all__ = ["change_places", "lone_places", "mending", "wire_places"]


def mending(
    case: Case,
    *,
    changes: Sequence[Change] = (),
    lone: Lone | None = None,
    wires: Sequence[Wire] = (),
    resized: Sequence[Change] = (),
) -> Mend:
    """The remedy that gives `b` these settings, nodes, wires and sizes of `a`, and takes out nodes that `a` lacks."""
    nodes = lone or Lone()

    def mend(trial: Trial) -> Trial:
        graph = as_in_a(changes)(trial).b
        graph = taken_over(graph, case, [change.a.name for change in resized])
        graph = bypassed(graph, [node.name for node in nodes.b], case)
        graph = grafted(graph, case, [node.name for node in nodes.a])
        return replace(trial, b=wired(graph, case, [wire.a for wire in wires]))

    return mend


def change_places(changes: Sequence[Change]) -> Iterator[Place]:
    """A place for each pair, with what either side is."""
    return (Place(change.a.name, change.b.name, said(change.a), said(change.b)) for change in changes)


def lone_places(lone: Lone) -> Iterator[Place]:
    """A place for each lone node."""
    yield from (Place(node.name, "", said(node), "") for node in lone.a)
    yield from (Place("", node.name, "", said(node)) for node in lone.b)


def wire_places(wires: Sequence[Wire]) -> Iterator[Place]:
    """A place for each wire, with what either side takes."""
    for wire in wires:
        ours, theirs = (", ".join(map(str, taken)) for taken in (wire.takes_a, wire.takes_b))
        yield Place(wire.a or "the output", wire.b or "the output", f"takes {ours}", f"takes {theirs}")
