"""A softmax or sigmoid at the end of one model alone, or twice: probabilities against logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.comparison.case import Case
from xconv.comparison.grafting import bypassed, grafted
from xconv.comparison.trial import Trial
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.softmax import Softmax

__all__ = ["softmax"]


def softmax(case: Case) -> Iterator[Suspicion]:
    """Softmax layers that the one has and the other lacks."""
    ours = [node for node in case.only_a() if _makes_probabilities(node, case.a.graph)]
    theirs = [node for node in case.only_b() if _makes_probabilities(node, case.b.graph)]
    if not ours and not theirs:
        return

    def mend(trial: Trial) -> Trial:
        graph = bypassed(trial.b, [node.name for node in theirs])
        return replace(trial, b=grafted(graph, case, [node.name for node in ours]))

    places = (
        *(Place(node.name, "", "a softmax", "") for node in ours),
        *(Place("", node.name, "", "a softmax") for node in theirs),
    )
    text = "the one returns probabilities, the other logits" if ours or theirs else ""
    remedy = "apply torch.softmax(logits, -1) to what b returns" if ours else f"leave out {theirs[0].name}"
    yield Suspicion("softmax", text, places, remedy, mend)


def _makes_probabilities(node: Node, graph: Graph) -> bool:
    last = Value(node.name) in graph.output_values()
    return isinstance(node.spec, Softmax) or (
        last and isinstance(node.spec, Activation) and node.spec.name == "sigmoid"
    )
