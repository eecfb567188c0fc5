"""Pooling: padding counted or not, another window or function, -inf against zeros at the border, a pooled shortcut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.causes.claims import rounds_up
from xconv.causes.lone import Lone
from xconv.causes.settings import Change
from xconv.causes.structure import Found, found
from xconv.causes.wording import names_of, said
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node
from xconv.layers.pool import GlobalPool, Pool

__all__ = ["pooling"]

ZEROS = "a max pool pads with -inf; zeros before it win over negative numbers, and only behind a ReLU is it the same"
COUNTS = "torch's AvgPool2d counts its padding in the mean unless count_include_pad=False; Keras never does"


def pooling(case: Case) -> Iterator[Suspicion]:
    """Pools that are others; pads before pools together with the pools that they belong to."""
    everything = found(case, "pooling")
    pads = Lone(*(tuple(node for node in side if not _pools(node)) for side in (everything.lone.a, everything.lone.b)))
    padded = _padded(everything, pads)
    if pads:
        text = "zeros are put before a pool on the one side, whose own padding on the other is no number"
        yield Found(case, "pooling", padded, lone=pads).suspicion(text, hint=ZEROS)
    pools = Lone(*(tuple(node for node in side if _pools(node)) for side in (everything.lone.a, everything.lone.b)))
    others = tuple(change for change in everything.changes if change not in padded)
    for part in replace(everything, changes=others, lone=pools).parts():
        if part.pairs:
            yield _changed(part)
        else:
            where = "missing" if part.lone.a else "too many"
            nodes = [*part.lone.a, *part.lone.b]
            yield part.suspicion(
                f"{names_of(nodes)}: {len(nodes)} {'pool is' if len(nodes) == 1 else 'pools are'} {where}"
            )


def _pools(node: Node) -> bool:
    return "Pool" in type(node.spec).__name__


def _padded(everything: Found, pads: Lone) -> tuple[Change, ...]:
    """The pairs of pools before one of which such a pad stands."""
    lone = {node.name for node in (*pads.a, *pads.b)}
    return tuple(
        change for change in everything.changes if lone & {value.node for value in (*change.a.inputs, *change.b.inputs)}
    )


def _changed(part: Found) -> Suspicion:
    first = part.pairs[0]
    fields = {name for change in part.pairs for name in change.fields}
    how_many = f"{len(part.pairs)} pool{'s' if len(part.pairs) > 1 else ''}"
    if fields == {"counts_pads"} and isinstance(first.a.spec, Pool):
        counts = first.a.spec.counts_pads
        text = (
            f"{how_many}: padding {'counts' if counts else 'does not count'} in the mean of the one, not so the other"
        )
        return part.suspicion(text, _counting(part.case, first, counts), COUNTS)
    ups = [rounds_up(part.case.a, first.a), rounds_up(part.case.b, first.b)]
    if "padding" in fields and ups[0] != ups[1]:
        text = f"{how_many}: {'a' if ups[0] else 'b'} has ceil_mode=True, one more window at the end, the other has not"
        live = part.case.b.framework == "torch" and ups[1]
        return part.suspicion(text, f"{spelled(part.case.b, first.b)}.ceil_mode = False" if live else "")
    ours, theirs = said(first.a), said(first.b)
    words = "of the whole map" if isinstance(first.a.spec, GlobalPool) else "of each window"
    return part.suspicion(f"{how_many} {words}: {ours} against {theirs}")


def _counting(case: Case, change: Change, counts: bool) -> str:
    if case.b.framework == "torch":
        return f"{spelled(case.b, change.b)}.count_include_pad = {counts}"
    if counts:
        return f"put keras.layers.ZeroPadding2D before {spelled(case.b, change.b)}, with padding='valid'"
    return f"{spelled(case.b, change.b)}: padding='same' in place of a layer that pads before it"
