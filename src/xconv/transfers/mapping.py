"""A transfer of which one end is a file, and the mapping that it found as a map that can be saved."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from xconv.comparison.opened import is_keras
from xconv.errors import InvalidInput, Problem
from xconv.transfers.by_names import by_names, own_checkpoint
from xconv.transfers.ends import is_path, source_end, target_end
from xconv.transfers.map_file import TransferMap
from xconv.transfers.origin import Origin
from xconv.transfers.plan import Plan
from xconv.transfers.planning import Options
from xconv.transfers.replay import write_planned
from xconv.transfers.report import TransferReport
from xconv.transfers.results import Worked
from xconv.transfers.templates import template_of
from xconv.transfers.transferring import transferred

__all__ = ["map_of", "transferred_between"]


def transferred_between(
    source: Any,
    target: Any,
    options: Options,
    *,
    architecture: Any = None,
    which: str = "",
    adapt: bool = False,
    strict: bool = True,
    input_shape: Any = None,
) -> TransferReport:
    """A transfer between models or files; arguments and errors as for `xconv.transfer`."""
    to_file = is_path(target)
    ours, theirs = _architectures(architecture, source, to_file)
    if not to_file and is_path(source) and ours in (None, target):
        found = own_checkpoint(source, target, which)
        if found is not None:
            return by_names(found, target, strict=strict)
    start = source_end(source, ours, None if to_file else target, which, strict=strict)
    if which and not is_path(source):
        raise InvalidInput("which= is for a torch file of weights", remedy="leave it out")
    if not to_file:
        return transferred(start, target, options, adapt=adapt, strict=strict, input_shape=input_shape)
    if adapt:
        what = "adapt=True changes a live model, and the target is a file"
        raise InvalidInput(what, place=str(target), remedy="transfer into the live model, and save that")
    model = target_end(target, theirs)
    return transferred(
        start,
        model,
        options,
        strict=strict,
        input_shape=input_shape,
        write=partial(_into_file, target, model, theirs, strict),
    )


def map_of(plan: Plan, origin: Origin, problems: tuple[Problem, ...] = ()) -> TransferMap:
    """The map of a transfer; a Keras target saves a temporary file, which tells where files keep its weights.

    Raises:
        Unsupported: a subclassed Keras model whose files do not tell its layers.
    """
    known = TransferMap(plan, shared_source=origin.source, shared_target=origin.target, problems=problems)
    if not is_keras(origin.model):
        return known
    with template_of(origin.model, "target.weights.h5", list(plan.targets())) as template:
        return replace(known, layout=template.layout)


def _architectures(architecture: Any, source: Any, to_file: bool) -> tuple[Any, Any]:
    """Whose architecture it is: the target's where that is a file, else the source's; a pair is of both."""
    if isinstance(architecture, tuple):
        first, second = architecture
        return first, second
    if architecture is not None and not to_file and not is_path(source):
        raise InvalidInput("architecture= is for files", remedy="leave it out: both models are there")
    return (None, architecture) if to_file else (architecture, None)


def _into_file(
    path: Any, model: Any, architecture: Any, strict: bool, plan: Plan, worked: Worked, origin: Origin
) -> None:
    """Write the arrays that were worked out as a file of the architecture."""
    known = TransferMap(plan, shared_source=origin.source, shared_target=origin.target)
    after = architecture if is_keras(model) else model
    with template_of(after, path, list(plan.targets())) as template:
        write_planned(known, worked, path, template, strict=strict)
