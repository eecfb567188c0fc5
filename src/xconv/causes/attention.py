"""Attention: its scale, its number of heads, whether a query sees later keys, its mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.causes.lone import Lone
from xconv.causes.settings import Change
from xconv.causes.structure import found
from xconv.causes.wording import names_of, said
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node
from xconv.layers.reshape import Reshape

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

MASKS = "a mask that one side has (causal, padding) changes what every query sees"


def attention(case: Case) -> Iterator[Suspicion]:
    """Attention layers with other settings, one finding for each kind; attention that is told otherwise, as one."""
    everything = found(case, "attention")
    cuts = [change for change in everything.changes if isinstance(change.a.spec, Reshape)]
    if cuts:
        text = f"{WORDS['heads']}: {said(cuts[0].a)} against {said(cuts[0].b)}"
        yield everything.suspicion(text, f"reshape to {cuts[0].a.spec.target} in {cuts[0].b.name}", SCALE)  # type: ignore[attr-defined]
        return
    lone = everything.lone
    if lone:
        text = f"attention is computed otherwise: {_listed(lone.a)} against {_listed(lone.b)}"
        yield replace(everything, changes=(), resized=()).suspicion(text, hint=MASKS)
    for part in replace(everything, lone=Lone()).parts():
        first = part.pairs[0]
        text = "; ".join(WORDS.get(name, f"another {name}") for name in first.fields)
        yield part.suspicion(f"{text}: {_said(first)}", _remedy(case, first), SCALE if "scale" in first.fields else "")


def _listed(nodes: tuple[Node, ...]) -> str:
    return names_of(nodes) or "nothing"


def _said(change: Change) -> str:
    return f"{change.said(change.a)} against {change.said(change.b)}"


def _remedy(case: Case, change: Change) -> str:
    values = ", ".join(f"{name}={getattr(change.a.spec, name)!r}" for name in change.fields)
    return f"{values} in {spelled(case.b, change.b)}"
