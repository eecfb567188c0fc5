"""Biases that one side lacks and the means of BatchNorms further behind make up for (`carried_biases`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xconv.causes.rounding import rounding
from xconv.comparison.case import Case, numbers
from xconv.comparison.shifts import Added, Amount, Joined, Nothing, Origin, Shifts, shifts
from xconv.graph import Node
from xconv.layers.batch_norm import BatchNorm
from xconv.statistics import Array
from xconv.weights import Arrays

__all__ = ["carried_biases"]


def carried_biases(case: Case, wanted: dict[Origin, Array], absorbed: set[Origin]) -> None:
    """Adds the biases that are made up for to `absorbed`, and the means that do so to `wanted`; nodes are those of `b`.

    A bias is made up for where every BatchNorm that it reaches holds what is left without it.
    """
    to_a, to_b = case.alignment.to_a, case.alignment.to_b
    others_a = {name: case.nodes_b[other] for name, other in to_b.items()}
    others_b = {name: case.nodes_a[other] for name, other in to_a.items()}
    without_a, without_b = {(to_a[name], role) for name, role in absorbed}, set(absorbed)
    while True:
        ours = shifts(case.a.graph, others_a, without_a)
        theirs = shifts(case.b.graph, others_b, without_b)
        means = dict(_means(case, ours, theirs))
        wrong = [name for name, mean in means.items() if mean is None]
        if not wrong:
            break
        without_a |= {origin for name in wrong for origin in _origins(ours, to_a[name])}
        without_b |= {origin for name in wrong for origin in _origins(theirs, name)}
    wanted.update({(name, "mean"): mean for name, mean in means.items() if mean is not None})
    absorbed |= {(to_b[name], role) for shift in ours.taken.values() for name, role in shift.origins}
    absorbed |= {origin for shift in theirs.taken.values() for origin in shift.origins}


def _origins(found: Shifts, name: str) -> tuple[Origin, ...]:
    return found.taken[name].origins if name in found.taken else ()


def _means(case: Case, ours: Shifts, theirs: Shifts) -> Iterator[tuple[str, Array | None]]:
    """What the mean of each BatchNorm of `b` should be that makes up for a bias; None where it is not."""
    for a, b in case.pairs():
        if a.name not in ours.taken and b.name not in theirs.taken:
            continue
        mean = _mean(a, case.a.graph.arrays) - _taken(ours, a.name, case.a.graph.arrays)
        mean = mean + _taken(theirs, b.name, case.b.graph.arrays)
        yield b.name, mean if rounding(mean, _mean(b, case.b.graph.arrays)) is not None else None


def _mean(node: Node, arrays: Arrays) -> Array:
    assert isinstance(node.spec, BatchNorm)  # noqa: S101  nothing else takes a shift
    return numbers(arrays, node.weights["mean"]).astype(np.float64)


def _taken(found: Shifts, name: str, arrays: Arrays) -> Array:
    return _evaluated(found.taken[name].amount, arrays) if name in found.taken else np.zeros(1)


def _evaluated(amount: Amount, arrays: Arrays) -> Array:
    if isinstance(amount, Nothing):
        return np.zeros(amount.size)
    if isinstance(amount, Joined):
        return np.concatenate([_evaluated(part, arrays) for part in amount.parts])
    if isinstance(amount, Added):
        return _evaluated(amount.one, arrays) + _evaluated(amount.other, arrays)
    return numbers(arrays, amount.weight).astype(np.float64)
