"""A file of weights against the arrays that its architecture holds: what fits, and what each side has alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from xconv.errors import Mismatch, Problem
from xconv.transfers.checkpoints import Checkpoint
from xconv.transfers.plan import COUNTERS, Left, Plan, Unfilled, taken
from xconv.transfers.shapes import likely, variant_by_names
from xconv.weights import Arrays, Shape, Weight

__all__ = ["Gaps", "fitting", "gaps_between", "without"]

_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True)
class Gaps:
    """What does not fit: in words, the arrays that the file has not for the architecture, and those it has besides."""

    problems: tuple[Problem, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    """By the key of an array of the architecture, why the file does not fill it."""
    surplus: tuple[Left, ...] = ()


def gaps_between(found: Checkpoint, needed: Mapping[str, Shape]) -> Gaps:
    """Every name or shape that does not fit, on both sides; counts of training steps may be missing.

    Args:
        found: the arrays of the file.
        needed: the shape of every array of the architecture, by key.
    """
    shapes = {key: tuple(array.shape) for key, array in found.arrays.items()}
    missing = [key for key in needed if key not in shapes and not key.endswith(COUNTERS)]
    surplus = [key for key in shapes if key not in needed and not key.endswith(COUNTERS)]
    sizes = [(key, shapes[key], shape) for key, shape in needed.items() if key in shapes and shapes[key] != shape]
    problems = [Problem(key, f"missing; shape {needed[key]} is needed") for key in missing]
    problems += [
        Problem(key, f"has shape {ours}, {shape} is needed", likely(ours, shape)) for key, ours, shape in sizes
    ]
    what = "shape {}, and the architecture has no place for it"
    problems += [Problem(key, what.format(shapes[key]), _adapted(key, needed)) for key in surplus]
    told = variant_by_names(sizes, [key for key in surplus if not _adapted(key, needed)], missing, needed)
    if told:
        part = any(shapes.get(key) == shape for key, shape in needed.items())
        problems.insert(0, Problem(found.place, told, "strict=False moves what fits" if part else ""))
    absent = dict.fromkeys((key for key in needed if key not in shapes), f"{found.place} has no such array")
    absent |= {key: f"in {found.place} it has shape {ours}" for key, ours, _ in sizes}
    left = tuple(_left(key, found.arrays, "the architecture has no place for it") for key in surplus)
    return Gaps(tuple(problems), absent, left)


def _adapted(key: str, needed: Container[str]) -> str:
    """What to do with the offset of a convolution without a bias, which only adapt=True makes."""
    layer, _, name = key.rpartition(".")
    if name == "offset" and f"{layer}.weight" in needed and f"{layer}.bias" not in needed:
        return "it is of a model that adapt=True changed: change this one first, by a transfer from the same source"
    return ""


def fitting(found: Checkpoint, gaps: Gaps, name: str, *, strict: bool) -> Arrays:
    """The arrays of a file that fit its architecture.

    Args:
        found: the arrays of the file.
        gaps: what `gaps_between` says of them.
        name: of the model, for messages.
        strict: all must fit, and none be left over.

    Raises:
        Mismatch: they do not, or none does; or layers that seem to be the same are numbered otherwise.
    """
    besides = {item.weight.key for item in gaps.surplus}
    held = {key: array for key, array in found.arrays.items() if key not in gaps.absent and key not in besides}
    if gaps.problems and (strict or not held):
        raise Mismatch(f"the weights in {found.place} do not fit {name}", problems=gaps.problems)
    counted = (
        _counted({key for key in gaps.absent if key not in found.arrays}, besides) if found.framework == "keras" else ""
    )
    if counted:
        what = f"its layers are numbered otherwise ({counted}), so names do not tell which is which"
        remedy = "make the model in a new session, or after keras.utils.clear_session(), and give it as architecture="
        raise Mismatch(what, place=found.place, remedy=remedy)
    return held


def _counted(missing: Iterable[str], surplus: Collection[str]) -> str:
    """A layer that both have alone but for the number that Keras put behind its name; empty where there is none."""
    others = {_NUMBER.sub("", key.rpartition("/")[0]): key.rpartition("/")[0] for key in surplus}
    for key in missing:
        layer = key.rpartition("/")[0]
        other = others.get(_NUMBER.sub("", layer))
        if other is not None and other != layer:
            return f"{other} against {layer}"
    return ""


def without(plan: Plan, gaps: Gaps) -> Plan:
    """The plan as far as it can be carried out on a source that lacks arrays; those that are left over are told."""
    if not gaps.absent and not gaps.surplus:
        return plan
    lost: dict[str, Unfilled] = {}
    for item in plan.assignments:
        why = [
            f"{weight.key}: {gaps.absent[weight.key]}" for weight in taken(item.formula) if weight.key in gaps.absent
        ]
        if why:
            whole = Weight.of(item.target.key, item.target.source, item.target.dtype)
            lost.setdefault(item.target.key, Unfilled(whole, item.layer, item.role, "; ".join(why)))
    kept = tuple(item for item in plan.assignments if item.target.key not in lost)
    known = {weight.key for item in kept for weight in taken(item.formula)}
    left = {item.weight.key: item for item in plan.left if item.weight.key not in gaps.absent}
    for item in plan.assignments:
        for weight in taken(item.formula):
            if weight.key not in gaps.absent and weight.key not in known and item.target.key in lost:
                whole = Weight.of(weight.key, weight.source, weight.dtype)
                reason = f"{item.layer} {item.role} is not made without the arrays that are missing"
                left.setdefault(weight.key, Left(whole, weight.key, "", reason))
    return replace(
        plan,
        assignments=kept,
        left=(*left.values(), *gaps.surplus),
        unfilled=(*plan.unfilled, *lost.values()),
    )


def _left(key: str, arrays: Arrays, reason: str) -> Left:
    layer, _, role = key.rpartition("." if "." in key else "/")
    return Left(Weight.of(key, tuple(arrays[key].shape), arrays[key].dtype), layer, role, reason)
