"""The float64 half of a verification: whether two sides are the same function, rounding apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xconv.errors import Mismatch
from xconv.inputs import as_dtype, perturbed
from xconv.report.records import LayerReport, Verdict
from xconv.sides import Named, NoKernel, Side
from xconv.statistics import Array, compare

__all__ = ["Inputs", "Meaning", "judge", "matched", "with_layers"]

NUDGE = 1e-15
FLOOR_LIMIT = 1e-8
"""Above this a noise floor excuses nothing: a network that amplifies rounding so much is judged layer by layer.

An error in a constant of float32 is of this size, so that a higher floor would hide it.
"""

Inputs: TypeAlias = tuple[tuple[Array, ...], tuple[Array, ...]]
"""The arrays for the reference, and for the other side."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the float64 runs say. `truth` and `theirs` are None where that side has no float64.

    `verdict` is None where a side has none: then float32 must decide.
    """

    truth: tuple[Named, ...] | None = None
    theirs: tuple[Named, ...] | None = None
    verdict: Verdict | None = None
    floor: float | None = None
    constants: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def allowance(self) -> float:
        """What the noise floor excuses."""
        return self.floor if self.floor is not None and self.floor <= FLOOR_LIMIT else 0.0


def judge(reference: Side, other: Side, inputs: Inputs, rtol: float) -> Meaning:
    """Runs both sides in float64 and compares their outputs.

    Raises:
        Mismatch: the sides have other numbers of outputs.
    """
    mine, yours = (as_dtype(arrays, "float64") for arrays in inputs)
    truth, first = _attempt(reference, mine)
    theirs, second = _attempt(other, yours)
    notes = tuple(note for note in (first, second) if note)
    if truth is None or theirs is None:
        return Meaning(truth, theirs, notes=notes)
    found = Meaning(truth, theirs, notes=notes)
    if _nonfinite(theirs, truth):
        return replace(found, verdict=Verdict.NOT_FINITE)
    if _error(theirs, truth) <= rtol:
        return replace(found, verdict=Verdict.EXACT)
    imitated = _imitated(reference, other, yours, found)
    if imitated is not None and _error(imitated.theirs, truth) <= rtol:
        return imitated
    return _against_noise(reference, mine, found, imitated)


def _attempt(side: Side, inputs: Sequence[Array]) -> tuple[tuple[Named, ...] | None, str]:
    """The float64 outputs, or why there are none."""
    try:
        outputs = side.outputs(inputs, "float64")
    except NoKernel as error:
        return None, f"no float64: {error}"
    floats = [output for output in outputs if output.value.dtype.kind == "f"]
    if floats and all(output.value.dtype.itemsize < 8 for output in floats):
        return None, f"no float64: {side.name} returns {floats[0].value.dtype}"
    return outputs, ""


def _imitated(reference: Side, other: Any, inputs: Sequence[Array], found: Meaning) -> Meaning | None:
    """The torch side again with TensorFlow's float32 constants; None where there are none to imitate."""
    if getattr(reference, "backend", "") != "tensorflow" or not hasattr(other, "outputs_as_tensorflow"):
        return None
    outputs, used = other.outputs_as_tensorflow(inputs, reference.kinds())
    if not used:
        return None
    plain = _error(found.theirs or (), found.truth or ())
    note = f"with these constants in float64 the outputs differ by {plain:.2g}"
    return replace(
        found, theirs=outputs, verdict=Verdict.CONSTANTS, constants=tuple(used.items()), notes=(*found.notes, note)
    )


def _against_noise(reference: Side, inputs: Sequence[Array], found: Meaning, imitated: Meaning | None) -> Meaning:
    """Judges what is above the tolerance by the model's own noise floor, the better of both attempts."""
    truth = found.truth or ()
    best = found if imitated is None or _better(found, imitated) else imitated
    nudged = (reference.outputs(perturbed(inputs, NUDGE, seed), "float64") for seed in range(3))
    best = replace(best, floor=max(_error(outputs, truth) for outputs in nudged))
    error = _error(best.theirs or (), truth)
    if error <= best.allowance:
        return replace(best, verdict=best.verdict or Verdict.EXACT)
    within = best.floor is not None and error <= best.floor
    return replace(best, verdict=Verdict.INCONCLUSIVE if within else Verdict.DIFFERS)


def _better(found: Meaning, imitated: Meaning) -> bool:
    truth = found.truth or ()
    return _error(found.theirs or (), truth) < _error(imitated.theirs or (), truth)


def with_layers(meaning: Meaning, layers: Sequence[LayerReport]) -> Meaning:
    """The verdict in the light of the layers.

    A layer that differs is a difference, even if the outputs hardly show it. Outputs beyond tolerance and noise floor
    are accumulated rounding where every layer, fed with the reference's activations, is exact, and the error is
    already there in some layer's chained value. Layers that cannot be fed are excused only where TensorFlow's float32
    functions are imitated, because of which they cannot.
    """
    fed = [layer for layer in layers if layer.local is not None]
    if meaning.verdict is Verdict.INCONCLUSIVE and not fed:
        return _with_advice(meaning)
    if not fed or meaning.verdict in (None, Verdict.NOT_FINITE):
        return meaning
    if any(not layer.ok for layer in fed):
        return replace(meaning, verdict=Verdict.DIFFERS)
    if meaning.verdict not in (Verdict.DIFFERS, Verdict.INCONCLUSIVE):
        return meaning
    error = _error(meaning.theirs or (), meaning.truth or ())
    unseen = len(fed) < len(layers) and not meaning.constants
    if unseen or max(layer.chained.max_rel for layer in fed) < error / 2:
        return _with_advice(meaning)
    note = f"every layer is exact on the reference's activations; rounding accumulates to {error:.2g} at the outputs"
    verdict = Verdict.CONSTANTS if meaning.constants else Verdict.EXACT
    return replace(meaning, verdict=verdict, notes=(*meaning.notes, note))


def _with_advice(meaning: Meaning) -> Meaning:
    """What can be done about a verdict that is none."""
    if meaning.verdict is not Verdict.INCONCLUSIVE:
        return meaning
    note = (
        f"the network itself turns a last bit of its input into {meaning.floor:.2g} at its outputs, which would hide a "
        "difference, and not every layer can be judged by itself: give other inputs, calmer weights "
        "(xconv.randomize with inputs=), or a part of the network"
    )
    return replace(meaning, notes=(*meaning.notes, note))


def matched(theirs: Sequence[Named], truth: Sequence[Named]) -> tuple[tuple[Named, Named], ...]:
    """The outputs of two sides in pairs, by name where the names are the same, else in order.

    Raises:
        Mismatch: other numbers of outputs.
    """
    if len(theirs) != len(truth):
        raise Mismatch(
            f"{len(theirs)} outputs ({_names(theirs)}) against {len(truth)} ({_names(truth)})",
            remedy="compare models that return the same tensors",
        )
    by_name = {output.name: output for output in theirs}
    if len(by_name) == len(theirs) and set(by_name) == {output.name for output in truth}:
        return tuple((by_name[output.name], output) for output in truth)
    return tuple(zip(theirs, truth, strict=True))


def _names(outputs: Sequence[Named]) -> str:
    return ", ".join(output.name for output in outputs)


def _error(theirs: Sequence[Named] | None, truth: Sequence[Named]) -> float:
    return max((compare(a.value, b.value).max_rel for a, b in matched(theirs or (), truth)), default=0.0)


def _nonfinite(theirs: Sequence[Named], truth: Sequence[Named]) -> bool:
    return any(compare(a.value, b.value).nonfinite for a, b in matched(theirs, truth))
