"""The float64 half of a verification: whether two sides are the same function, rounding apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xconv.errors import InvalidInput, Mismatch
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

CLEARLY = 10
"""How many times nearer the outputs must be for another reading of the float32 in torch's text to be the one."""
SHOWN = 8
"""So many layers are named in a note."""

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
    found = Meaning(truth, theirs, notes=tuple(note for note in (first, second) if note))
    if truth is None:
        return found
    if theirs is not None and _nonfinite(theirs, truth):
        return replace(found, verdict=Verdict.NOT_FINITE)
    if _error_of(found) <= rtol:
        return replace(found, verdict=Verdict.EXACT)
    if hasattr(reference, "merge_lora") and reference.merge_lora(rounded=True):
        truth, _ = _attempt(reference, mine)
        merged = replace(
            found, truth=truth, notes=(*found.notes, "LoRA was added to the kernels in their own precision")
        )
        if truth is not None and _error_of(merged) <= rtol:
            return replace(merged, verdict=Verdict.EXACT)
        reference.merge_lora(rounded=False)
    best = _with_constants(reference, other, yours, found)
    if _error_of(best) > rtol:
        best = _evaluated(reference, other, (mine, yours), found, best)
    if _error_of(best) > rtol:
        best = _reread(reference, other, yours, best, rtol)
    return best if best.theirs is None or _error_of(best) <= rtol else _against_noise(reference, mine, best)


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
    note = f"with these constants in float64 the outputs differ by {_error_of(found):.2g}"
    constants = tuple({**dict(found.constants), **used}.items())
    return replace(found, theirs=outputs, verdict=Verdict.CONSTANTS, constants=constants, notes=(*found.notes, note))


def _with_constants(reference: Side, other: Any, inputs: Sequence[Array], found: Meaning) -> Meaning:
    """The outputs as found, or with TensorFlow's constants imitated: the better of both."""
    imitated = _imitated(reference, other, inputs, found) if found.theirs is not None else None
    return found if imitated is None or _error_of(found) < _error_of(imitated) else imitated


def _evaluated(reference: Any, other: Side, inputs: Inputs, found: Meaning, best: Meaning) -> Meaning:
    """The outputs where the reference's float32 kernels of resizing are evaluated in float64, where it has any.

    `found` are the outputs as both sides compute them, `best` perhaps with TensorFlow's constants.
    """
    plan = reference.evaluate(exactly=True) if hasattr(reference, "evaluate") else None
    if plan is None:
        return best
    truth, _ = _attempt(reference, inputs[0])
    if plan and truth is not None:
        without = f"otherwise the outputs differ by {_error_of(best):.2g}"
        notes = (*found.notes, *plan.notes(), *((without,) if found.theirs is not None else ()))
        constants = tuple(plan.constants().items())
        start = replace(found, truth=truth, verdict=Verdict.CONSTANTS, constants=constants, notes=notes)
        return _with_constants(reference, other, inputs[1], start)
    reference.evaluate(exactly=False)
    return best


def _reread(reference: Side, other: Any, inputs: Sequence[Array], best: Meaning, rtol: float) -> Meaning:
    """The outputs with what torch's text computes in float32 read as float64, as in Keras, where that is far better."""
    if reference.framework != "keras" or not hasattr(other, "read_as"):
        return best
    plan = getattr(reference, "evaluated", None)
    constants, notes = (tuple(plan.constants().items()), plan.notes()) if plan else ((), ())
    start = Meaning(best.truth, None, Verdict.CONSTANTS if plan else Verdict.EXACT, None, constants, notes)
    tried = []
    other.release()  # of the module in float64 a reading has no use
    for reading in other.readings:
        other.read_as(reading)
        try:
            theirs, _ = _attempt(other, inputs)
        except InvalidInput:
            continue  # a layer that looks at shapes does not take what stands for its tensors
        if theirs is not None and not _nonfinite(theirs, best.truth or ()):
            found = replace(start, theirs=theirs)
            tried.append((_with_constants(reference, other, inputs, found), reading))
            if _error_of(tried[-1][0]) <= rtol:
                break
    better = min(tried, key=lambda pair: _error_of(pair[0]), default=None)
    if better is None or _error_of(better[0]) > max(rtol, _error_of(best) / CLEARLY):
        other.read_as(None)
        return best
    layers = other.islands(inputs)
    other.release()
    other.read_as(better[1])
    return replace(better[0], notes=(*better[0].notes, _note_on(better[1], layers, best)))


def _note_on(reading: str, layers: Sequence[str], before: Meaning) -> str:
    where = ", ".join(layers[:SHOWN]) + (f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else "")
    asks = f"; its text asks for float32 in {where}" if where else ""
    without = f"differ by {_error_of(before):.2g}" if before.theirs is not None else "cannot be had"
    return f"read in float64 as in Keras: {reading}{asks}; as the module runs in float64 the outputs {without}"


def _against_noise(reference: Side, inputs: Sequence[Array], best: Meaning) -> Meaning:
    """Judges what is above the tolerance by the model's own noise floor."""
    truth = best.truth or ()
    nudged = (reference.outputs(perturbed(inputs, NUDGE, seed), "float64") for seed in range(3))
    best = replace(best, floor=max(_error(outputs, truth) for outputs in nudged))
    error = _error_of(best)
    if error <= best.allowance:
        return replace(best, verdict=best.verdict or Verdict.EXACT)
    within = best.floor is not None and error <= best.floor
    return replace(best, verdict=Verdict.INCONCLUSIVE if within else Verdict.DIFFERS)


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
    error = _error_of(meaning)
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


def _error_of(meaning: Meaning) -> float:
    return _error(meaning.theirs, meaning.truth or ()) if meaning.theirs is not None else math.inf


def _nonfinite(theirs: Sequence[Named], truth: Sequence[Named]) -> bool:
    return any(compare(a.value, b.value).nonfinite for a, b in matched(theirs, truth))
