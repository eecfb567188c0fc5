"""A third opinion: what one side exports to ONNX, run by onnxruntime, against the outputs of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xconv.errors import InvalidInput, MissingFramework, XConvError
from xconv.inputs import as_dtype
from xconv.report.records import Testimony, Witness
from xconv.sides import Named, NoKernel, Side
from xconv.statistics import Comparison, compare, ratio
from xconv.verification.meaning import Inputs, Meaning, matched
from xconv.verification.rounding import FLOAT32_FACTOR, LEAST

if TYPE_CHECKING:
    from xconv.onnx.runtime import OnnxSide

__all__ = ["WITNESSES", "heard"]

WITNESSES = ("onnxruntime",)


@dataclass(frozen=True, slots=True)
class _Runs:
    """The outputs of one side: in the best precision that it has, and in float32."""

    best: tuple[Named, ...]
    single: tuple[Named, ...]


def heard(name: str, reference: Side, other: Side, both: Inputs, meaning: Meaning, rtol: float) -> Witness:
    """What the witness says of two sides that were run on these inputs.

    The reference is exported, and the other side too where that is needed to tell which is off: where they differ, or
    where the reference cannot be exported. Float64 where onnxruntime has it, else float32.

    Raises:
        InvalidInput: there is no witness of that name.
        MissingFramework: a package is not installed.
        XConvError: neither side can be exported; with both reasons.
    """
    if name not in WITNESSES:
        raise InvalidInput(f"witness={name!r}", remedy=f"give one of {', '.join(WITNESSES)}")
    single = [as_dtype(arrays, "float32") for arrays in both]
    runs = (
        _Runs(meaning.truth or reference.outputs(single[0], "float32"), reference.outputs(single[0], "float32")),
        _Runs(meaning.theirs or other.outputs(single[1], "float32"), other.outputs(single[1], "float32")),
    )
    found: list[Testimony] = []
    refused: list[XConvError] = []
    for side, arrays in zip((reference, other), both, strict=True):
        if found and found[0].agrees_with_reference and found[0].agrees_with_other:
            break
        try:
            found.append(_testimony(side, arrays, runs, max(rtol, meaning.allowance)))
        except MissingFramework:
            raise
        except XConvError as error:
            refused.append(error)
    if not found:
        problems = [problem for error in refused for problem in error.problems]
        raise type(refused[0])("neither side can be exported for the witness", problems=problems)
    off, text = _conclusion(found, reference, other)
    return Witness(_version(), tuple(found), off, " ".join([text, *(f"({error})" for error in refused)]))


def _testimony(side: Side, arrays: Sequence[Any], runs: tuple[_Runs, _Runs], rtol: float) -> Testimony:
    """The outputs of what a side exports, against both sides."""
    try:
        dtype = "float64"
        outputs = _exported(side, arrays, dtype).outputs(as_dtype(arrays, dtype), dtype)
    except NoKernel:
        dtype = "float32"
        outputs = _exported(side, arrays, dtype).outputs(as_dtype(arrays, dtype), dtype)
    doubles = dtype == "float64" and all(_is_double(run.best) for run in runs)
    judged = [_judged(outputs, run, rtol if doubles else None) for run in runs]
    return Testimony(side.name, dtype, judged[0][0], judged[1][0], judged[0][1], judged[1][1])


def _is_double(outputs: Sequence[Named]) -> bool:
    return all(output.value.dtype.kind != "f" or output.value.dtype.itemsize == 8 for output in outputs)


def _judged(outputs: Sequence[Named], run: _Runs, rtol: float | None) -> tuple[Comparison, bool]:
    """The comparison of the output that is furthest off, and whether all agree.

    In float32 the witness may be as far from a side as `FLOAT32_FACTOR` times that side's own rounding, as the other
    side of a verification may.
    """
    rows = []
    best, single = ([mine.value for mine, _ in matched(list(item), list(outputs))] for item in (run.best, run.single))
    for output, exact, rounded in zip(outputs, best, single, strict=True):
        error, own = compare(output.value, exact), compare(rounded, exact)
        allowed = max(own.rms_rel, LEAST) if np.isfinite(own.rms_rel) else LEAST
        fine = error.max_rel <= rtol if rtol is not None else ratio(error.rms_rel, allowed) <= FLOAT32_FACTOR
        rows.append((error, fine and not error.nonfinite))
    worst = max(rows, key=lambda row: (not row[1], row[0].rms_rel))
    return worst[0], all(fine for _, fine in rows)


def _exported(side: Any, arrays: Sequence[Any], dtype: str) -> OnnxSide:
    """What a side exports, in onnxruntime, taking and returning the source's written layout."""
    from xconv.onnx.runtime import OnnxSide

    if isinstance(side, OnnxSide):
        return side
    if side.framework == "keras":
        from xconv.onnx.from_keras import keras_to_onnx

        return OnnxSide(keras_to_onnx(side.exportable(dtype)), side.name)
    if side.framework == "torch":
        from xconv.onnx.from_torch import torch_to_onnx

        module, arguments = side.exportable(as_dtype(arrays, dtype), dtype)
        return OnnxSide(torch_to_onnx(module, arguments), side.name, side.record)
    what = f"a {side.framework} has no graph that could be exported"
    raise InvalidInput(what, place=side.name, remedy="give models on both sides, or do without the witness")


def _conclusion(found: Sequence[Testimony], reference: Side, other: Side) -> tuple[str, str]:
    """Which side is off, and why."""
    mine, yours = f"{reference.name} ({reference.framework})", f"{other.name} ({other.framework})"
    first = found[0]
    agrees = first.agrees_with_reference, first.agrees_with_other
    said = (
        f"{_version()} in {first.precision}, on what {first.exported} exports, is off {mine} by "
        f"{first.reference.max_rel:.2g} and {yours} by {first.other.max_rel:.2g}"
    )
    if agrees == (True, True):
        return "", f"{said}: it agrees with both"
    if agrees == (False, True):
        return "reference", f"{said}: it agrees with {yours}; {mine} is off"
    if agrees == (True, False):
        return "other", f"{said}: it agrees with {mine}; {yours} is off{_second(found, mine, yours)}"
    return "", f"{said}: it agrees with neither{_second(found, mine, yours)}"


def _second(found: Sequence[Testimony], mine: str, yours: str) -> str:
    """What the export of the other side adds."""
    if len(found) < 2:
        return ""
    second = found[1]
    match second.agrees_with_reference, second.agrees_with_other:
        case (False, True):
            return f"; on what {second.exported} exports it agrees with {yours}: the networks themselves differ"
        case (True, False):
            return (
                f"; on what {second.exported} exports it agrees with {mine} too: {yours} does not run as its graph says"
            )
        case (True, True):
            return f"; on what {second.exported} exports it agrees with both"
    return f"; on what {second.exported} exports it agrees with neither"


def _version() -> str:
    from importlib.metadata import version

    return f"onnxruntime {version('onnxruntime')}"
