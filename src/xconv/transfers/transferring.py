"""From two models to a finished transfer: align, plan, work out, carry out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from xconv.comparison.case import Case, open_case
from xconv.errors import Mismatch, Problem
from xconv.graph import Value
from xconv.transfers.adapting import adapt as adapt_target
from xconv.transfers.carrying import carry_out
from xconv.transfers.ends import End
from xconv.transfers.gaps import Gaps, without
from xconv.transfers.origin import Origin
from xconv.transfers.plan import Plan
from xconv.transfers.planning import Options, Planned, make_plan
from xconv.transfers.report import TransferReport
from xconv.transfers.results import Worked, work_out
from xconv.transfers.turned import MAP

__all__ = ["transferred"]


def transferred(
    source: End,
    target: Any,
    options: Options,
    *,
    adapt: bool = False,
    strict: bool = True,
    input_shape: Any = None,
    write: Callable[[Plan, Worked, Origin], None] | None = None,
) -> TransferReport:
    """Weights of one model into another; arguments and errors as for `xconv.transfer`.

    `write` puts the arrays elsewhere than into the target.
    """
    start = perf_counter()
    case = open_case(source.model, target, input_shape=input_shape)
    make = partial(_planned, options=options, gaps=source.gaps)
    if adapt:
        return _adapted(case, make, strict=strict, input_shape=input_shape, notes=source.notes, start=start)
    planned = make(case)
    if strict and planned.problems:
        _refuse(case, planned)
    worked = work_out(planned.plan, planned.source.arrays, planned.target.arrays, planned.target.shared)
    origin = Origin(target, _further(planned.source.shared), _further(planned.target.shared))
    if write is None:
        carry_out(worked.arrays, planned.target.arrays, case.b.model)
    else:
        write(planned.plan, worked, origin)
    done = _report(case, planned, worked, perf_counter() - start)
    return replace(done, notes=(*done.notes, *source.notes), origin=origin)


def _planned(case: Case, options: Options, gaps: Gaps) -> Planned:
    """The plan, as far as the source has what it takes."""
    planned = make_plan(case, options)
    return replace(planned, plan=without(planned.plan, gaps), problems=(*gaps.problems, *planned.problems))


def _further(shared: Mapping[str, str]) -> dict[str, str]:
    """The keys that are further names of an array, with the first."""
    return {key: first for key, first in shared.items() if key != first}


def _adapted(
    case: Case,
    make: Callable[[Case], Planned],
    *,
    strict: bool,
    input_shape: Any,
    notes: Sequence[str],
    start: float,
) -> TransferReport:
    """The transfer into a target whose geometry is changed first; where it fails, all of it is taken back."""
    adaptation = adapt_target(case, input_shape)
    case = adaptation.case
    try:
        planned = make(case)
        if strict and planned.problems:
            _refuse(case, planned, adaptation.problems)
        worked = work_out(planned.plan, planned.source.arrays, planned.target.arrays, planned.target.shared)
        carry_out(worked.arrays, planned.target.arrays, case.b.model)
    except BaseException:
        adaptation.edits.undo()
        raise
    planned = replace(planned, plan=replace(planned.plan, notes=(*planned.plan.notes, *adaptation.notes)))
    origin = Origin(adaptation.target, _further(planned.source.shared), _further(planned.target.shared))
    done = _report(case, planned, worked, perf_counter() - start)
    return replace(
        done,
        adapted=adaptation.changes,
        notes=(*done.notes, *notes, *map(str, adaptation.problems)),
        origin=origin,
        target=adaptation.target,
    )


def _refuse(case: Case, planned: Planned, unchanged: Sequence[Problem] = ()) -> None:
    what = f"{case.a.name} and {case.b.name} are not the same function; nothing was moved"
    raise Mismatch(what, problems=(*unchanged, *planned.problems))


def _report(case: Case, planned: Planned, worked: Worked, seconds: float) -> TransferReport:
    return TransferReport(
        planned.plan,
        planned.problems,
        worked.findings,
        dict(worked.rounded or {}),
        (),
        (*planned.plan.notes, *_wanted(case, planned)),
        sum(tensor.numel() for tensor in worked.arrays.values()),
        seconds,
        target=case.b.model,
    )


def _wanted(case: Case, planned: Planned) -> list[str]:
    """What the target wants from its caller from now on."""
    found = []
    if "rotated" in planned.plan.conditions:
        found.append(f"{case.b.name} wants the image turned by 180 degrees: flip its height and its width")
        shapes = case.b.graph.value_shapes()
        if any(len(shapes[Value(v.node, v.index)]) >= MAP for v in case.b.graph.output_values()):
            found.append("its output is a map, and comes out turned as well")
    if "channels swapped" in planned.plan.conditions:
        found.append(f"{case.b.name} wants the image's channels the other way round: BGR where the source takes RGB")
    if "inference" in planned.plan.conditions:
        found.append("in training the two are not the same: see what was folded")
    return found
