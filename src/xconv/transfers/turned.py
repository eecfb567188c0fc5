"""The image turned by 180 degrees: whether every layer does the same to it then.

Where every map is turned by 180 degrees, so is every window, and a pad before a map is one behind it. A 'same' network
with (0, 1) pads is then one with (1, 0) pads, which is what symmetric pads of (1, 1) come to on an even map.
"""

from __future__ import annotations

from collections.abc import Iterator

from xconv.comparison.case import Case
from xconv.comparison.differences import reach_of
from xconv.errors import Problem
from xconv.graph import Node
from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.concat import Concat
from xconv.layers.conv import Conv
from xconv.layers.elementwise import Elementwise
from xconv.layers.group_norm import GroupNorm
from xconv.layers.io import Input
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.rescale import Rescaling
from xconv.layers.scale import Scale
from xconv.layers.softmax import Softmax
from xconv.layers.unary import Clip, Unary
from xconv.layers.upsample import Upsample
from xconv.transfers.obstacles import place_of

__all__ = ["rotation_problems", "spatial_axes"]

WINDOWS = (Conv, Pool)
SYMMETRIC = (Activation, AdaptivePool, BatchNorm, Clip, Elementwise, GlobalPool, GroupNorm, Input, Rescaling, Scale)
SYMMETRIC += (Unary, Upsample)  # type: ignore[assignment]
"""What does the same to every place of a map."""
CHANNELS = 1
MAP = len("NCW")
"""From this rank on a tensor is a map."""


def spatial_axes(rank: int) -> tuple[int, ...]:
    """The axes of a kernel of this rank that are turned.

    >>> spatial_axes(4)
    (2, 3)
    """
    return tuple(range(2, rank))


def rotation_problems(case: Case) -> Iterator[Problem]:
    """Where turning every kernel by 180 degrees does not make one model the other on a turned image."""
    for a, b in case.pairs():
        place = place_of(case, a.name, b.name)
        shape = case.nodes_a[a.inputs[0].node].shapes[a.inputs[0].index] if a.inputs else a.shapes[0]
        if len(shape) < MAP:
            continue
        if isinstance(a.spec, WINDOWS) and isinstance(b.spec, WINDOWS):
            theirs = case.nodes_b[b.inputs[0].node].shapes[b.inputs[0].index]
            ours, other = reach_of(a.spec, shape), reach_of(b.spec, theirs)
            turned = tuple((after, before) for before, after in ours)
            strided = any(size is None and step > 1 for size, step in zip(shape[2:], a.spec.stride, strict=True))
            if strided:
                yield Problem(place, "the size of its map is open, so it is not known which pixels it takes")
            elif turned != other:
                what = f"turned by 180 degrees its windows need the pads {turned}, the target has {other}"
                yield Problem(place, what)
        elif not _symmetric(a):
            yield Problem(place, f"{type(a.spec).__name__} does not do the same to a map that is turned by 180 degrees")


def _symmetric(node: Node) -> bool:
    spec, rank = node.spec, len(node.shapes[0])
    if isinstance(spec, (Concat, Softmax)):
        return spec.axis % rank == CHANNELS
    return isinstance(spec, SYMMETRIC)
