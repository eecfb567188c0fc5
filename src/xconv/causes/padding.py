"""Padding: 'same' of TensorFlow, which puts the odd pixel after, against the same pads on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.causes.settings import Change
from xconv.causes.structure import Found, found
from xconv.causes.wording import names_of, replaced_line
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Node
from xconv.layers.concat import Concat
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.pad_axes import PadAxes
from xconv.padding import is_symmetric

__all__ = ["padding"]


def padding(case: Case) -> Iterator[Suspicion]:
    """Layers that have other pads; then pads and crops that stand by themselves, with the layers behind them."""
    everything = found(case, "padding")
    lone = everything.lone
    names = {node.name for node in (*lone.a, *lone.b)}
    border = [c for c in everything.changes if names & {value.node for value in (*c.a.inputs, *c.b.inputs)}]
    plain = [change for change in everything.changes if change not in border]
    if plain:
        part = Found(case, "padding", plain).suspicion(_text(plain), _remedy(case, plain[0]), _hint(plain))
        yield replace(part, places=tuple(Place(c.a.name, c.b.name, _said(c.a), _said(c.b)) for c in plain))
    if lone or everything.resized:
        rest = replace(everything, changes=border)
        ours, theirs = [*(c.a for c in rest.pairs), *lone.a], [*(c.b for c in rest.pairs), *lone.b]
        words = f"{names_of(ours) or 'nothing'} against {names_of(theirs) or 'nothing'}"
        yield rest.suspicion(
            f"the border of a map is made otherwise: {words}", _border(case, ours, theirs), _mode([*ours, *theirs])
        )


def _border(case: Case, ours: list[Node], theirs: list[Node]) -> str:
    """The line that makes the border of `b` as `a` does, where a convolution of torch may do so itself."""
    there = next((node for node in theirs if isinstance(node.spec, Conv)), None)
    here = next((node for node in ours if isinstance(node.spec, Conv)), None)
    if case.b.framework != "torch" or there is None or here is None:
        return ""
    modes = [node.spec.mode for node in ours if isinstance(node.spec, PadAxes)]
    mode = modes[0] if modes else "circular" if any(isinstance(node.spec, Concat) for node in ours) else "zeros"
    word = "zeros" if mode == "constant" else mode
    return f"make {spelled(case.b, there)} with padding_mode={word!r} and as much padding as a has"


def _mode(nodes: list[Node]) -> str:
    """What kind of border one side has that the other has not."""
    modes = {node.spec.mode for node in nodes if isinstance(node.spec, PadAxes)}
    if any(isinstance(node.spec, Concat) for node in nodes):
        return "the border is made of the map's own pixels, as torch's padding_mode='circular' does"
    return f"the border is filled by {', '.join(sorted(modes))}" if modes else ""


def _said(node: Node) -> str:
    pads = getattr(node.spec, "padding", None)
    if isinstance(node.spec, ConvTranspose):
        return f"crops {node.spec.crop}"
    return "pads as the size asks for at run time" if pads is None else f"pads {pads}"


def _is_shift(change: Change) -> bool:
    """Whether one side pads evenly and the other puts as many pixels elsewhere."""
    ours, theirs = getattr(change.a.spec, "padding", None), getattr(change.b.spec, "padding", None)
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
    where = spelled(case.b, change.b)
    if isinstance(change.a.spec, ConvTranspose):
        return replaced_line(case, change.a, change.b)
    pads = getattr(change.a.spec, "padding", None)
    if pads is None:
        return f"compute the pads of {where} from the size, as TensorFlow's 'same' does"
    if case.b.framework == "keras":
        return f"put keras.layers.ZeroPadding2D({pads}) before {where}, with padding='valid'"
    if is_symmetric(pads):
        return f"{where}.padding = {tuple(before for before, _ in pads)}"
    flat = tuple(size for pair in reversed(pads) for size in pair)
    return f"x = torch.nn.functional.pad(x, {flat}) before {where}, with padding=0"
