"""What acts in training alone: dropout rates and kinds, layers that are frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from xconv.causes.claims import claims_of
from xconv.causes.wording import constructed, is_module, removed_line, said
from xconv.comparison.case import Case, spelled
from xconv.comparison.opened import Opened
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Node
from xconv.layers.dropout import Dropout, Noise, SpatialDropout
from xconv.layers.multi_head_attention import MultiHeadAttention

__all__ = ["dropout", "frozen"]

RANDOM = Dropout, SpatialDropout, Noise
RATE = {MultiHeadAttention: "dropout", Noise: "size"}
"""What a Spec calls its rate, where not `rate`."""
SETTINGS = "p", "drop_prob", "rate", "stddev", "dropout"
"""What layers of torch, timm and Keras call it; where it is a property, it cannot be set."""


def dropout(case: Case) -> Iterator[Suspicion]:
    """Layers that drop at random in training: at another rate, of another kind, or on one side alone."""
    ours, theirs = _dropouts(case.a), _dropouts(case.b)
    found: list[_Unlike] = []
    for before, nodes in ours.items():
        there = case.alignment.to_b.get(before, "")
        others = theirs.pop(there, [])
        if list(map(_rate, nodes)) != list(map(_rate, others)):
            found.append(_Unlike(there, nodes, others))
    paired = case.alignment.to_a
    found += [_Unlike(before, [], nodes) for before, nodes in theirs.items() if nodes and before in paired]
    found += [_Unlike("", [change.a], [change.b]) for change in claims_of(case).changes("dropout")]
    if found:
        text = f"{len(found)} place{'s' if len(found) > 1 else ''} with another dropout in training"
        places = tuple(_place(unlike.ours, unlike.theirs) for unlike in found)
        yield Suspicion("dropout", text, places, _remedy(case, found[0]))


@dataclass(frozen=True, slots=True)
class _Unlike:
    """A place in `b`, by the node before it, and the random layers of either side there."""

    before: str
    ours: list[Node]
    theirs: list[Node]


def _remedy(case: Case, unlike: _Unlike) -> str:
    """The line of code that gives `b` the random layers of `a` at one place."""
    mine, other = (nodes[0] if nodes else None for nodes in (unlike.ours, unlike.theirs))
    if other is not None and (mine is None or _is_same_kind(mine, other)):
        name = _setting(case.b, other)
        if name:
            return f"{spelled(case.b, other)}.{name} = {_amount(mine) if mine is not None else 0.0:g}"
    if mine is None:
        return removed_line(case, other) if other is not None else ""
    new = constructed(case.b, mine, tuple(case.a.whole.shape(value) for value in mine.inputs))
    modules = case.b.framework == "torch"
    if other is not None:
        own = spelled(case.b, other) if is_module(case.b, other) else other.name
        return f"{own} = {new}" if modules and own != other.name else f"x = {new}(x)  # in place of {own}"
    before = case.nodes_b.get(unlike.before)
    if before is None or not before.inputs:
        return f"x = {new}(x)  # behind the input"
    if not is_module(case.b, before):
        return f"x = {new}(x)  # behind {before.name}"
    layer = spelled(case.b, before)
    return f"{layer} = torch.nn.Sequential({layer}, {new})" if modules else f"x = {new}(x)  # behind {layer}"


def _is_same_kind(a: Node, b: Node) -> bool:
    """Whether two random layers differ in their rate alone."""
    if type(a.spec) is not type(b.spec):
        return False
    return replace(a.spec, **{RATE.get(type(a.spec), "rate"): _amount(b)}) == b.spec


def _setting(opened: Opened, node: Node) -> str:
    """What the layer of a live model calls its rate; empty where it has no such attribute."""
    model, layer = opened.model, None
    if opened.framework == "torch" and hasattr(model, "get_submodule") and is_module(opened, node):
        layer = model.get_submodule(node.layer)
    elif opened.framework == "keras" and hasattr(model, "layers"):
        layer = next((layer for layer in model.layers if layer.name == node.layer), None)
    fixed = vars(type(layer))
    found = (name for name in SETTINGS if isinstance(getattr(layer, name, None), int | float) and name not in fixed)
    return next(found, "")


def _amount(node: Node) -> float:
    return float(getattr(node.spec, RATE.get(type(node.spec), "rate")))


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


def _place(ours: list[Node], theirs: list[Node]) -> Place:
    names = [nodes[0].name if nodes else "" for nodes in (ours, theirs)]
    return Place(*names, *(", ".join(map(said, nodes)) for nodes in (ours, theirs)))
