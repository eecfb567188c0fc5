"""Two models that were never trained, whose kernels are drawn in different ways: Glorot uniform against Kaiming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from xconv.causes.arrays import OTHER, Apart, compared
from xconv.causes.initial_values import FEWEST
from xconv.comparison.case import Case, numbers, spelled
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Node
from xconv.layers.batch_norm import BatchNorm

__all__ = ["initialisers"]

MOST = 0.8
"""The share of the kernels that must be as an initialiser draws them: trained ones are not."""
LARGE = 1000
"""Smaller kernels may fail to look like what they are by chance."""
IN_TORCH = {
    "Glorot uniform": "torch.nn.init.xavier_uniform_(w)",
    "Glorot normal": "torch.nn.init.xavier_normal_(w)",
    "He (Kaiming) uniform": "torch.nn.init.kaiming_uniform_(w, nonlinearity='relu')",
    "He (Kaiming) normal": "torch.nn.init.kaiming_normal_(w, nonlinearity='relu')",
    "He (Kaiming) fan_out normal": "torch.nn.init.kaiming_normal_(w, mode='fan_out', nonlinearity='relu')",
    "Kaiming uniform (a=sqrt(5))": "torch.nn.init.kaiming_uniform_(w, a=5**0.5)",
    "LeCun normal": "torch.nn.init.kaiming_normal_(w, nonlinearity='linear')",
    "orthogonal": "torch.nn.init.orthogonal_(w)",
}
IN_KERAS = {
    "Glorot uniform": "'glorot_uniform'",
    "Glorot truncated normal": "'glorot_normal'",
    "He (Kaiming) uniform": "'he_uniform'",
    "He (Kaiming) truncated normal": "'he_normal'",
    "LeCun truncated normal": "'lecun_normal'",
    "orthogonal": "'orthogonal'",
    "Kaiming uniform (a=sqrt(5))": "keras.initializers.VarianceScaling(1/3, 'fan_in', 'uniform')",
    "He (Kaiming) fan_out normal": "keras.initializers.VarianceScaling(2, 'fan_out', 'untruncated_normal')",
}


def initialisers(case: Case) -> Iterator[Suspicion]:
    """Kernels that two fresh models draw from different distributions."""
    known = compared(case)
    kernels = [item for item in known.apart if item.rest == OTHER and not item.again and _is_large(item)]
    if not kernels or known.shared or _has_statistics(case) or not _has_new_vectors(known.apart):
        return
    fresh = [item for item in kernels if all(item.drawn)]
    if len(fresh) < MOST * len(kernels):
        return
    found = [item for item in fresh if not set(item.drawn[0]) & set(item.drawn[1])]
    if found:
        yield _told(case, found)


def _is_large(item: Apart) -> bool:
    """Whether it is a kernel that must look like what it is; a smaller one may fail to by chance."""
    many = len(item.a.weights[item.source].shape) > 1 and item.size >= FEWEST
    return many and (item.size >= LARGE or all(item.drawn))


def _told(case: Case, found: list[Apart]) -> Suspicion:
    usual = [Counter(name for item in found for name in item.drawn[side]) for side in (0, 1)]
    places = []
    for item in found:
        said = [
            f"{item.role}: {max(names, key=lambda name: known[name])}"
            for names, known in zip(item.drawn, usual, strict=True)
        ]
        places.append(Place(item.a.name, item.b.name, *said))
    ours, theirs = (known.most_common(1)[0][0] for known in usual)
    return Suspicion(
        "initialisers",
        f"neither model is trained, and their kernels are drawn in different ways: {ours} in a, {theirs} in b",
        tuple(places),
        _remedy(case, found[0].b, ours),
        None,
        hint="Keras draws kernels from Glorot uniform with biases of 0, torch kernels and biases from Kaiming uniform "
        "(a=sqrt(5)): up to 1 / sqrt(fan_in)",
    )


def _remedy(case: Case, node: Node, name: str) -> str:
    where = spelled(case.b, node)
    if case.b.framework == "torch":
        call = IN_TORCH.get(name, f"draw w from {name}")
        return f"w = {where}.weight; {call}; torch.nn.init.zeros_({where}.bias)"
    return f"build {where} with kernel_initializer={IN_KERAS.get(name, repr(name))}"


def _has_new_vectors(items: Sequence[Apart]) -> bool:
    """Whether biases and scales are, on both sides, what a new layer has."""
    short = [item for item in items if len(item.a.weights[item.source].shape) == 1 and not item.again]
    return all(sum(bool(item.drawn[side]) for item in short) >= MOST * len(short) for side in (0, 1))


def _has_statistics(case: Case) -> bool:
    """Whether a BatchNorm of either side has seen data."""
    for a, b in case.pairs():
        if isinstance(a.spec, BatchNorm):
            for opened, node in ((case.a, a), (case.b, b)):
                if "mean" in node.weights and numbers(opened.graph.arrays, node.weights["mean"]).any():
                    return True
    return False
