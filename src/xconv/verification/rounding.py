"""The float32 half of a verification: how much the second side rounds, against how much the reference does."""

from __future__ import annotations

import numpy as np

from xconv.inputs import as_dtype, perturbed
from xconv.report.records import OutputReport, Verdict
from xconv.sides import OWN, Named, Side
from xconv.statistics import Comparison, compare, ratio
from xconv.verification.meaning import Inputs, Meaning, matched

__all__ = ["FLOAT32_FACTOR", "judge", "own_precision"]

FLOAT32_FACTOR = 10.0
"""How many times the reference's own float32 error the other side's may be, in RMS over an output.

Both are the rounding of the same sums in another order (blocking, fused multiply-add, Winograd), so they are of one
size: the quotient was 0.2 to 0.9 for seven networks of keras.applications on a CPU. What this can still find, float64
being exact, is far larger: the unit roundoff of TF32 is 2^13 times that of float32, that of bfloat16 2^16 times.
"""

SINGLE = float(np.finfo(np.float32).eps)
LEAST = 4 * SINGLE
"""An own error below this counts as this: a few units in the last place are luck."""


def judge(reference: Side, other: Side, inputs: Inputs, meaning: Meaning, rtol: float) -> tuple[OutputReport, ...]:
    """Runs both sides in float32 and reports every output with its verdict.

    A reference under dtype policies of less than float32 is run as it is, and the other side too. Where both sides
    have float64, each side's float32 is compared with the reference's float64. Where only one has,
    with that one's. Where none has, the two float32 runs are compared with each other, against how far the
    reference's outputs move when its inputs are rounded once more.
    """
    single, dtype = tuple(as_dtype(arrays, "float32") for arrays in inputs), own_precision(reference)
    own = reference.outputs(single[0], dtype or "float32")
    theirs = tuple(mine for mine, _ in matched(other.outputs(single[1], dtype or "float32"), own))
    truth = meaning.truth if meaning.truth is not None else meaning.theirs
    if truth is None:
        moved = reference.outputs(as_dtype(perturbed(single[0], SINGLE, 0), "float32"), dtype or "float32")
        rows = [
            (compare(a.value, b.value), compare(c.value, b.value)) for a, b, c in zip(theirs, own, moved, strict=True)
        ]
        return tuple(_report(out, *row, meaning, None, rtol) for out, row in zip(own, rows, strict=True))
    doubles = _doubles(meaning)
    reports = []
    for place, (mine, (best, yours)) in enumerate(zip(theirs, matched(truth, own), strict=True)):
        pair = compare(mine.value, best.value), compare(yours.value, best.value)
        reports.append(_report(yours, *pair, meaning, doubles.get(place), rtol))
    return tuple(reports)


def own_precision(reference: Side) -> str | None:
    """`OWN` where the reference has dtype policies of less than float32: it then rounds as they say, not as float32."""
    return OWN if getattr(reference, "low_policies", tuple)() else None


def _doubles(meaning: Meaning) -> dict[int, Comparison]:
    """The float64 comparison of every output, where both sides have one."""
    if meaning.truth is None or meaning.theirs is None:
        return {}
    pairs = matched(meaning.theirs, meaning.truth)
    return {place: compare(a.value, b.value) for place, (a, b) in enumerate(pairs)}


def _report(
    output: Named, mine: Comparison, own: Comparison, meaning: Meaning, double: Comparison | None, rtol: float
) -> OutputReport:
    higher, lower = (mine, own) if meaning.truth is not None or meaning.theirs is None else (own, mine)
    quotient = ratio(higher.rms_rel, max(lower.rms_rel, LEAST)) if np.isfinite(lower.rms_rel) else None
    verdict = _meaning_of(double, meaning, rtol)
    if verdict is None or verdict.ok:
        verdict = _rounding_of(verdict, mine, quotient)
    return OutputReport(output.name, tuple(output.value.shape), verdict, double, mine, own, quotient)


def _meaning_of(double: Comparison | None, meaning: Meaning, rtol: float) -> Verdict | None:
    """What float64 says about one output."""
    if double is None or meaning.verdict is None:
        return meaning.verdict
    if double.nonfinite:
        return Verdict.NOT_FINITE
    if meaning.verdict.ok:
        return meaning.verdict
    return Verdict.EXACT if double.max_rel <= max(rtol, meaning.allowance) else meaning.verdict


def _rounding_of(verdict: Verdict | None, mine: Comparison, quotient: float | None) -> Verdict:
    """What float32 adds: without float64 it decides."""
    if mine.nonfinite:
        return Verdict.NOT_FINITE
    fine = quotient is not None and quotient <= FLOAT32_FACTOR
    if verdict is None:
        return Verdict.FLOAT32 if fine else Verdict.DIFFERS
    return verdict if fine else Verdict.IMPRECISE
