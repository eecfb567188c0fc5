"""What `xconv.optimize` did: every step with what it gained and how far its result is from the original's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from xconv.optimization.timing import Pair

__all__ = ["Optimized", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step, measured in turn with the module before it.

    `error` is max|a-b| / max|b| against the original in float64: of the meaning for steps that change the graph, of
    the numbers that come out for the others.
    """

    name: str
    what: str
    kept: bool
    times: Pair
    error: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "what": self.what,
            "kept": self.kept,
            "before_ms": self.times.before.median,
            "after_ms": self.times.after.median,
            "gain": self.times.gain,
            "error": self.error,
            "note": self.note,
        }

    def __str__(self) -> str:
        kept = "" if self.kept else ", not kept"
        times = f"{_span(self.times)}, {self.times.gain:.2f} times as fast{kept}"
        return f"{self.name}: {self.what}; {times}; error {self.error:.1g}" + (f"; {self.note}" if self.note else "")


@dataclass(frozen=True, slots=True)
class Optimized:
    """The module that serves, and how it came about."""

    module: nn.Module
    steps: tuple[Step, ...]
    times: Pair
    """The original and the result, in turn."""
    error: float
    """Of the result, max|a-b| / max|b| against the original in float64."""
    own_error: float
    """The same of the original as it was."""
    setting: str
    """Device, threads, batch, versions: what the figures hold for."""
    notes: tuple[str, ...] = ()
    """What was asked for and could not be tried, with the reason."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "setting": self.setting,
            "before_ms": self.times.before.median,
            "after_ms": self.times.after.median,
            "gain": self.times.gain,
            "error": self.error,
            "own_error": self.own_error,
            "steps": [step.to_dict() for step in self.steps],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.times.before} -> {self.times.after}: {self.times.gain:.2f} times as fast ({self.setting})"
        yield from (f"  {step}" for step in self.steps)
        yield from (f"  not tried: {note}" for note in self.notes)
        yield f"  float64 is {self.error:.1g} away at the end, and was {self.own_error:.1g} away before"


def _span(times: Pair) -> str:
    return f"{times.before.median:.3g} -> {times.after.median:.3g} ms"
