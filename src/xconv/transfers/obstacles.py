"""Why two models are not the same function, in words: what stands in the way of an exact transfer, what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xconv.comparison.case import Case
from xconv.comparison.differences import Unlike, differences, reach_of
from xconv.errors import Problem
from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.pool import Pool
from xconv.layers.rescale import Normalization, Rescaling
from xconv.layers.softmax import Softmax
from xconv.spec import Shape, Spec
from xconv.transfers.outside import line_outside

__all__ = ["Judged", "judged", "place_of"]

FIRST = (Rescaling, Normalization)
"""What may stand before the first layer of one model alone."""
GEOMETRY = frozenset({"stride", "padding", "epsilon", "kernel", "counts_pads"})
"""What adapt=True can change in the target, where a layer has it as a setting."""

STEPS = frozenset({"stride", "dilation", "kernel"})
"""What decides how far windows reach beside the pads."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What stands in the way, what does not but must be known, and the lone nodes that a caller makes up for."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    ends: frozenset[str]
    """Nodes of the source or the target that stand at its very ends alone."""


def judged(case: Case, *, inference_only: bool, rotate: bool) -> Judged:
    """Every difference of the two models, judged; weights of one side alone, and shapes, are judged by the plan.

    Args:
        case: the two models, `a` the source and `b` the target.
        inference_only: epsilons of BatchNorms may differ: they go into the variance.
        rotate: padding may differ: the target is to be turned by 180 degrees, which is checked elsewhere.
    """
    ends = {**_ends(case.a.graph, case.alignment.to_b), **_ends(case.b.graph, case.alignment.to_a)}
    problems: list[Problem] = []
    training: Counter[str] = Counter()
    found = list(differences(case))
    moved = {(item.a, item.b) for item in found if item.kind in STEPS}
    for item in found:
        lone = item.a or item.b
        if item.kind == "padding" and (item.a, item.b) in moved and _follows(case, item):
            continue
        if item.kind in ("weight", "shape") or (item.kind == "node" and lone in ends):
            continue
        if not item.inference:
            training[item.kind] += 1
        elif not _allowed(case, item, inference_only=inference_only, rotate=rotate):
            problems.append(_problem(case, item))
    for pair in case.alignment.unsure:
        what = "it is not sure that these are the same layer: another would fit as well"
        problems.append(Problem(place_of(case, pair.a, pair.b), what, "strict=False takes the pair as it is"))
    notes = [f"{kind} differs in {_layers(count)}, which matters in training alone" for kind, count in training.items()]
    return Judged(tuple(problems), (*notes, *_to_do(case, ends)), frozenset(ends))


def place_of(case: Case, a: str, b: str) -> str:
    """The layers of a pair of nodes, by their own names."""
    ours = case.nodes_a[a].layer or a if a else ""
    theirs = case.nodes_b[b].layer or b if b else ""
    return " -> ".join(name for name in (ours, theirs) if name)


def _follows(case: Case, item: Unlike) -> bool:
    """Whether pads differ only because windows take other steps: with those of the source they reach as far."""
    a, b = case.nodes_a[item.a], case.nodes_b[item.b]
    if not isinstance(a.spec, (Conv, Pool)) or not isinstance(b.spec, (Conv, Pool)):
        return False
    changes: dict[str, Any] = {name: getattr(a.spec, name) for name in STEPS if hasattr(a.spec, name)}
    ours, other = a.inputs[0], b.inputs[0]
    shape, theirs = case.nodes_a[ours.node].shapes[ours.index], case.nodes_b[other.node].shapes[other.index]
    # A layer of Keras that says 'same' finds its pads anew, unless they are those of another layer before it.
    if case.b.framework == "keras" and not b.notes and _same(b.spec, theirs):
        changes["padding"] = None
    return reach_of(replace(b.spec, **changes), shape) == reach_of(a.spec, shape)


def _same(spec: Conv | Pool, shape: Shape) -> bool:
    return reach_of(spec, shape) == reach_of(replace(spec, padding=None), shape)


def _allowed(case: Case, item: Unlike, *, inference_only: bool, rotate: bool) -> bool:
    spec = case.nodes_a[item.a].spec if item.a else None
    if item.kind == "epsilon":
        return inference_only and isinstance(spec, BatchNorm)
    return rotate and item.kind == "padding" and isinstance(spec, (Conv, Pool))


def _problem(case: Case, item: Unlike) -> Problem:
    """One difference in words."""
    place = place_of(case, item.a, item.b)
    if item.kind == "node":
        node = case.nodes_a[item.a] if item.a else case.nodes_b[item.b]
        who = case.b.name if item.a else case.a.name
        return Problem(place, f"{who} has no such layer: {node.spec}")
    if item.kind == "ports":
        return Problem(place, f"{item.says_a} {item.role}s against {item.says_b}")
    if item.kind == "inputs":
        what = "the result" if item.role == "output" else "it"
        return Problem(place, f"{what} is taken from {_words(item.says_a)} against {_words(item.says_b)}")
    if item.kind == "family":
        return Problem(place, f"{item.says_a} against {item.says_b}")
    remedy = ""
    if item.kind == "epsilon" and isinstance(case.nodes_a[item.a].spec, BatchNorm):
        remedy = "inference_only=True takes it into the variance; adapt=True sets it"
    elif item.kind in GEOMETRY:
        remedy = "adapt=True changes the target"
    kind = {"counts_pads": "padding counted in the mean", "name": "function"}.get(item.kind, item.kind)
    return Problem(place, f"{kind} {_words(item.says_a)} against {_words(item.says_b)}", remedy)


def _words(value: Any) -> str:
    if value is None:
        return "'same', as large as the input asks"
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "nothing"
    return str(value)


def _layers(count: int) -> str:
    return f"{count} layer{'s' if count > 1 else ''}"


def _ends(graph: Graph, paired: Mapping[str, str]) -> dict[str, Node]:
    """The lone nodes in a row behind the inputs that only scale them, and lone ends such as a Softmax."""
    nodes, users = graph.by_name(), graph.consumers()
    found: dict[str, Node] = {}
    for port in graph.input_values():
        value = port
        while len(behind := users.get(value, [])) == 1 and _is_first(behind[0]) and behind[0].name not in paired:
            found[behind[0].name] = behind[0]
            value = Value(behind[0].name)
    for value in graph.output_values():
        node = nodes[value.node]
        if node.name not in paired and _is_last(node.spec) and not users.get(value):
            found[node.name] = node
    return found


def _is_first(node: Node) -> bool:
    return isinstance(node.spec, FIRST) and len(node.inputs) == 1


def _is_last(spec: Spec) -> bool:
    return isinstance(spec, Softmax) or (isinstance(spec, Activation) and spec.name in ("softmax", "sigmoid"))


def _to_do(case: Case, ends: Container[str]) -> Iterator[str]:
    """What a caller does himself, because one model has it inside and the other not."""
    sides = (case.a, case.b, list(case.only_a())), (case.b, case.a, list(case.only_b()))
    for here, there, lone in sides:
        for node in lone:
            if node.name in ends:
                what = "what it is fed" if _is_first(node) else "its output"
                does = f"{node.layer or node.name}, {node.spec}"
                line = line_outside(here, there, node)
                said = f"{here.name} has {does} inside, {there.name} has not: do the same to {what} yourself"
                yield f"{said}: {line}" if line else said
