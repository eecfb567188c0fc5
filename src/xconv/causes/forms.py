"""What else an array may be: the same numbers in another arrangement, as a mistake leaves them (`Form`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import prod

import numpy as np

from xconv import axes
from xconv.statistics import Array
from xconv.weights import Shape

__all__ = ["Form", "bias_forms", "flatten_forms", "gate_forms", "kernel_forms", "reordered", "reversed_channels"]

GATES = {"lstm": ("i", "f", "c", "o"), "gru": ("z", "r", "h"), "rnn": ("h",)}
"""The blocks of a recurrent layer's kernel in Keras's order."""
MAP_AXES = {3: "CHW", 2: "CL", 4: "CDHW"}
SPATIAL = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


@dataclass(frozen=True, slots=True)
class Form:
    """A change that makes of an array the one that is found in its place.

    `back` undoes it on what is found. Where nothing can (a formula loses digits), it is None, and the remedy is the
    array itself.
    """

    cause: str
    says: str
    """What was done, in words that follow 'its numbers are': 'transposed'."""
    forward: Callable[[Array], Array]
    back: Callable[[Array], Array] | None
    remedy: str = ""
    """What undoes it on a torch tensor `w`, as an expression; empty where it takes more than one."""
    order: axes.Order = ()
    """The order that undoes it, where it only put axes in another order."""


def reordered(cause: str, says: str, shape: Shape, order: axes.Order) -> Form:
    """The array transposed; where that gives another shape, its numbers are reshaped to the old one."""
    moved, undone = axes.apply(shape, order), axes.inverse(order)
    keeps = moved == shape
    said = f"w.permute({', '.join(map(str, undone))})"
    return Form(
        cause,
        says,
        lambda array: array.transpose(order).reshape(shape),
        lambda array: array.reshape(moved).transpose(undone),
        said if keeps else f"w.reshape({moved}).permute({', '.join(map(str, undone))})",
        undone if keeps else (),
    )


def kernel_forms(shape: Shape, groups: int = 1, spatial: int = 0, blocks: int = 1) -> Iterator[Form]:
    """A kernel whose axes stand in another order, or whose windows are turned; `spatial` axes are the last ones."""
    seen = set()
    for order in permutations(range(len(shape))):
        key = axes.merged(shape, order)
        if axes.moves_only_ones(shape, order) or key in seen:
            continue
        seen.add(key)
        yield reordered("kernel_layout", _order_in_words(shape, order, spatial), shape, order)
    yield from _turned(shape, spatial)
    yield from _regrouped(shape, groups, "depthwise channels and multipliers" if groups > 1 else "")
    if blocks > 1 and shape[0] == blocks * shape[-1] and len(shape) == 2:
        yield _within(
            shape, (blocks, shape[-1], shape[-1]), axes.move_axis(3, 1, 2), "transposed inside each of its gates"
        )


def _order_in_words(shape: Shape, order: axes.Order, spatial: int) -> str:
    if axes.apply(shape, order) != shape:
        return f"reshaped from {axes.apply(shape, order)} where they should be transposed"
    moved = [place for place, axis in enumerate(order) if place != axis and shape[place] > 1]
    first = len(shape) - spatial
    if len(shape) == 2 or moved == [0, 1]:
        return "not transposed: inputs and outputs are exchanged"
    if spatial > 1 and moved == [len(shape) - 2, len(shape) - 1] and first <= moved[0]:
        return "turned: height and width are exchanged"
    return f"transposed by {order}"


def _turned(shape: Shape, spatial: int) -> Iterator[Form]:
    """Windows read from their end: all axes for a true convolution, or some of them."""
    wide = [axis for axis in range(len(shape) - spatial, len(shape)) if shape[axis] > 1]
    names = dict(zip(range(len(shape) - spatial, len(shape)), SPATIAL.get(spatial, ()), strict=False))
    for count in range(len(wide), 0, -1):
        for chosen in combinations(wide, count):
            whole = count == len(wide)
            said = f"mirrored along {' and '.join(names[axis] for axis in chosen)}"
            if whole and spatial > 1:
                said = "rotated by 180 degrees, as for a true convolution"
            yield _flipped("kernel_layout", said, chosen)
            if whole and shape[0] == shape[1] > 1:
                swap = reordered("", "", shape, axes.move_axis(len(shape), 0, 1))
                yield _both(_flipped("kernel_layout", f"{said}, and inputs and outputs are exchanged", chosen), swap)


def _flipped(cause: str, says: str, chosen: Sequence[int]) -> Form:
    def flip(array: Array) -> Array:
        return np.flip(array, tuple(chosen))

    return Form(cause, says, flip, flip, f"w.flip({', '.join(map(str, chosen))})")


def _both(first: Form, second: Form) -> Form:
    """Two forms that commute, told as the first."""
    assert first.back is not None  # noqa: S101  both are rearrangements
    assert second.back is not None  # noqa: S101
    one, two = first.back, second.back
    remedy = first.remedy.replace("w", second.remedy, 1)
    return Form(first.cause, first.says, lambda w: first.forward(second.forward(w)), lambda w: two(one(w)), remedy)


def _regrouped(shape: Shape, groups: int, what: str) -> Iterator[Form]:
    """The output channels of a grouped kernel, by group and then by place in it, the other way round."""
    if groups > 1 and shape[0] % groups == 0 and shape[0] > groups:
        rest = shape[1:]
        said = f"in another order: {what} are exchanged"
        yield _within(shape, (groups, shape[0] // groups, *rest), axes.move_axis(len(shape) + 1, 0, 1), said)


def _within(shape: Shape, split: Shape, order: axes.Order, says: str, cause: str = "kernel_layout") -> Form:
    """Axes of the array split into more, transposed, joined again."""
    moved, undone = axes.apply(split, order), axes.inverse(order)
    return Form(
        cause,
        says,
        lambda array: array.reshape(split).transpose(order).reshape(shape),
        lambda array: array.reshape(moved).transpose(undone).reshape(shape),
        f"w.reshape({moved}).permute({', '.join(map(str, undone))}).reshape({shape})",
    )


def flatten_forms(shape: Shape, sizes: Shape) -> Iterator[Form]:
    """The columns of a Dense behind a flattened map (C, H, W) in another order of the map's axes."""
    if prod(sizes) != shape[1] or len(sizes) not in MAP_AXES:
        return
    names = MAP_AXES[len(sizes)]
    split, seen = (shape[0], *sizes), set()
    for order in permutations(range(len(sizes))):
        whole = (0, *(axis + 1 for axis in order))
        key = axes.merged(split, whole)
        if not axes.moves_only_ones(split, whole) and key not in seen:
            seen.add(key)
            turned = ", ".join(names[axis] for axis in order)
            said = f"for a map flattened as ({turned}), not ({', '.join(names)})"
            yield _within(shape, split, whole, said, "flatten_order")
            back = (0, *(axis + 1 for axis in axes.inverse(order)))
            said = f"for a map flattened as ({', '.join(names)}), but the map comes flattened as ({turned})"
            yield _within(shape, axes.apply(split, whole), back, said, "flatten_order")


def reversed_channels(shape: Shape) -> Iterator[Form]:
    """The kernel of the first convolution with its input channels in reverse."""
    if len(shape) > 2 and shape[1] in (3, 4):
        colours = tuple(range(3))[::-1] + tuple(range(3, shape[1]))

        def reverse(array: Array) -> Array:
            return array[:, colours]

        yield Form(
            "channel_order", "for channels in reverse: BGR against RGB", reverse, reverse, f"w[:, {list(colours)}]"
        )


def gate_forms(kind: str, rows: int = 1) -> Iterator[Form]:
    """The gates of a recurrent layer in every other order; a flat bias may hold `rows` biases, one after the other."""
    names = GATES[kind]
    for order in permutations(range(len(names))):
        if not axes.is_identity(order):
            undone = axes.inverse(order)
            said = f"those of the gates in the order {', '.join(axes.apply(names, order))}, not {', '.join(names)}"
            yield Form("gate_order", said, _blocks(order, rows), _blocks(undone, rows), order=undone)


def _blocks(order: axes.Order, rows: int) -> Callable[[Array], Array]:
    """Blocks along the first axis put into another order."""

    def reorder(array: Array) -> Array:
        return array.reshape(rows, len(order), -1)[:, list(order)].reshape(array.shape)

    return reorder


def bias_forms(rows: int = 1) -> Iterator[Form]:
    """A bias that counts twice or half; of a GRU's two, each in the place of the other."""
    twice = "doubled, as where bias_ih and bias_hh both hold it"
    yield Form("bias", twice, lambda array: array * 2, lambda array: array / 2, "w.mul(0.5)")
    yield Form("bias", "halved", lambda array: array / 2, lambda array: array * 2, "w.mul(2)")
    if rows > 1:
        said = "those of the input and of the state in each other's place"
        yield Form("gate_order", said, _blocks((1, 0), 1), _blocks((1, 0), 1))
