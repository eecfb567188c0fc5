"""Remedies tried: what is left of the error with some of them applied, each set of them run once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from xconv.comparison.evaluation import Memory, run_graph
from xconv.comparison.trial import Trial, apart
from xconv.diagnosis.records import Finding, Suspicion
from xconv.errors import XConvError
from xconv.statistics import Array

__all__ = ["Trials"]

COMPENSATING = "input_layout", "channel_order", "scaling"
"""What can be wrong in the images and in the first layers at once, so that the one makes up for the other."""


@dataclass(slots=True)
class Trials:
    """The pair as it is, the outputs of either side, and the suspicions that have a remedy."""

    plain: Trial
    suspicions: Sequence[Suspicion]
    ours: tuple[Array, ...]
    """The outputs of `a`, which no remedy changes."""
    theirs: tuple[Array, ...]
    """The outputs of `b` as it is."""
    memory: Memory = field(default_factory=Memory)
    errors: dict[frozenset[int], float] = field(default_factory=dict)
    """What was run so far, by the places of the suspicions that were mended."""

    @property
    def mendable(self) -> list[int]:
        """The places of the suspicions that have a remedy."""
        return [place for place, suspicion in enumerate(self.suspicions) if suspicion.mend is not None]

    def mended(self, places: Sequence[int]) -> tuple[Trial, frozenset[int]]:
        """The pair with these remedies, in order, and those of them that could be applied.

        A remedy that does not fit what others made of the graph is left out; its own trial tells of it.
        """
        trial, used = self.plain, set()
        for place in places:
            mend = self.suspicions[place].mend
            if mend is None:
                continue
            try:
                trial = mend(trial)
            except XConvError:
                continue
            used.add(place)
        return trial, frozenset(used)

    def together(self) -> tuple[Trial, float]:
        """The pair with every remedy that can be applied, and what is left of the error."""
        trial, used = self.mended(self.mendable)
        if used not in self.errors:
            self.errors[used] = self._run(trial, remember=True)  # others are this but for one remedy
        return trial, self.errors[used]

    def error(self, places: Sequence[int]) -> float:
        """What is left of the error with these remedies; infinite where the graph does not hold together."""
        key = frozenset(places)
        if key not in self.errors:
            trial, used = self.mended(places)
            self.errors[key] = self._run(trial) if used == key else np.inf
        return self.errors[key]

    def _run(self, trial: Trial, remember: bool = False) -> float:
        if trial is self.plain:
            return apart(self.ours, self.theirs)
        try:
            return apart(self.ours, run_graph(trial.b, trial.feeds_b, memory=self.memory, remember=remember))
        except XConvError:
            return np.inf

    def told(self, tolerance: float) -> Trials:
        """These without what others of the same cause make up for: images in BGR for a kernel made for BGR."""
        _, used = self.mended(self.mendable)
        _, left = self.together()
        needless = set[int]()
        for cause in COMPENSATING:
            alike = [place for place in sorted(used) if self.suspicions[place].cause == cause]
            rest = used - set(alike)
            for chosen in _fewer(alike):
                if self.error([*rest, *chosen]) <= max(left, tolerance):
                    needless.update(set(alike) - set(chosen))
                    break
        if not needless:
            return self
        kept = [suspicion for place, suspicion in enumerate(self.suspicions) if place not in needless]
        return Trials(self.plain, kept, self.ours, self.theirs, self.memory)

    def findings(self) -> Iterator[Finding]:
        """Every suspicion with its measured effect."""
        _, used = self.mended(self.mendable)
        for place, suspicion in enumerate(self.suspicions):
            alone, after = suspicion.measured or (None, None)
            if suspicion.mend is not None:
                alone = self.error([other for other in sorted(used) if other != place])
                after = self.error([place])
            yield Finding(
                suspicion.cause, suspicion.text, suspicion.places, suspicion.remedy, alone, after, suspicion.hint
            )


def _fewer(places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every choice of some of several places, but not of all; the fewest first."""
    for count in range(len(places) if len(places) > 1 else 0):
        yield from combinations(places, count)
