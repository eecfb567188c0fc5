"""Sliding blocks of an image, and blocks put back: aten.im2col, col2im  ->  slices and stacks; slices, pads and sums.

keras.ops.unfold and fold exist in the newest versions of Keras alone, and want the channels first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.layers.concat import Stack
from xconv.layers.elementwise import Elementwise
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.places import known_sizes
from xconv.layers.reshape import Reshape
from xconv.layers.slicing import WHOLE, Item, Slicing
from xconv.layers.steps import Steps, Taken
from xconv.padding import effective
from xconv.spec import AtenCall, Op, Slot, Spec, TorchExample

__all__ = ["BlockSum", "Blocks"]

Sizes = tuple[int, ...]

CASES: Sequence[Mapping[str, Any]] = (
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (0, 1)},
    {"kernel_size": (2, 3), "dilation": (3, 2), "padding": (2, 1), "stride": (1, 2)},
    {"kernel_size": 1, "padding": 1, "stride": 2},
)


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel that slides along one axis of an image.

    >>> window = Window(size=7, kernel=3, stride=2, padding=1, dilation=1)
    >>> window.positions, window.seen(0), window.lands(0), window.lands(2)
    (4, (0, 7, 2), ((1, 8), (0, 0)), ((0, 6), (1, 0)))
    """

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def positions(self) -> int:
        """How many there are."""
        return (self.size + 2 * self.padding - effective(self.kernel, self.dilation)) // self.stride + 1

    def seen(self, place: int) -> Item:
        """What a place in the kernel sees of the padded axis, as a slice."""
        start = place * self.dilation
        return start, start + (self.positions - 1) * self.stride + 1, self.stride

    def lands(self, place: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Which part of the positions, `stride` apart, lies on the axis; and the pads that move it there."""
        moved = place * self.dilation - self.padding
        start, stop = max(-moved, 0), min(self.positions * self.stride, self.size - moved)
        return (start, stop), (start + moved, self.size - stop - moved)


@dataclass(frozen=True, slots=True)
class Blocks(Spec):
    """What a kernel sees of an image at each of its positions, one column for each of them."""

    aten_ops = ("im2col",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Never a Spec of its own: a slice for every row of the kernel, then of these one for every column."""
        call.get("self")
        _check_rank(call, 4)
        channels, *size = known_sizes(call.inputs[0], (1, 2, 3))
        rows, columns = _windows(call, size)
        steps = Steps()
        pads = ((rows.padding, rows.padding), (columns.padding, columns.padding))
        padded: Taken = steps.add(Pad(pads, 1), Slot(0), name="pad") if any(map(any, pads)) else Slot(0)
        stacked = _stacked(steps, padded, 4, (2, 2), rows, "row")
        stacked = _stacked(steps, stacked, 5, (4, 3), columns, "column")
        joined = channels * rows.kernel * columns.kernel, rows.positions * columns.positions
        steps.add(Reshape(joined), stacked)
        return steps.done()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Overlapping and apart, padded, dilated, with a rest that no position reaches."""
        for config in CASES:
            yield TorchExample("torch.nn.Unfold", ((3, 7, 8),), config)


@dataclass(frozen=True, slots=True)
class BlockSum(Spec):
    """The image that blocks make when each is put back at its position; where they overlap they are added."""

    aten_ops = ("col2im",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Never a Spec of its own: the columns of all blocks moved to their places and added, then the rows."""
        call.get("self")
        _check_rank(call, 3)
        size = call["output_size"]
        if any(not isinstance(number, int) for number in size):
            raise Unsupported("a size that is computed", remedy="give input_shape with all sizes")
        rows, columns = _windows(call, (size[0], size[-1]))
        (joined,) = known_sizes(call.inputs[0], (1,))
        kernels = rows.kernel, columns.kernel
        shape = joined // (rows.kernel * columns.kernel), *kernels, rows.positions, columns.positions
        steps = Steps()
        blocks = steps.add(Reshape(shape), Slot(0), name="blocks")
        lines = _summed(steps, blocks, shape, (3, 5), columns, "column")
        _summed(steps, lines, (*shape[:2], rows.positions, columns.size), (2, 3), rows, "row")
        return steps.done()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """What the blocks of an image of 7 x 8 pixels give, put back."""
        for config in CASES:
            rows, columns = _windows(config, (7, 8))
            blocks = 3 * rows.kernel * columns.kernel, rows.positions * columns.positions
            yield TorchExample("torch.nn.Fold", (blocks,), {"output_size": (7, 8), **config})


WORDS = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}
"""The arguments that both operators have, and what torch takes where they are left out."""


def _check_rank(call: AtenCall, rank: int) -> None:
    if len(call.inputs[0]) != rank:
        raise Mismatch(f"{call.op} gets an input of shape {call.inputs[0]}", remedy="give it a batch axis")


def _windows(given: AtenCall | Mapping[str, Any], size: Sequence[int]) -> tuple[Window, Window]:
    """The kernel along the two axes of an image of this size."""
    numbers = [given.get(key, default) for key, default in WORDS.items()]
    pairs = [(item, item) if isinstance(item, int) else (item[0], item[-1]) for item in numbers]
    rows, columns = (Window(length, *words) for length, *words in zip(size, *pairs, strict=True))
    return rows, columns


def _stacked(steps: Steps, source: Taken, rank: int, place: tuple[int, int], window: Window, word: str) -> Taken:
    """What every place in the kernel sees along the first axis of `place`, stacked along the second."""
    axis, new = place
    seen = (window.seen(number) for number in range(window.kernel))
    cuts = [Slicing(tuple(item if other == axis else WHOLE for other in range(rank))) for item in seen]
    parts = [steps.add(cut, source, name=f"{word}{number}") for number, cut in enumerate(cuts)]
    return steps.add(Stack(new), *parts, name=f"{word}s")


def _summed(steps: Steps, source: Taken, shape: Sizes, over: tuple[int, int], window: Window, word: str) -> Taken:
    """The blocks, of this shape beside the batch, put back along one axis.

    `over` are the axis of the kernel's places, which disappears, and that of its positions, which becomes the image's.
    """
    kernel, axis = over
    rank = len(shape) + 1
    spread = _spread(steps, source, shape, axis, window.stride, word)
    parts = []
    for place in range(window.kernel):
        (start, stop), pads = window.lands(place)
        if stop <= start:
            continue
        items: list[Item] = [WHOLE] * rank
        items[kernel], items[axis] = place, (start, stop, None)
        part = steps.add(Slicing(tuple(items)), spread, name=f"{word}{place}")
        if any(pads):
            around = tuple(pads if other == axis else (0, 0) for other in range(rank) if other != kernel)
            part = steps.add(PadAxes(around), part, name=f"{word}{place}.moved")
        parts.append(part)
    if not parts:
        raise Unsupported("blocks that all lie outside of the image", remedy="use less padding")
    slots = tuple(Slot(number) for number in range(len(parts)))
    return steps.add(Elementwise("add", slots, merge=True), *parts, name=f"{word}s") if len(parts) > 1 else parts[0]


def _spread(steps: Steps, source: Taken, shape: Sizes, axis: int, stride: int, word: str) -> Taken:
    """`stride - 1` zeros behind every position."""
    if stride == 1:
        return source
    before, behind = shape[: axis - 1], shape[axis:]
    single = steps.add(Reshape((*before, shape[axis - 1], 1, *behind)), source, name=f"{word}s.apart")
    pads = tuple((0, stride - 1 if other == axis + 1 else 0) for other in range(len(shape) + 2))
    zeros = steps.add(PadAxes(pads), single, name=f"{word}s.zeros")
    return steps.add(Reshape((*before, shape[axis - 1] * stride, *behind)), zeros, name=f"{word}s.spread")
