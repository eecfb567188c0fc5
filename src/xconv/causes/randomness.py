"""Chance: a model that returns something else at every call, with dropout, noise or augmentation active."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.comparison.case import Case
from xconv.diagnosis.as_given import Outcome
from xconv.diagnosis.records import Place, Suspicion
from xconv.layers.augmentation import Augmentation
from xconv.layers.dropout import Dropout, Noise, SpatialDropout
from xconv.statistics import Array

__all__ = ["randomness"]

RANDOM = Dropout, Noise, SpatialDropout
SEEN = 1e-5
"""Two calls that are closer than this differ by rounding alone."""


def randomness(case: Case, outcome: Outcome, feeds: tuple[Array, ...]) -> Iterator[Suspicion]:
    """A side whose two calls on one input differ."""
    del feeds
    unrest = outcome.given.unrest
    if unrest < SEEN:
        return
    nodes = outcome.opened.whole.nodes
    random = [n for n in nodes if isinstance(n.spec, RANDOM) or n.kind in Augmentation.keras_kinds]
    ours = outcome.opened is case.a
    says = "another result at every call"
    places = [Place(n.name, "", says, "") if ours else Place("", n.name, "", says) for n in random]
    places = places or [Place(outcome.opened.name, "", says, "") if ours else Place("", outcome.opened.name, "", says)]
    remedy = "model.eval()" if outcome.opened.framework == "torch" else "model(x, training=False)"
    text = f"two calls of {outcome.opened.name} on one input differ: something random is active"
    hint = "fix the seeds (torch.manual_seed, keras.utils.set_random_seed) only where the randomness is wanted"
    yield Suspicion("randomness", text, tuple(places), remedy, hint=hint, measured=(unrest, 0.0))
