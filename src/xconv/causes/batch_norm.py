"""Normalisation settings: epsilon, and the momentum of running statistics, which training alone shows."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.blocks import blocks
from xconv.causes.settings import as_in_a, changed
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Place, Suspicion
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.group_norm import GroupNorm
from xconv.layers.layer_norm import LayerNorm

__all__ = ["epsilon", "momentum"]


def epsilon(case: Case) -> Iterator[Suspicion]:
    """Normalisations that add another number to the variance."""
    settled = blocks(case).settled
    kinds = BatchNorm, LayerNorm, GroupNorm
    found = [change for change in changed(case, kinds, ("epsilon",)) if change.b.name not in settled]
    if found:
        places = tuple(Place(c.a.name, c.b.name, c.said(c.a), c.said(c.b)) for c in found)
        first = found[0]
        word = "eps" if case.b.framework == "torch" else "epsilon"
        remedy = f"{spelled(case.b, first.b)}.{word} = {first.a.spec.epsilon}"  # type: ignore[attr-defined]
        text = f"{len(found)} normalisations add another epsilon to the variance"
        yield Suspicion("epsilon", text, places, remedy, as_in_a(found))


def momentum(case: Case) -> Iterator[Suspicion]:
    """BatchNorms whose running statistics follow the batches at another rate."""
    found = list(changed(case, (BatchNorm,), ("momentum",)))
    if found:
        places = tuple(Place(c.a.name, c.b.name, c.said(c.a), c.said(c.b)) for c in found)
        first = found[0]
        share = first.a.spec.momentum  # type: ignore[attr-defined]
        value = share if case.b.framework == "torch" else round(1 - share, 12)
        text = "the running statistics of BatchNorm follow the batches at another rate in training"
        hint = "torch's momentum is the share of the new batch, Keras's that of the old value: 0.1 there is 0.9 here"
        yield Suspicion("momentum", text, places, f"{spelled(case.b, first.b)}.momentum = {value}", None, hint=hint)
