"""Strides: on another convolution of the block (ResNet v1 against v1.5), or another step altogether."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from xconv.causes.claims import claims_of
from xconv.causes.settings import Change, as_in_a
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Place, Suspicion
from xconv.layers.conv import Conv

__all__ = ["stride"]


def stride(case: Case) -> Iterator[Suspicion]:
    """Convolutions and pools that step in another way."""
    found = list(claims_of(case).changes("stride"))
    if not found:
        return
    moved = _is_moved(found)
    places = tuple(Place(c.a.name, c.b.name, c.said(c.a), c.said(c.b)) for c in found)
    text = (
        "the strides stand on other layers of the same blocks" if moved else "layers step over the map in another way"
    )
    first = found[0]
    said = "; ".join(f"{spelled(case.b, first.b)}.{name} = {getattr(first.a.spec, name)}" for name in first.fields)
    yield Suspicion("stride", text, places, said, as_in_a(found), hint=_hint(found) if moved else "")


def _is_moved(found: list[Change]) -> bool:
    """Whether both networks step as often in all."""
    ours, theirs = (
        prod(size for change in found for size in getattr(getattr(change, side).spec, "stride", ()))
        for side in ("a", "b")
    )
    return ours == theirs and len(found) > 1


def _hint(found: list[Change]) -> str:
    first_is_pointwise = any(
        isinstance(change.a.spec, Conv) and set(change.a.spec.kernel) == {1} and max(change.a.spec.stride) > 1
        for change in found
    )
    if not first_is_pointwise:
        return ""
    return "keras.applications has ResNet v1 (the first 1x1 convolution strides), torchvision v1.5 (the 3x3 does)"
