"""How long modules take, in turn on the same inputs, so that what disturbs one disturbs all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

__all__ = ["Pair", "Timing", "in_turn"]

WARM_UP = 2

Run: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one call: the median and the middle half of all rounds.

    >>> print(Timing.of([0.010, 0.012, 0.011]))
    11 ms (10.5 to 11.5)
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Of measured seconds."""
        low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(1e3 * statistics.median(seconds), 1e3 * low, 1e3 * high)

    def __str__(self) -> str:
        return f"{self.median:.3g} ms ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs measured in turn; `gain` is the median over the rounds of how many times as fast the second was."""

    before: Timing
    after: Timing
    gain: float


def in_turn(before: Run, after: Run, rounds: int, device: torch.device) -> Pair:
    """Both runs in every round, the other first in every second, so that what disturbs one disturbs both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(-WARM_UP, rounds):
        for place in (0, 1) if number % 2 else (1, 0):
            _finished(device)
            start = time.perf_counter()
            (before, after)[place]()
            _finished(device)
            if number >= 0:
                seconds[place].append(time.perf_counter() - start)
    gains = [first / second for first, second in zip(*seconds, strict=True)]
    return Pair(Timing.of(seconds[0]), Timing.of(seconds[1]), statistics.median(gains))


def _finished(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
