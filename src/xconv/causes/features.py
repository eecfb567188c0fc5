"""What stands behind the maps: global pooling or flatten, a hidden layer, another number of classes, no head at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.causes.lone import VECTORS
from xconv.causes.structure import Found, found
from xconv.causes.wording import inserted_line, names_of, removed_line
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.extraction.lengths import in_words
from xconv.graph import Graph, Node
from xconv.layers.dense import Dense
from xconv.layers.pool import GlobalPool
from xconv.layers.reshape import Flatten, Reshape

__all__ = ["features"]

TOP = (
    "include_top=False and pooling=None give a map, pooling='avg' its mean over all positions, include_top=True scores"
)


def features(case: Case) -> Iterator[Suspicion]:
    """Everything that differs in the heads, as one finding: its parts fit one another only."""
    everything = found(case, "features")
    if everything:
        everything = replace(everything, wires=())
        remedy = _remedy(everything)
        yield everything.suspicion(_text(case, everything), remedy, TOP if _is_top(everything) else "")


def _text(case: Case, everything: Found) -> str:
    ours, theirs = (_result(opened.graph) for opened in (case.a, case.b))
    lengths = f"a returns {ours}, b {theirs}"
    return f"{lengths}: {_why(everything)}" if ours != theirs else f"{_why(everything)}; both return {ours}"


def _result(graph: Graph) -> str:
    """What a network returns, in words: 'a vector of length 2048'."""
    return " and ".join(in_words(graph, value) for value in graph.output_values())


def _why(everything: Found) -> str:
    """What makes the difference, each side by its own layers."""
    lone = everything.lone
    reasons = []
    flat_a, flat_b = (any(isinstance(n.spec, (Flatten, Reshape)) for n in side) for side in (lone.a, lone.b))
    mean_a, mean_b = (any(isinstance(n.spec, GlobalPool) for n in side) for side in (lone.a, lone.b))
    if mean_a and flat_b:
        reasons.append("a pools the map to one number for each channel, b flattens it")
    elif flat_a and mean_b:
        reasons.append("a flattens the map, b pools it to one number for each channel")
    for side, other, nodes in (("a", "b", lone.a), ("b", "a", lone.b)):
        rest = [node for node in nodes if not (isinstance(node.spec, VECTORS) and reasons)]
        if rest:
            reasons.append(f"{side} has {names_of(rest)}, which {other} lacks")
    classes = [change for change in everything.resized if isinstance(change.a.spec, Dense)]
    for change in classes:
        ours, theirs = _outputs(change.a), _outputs(change.b)
        if ours != theirs:
            reasons.append(f"{change.a.name} has {ours} outputs, {change.b.name} {theirs}")
    if not reasons and everything.pairs:
        change = everything.pairs[0]
        reasons.append(f"{change.a.name} takes another length of vector than {change.b.name}")
    return "; ".join(reasons)


def _outputs(node: Node) -> int | None:
    return node.spec.out_features if isinstance(node.spec, Dense) else None


def _is_top(everything: Found) -> bool:
    """Whether the one lacks what the other ends with, pool and all."""
    nodes = [*everything.lone.a, *everything.lone.b]
    return any(isinstance(node.spec, GlobalPool) for node in nodes)


def _remedy(everything: Found) -> str:
    lone = everything.lone
    if everything.case.b.framework == "keras" and _is_top(everything):
        kinds = [node.spec.kind for node in lone.a if isinstance(node.spec, GlobalPool)]
        pooling = {"average": "'avg'", "max": "'max'"}.get(kinds[0] if kinds else "", "None")
        return f"build b with include_top={any(isinstance(n.spec, Dense) for n in lone.a)}, pooling={pooling}"
    lines = [inserted_line(everything.case, node) for node in lone.a]
    lines += [removed_line(everything.case, node) for node in lone.b]
    if everything.pairs:
        lines.append(Found(everything.case, "features", everything.pairs).remedy())
    return "; ".join(lines)
