"""Resizing inside the network: interpolation, where pixels lie (half-pixel, corners), antialiasing, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.structure import found
from xconv.causes.wording import names_of, said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node

__all__ = ["resizing"]

CENTRES = "torch: align_corners=False takes pixel centres as Keras's UpSampling2D does, True puts corners on corners"


def resizing(case: Case) -> Iterator[Suspicion]:
    """Layers that resize a map in another way, as one finding."""
    everything = found(case, "resizing")
    if everything:
        ours = [*(change.a for change in everything.pairs), *everything.lone.a]
        theirs = [*(change.b for change in everything.pairs), *everything.lone.b]
        text = f"maps are resized otherwise: {_listed(ours)} against {_listed(theirs)}"
        yield everything.suspicion(text, hint=CENTRES)


def _listed(nodes: list[Node]) -> str:
    return said(nodes[0]) if len(nodes) == 1 else names_of(nodes) or "nothing"
