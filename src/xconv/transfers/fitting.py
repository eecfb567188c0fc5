"""What a wrong shape is likely to be: another order of axes, another number of classes, another width or depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from xconv.comparison.case import Case
from xconv.errors import Mismatch
from xconv.graph import Node
from xconv.layers.io import Variable
from xconv.passes.without_unused import without_unused
from xconv.transfers.shapes import permutation, times_as_wide
from xconv.weights import Shape, Weight

__all__ = ["one_weight", "variant", "why_not", "with_axes_of"]

KERNELS = frozenset({"kernel", "recurrent", "embeddings"})


def why_not(case: Case, node: Node, ours: Shape, theirs: Shape) -> str:
    """A guess for one weight of the target."""
    order = permutation(ours, theirs)
    if order is not None:
        return f"with its axes in the order {order} it would fit"
    if _is_last(case, node) and ours[1:] == theirs[1:]:
        return f"the target is made for {theirs[0]} classes, the source for {ours[0]}"
    if ours[:1] == theirs[:1] and ours[2:] == theirs[2:]:
        return "the layer before has another width, or the input another size"
    return ""


def variant(case: Case, sizes: Sequence[tuple[str, Shape, Shape]]) -> str:
    """Which variant of the architecture the source seems to be; empty where nothing says so.

    Args:
        case: the source as `a`, the target as `b`.
        sizes: role and both shapes of every weight that does not fit.
    """
    found = []
    wide = times_as_wide((ours, theirs) for role, ours, theirs in sizes if role in KERNELS)
    if wide is not None:
        ratio, count = wide
        found.append(f"the target's layers are {float(ratio):.3g} times as wide in {count} of {len(sizes)} weights")
    counts = [Counter(type(node.spec).__name__ for node in side if node.weights) for side in _sides(case)]
    found += [
        f"the source has {counts[0][kind]} layers of kind {kind}, the target {counts[1][kind]}"
        for kind in sorted(counts[0].keys() | counts[1].keys())
        if counts[0][kind] != counts[1][kind]
    ]
    return f"they seem to be two variants of one architecture: {'; '.join(found)}" if found else ""


def _sides(case: Case) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    return without_unused(case.a.graph).nodes, without_unused(case.b.graph).nodes


def _is_last(case: Case, node: Node) -> bool:
    """Whether no other kernel stands behind a node of the target."""
    waiting, seen = [node.name], {node.name}
    users: dict[str, list[Node]] = {}
    for value, takers in case.users_b.items():
        users.setdefault(value.node, []).extend(takers)
    while waiting:
        for behind in users.get(waiting.pop(), []):
            if "kernel" in behind.weights:
                return False
            if behind.name not in seen:
                seen.add(behind.name)
                waiting.append(behind.name)
    return True


def one_weight(a: Node, b: Node) -> bool:
    """Whether both hold one weight, which they may call by different names."""
    return isinstance(b.spec, Variable) and len(a.weights) == len(b.weights) == 1


def with_axes_of(ours: Weight, theirs: Weight) -> Weight:
    """The weight with as many axes of length 1 as the other has."""
    bare = [tuple(size for size in weight.shape if size != 1) for weight in (ours, theirs)]
    if bare[0] != bare[1] or ours.shape == theirs.shape:
        return ours
    try:
        return ours.reshape(theirs.shape)
    except Mismatch:
        return ours
