"""What acts in training alone: dropout rates and kinds, layers that are frozen."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.claims import claims_of
from xconv.causes.settings import Change
from xconv.causes.wording import said
from xconv.comparison.case import Case, spelled
from xconv.comparison.opened import Opened
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Node
from xconv.layers.dropout import Dropout, Noise, SpatialDropout

__all__ = ["dropout", "frozen"]

RANDOM = Dropout, SpatialDropout, Noise


def dropout(case: Case) -> Iterator[Suspicion]:
    """Layers that drop at random in training: at another rate, of another kind, or on one side alone."""
    ours, theirs = _dropouts(case.a), _dropouts(case.b)
    found: list[Place] = []
    for before, nodes in ours.items():
        there = case.alignment.to_b.get(before, "")
        others = theirs.pop(there, [])
        if list(map(_rate, nodes)) != list(map(_rate, others)):
            found.append(_place(nodes, others))
    paired = case.alignment.to_a
    found += [_place([], nodes) for before, nodes in theirs.items() if nodes and before in paired]
    found += [_place(list(change_a), list(change_b)) for change_a, change_b in _inside(case)]
    if found:
        text = f"{len(found)} place{'s' if len(found) > 1 else ''} with another dropout in training"
        remedy = f"in b: {found[0].a_says or 'no dropout'} in place of {found[0].b_says or 'nothing'}"
        yield Suspicion("dropout", text, tuple(found), remedy)


def frozen(case: Case) -> Iterator[Suspicion]:
    """Layers whose weights train on one side alone."""
    found = [(a, b) for a, b in case.pairs() if a.weights and b.weights and a.trainable != b.trainable]
    changed = [
        (change.a, change.b) for change in claims_of(case).changes("frozen") if (change.a, change.b) not in found
    ]
    both = [*found, *changed]
    if both:
        first, other = both[0]
        places = tuple(Place(a.name, b.name, _trains(a), _trains(b)) for a, b in both)
        text = f"{len(both)} layer{'s train' if len(both) > 1 else ' trains'} on one side alone"
        value = _trains(first) == "trains"
        word = f"requires_grad_({value})" if case.b.framework == "torch" else f"trainable = {value}"
        yield Suspicion("frozen", text, places, f"{spelled(case.b, other)}.{word}")


def _trains(node: Node) -> str:
    return "trains" if node.trainable and not getattr(node.spec, "frozen", False) else "is frozen"


def _dropouts(opened: Opened) -> dict[str, list[Node]]:
    """The random layers by the name of the last layer before them that is none and changes more than the shape."""
    known, compared = opened.whole.by_name(), opened.graph.by_name()
    found: dict[str, list[Node]] = {}
    for node in opened.whole.nodes:
        if isinstance(node.spec, RANDOM):
            before = node
            while before.inputs and (isinstance(before.spec, RANDOM) or before.name not in compared):
                before = known[before.inputs[0].node]
            found.setdefault(before.name, []).append(node)
    return found


def _rate(node: Node) -> object:
    return said(node)


def _inside(case: Case) -> Iterator[tuple[list[Node], list[Node]]]:
    """Attention layers with another dropout of their own."""
    changes: tuple[Change, ...] = claims_of(case).changes("dropout")
    yield from (([change.a], [change.b]) for change in changes)


def _place(ours: list[Node], theirs: list[Node]) -> Place:
    names = [nodes[0].name if nodes else "" for nodes in (ours, theirs)]
    return Place(*names, *(", ".join(map(said, nodes)) for nodes in (ours, theirs)))
