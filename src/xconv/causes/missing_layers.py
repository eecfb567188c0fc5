"""Layers that one side lacks: a normalisation, a convolution, whole blocks of another depth; and other widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from xconv.causes.lone import LEARNED, Lone
from xconv.causes.structure import Found, found
from xconv.causes.wording import names_of
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Graph, Node, Value
from xconv.layers.conv import Conv
from xconv.layers.elementwise import Elementwise
from xconv.layers.recurrent import Recurrent

__all__ = ["missing_layers", "stages"]


def missing_layers(case: Case) -> Iterator[Suspicion]:
    """Groups of lone layers, one finding for each; then the pairs of another size, as one."""
    everything = found(case, "missing_layers")
    groups = [Lone(a=tuple(group)) for group in _groups(everything.lone.a)]
    groups += [Lone(b=tuple(group)) for group in _groups(everything.lone.b)]
    for lone in _alike(groups):
        nodes = [*lone.a, *lone.b]
        stacked = everything.changes if any(isinstance(node.spec, Recurrent) for node in nodes) else ()
        yield Found(case, "missing_layers", stacked, lone=lone).suspicion(
            _text(lone, nodes), hint=_variant(case, nodes)
        )
    if everything.resized:
        yield _resized(replace(everything, changes=(), lone=Lone()))


def _groups(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Lone nodes that hang together."""
    groups: list[list[Node]] = []
    for node in nodes:
        near = {value.node for value in node.inputs}
        joined = [group for group in groups if near & {other.name for other in group}]
        groups = [group for group in groups if group not in joined]
        groups.append([*(other for group in joined for other in group), node])
    yield from groups


def _alike(groups: Sequence[Lone]) -> Iterator[Lone]:
    """Groups of the same layers on the same side as one."""
    found_kinds: dict[tuple[bool, str], Lone] = {}
    for lone in groups:
        kind = bool(lone.a), names_of([*lone.a, *lone.b])
        known = found_kinds.get(kind, Lone())
        found_kinds[kind] = Lone((*known.a, *lone.a), (*known.b, *lone.b))
    yield from found_kinds.values()


def _text(lone: Lone, nodes: list[Node]) -> str:
    learned = [node for node in nodes if not isinstance(node.spec, Elementwise)]
    return f"{'b lacks' if lone.a else 'b has besides'} {names_of(learned or nodes)}"


def _variant(case: Case, nodes: Sequence[Node]) -> str:
    """The depths of both networks stage by stage, where whole blocks are missing."""
    if not any(isinstance(node.spec, LEARNED) for node in nodes):
        return ""
    sums = [[node for node in opened.graph if _is_sum(node)] for opened in (case.a, case.b)]
    blocks = all(sums) and max(map(len, sums)) > 1
    ours, theirs = (stages(opened.graph, blocks) for opened in (case.a, case.b))
    if ours == theirs:
        return ""
    what = "residual blocks" if blocks else "convolutions"
    return f"another variant: {_listed(ours)} against {_listed(theirs)} {what} on maps of one size"


def stages(graph: Graph, blocks: bool) -> list[int]:
    """How many residual sums (convolutions, without `blocks`) stand behind one another on maps of one size."""
    nodes = [node for node in graph if (_is_sum(node) if blocks else isinstance(node.spec, Conv))]
    counts: list[int] = []
    last: tuple[int | None, ...] | None = None
    for node in nodes:
        shape = graph.shape(Value(node.name))
        counts = [*counts[:-1], counts[-1] + 1] if shape == last else [*counts, 1]
        last = shape
    return counts


def _is_sum(node: Node) -> bool:
    return isinstance(node.spec, Elementwise) and node.spec.name == "add" and len(node.inputs) > 1


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _resized(part: Found) -> Suspicion:
    first = part.pairs[0]
    ours, theirs = _width(first.a), _width(first.b)
    layers = f"{len(part.pairs)} layer{'s have' if len(part.pairs) > 1 else ' has'}"
    text = f"{layers} another size: {ours} against {theirs} in the first"
    return part.suspicion(text, hint="another width or variant of the architecture: no weights fit both")


def _width(node: Node) -> str:
    shapes = [f"{role} {weight.shape}" for role, weight in node.weights.items()]
    return f"{names_of([node])} with {shapes[0]}" if shapes else names_of([node])
