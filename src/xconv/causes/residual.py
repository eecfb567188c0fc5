"""Sums, products and joins of the wrong things: another branch, another order, one that a side lacks."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.structure import Found, found
from xconv.causes.wording import names_of
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
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
    for part in Found(case, "residual", everything.changes, everything.resized, everything.lone).parts():
        if part.pairs:
            change = part.pairs[0]
            yield part.suspicion(f"branches meet otherwise: {names_of([change.a])} against {names_of([change.b])}")
        else:
            nodes = [*part.lone.a, *part.lone.b]
            what = "is missing" if part.lone.a else "is too much"
            yield part.suspicion(f"where branches meet, {names_of(nodes)} {what}")


def _same_set(case: Case, part: Found) -> bool:
    (wire,) = part.wires
    return {case.in_b(value) for value in wire.takes_a} == set(wire.takes_b)


def _of(values: tuple[object, ...]) -> str:
    return " and ".join(map(str, values))
