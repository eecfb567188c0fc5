"""Recurrent layers: activations, the reset gate, the direction, all steps or the last one."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.settings import Change
from xconv.causes.structure import found
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Suspicion

__all__ = ["recurrent"]

WORDS = {
    "kind": "another cell",
    "activation": "another activation of the states",
    "reset_after": "the reset gate acts before the product in the one, after it in the other",
    "backward": "the steps are read in another direction",
    "both": "the one reads the steps both ways",
    "merge": "both directions are joined in another way",
    "sequences": "the one returns all steps, the other the last one",
    "states": "the one returns its final states too",
}
RESET = "Keras's GRU has reset_after=True as cuDNN and torch do; Keras 1 and the paper reset before the product"


def recurrent(case: Case) -> Iterator[Suspicion]:
    """Recurrent layers with other settings."""
    for part in found(case, "recurrent").parts():
        if part.pairs:
            first = part.pairs[0]
            text = "; ".join(WORDS.get(name, f"another {name}") for name in first.fields)
            hint = RESET if "reset_after" in first.fields else ""
            yield part.suspicion(f"{text}: {_said(first)}", _remedy(case, first), hint)


def _said(change: Change) -> str:
    return f"{change.said(change.a)} against {change.said(change.b)}"


def _remedy(case: Case, change: Change) -> str:
    spec, where = change.a.spec, spelled(case.b, change.b)
    if case.b.framework == "torch" and change.fields == ("sequences",):
        return f"take {'all steps' if getattr(spec, 'sequences', False) else 'x[:, -1]'} of what {where} returns"
    return f"{', '.join(f'{name}={getattr(spec, name)!r}' for name in change.fields)} in {where}"
