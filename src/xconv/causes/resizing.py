"""Resizing inside the network: interpolation, where pixels lie (half-pixel, corners), antialiasing, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.structure import found
from xconv.causes.wording import said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable

__all__ = ["resizing"]

CENTRES = "torch: align_corners=False takes pixel centres as Keras's UpSampling2D does, True puts corners on corners"


def resizing(case: Case) -> Iterator[Suspicion]:
    """Layers that resize a map in another way, as one finding."""
    everything = found(case, "resizing")
    if everything:
        ours = _resizers([*(change.a for change in everything.pairs), *everything.lone.a])
        theirs = _resizers([*(change.b for change in everything.pairs), *everything.lone.b])
        text = f"maps are resized otherwise: {_listed(ours)} against {_listed(theirs)}"
        yield everything.suspicion(text, hint=CENTRES)


def _resizers(nodes: list[Node]) -> list[Node]:
    """Without the matrices."""
    return [node for node in nodes if not isinstance(node.spec, (Variable, Elementwise))]


def _listed(nodes: list[Node]) -> str:
    """The layers by name, and what they say where they say something."""
    return ", ".join(f"{node.name} ({said(node)})" for node in nodes) or "nothing"
