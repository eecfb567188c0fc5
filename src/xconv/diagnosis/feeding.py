"""What the two models of a diagnosis are fed: the user's arrays as each holds them, or seeded noise for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xconv import axes
from xconv.comparison.case import Case
from xconv.comparison.opened import Opened
from xconv.errors import InvalidInput
from xconv.graph import Graph, Value
from xconv.inputs import Feed, leaves, noise, sized
from xconv.layers.embedding import Embedding
from xconv.layers.io import Input
from xconv.layers.rescale import Normalization, Rescaling
from xconv.statistics import Array

__all__ = ["feeds_of", "held_arrays"]

PIXELS = Rescaling, Normalization
"""What a model begins with that expects numbers from 0 to 255."""


def feeds_of(
    case: Case, inputs: Any, inputs_b: Any, seed: int, batch: int, size: Sequence[int]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The arrays for either model, channels-first.

    Raises:
        InvalidInput: arrays that a model does not take.
    """
    if inputs is None:
        demanded = case.a.graph.batch or case.b.graph.batch or batch
        ours = noise(sized(_feeds(case), size, demanded), seed)
        return ours, _like(ours, case.b)
    ours = held_arrays(case.a, inputs)
    return ours, held_arrays(case.b, inputs_b) if inputs_b is not None else _like(ours, case.b)


def held_arrays(opened: Opened, inputs: Any) -> tuple[Array, ...]:
    """The user's arrays, given as the model writes its inputs, as its graph holds them.

    Raises:
        InvalidInput: another number of arrays, or shapes that the model does not take.
    """
    values = opened.graph.input_values()
    arrays = [np.asarray(leaf.detach().cpu() if hasattr(leaf, "detach") else leaf) for _, leaf in leaves(inputs)]
    if len(arrays) != len(values):
        raise InvalidInput(f"{opened.name} takes {len(values)} inputs, {len(arrays)} are given")
    return tuple(_held(opened, value, array) for value, array in zip(values, arrays, strict=True))


def _held(opened: Opened, value: Value, array: Array) -> Array:
    shape = opened.graph.shape(value)
    order = opened.graph.held.get(value)
    turned = array.transpose(order) if order and array.ndim == len(order) else array
    for candidate in (turned, array):
        if _fits(candidate.shape, shape):
            return candidate
    written = axes.apply(shape, axes.inverse(order)) if order else shape
    raise InvalidInput(
        f"shape {array.shape} does not fit {written}", place=f"{opened.name}: {value}", remedy="give the batch first"
    )


def _fits(sizes: Sequence[int], shape: Sequence[int | None]) -> bool:
    return len(sizes) == len(shape) and all(want in (None, size) for want, size in zip(shape, sizes, strict=True))


def _like(ours: tuple[Array, ...], opened: Opened) -> tuple[Array, ...]:
    """The same numbers for the other model, whose graph holds them the same way."""
    values = opened.graph.input_values()
    if len(values) != len(ours):
        raise InvalidInput(
            f"{opened.name} takes {len(values)} inputs, the other model {len(ours)}",
            remedy="give inputs= and inputs_b=, what each of them is fed",
        )
    return tuple(_held(opened, value, array) for value, array in zip(values, ours, strict=True))


def _feeds(case: Case) -> list[Feed]:
    """What `a` asks for, sizes that it leaves open as `b` fixes them."""
    feeds = []
    theirs = [shape for shape, _ in case.b.inputs]
    for place, value in enumerate(case.a.graph.input_values()):
        node = case.nodes_a[value.node]
        shape = node.shapes[0]
        other = theirs[place] if place < len(theirs) else shape
        if len(other) == len(shape):
            shape = tuple(mine if mine is not None else yours for mine, yours in zip(shape, other, strict=True))
        dtype = node.spec.dtype if isinstance(node.spec, Input) else "float32"
        pixels = any(_begins_with(opened.graph, PIXELS) for opened in (case.a, case.b))
        feeds.append(Feed(value.node, shape, dtype, high=_rows(case), pixels=pixels and len(shape) > len("NCW")))
    return feeds


def _begins_with(graph: Graph, kinds: tuple[type, ...]) -> bool:
    inputs = set(graph.input_values())
    return any(isinstance(node.spec, kinds) for node in graph.nodes if inputs & set(node.inputs))


def _rows(case: Case) -> int | None:
    """How many rows the smallest table has that an input looks up."""
    found = [
        node.spec.rows
        for opened in (case.a, case.b)
        for node in opened.graph.nodes
        if isinstance(node.spec, Embedding) and set(node.inputs) & set(opened.graph.input_values())
    ]
    return min(found, default=None)
