"""Sums, products and joins of the wrong things: another branch, another order, one that a side lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.causes.lone import Lone
from xconv.causes.structure import Found, found
from xconv.causes.wires import sources
from xconv.causes.wording import names_of, replaced_line, said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node
from xconv.layers.concat import Concat

__all__ = ["residual"]


def residual(case: Case) -> Iterator[Suspicion]:
    """Layers that take something else, one finding each; then sums and joins that are others, or lone."""
    everything = found(case, "residual")
    for wire in everything.wires:
        part = Found(case, "residual", wires=(wire,))
        node = case.nodes_a.get(wire.a)
        if node is None:
            yield part.suspicion("the two return what different layers make")
        elif isinstance(node.spec, Concat) and _same_set(case, part):
            yield part.suspicion("the same tensors are joined in another order")
        else:
            text = f"{names_of([node])} takes {_of(wire.takes_a)} in the one, {_of(wire.takes_b)} in the other"
            yield part.suspicion(text)
    exchanged = list(_exchanged(case, everything.lone))
    for ours, theirs in exchanged:
        part = Found(case, "residual", lone=Lone((ours,), (theirs,)))
        text = f"branches meet otherwise: {names_of([ours])} in the one, {names_of([theirs])} in the other"
        yield part.suspicion(text, replaced_line(case, ours, theirs))
    known = {node.name for pair in exchanged for node in pair}
    rest = Lone(*(tuple(n for n in side if n.name not in known) for side in (everything.lone.a, everything.lone.b)))
    for part in replace(everything, lone=rest, wires=()).parts():
        if part.pairs:
            change = part.pairs[0]
            yield part.suspicion(f"branches meet otherwise: {said(change.a)} against {said(change.b)}")
        else:
            nodes = [*part.lone.a, *part.lone.b]
            what = "is missing" if part.lone.a else "is too much"
            yield part.suspicion(f"where branches meet, {', '.join(dict.fromkeys(map(said, nodes)))} {what}")


def _exchanged(case: Case, lone: Lone) -> Iterator[tuple[Node, Node]]:
    """Lone nodes of several inputs that take the same: an add in place of which the other has a product."""
    free = list(lone.b)
    for ours in lone.a:
        wanted = {case.in_b(v) for value in ours.inputs for v in sources(case.nodes_a, value, case.alignment.to_b)}
        for theirs in free:
            taken = {v for value in theirs.inputs for v in sources(case.nodes_b, value, case.alignment.to_a)}
            if len(ours.inputs) > 1 and len(theirs.inputs) > 1 and wanted == taken:
                free.remove(theirs)
                yield ours, theirs
                break


def _same_set(case: Case, part: Found) -> bool:
    (wire,) = part.wires
    return {case.in_b(value) for value in wire.takes_a} == set(wire.takes_b)


def _of(values: tuple[object, ...]) -> str:
    return " and ".join(map(str, values))
