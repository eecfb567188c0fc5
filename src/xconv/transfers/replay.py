"""A map carried out on another checkpoint of the same architecture, file to file: no model is built."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from xconv.errors import InvalidInput, Mismatch, Problem
from xconv.transfers.checkpoints import Checkpoint, framework_of, open_checkpoint
from xconv.transfers.gaps import without
from xconv.transfers.map_checks import apart, check_sizes, gaps_of, groups, plain, strangers
from xconv.transfers.map_file import TransferMap, load_map
from xconv.transfers.plan import COUNTERS, Plan
from xconv.transfers.report import TransferReport
from xconv.transfers.results import Worked, work_out
from xconv.transfers.templates import Template, template_of
from xconv.transfers.to_files import write_weights
from xconv.weights import Arrays, ArraySource, Shape

if TYPE_CHECKING:
    import numpy as np

__all__ = ["apply_map", "write_planned"]

_INTO_LIVE = "transfer into the live model"
SHOWN = 8
"""How many entries of a checkpoint are named."""


@dataclass(frozen=True, slots=True)
class _Empty:
    """An array of the target whose shape and dtype are known, but no numbers."""

    key: str
    shape: Shape
    dtype: str

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """There is nothing to read.

        Raises:
            Mismatch: always.
        """
        what = "the map fills a part of it, and the rest is not known"
        raise Mismatch(what, place=self.key, remedy="give architecture= the model, or a file of its weights")


def apply_map(
    found: TransferMap | str | os.PathLike[str],
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    architecture: Any = None,
    config: Any = None,
    which: str = "",
    strict: bool = True,
) -> TransferReport:
    """Make a file of weights from another, as a saved map says; neither Keras nor TensorFlow is imported.

    Args:
        found: the map, or the path of its file.
        source: a checkpoint of the architecture that the map was made for, as for `open_checkpoint`.
        target: the file to write; it is written whole or not at all.
        architecture: a file of the target's architecture, or the live model. It is needed for `.keras` and `.h5`,
            which hold a configuration too, and where the map leaves arrays of the target as they are.
        config: the configuration of a Keras source that does not name its layers.
        which: for torch files with several sets of weights: 'ema', or the entry or prefix to take.
        strict: refuse arrays of the source that the map does not know or misses, and arrays of the target that
            nothing fills; else what can be moved is, and they are reported.

    Returns:
        The `TransferReport` of the map's plan: what was folded, left and kept, and what these numbers hold that no
        trained network does.

    Raises:
        Unreadable, NotFound: a file is not what it should be.
        Mismatch: arrays that are missing, left over or of another shape, all in one error.
        InvalidInput: files of other frameworks than the map's.
        Unwritable, IsDirectory: the target cannot be written to; an older file stays as it was.
    """
    start = perf_counter()
    known = found if isinstance(found, TransferMap) else load_map(found)
    plan = known.plan
    _check_frameworks(plan, source, target)
    names = [*plan.sources(), *(left.weight.key for left in plan.left)]
    checkpoint = _with_all_names(known, open_checkpoint(source, config=config, names=names, which=which))
    gaps, others = gaps_of(known, checkpoint, strict=strict), tuple(strangers(known, checkpoint))
    differing = [*apart(known, checkpoint)]
    if differing or (strict and (gaps.problems or others)) or len(gaps.absent) == len(plan.sources()) > 0:
        problems = (*gaps.problems, *others, *differing)
        raise Mismatch(f"{source} does not fit the map, which is of {plan.source}", problems=problems)
    plan = without(plan, gaps)
    known = replace(known, plan=plan)
    check_sizes(plan, checkpoint)
    with _template(known, architecture, target) as template:
        wanted = _wanted(known, template)
        worked = work_out(plan, checkpoint.arrays, wanted, known.shared_target)
        absent = write_planned(known, worked, target, template, strict=strict)
        plan = _told(plan, template)
    return TransferReport(
        plan,
        (*known.problems, *gaps.problems, *absent, *others),
        worked.findings,
        dict(worked.rounded or {}),
        notes=(*plan.notes, *checkpoint.notes, *_entries(checkpoint)),
        numbers=sum(tensor.numel() for tensor in worked.arrays.values()),
        seconds=perf_counter() - start,
    )


def write_planned(
    known: TransferMap, worked: Worked, target: str | os.PathLike[str], template: Template, *, strict: bool = True
) -> tuple[Problem, ...]:
    """Write the arrays that were worked out, and beside them what the template keeps.

    Returns:
        The arrays that the file lacks, which is an error where `strict`.

    Raises:
        Mismatch: arrays of the target that nothing fills, where `strict`.
        Unwritable, IsDirectory, NotFound: the target cannot be written to; an older file stays as it was.
    """
    made = {**worked.arrays, **_counts(known.plan, template)}
    for names in groups(known.shared_target).values():
        filled = next((made[key] for key in names if key in made), None)
        if filled is not None:
            made.update(dict.fromkeys(names, filled))
    absent = _absent(known.plan, made, template)
    if strict and absent:
        raise Mismatch(f"{target} would lack weights", problems=absent)
    if template.kept:
        homeless = [Problem(key, "is no part of the file", _INTO_LIVE) for key in made if key not in template.kept]
        if homeless:
            raise Mismatch(f"{target} has no place for weights of the target", problems=homeless)
        made = {key: made[key] if key in made else plain(template.kept, key) for key in template.kept}
    write_weights(made, target, template)
    return tuple(absent)


def _check_frameworks(plan: Plan, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    for path, wanted, end in ((source, plan.frameworks[0], "from"), (target, plan.frameworks[1], "to")):
        if framework_of(path) != wanted:
            remedy = f"give a file of {wanted} weights"
            raise InvalidInput(f"the map leads {end} {wanted} weights", place=str(path), remedy=remedy)


@contextmanager
def _template(known: TransferMap, architecture: Any, target: str | os.PathLike[str]) -> Iterator[Template]:
    """After what the file is made: what was given, else what the map says."""
    if architecture is None:
        yield Template(known.plan.frameworks[1], layout=known.layout)
        return
    with template_of(architecture, target, list(known.plan.targets())) as template:
        yield template


def _with_all_names(known: TransferMap, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with every name of an array that has several; some files keep the first alone."""
    arrays = dict(checkpoint.arrays)
    for names in groups(known.shared_source).values():
        held = next((arrays[key] for key in names if key in arrays), None)
        if held is not None:
            arrays.update({key: held for key in names if key not in arrays})
    return replace(checkpoint, arrays=arrays)


def _wanted(known: TransferMap, template: Template) -> Arrays:
    """The arrays of the target: the template's own, else what the map says of them."""
    said = {item.target.key: item.target for item in known.plan.assignments}
    empty: dict[str, ArraySource] = {key: _Empty(key, weight.source, weight.dtype) for key, weight in said.items()}
    for names in groups(known.shared_target).values():
        held = next((empty[key] for key in names if key in empty), None)
        if held is not None:
            empty.update({key: held for key in names if key not in empty})
    return {**empty, **template.kept}


def _absent(plan: Plan, made: Mapping[str, torch.Tensor], template: Template) -> list[Problem]:
    """The arrays of the target that nothing fills."""
    remedy = "give architecture= the model or a file of it, or strict=False"
    return [
        Problem(item.weight.key, item.reason, remedy)
        for item in plan.unfilled
        if item.weight.key not in made and item.weight.key not in template.kept
    ]


def _counts(plan: Plan, template: Template) -> dict[str, torch.Tensor]:
    """The counts of training steps that nothing tells: 0, as in a new model."""
    counts = (item.weight for item in plan.unfilled if item.weight.key.endswith(COUNTERS))
    return {
        count.key: torch.zeros(count.source, dtype=torch.int64) for count in counts if count.key not in template.kept
    }


def _told(plan: Plan, template: Template) -> Plan:
    """The plan with what the file holds of counts that it does not fill."""
    known, said = _counts(plan, template), "a count of training steps: 0 in the file, as in a new model"
    return replace(
        plan,
        unfilled=tuple(replace(item, reason=said) if item.weight.key in known else item for item in plan.unfilled),
    )


def _entries(checkpoint: Checkpoint) -> Iterator[str]:
    if checkpoint.left:
        more = f" and {len(checkpoint.left) - SHOWN} more" if len(checkpoint.left) > SHOWN else ""
        yield f"left in {checkpoint.place}: {', '.join(checkpoint.left[:SHOWN])}{more}"
