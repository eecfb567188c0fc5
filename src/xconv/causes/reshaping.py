"""Axes inside the model: a view where a permute is needed, other axes exchanged, Flatten in another order."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.structure import Found, found
from xconv.causes.wording import names_of, said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node
from xconv.layers.reshape import Permute

__all__ = ["reshaping"]

VIEW = (
    "x.view(N, H, W, C) of an (N, C, H, W) tensor only counts its elements anew; x.permute(0, 2, 3, 1) moves the axes"
)


def reshaping(case: Case) -> Iterator[Suspicion]:
    """Reshapes and permutes that are others, or that one side lacks, as one finding."""
    everything = found(case, "reshaping")
    if not everything:
        return
    part = Found(case, "input_layout", everything.changes, everything.resized, everything.lone)
    ours = [*(change.a for change in part.pairs), *part.lone.a]
    theirs = [*(change.b for change in part.pairs), *part.lone.b]
    mixed = _permutes(ours) != _permutes(theirs)
    words = f"{_listed(ours)} in the one, {_listed(theirs)} in the other"
    text = f"elements are counted anew where axes must move: {words}" if mixed else f"axes are taken otherwise: {words}"
    yield part.suspicion(text, hint=VIEW if mixed else "")


def _permutes(nodes: list[Node]) -> bool:
    return any(isinstance(node.spec, Permute) for node in nodes)


def _listed(nodes: list[Node]) -> str:
    return said(nodes[0]) if len(nodes) == 1 else names_of(nodes) or "nothing"
