"""What a diagnosis found, as frozen records; `str()` is readable text, `to_dict()` is plain data for JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from xconv.comparison.trial import Mend

__all__ = ["Diagnosis", "Finding", "Place", "Suspicion"]

STATES = frozenset({"mode", "randomness", "dtype"})
"""The causes that lie in the state of a model, not in what it means."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cause was found: the layer in either model (empty where it has none), and what each of them says."""

    a: str
    b: str
    a_says: str = ""
    b_says: str = ""

    def __str__(self) -> str:
        where = f"{self.a or '(nothing)'} <-> {self.b or '(nothing)'}"
        return f"{where}: {self.a_says or 'nothing'} against {self.b_says or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A possible cause before its effect is measured.

    `mend` is the remedy, applied to a copy: with it, what `b` computes should be what `a` computes in this respect.
    None where the cause has no effect on what is computed in inference (momentum, initialisers): it is told only.
    """

    cause: str
    """The name of the cause, that of its file: 'padding', 'stride', 'epsilon' ..."""
    text: str
    """What differs, in plain words, as one sentence."""
    places: tuple[Place, ...]
    remedy: str
    """The remedy as a line of code, for `b`."""
    mend: Mend | None = None
    hint: str = ""
    """Why such a thing happens, and what else to know."""
    measured: tuple[float, float] | None = None
    """For causes outside the graph (modes, dtypes): the error with this cause alone, and once it is removed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause with its measured effect.

    `alone` is the relative error of the outputs that is left where everything but this is mended: what this cause does
    by itself. `after` is the error once only this is mended. Both are None for what inference does not show.
    """

    cause: str
    text: str
    places: tuple[Place, ...]
    remedy: str
    alone: float | None
    after: float | None
    hint: str = ""

    def __str__(self) -> str:
        if self.alone is None:
            effect = "no effect in inference"
        else:
            effect = f"alone an error of {self.alone:.2g}"
            if self.after is not None:
                effect += f"; mended, {self.after:.2g} is left"
        places = [f"    {place}" for place in self.places[:6]]
        if len(self.places) > len(places):
            places.append(f"    ... and {len(self.places) - len(places)} more places")
        lines = [f"{self.cause}: {self.text} ({effect})", *places, f"    remedy: {self.remedy}"]
        return "\n".join([*lines, *([f"    {self.hint}"] if self.hint else [])])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        names = ("cause", "text", "remedy", "hint")
        places = [{key: getattr(place, key) for key in ("a", "b", "a_says", "b_says")} for place in self.places]
        numbers = {"alone": _plain(self.alone), "after": _plain(self.after)}
        return {**{key: getattr(self, key) for key in names}, "places": places, **numbers}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why two models differ: the findings, the largest effect first.

    `error` is the relative error of the outputs, max|a-b| / max|a|, in float64 as the models are; `left` what is left
    of it with all remedies together. `unexplained` tells where what is left begins; empty where nothing is.
    """

    a: str
    b: str
    findings: tuple[Finding, ...]
    error: float
    left: float
    as_given: float | None = None
    """The difference of the outputs of the two live models, as they are: modes, precision and rounding included."""
    tolerance: float = 1e-10
    floor: float = 0.0
    """How far the outputs of `a` move when its input moves by 1e-15 relative."""
    unexplained: str = ""
    notes: tuple[str, ...] = field(default=())
    seconds: float = 0.0

    @property
    def agree(self) -> bool:
        """Whether the two are the same function, in inference mode and rounding apart."""
        return self.error <= self.allowed

    @property
    def departs(self) -> bool:
        """Whether a model, as it is, does not compute what it means: training mode, chance, low precision."""
        return any(finding.cause in STATES and finding.alone for finding in self.findings)

    @property
    def explained(self) -> bool:
        """Whether all remedies together make the pair exact."""
        return self.left <= self.allowed

    @property
    def allowed(self) -> float:
        """The error up to which two outputs are the same."""
        return max(self.tolerance, min(self.floor, 1e-8))

    def to_dict(self) -> dict[str, Any]:
        """Plain data: numbers, strings, lists and dicts; numbers that are not finite are strings."""
        return {
            "a": self.a,
            "b": self.b,
            "agree": self.agree,
            "explained": self.explained,
            "error": _plain(self.error),
            "left": _plain(self.left),
            "as_given": _plain(self.as_given),
            "tolerance": self.tolerance,
            "noise_floor": _plain(self.floor),
            "unexplained": self.unexplained,
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def to_json(self, indent: int | None = 2) -> str:
        """The same as JSON text that every parser reads."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        lines = [f"{self.a}  against  {self.b}", self.verdict]
        lines += [f"{number}. {finding}" for number, finding in enumerate(self.findings, 1)]
        if self.unexplained:
            lines.append(f"unexplained: {self.unexplained}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    @property
    def verdict(self) -> str:
        """The outcome as one sentence."""
        if self.agree and self.departs:
            shown = f": what they return differs by {self.as_given:.2g}" if self.as_given is not None else ""
            return f"The two are the same function ({self.error:.2g}), but not as they are now{shown}."
        if self.agree:
            told = " What is listed does not show in inference." if self.findings else ""
            return f"The two are the same function: relative error {self.error:.2g}.{told}"
        if self.explained:
            return f"The outputs differ by {self.error:.2g}; with all remedies the pair is exact ({self.left:.2g})."
        return f"The outputs differ by {self.error:.2g}; with all remedies {self.left:.2g} is left unexplained."


def _plain(number: float | None) -> float | str | None:
    """The number, as a string where JSON has none for it."""
    return number if number is None or math.isfinite(number) else str(number)
