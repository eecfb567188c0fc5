"""A plan worked out on numbers: every array of the target as it will be, before anything is changed (`work_out`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from xconv.errors import Mismatch, Problem
from xconv.transfers.evaluate import evaluate, taken_tensor
from xconv.transfers.plan import Assignment, Plan
from xconv.weights import Arrays

__all__ = ["Worked", "changed_constants", "work_out"]


@dataclass(frozen=True, slots=True)
class Worked:
    """New arrays of the target by key, as it stores them and in its dtypes; what is to be told of their numbers.

    `rounded` tells for each dtype how many arrays do not hold in it what was worked out, and by how much at most,
    relative to the largest number of the array.
    """

    arrays: Mapping[str, torch.Tensor]
    findings: tuple[Problem, ...] = ()
    rounded: Mapping[str, tuple[int, float]] | None = None


def work_out(plan: Plan, source: Arrays, target: Arrays, shared: Mapping[str, str] | None = None) -> Worked:
    """What every array of the target becomes.

    Args:
        plan: what goes where.
        source: the arrays that are read, by key.
        target: the arrays of the target as they are: their dtypes, and what stays where only rows are filled.
        shared: keys that are other names of one tensor, and the name that counts.

    Raises:
        Mismatch: arrays that are missing or have another shape than the plan was made for; a tensor that layers share
            and that would have to hold different numbers; numbers that the plan left out because they were zeros or
            ones, and are not here. All in one error.
    """
    groups: dict[str, list[Assignment]] = {}
    for key, items in plan.targets().items():
        groups.setdefault((shared or {}).get(key, key), []).extend(items)
    problems = list(changed_constants(plan, source))
    made: dict[str, torch.Tensor] = {}
    findings: list[Problem] = []
    rounded: dict[str, tuple[int, float]] = {}
    for key, group in groups.items():
        try:
            value = _whole(group, source, target)
        except Mismatch as error:
            problems += [
                Problem(problem.place or group[0].layer, problem.what, problem.remedy) for problem in error.problems
            ]
            continue
        made[key] = _cast(group[0], value, target[key].dtype, findings, rounded)
    if problems:
        raise Mismatch(f"the weights of {plan.source} cannot be moved to {plan.target}", problems=problems)
    return Worked(made, tuple(findings), rounded)


def changed_constants(plan: Plan, source: Arrays) -> Iterator[Problem]:
    """The arrays that were left out because they were all one number, and are not in this source."""
    for item in plan.left:
        if item.must_be is not None and item.weight.key in source:
            tensor = taken_tensor(item.weight, source)
            if bool((tensor != item.must_be).any()):
                what = f"{item.role} is not {item.must_be:g} throughout, and {plan.target} has no place for it"
                yield Problem(item.layer, what)


def _whole(items: list[Assignment], source: Arrays, target: Arrays) -> torch.Tensor:
    """One array of the target, as it is stored, in the precision in which it was worked out."""
    first = items[0]
    if len(items) == 1 and first.rows is None:
        return _fitting(first, source)
    frame = [evaluate(item.formula, source) for item in items]
    dtype = frame[0].dtype
    for part in frame[1:]:
        dtype = torch.promote_types(dtype, part.dtype)
    whole = torch.zeros(first.target.source, dtype=dtype)
    filled = torch.zeros(first.target.source, dtype=torch.bool)
    for item, part in zip(items, frame, strict=True):
        whole, filled = _laid(item, part.to(dtype), whole, filled)
    if not bool(filled.all()):
        if first.target.key not in target:
            raise Mismatch(f"only rows of {first.target.key} are filled", place=first.layer)
        old = first.target.undo(taken_tensor(first.target, target))
        whole = torch.where(filled, whole.to(torch.promote_types(dtype, old.dtype)), old)
    return whole


def _fitting(item: Assignment, source: Arrays) -> torch.Tensor:
    value = evaluate(item.formula, source)
    if tuple(value.shape) != item.target.shape:
        raise Mismatch(f"{item.role} has shape {tuple(value.shape)}, {item.target.shape} is needed", place=item.layer)
    stored: torch.Tensor = item.target.undo(value)
    return stored


def _laid(
    item: Assignment, part: torch.Tensor, whole: torch.Tensor, filled: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The array with these rows in it; where it has some already they must be the same."""
    rows = slice(*item.rows) if item.rows else slice(None)
    view, known = item.target.apply(whole).clone(), item.target.apply(filled).clone()
    if tuple(view[rows].shape) != tuple(part.shape):
        raise Mismatch(
            f"{item.role} has shape {tuple(part.shape)}, {tuple(view[rows].shape)} is needed", place=item.layer
        )
    same = (view[rows] == part) | ~known[rows] | (view[rows].isnan() & part.isnan())
    if not bool(same.all()):
        what = (
            f"{item.target.key} is shared by several layers of the target, which hold different numbers in the source"
        )
        raise Mismatch(what, place=item.layer, remedy="give the target weights of their own there")
    view[rows], known[rows] = part, True
    return item.target.undo(view), item.target.undo(known)


def _cast(
    item: Assignment, value: torch.Tensor, name: str, findings: list[Problem], rounded: dict[str, tuple[int, float]]
) -> torch.Tensor:
    """The array in the target's dtype, and what that does to its numbers."""
    dtype = getattr(torch, name)
    cast = value.to(dtype).contiguous()
    place = f"{item.layer} {item.role}"
    findings += [Problem(place, said) for said in _said(item, value, cast)]
    if value.is_floating_point() and value.dtype != dtype:
        off = (cast.double() - value.double()).abs().nan_to_num(0.0, 0.0, 0.0).max().item() if value.numel() else 0.0
        if off:
            count, most = rounded.get(name, (0, 0.0))
            size = value.double().abs().nan_to_num(0.0, 0.0, 0.0).max().item()
            rounded[name] = count + 1, max(most, off / size if size else 0.0)
    return cast


def _said(item: Assignment, value: torch.Tensor, cast: torch.Tensor) -> Iterable[str]:
    """What is wrong with the numbers of one array."""
    if not value.is_floating_point() or not value.numel():
        return
    total = value.numel()
    finite = int(value.isfinite().sum())
    if finite < total:
        counts = {"NaN": int(value.isnan().sum()), "infinite": int(value.isinf().sum())}
        yield f"{' and '.join(f'{n} {kind}' for kind, n in counts.items() if n)} among {total} numbers"
    lost = finite - int(cast.isfinite().sum())
    if lost > 0:
        yield f"{lost} of {total} numbers are beyond {str(cast.dtype).removeprefix('torch.')}; they are infinite now"
    negative = int((value < 0).sum()) if item.role == "variance" else 0
    if negative:
        yield f"{negative} of {total} variances are negative; with the epsilon they serve in inference, not in training"
