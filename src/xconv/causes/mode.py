"""Training mode: BatchNorm by the batch's own statistics, dropout that drops; a forgotten `model.eval()`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xconv.comparison.case import Case
from xconv.diagnosis.as_given import Outcome, run_as_given
from xconv.diagnosis.records import Place, Suspicion
from xconv.statistics import Array

__all__ = ["mode"]

RANDOM = "Dropout", "DropPath", "StochasticDepth", "Noise", "RReLU"
SEEN = 1e-5
"""A departure below this is rounding."""


def mode(case: Case, outcome: Outcome, feeds: tuple[Array, ...]) -> Iterator[Suspicion]:
    """A torch module whose layers are in training mode, and compute something else for it."""
    if outcome.opened.framework != "torch" or not hasattr(outcome.opened.model, "named_modules"):
        return
    module = outcome.opened.model
    norms = [path for path, child in module.named_modules() if _is_norm(child) and child.training]
    drops = [path for path, child in module.named_modules() if _drops(child) and child.training]
    if (not norms and not drops) or outcome.departure < SEEN:
        return
    with _in_inference(module):
        left = run_as_given(outcome.opened, feeds).against(outcome.meant)
    words = [
        *([f"{len(norms)} BatchNorms take the statistics of the batch"] if norms else []),
        *([f"{len(drops)} layers drop at random"] if drops else []),
    ]
    side = "a" if outcome.opened is case.a else "b"
    places = tuple(_place(side, path) for path in [*norms, *drops])
    text = f"{outcome.opened.name} is in training mode: {' and '.join(words)}"
    yield Suspicion("mode", text, places, "model.eval()", measured=(outcome.departure, left or 0.0))


def _place(side: str, path: str) -> Place:
    says = "training mode"
    return Place(path, "", says, "") if side == "a" else Place("", path, "inference", says)


def _is_norm(module: Any) -> bool:
    return "BatchNorm" in type(module).__name__ and getattr(module, "running_mean", None) is not None


def _drops(module: Any) -> bool:
    rate = getattr(module, "p", getattr(module, "drop_prob", 1.0)) or 0.0
    return any(word in type(module).__name__ for word in RANDOM) and rate > 0


@contextmanager
def _in_inference(module: Any) -> Iterator[None]:
    """The module in eval mode, every submodule back in its own mode afterwards."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training
