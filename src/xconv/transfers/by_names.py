"""A file of weights into the very model that it belongs to: every array has the target's own name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from xconv.comparison.opened import is_keras
from xconv.errors import Mismatch, Unreadable
from xconv.transfers.carrying import carry_out
from xconv.transfers.checkpoints import Checkpoint, framework_of, open_checkpoint
from xconv.transfers.ends import needed, only_weights, state_of, with_ties
from xconv.transfers.gaps import fitting, gaps_between
from xconv.transfers.origin import Origin
from xconv.transfers.plan import COUNTERS, Assignment, Left, Plan, Take, Unfilled
from xconv.transfers.report import TransferReport
from xconv.transfers.results import work_out
from xconv.weights import Arrays, Weight

__all__ = ["by_names", "own_checkpoint"]


def own_checkpoint(source: str | os.PathLike[str], target: Any, which: str) -> Checkpoint | None:
    """The arrays of a file of weights alone, where it is of the target's own framework; None where it is not.

    Raises:
        Unreadable, NotFound: the file is not what it should be.
        InvalidInput: another suffix; several sets of weights and no word which.
    """
    if str(source).endswith(".pt2") or not only_weights(source, which):
        return None
    framework = framework_of(source)
    if framework != ("keras" if is_keras(target) else "torch") or hasattr(target, "graph_signature"):
        return None
    if framework == "torch":
        return open_checkpoint(source, names=tuple(state_of(target)), which=which)
    from xconv.keras.live import is_keras_model

    if not is_keras_model(target):
        return None
    return _keras_checkpoint(source, target)


def _keras_checkpoint(source: str | os.PathLike[str], target: Any) -> Checkpoint:
    """The arrays by their names, or where the file does not tell them, by the order in the model's configuration."""
    names = tuple(_arrays(target))
    if hasattr(target, "_functional"):
        try:
            return open_checkpoint(source, config=target, names=names)
        except Mismatch:
            return open_checkpoint(source, names=names)
    try:
        return open_checkpoint(source, names=names)
    except Unreadable:
        if not hasattr(target, "_operations"):
            raise
        return open_checkpoint(source, config=target, names=names)


def by_names(found: Checkpoint, target: Any, *, strict: bool = True) -> TransferReport:
    """Every array of the checkpoint into the target's array of the same name.

    Args:
        found: the arrays.
        target: the live model that they belong to.
        strict: all of them, or none; False moves those that fit, and reports the others.

    Raises:
        Mismatch: arrays that are missing, left over or of another shape, all in one error.
    """
    start, arrays = perf_counter(), _arrays(target)
    held = Checkpoint(found.place, found.framework, found.arrays if is_keras(target) else with_ties(target, found))
    name = str(getattr(target, "name", "") or type(target).__name__)
    gaps = gaps_between(held, needed(arrays))
    fit = fitting(held, gaps, name, strict=strict)
    keys = [key for key in arrays if key in fit]
    counters = tuple(_left(key, fit) for key in fit if key not in arrays)
    filled = {*keys, *(key for key in arrays if key not in needed(arrays))}
    plan = Plan(
        found.place,
        name,
        (found.framework, found.framework),
        tuple(_same(key, fit, arrays) for key in keys),
        (*counters, *gaps.surplus),
        tuple(_unfilled(key, arrays, gaps.absent) for key in arrays if key not in filled),
    )
    worked = work_out(plan, fit, arrays)
    carry_out(worked.arrays, arrays, target)
    left = (f"left in {found.place}: {', '.join(found.left)}",) if found.left else ()
    count = sum(tensor.numel() for tensor in worked.arrays.values())
    rounded, seconds = dict(worked.rounded or {}), perf_counter() - start
    notes, origin = (*found.notes, *left), Origin(target)
    return TransferReport(
        plan, gaps.problems, worked.findings, rounded, (), notes, count, seconds, origin=origin, target=target
    )


def _arrays(target: Any) -> Arrays:
    """The live arrays of the target by key."""
    if is_keras(target):
        from xconv.keras.live import read_live

        return read_live(target).arrays
    from xconv.torch.arrays import TensorSource

    return {key: TensorSource(tensor) for key, tensor in state_of(target).items()}


def _same(key: str, held: Arrays, arrays: Arrays) -> Assignment:
    layer, _, role = key.rpartition("." if "." in key else "/")
    source = Weight.of(key, tuple(held[key].shape), held[key].dtype)
    return Assignment(Weight.of(key, tuple(arrays[key].shape), arrays[key].dtype), Take(source), layer, role, (layer,))


def _left(key: str, held: Arrays) -> Left:
    return Left(Weight.of(key, tuple(held[key].shape), held[key].dtype), key, "", "a count of training steps")


def _unfilled(key: str, arrays: Arrays, why: Mapping[str, str]) -> Unfilled:
    layer, _, role = key.rpartition("." if "." in key else "/")
    reason = why.get(key, "a count of training steps" if key.endswith(COUNTERS) else "the file has no such array")
    return Unfilled(Weight.of(key, tuple(arrays[key].shape), arrays[key].dtype), layer, role, reason)
