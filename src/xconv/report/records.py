"""What a verification found, as frozen records; `str()` is readable text, `to_dict()` is plain data for JSON."""

from __future__ import annotations

import enum
import json
import math
from dataclasses import dataclass, field
from typing import Any

from xconv.statistics import Comparison

__all__ = ["Difference", "LayerReport", "OutputReport", "Report", "Testimony", "Verdict", "Witness"]


class Verdict(enum.StrEnum):
    """The outcome; the first three are agreement."""

    EXACT = "exact"
    """float64 agrees to the tolerance, or to the model's own noise floor, or layer by layer where that is high."""
    CONSTANTS = "exact up to float32 constants of TensorFlow"
    """float64 agrees once torch uses the constants that TensorFlow rounds to float32; the report names them."""
    FLOAT32 = "agrees in float32"
    """A side has no float64; the float32 difference is of the size of rounding."""
    IMPRECISE = "same meaning, imprecise in float32"
    """float64 agrees, but the float32 error is far above the reference's own."""
    INCONCLUSIVE = "inconclusive"
    """The outputs are within the model's own noise, which is so high that it would hide a difference."""
    NOT_FINITE = "not finite"
    """An output holds NaN, or an infinity that the other side has not: nothing was proved."""
    DIFFERS = "differs"

    @property
    def ok(self) -> bool:
        """Whether the two sides are the same function."""
        return self in (Verdict.EXACT, Verdict.CONSTANTS, Verdict.FLOAT32)


@dataclass(frozen=True, slots=True)
class OutputReport:
    """One output of the two sides.

    `float64` compares the second side with the reference in float64; None where a side cannot. `float32` compares the
    second side's float32 with the best reference there is, `reference_float32` the reference's own float32 with the
    same; `ratio` is the quotient of their RMS errors.
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    float64: Comparison | None
    float32: Comparison
    reference_float32: Comparison | None
    ratio: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        comparisons = {key: getattr(self, key) for key in ("float64", "float32", "reference_float32")}
        return {
            "name": self.name,
            "shape": list(self.shape),
            "verdict": str(self.verdict),
            **{key: value and value.to_dict() for key, value in comparisons.items()},
            "ratio": self.ratio,
        }


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One tensor inside the network.

    `chained` compares the two sides when each runs on its own activations. `local` compares them when the second side
    is fed with the reference's activations: an error there arises in this layer. None where nodes cannot be fed.
    """

    layer: str
    call: int
    tensor: int
    kind: str
    node: str
    chained: Comparison
    local: Comparison | None
    ok: bool
    note: str = ""

    @property
    def error(self) -> float:
        """The relative error that this layer is judged by: the local one where there is one."""
        return (self.local or self.chained).max_rel

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {key: getattr(self, key) for key in ("layer", "call", "tensor", "kind", "node", "ok", "note")}
        return {**plain, "chained": self.chained.to_dict(), "local": self.local and self.local.to_dict()}


@dataclass(frozen=True, slots=True)
class Difference:
    """The first layer that differs: where to look."""

    layer: str
    kind: str
    node: str
    error: float
    text: str

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {key: getattr(self, key) for key in ("layer", "kind", "node", "error", "text")}


@dataclass(frozen=True, slots=True)
class Testimony:
    """What a third party computed from the graph that one side exported, against both sides.

    The comparisons are those of the output where it is furthest from the side. A side agrees where its error is of
    the size of the witness's own rounding.
    """

    exported: str
    precision: str
    reference: Comparison
    other: Comparison
    agrees_with_reference: bool
    agrees_with_other: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = ("exported", "precision", "agrees_with_reference", "agrees_with_other")
        found = {key: getattr(self, key) for key in plain}
        return {**found, "reference": self.reference.to_dict(), "other": self.other.to_dict()}


@dataclass(frozen=True, slots=True)
class Witness:
    """The third opinion; `off` is the side that is off, 'reference' or 'other', empty where none is or none can say."""

    name: str
    testimonies: tuple[Testimony, ...]
    off: str
    text: str

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        testimonies = [testimony.to_dict() for testimony in self.testimonies]
        return {"name": self.name, "off": self.off, "text": self.text, "testimonies": testimonies}


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found.

    `noise_floor` is how much the reference's own outputs move when its input moves by 1e-15 relative; None where it
    was not needed. `constants` are the float32 constants of TensorFlow that had to be imitated, by layer.
    `sensitivity` is how much the outputs differ between different inputs, relative to their size.
    """

    verdict: Verdict
    reference: str
    other: str
    outputs: tuple[OutputReport, ...]
    layers: tuple[LayerReport, ...] = ()
    first_difference: Difference | None = None
    tolerance: float = 1e-10
    noise_floor: float | None = None
    sensitivity: float = math.inf
    constants: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    seconds: float = 0.0
    witness: Witness | None = None
    """The third opinion, where one was asked for."""

    @property
    def ok(self) -> bool:
        """Whether the two sides are the same function."""
        return self.verdict.ok

    def to_dict(self) -> dict[str, Any]:
        """Plain data: numbers, strings, lists and dicts; numbers that are not finite are strings."""
        found = {
            "verdict": str(self.verdict),
            "ok": self.ok,
            "reference": self.reference,
            "other": self.other,
            "tolerance": self.tolerance,
            "noise_floor": self.noise_floor,
            "sensitivity": self.sensitivity,
            "constants": dict(self.constants),
            "outputs": [output.to_dict() for output in self.outputs],
            "layers": [layer.to_dict() for layer in self.layers],
            "first_difference": self.first_difference and self.first_difference.to_dict(),
            "notes": list(self.notes),
            "seconds": self.seconds,
            "witness": self.witness and self.witness.to_dict(),
        }
        return {key: _finite(value) for key, value in found.items()}

    def to_json(self, indent: int | None = 2) -> str:
        """The same as JSON text that every parser reads."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        from xconv.report.text import as_text

        return as_text(self)

    def __rich__(self) -> Any:
        from xconv.report.text import as_table

        return as_table(self)


def _finite(item: Any) -> Any:
    if isinstance(item, float) and not math.isfinite(item):
        return str(item)
    if isinstance(item, dict):
        return {key: _finite(value) for key, value in item.items()}
    return [_finite(value) for value in item] if isinstance(item, list) else item
