"""A softmax or sigmoid at the end of one model alone, or twice: probabilities against logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.causes.claims import claims_of
from xconv.comparison.case import Case
from xconv.comparison.grafting import bypassed, grafted
from xconv.comparison.trial import Trial
from xconv.diagnosis.records import Place, Suspicion

__all__ = ["softmax"]


def softmax(case: Case) -> Iterator[Suspicion]:
    """Softmax layers that the one has and the other lacks."""
    lone = claims_of(case).lone_of("softmax")
    ours, theirs = list(lone.a), list(lone.b)
    if not ours and not theirs:
        return

    def mend(trial: Trial) -> Trial:
        graph = bypassed(trial.b, [node.name for node in theirs], case)
        return replace(trial, b=grafted(graph, case, [node.name for node in ours]))

    places = (
        *(Place(node.name, "", "a softmax", "") for node in ours),
        *(Place("", node.name, "", "a softmax") for node in theirs),
    )
    text = "the one returns probabilities, the other logits" if ours or theirs else ""
    remedy = "apply torch.softmax(logits, -1) to what b returns" if ours else f"leave out {theirs[0].name}"
    yield Suspicion("softmax", text, places, remedy, mend)
