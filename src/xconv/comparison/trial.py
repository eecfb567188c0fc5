"""Two graphs side by side in float64, each on what it is fed: how far their outputs are apart (`Trial`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from xconv.comparison.evaluation import run_graph
from xconv.graph import Graph
from xconv.statistics import Array, compare

__all__ = ["Mend", "Trial", "apart", "run_graph"]


@dataclass(frozen=True, slots=True)
class Trial:
    """Two graphs and what they are fed, channels-first; the outputs of `a` are what those of `b` should be."""

    a: Graph
    b: Graph
    feeds_a: tuple[Array, ...]
    feeds_b: tuple[Array, ...]
    undone: frozenset[str] = frozenset()
    """The mistakes in what `b` is fed that remedies have undone so far, as `input/mistake`."""

    def error(self) -> float:
        """The largest of max|a-b| / max|a| over the outputs; infinite where they have other shapes.

        Raises:
            XConvError: a graph that cannot be run, because its shapes do not fit.
        """
        ours, theirs = run_graph(self.a, self.feeds_a), run_graph(self.b, self.feeds_b)
        return apart(ours, theirs)


Mend: TypeAlias = Callable[[Trial], Trial]
"""A remedy, applied to a copy."""


def apart(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """The largest relative difference of corresponding outputs."""
    if len(ours) != len(theirs):
        return np.inf
    pairs = list(zip(theirs, ours, strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return np.inf
    return max((compare(a, b).max_rel for a, b in pairs), default=0.0)
