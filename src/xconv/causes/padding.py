"""Padding: 'same' of TensorFlow, which puts the odd pixel after, against the same pads on both sides."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.settings import Change, as_in_a, changed
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Node
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.pool import Pool
from xconv.padding import is_symmetric

__all__ = ["padding"]


def padding(case: Case) -> Iterator[Suspicion]:
    """Convolutions and pools that have other pads."""
    found = list(changed(case, (Conv, ConvTranspose, Pool), ("padding",)))
    if not found:
        return
    yield Suspicion(
        "padding",
        _text(found),
        tuple(Place(c.a.name, c.b.name, _said(c.a), _said(c.b)) for c in found),
        _remedy(case, found[0]),
        as_in_a(found),
        hint=_hint(found),
    )


def _said(node: Node) -> str:
    pads = getattr(node.spec, "padding")  # noqa: B009  the kinds that have it are chosen above
    return "pads as the size asks for at run time" if pads is None else f"pads {pads}"


def _is_shift(change: Change) -> bool:
    """Whether one side pads evenly and the other puts as many pixels elsewhere."""
    ours, theirs = change.a.spec.padding, change.b.spec.padding  # type: ignore[attr-defined]
    return ours is not None and theirs is not None and is_symmetric(ours) != is_symmetric(theirs)


def _text(found: list[Change]) -> str:
    how_many = f"{len(found)} layer{'s pad' if len(found) > 1 else ' pads'} the map in another way"
    if all(map(_is_shift, found)):
        return f"{how_many}: evenly on the one side, with the odd pixel after the map on the other"
    return how_many


def _hint(found: list[Change]) -> str:
    if not any(map(_is_shift, found)):
        return ""
    return (
        "a stride of 2 over an even size with 'same' padding needs one pixel more after than before; torch's padding=1 "
        "samples a grid that is shifted by one pixel (odd sizes agree)"
    )


def _remedy(case: Case, change: Change) -> str:
    pads = change.a.spec.padding  # type: ignore[attr-defined]
    where = spelled(case.b, change.b)
    if pads is None:
        return f"compute the pads of {where} from the size, as TensorFlow's 'same' does"
    if case.b.framework == "keras":
        return f"put keras.layers.ZeroPadding2D({pads}) before {where}, with padding='valid'"
    if is_symmetric(pads):
        return f"{where}.padding = {tuple(before for before, _ in pads)}"
    flat = tuple(size for pair in reversed(pads) for size in pair)
    return f"x = torch.nn.functional.pad(x, {flat}) before {where}, with padding=0"
