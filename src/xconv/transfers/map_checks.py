"""Whether a checkpoint is one that a map was made for: names, shapes, what is left over, and how much it would make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import torch

from xconv.errors import InvalidInput, Problem, XConvError
from xconv.keras.zip_window import Limits
from xconv.transfers.checkpoints import Checkpoint
from xconv.transfers.evaluate import taken_tensor
from xconv.transfers.gaps import Gaps
from xconv.transfers.map_file import TransferMap
from xconv.transfers.plan import COUNTERS, Flip, Formula, Join, Part, Plan, Product, Sum, shape_of
from xconv.transfers.shapes import likely, variant_by_names
from xconv.weights import Arrays, Weight

__all__ = ["apart", "check_sizes", "gaps_of", "groups", "plain", "strangers"]


def gaps_of(known: TransferMap, checkpoint: Checkpoint, *, strict: bool) -> Gaps:
    """What the source that the map was made for has, and this one has not, or in another shape."""
    shapes = {key: tuple(array.shape) for key, array in checkpoint.arrays.items()}
    sources = known.plan.sources()
    missing = [key for key in sources if key not in shapes and not key.endswith(COUNTERS)]
    sizes = [(key, shapes[key], w.source) for key, w in sources.items() if key in shapes and shapes[key] != w.source]
    problems = [
        Problem(key, f"is not in the file; an array of shape {sources[key].source} is needed") for key in missing
    ]
    problems += [
        Problem(key, f"has shape {ours}, {shape} is needed", likely(ours, shape)) for key, ours, shape in sizes
    ]
    others = [problem.place for problem in strangers(known, checkpoint)]
    told = variant_by_names(sizes, others, missing, sources)
    if told and (problems or strict):
        problems.insert(0, Problem(checkpoint.place, told))
    absent = dict.fromkeys((key for key in sources if key not in shapes), f"{checkpoint.place} has no such array")
    absent |= {key: f"in {checkpoint.place} it has shape {ours}" for key, ours, _ in sizes}
    return Gaps(tuple(problems), absent)


def strangers(known: TransferMap, checkpoint: Checkpoint) -> Iterator[Problem]:
    """Arrays that the map does not know."""
    plan = known.plan
    read = {*plan.sources(), *(left.weight.key for left in plan.left), *known.shared_source}
    read |= set(known.shared_source.values())
    remedy = "the source is another architecture, or its layers have other names; strict=False leaves them"
    for key, array in checkpoint.arrays.items():
        if key not in read and not key.endswith(COUNTERS):
            yield Problem(key, f"an array {tuple(array.shape)} that the map does not know", remedy)


def apart(known: TransferMap, checkpoint: Checkpoint) -> Iterator[Problem]:
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
