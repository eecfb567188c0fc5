"""Whether a checkpoint is one that a map was made for: names, shapes, what is left over, and how much it would make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import torch

from xconv.errors import InvalidInput, Problem, XConvError
from xconv.keras.zip_window import Limits
from xconv.transfers.checkpoints import Checkpoint
from xconv.transfers.evaluate import taken_tensor
from xconv.transfers.map_file import TransferMap
from xconv.transfers.plan import Flip, Formula, Join, Part, Plan, Product, Sum, shape_of
from xconv.weights import Arrays, Shape, Weight

__all__ = ["COUNTERS", "check_sizes", "groups", "misfits", "plain", "strangers"]

COUNTERS = "num_batches_tracked"
"""What a BatchNorm of torch counts in training; a state_dict without it is loaded as one with 0."""


def misfits(known: TransferMap, checkpoint: Checkpoint, strict: bool) -> list[Problem]:
    """Everything that does not fit between the source that the map was made for and this one."""
    plan = known.plan
    problems = [_misfit(weight, checkpoint) for weight in plan.sources().values()]
    if strict:
        problems += strangers(known, checkpoint)
    return [*(problem for problem in problems if problem is not None), *_apart(known, checkpoint)]


def _misfit(weight: Weight, checkpoint: Checkpoint) -> Problem | None:
    if weight.key not in checkpoint.arrays:
        return Problem(weight.key, f"is not in the file; an array of shape {weight.source} is needed")
    shape = tuple(checkpoint.arrays[weight.key].shape)
    if shape == weight.source:
        return None
    return Problem(weight.key, f"has shape {shape}, {weight.source} is needed", _guess(shape, weight.source))


def _guess(shape: Shape, wanted: Shape) -> str:
    """What a wrong shape is likely to be."""
    if sorted(shape) == sorted(wanted):
        return "it seems to be transposed"
    if prod(shape) == prod(wanted):
        return "it seems to be reshaped"
    if len(shape) == len(wanted) and sum(a != b for a, b in zip(shape, wanted, strict=True)) == 1:
        return "it seems to be made for another number of classes or filters"
    return "it seems to be another architecture or input size"


def strangers(known: TransferMap, checkpoint: Checkpoint) -> Iterator[Problem]:
    """Arrays that the map does not know."""
    plan = known.plan
    read = {*plan.sources(), *(left.weight.key for left in plan.left), *known.shared_source}
    read |= set(known.shared_source.values())
    remedy = "the source is another architecture, or its layers have other names; strict=False leaves them"
    for key, array in checkpoint.arrays.items():
        if key not in read and not key.endswith(COUNTERS):
            yield Problem(key, f"an array {tuple(array.shape)} that the map does not know", remedy)


def _apart(known: TransferMap, checkpoint: Checkpoint) -> Iterator[Problem]:
    """Names that were one array in the model that the map was made for, and are several here."""
    arrays = checkpoint.arrays
    for names in groups(known.shared_source).values():
        tensors = [plain(arrays, key) for key in names if key in arrays]
        if any(not torch.equal(tensors[0], other) for other in tensors[1:]):
            yield Problem(names[0], f"is one array with {', '.join(names[1:])} in the map, and here they differ")


def check_sizes(plan: Plan, checkpoint: Checkpoint) -> None:
    """Refuse a map that makes far more numbers than the checkpoint holds.

    Raises:
        InvalidInput: it does.
    """
    limits = Limits()
    held = sum(prod(array.shape) for array in checkpoint.arrays.values())
    allowed = limits.free_bytes + limits.inflation * held
    sizes = [_largest(item.formula) + prod(item.target.source) for item in plan.assignments]
    whole = sum(prod(items[0].target.source) for items in plan.targets().values())
    if max([whole, *sizes]) > allowed:
        what = f"the map makes {max([whole, *sizes])} numbers of {held}"
        raise InvalidInput(what, place=checkpoint.place, remedy="use a map that was saved for this architecture")


def _largest(formula: Formula) -> int:
    """How many numbers are held at once, at most, while it is worked out."""
    inner: tuple[Formula, ...] = ()
    match formula:
        case Flip(of) | Part(of):
            inner = (of,)
        case Join(parts):
            inner = parts
        case Sum(of, other, _) | Product(of, other, _):
            inner = (of, other)
    return prod(shape_of(formula)) + sum(map(_largest, inner))


def groups(shared: Mapping[str, str]) -> dict[str, list[str]]:
    """By the first name of each array, all its names."""
    found: dict[str, list[str]] = {}
    for other, first in shared.items():
        found.setdefault(first, [first]).append(other)
    return found


def plain(arrays: Arrays, key: str) -> torch.Tensor:
    """An array as it is stored."""
    source = arrays[key]
    try:
        return taken_tensor(Weight.of(key, tuple(source.shape), source.dtype), arrays)
    except XConvError as error:
        raise error.at(key) from error
