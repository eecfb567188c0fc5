"""Strides: on another convolution of the block (ResNet v1 against v1.5), or another step altogether."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from xconv.causes.remedies import lone_places
from xconv.causes.settings import Change
from xconv.causes.structure import Found, found
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Node
from xconv.layers.conv import Conv

__all__ = ["stride"]


def stride(case: Case) -> Iterator[Suspicion]:
    """Convolutions and pools that step in another way, and pools of one pixel that do nothing but step."""
    every = found(case, "stride")
    if not every:
        return
    moved = _is_moved(every)
    text = (
        "the strides stand on other layers of the same blocks" if moved else "layers step over the map in another way"
    )
    places = [Place(c.a.name, c.b.name, c.said(c.a), c.said(c.b)) for c in every.changes]
    told = every.suspicion(text, _remedy(every), _hint(every.changes) if moved else "")
    yield replace(told, places=(*places, *lone_places(every.lone)))


def _remedy(every: Found) -> str:
    """The line for the first pair; without any, that for the first pool."""
    if not every.changes:
        return every.remedy()
    first = every.changes[0]
    where = spelled(every.case.b, first.b)
    return "; ".join(f"{where}.{name} = {getattr(first.a.spec, name)}" for name in first.fields)


def _is_moved(every: Found) -> bool:
    """Whether both networks step as often in all."""
    ours = [*(change.a for change in every.changes), *every.lone.a]
    theirs = [*(change.b for change in every.changes), *every.lone.b]
    return _steps(ours) == _steps(theirs) and len(ours) + len(theirs) > 2


def _steps(nodes: Sequence[Node]) -> int:
    return prod(size for node in nodes for size in getattr(node.spec, "stride", ()))


def _hint(found: Sequence[Change]) -> str:
    first_is_pointwise = any(
        isinstance(change.a.spec, Conv) and set(change.a.spec.kernel) == {1} and max(change.a.spec.stride) > 1
        for change in found
    )
    if not first_is_pointwise:
        return ""
    return "keras.applications has ResNet v1 (the first 1x1 convolution strides), torchvision v1.5 (the 3x3 does)"
