"""Attention: its scale, its number of heads, whether a query sees later keys, its mask."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.settings import Change
from xconv.causes.structure import found
from xconv.causes.wording import names_of
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Suspicion

__all__ = ["attention"]

WORDS = {
    "scale": "the scores are multiplied by another number",
    "causal": "a query sees later keys in the one only",
    "mask": "keys are masked in another way",
    "heads": "the vectors are cut into another number of heads",
    "key_dim": "the keys have another length",
    "value_dim": "the values have another length",
}
SCALE = "1 / sqrt(length of a key) is usual; a model that scales its queries too scales twice"


def attention(case: Case) -> Iterator[Suspicion]:
    """Attention layers with other settings, one finding for each kind; then products that one side lacks."""
    for part in found(case, "attention").parts():
        if not part.pairs:
            nodes = [*part.lone.a, *part.lone.b]
            yield part.suspicion(f"{names_of(nodes)}: {'b lacks it' if part.lone.a else 'a lacks it'}")
            continue
        first = part.pairs[0]
        text = "; ".join(WORDS.get(name, f"another {name}") for name in first.fields)
        yield part.suspicion(f"{text}: {_said(first)}", _remedy(case, first), SCALE if "scale" in first.fields else "")


def _said(change: Change) -> str:
    return f"{change.said(change.a)} against {change.said(change.b)}"


def _remedy(case: Case, change: Change) -> str:
    values = ", ".join(f"{name}={getattr(change.a.spec, name)!r}" for name in change.fields)
    return f"{values} in {spelled(case.b, change.b)}"
