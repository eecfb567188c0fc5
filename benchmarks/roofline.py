"""How fast a network could be: its operations and bytes against what the device can do at all.

Each layer takes at least the longer of two times: its operations at the peak rate, and the bytes that it must move at
the bandwidth of a plain copy. Convolutions and products are library calls: they read their input and weights and write
their output. Between two of them all elementwise work is one pass, which reads what it is made of and writes its result
once, as Inductor does it. Views are free. The peaks are measured in the same run, by a copy and a large product.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

__all__ = ["Ceilings", "Work", "bound", "ceilings", "works_of"]

ROUNDS = 20
COPY = {"cuda": 2**30, "cpu": 2**27}
"""Bytes of the array that is copied."""
SIDE = {"cuda": 8192, "cpu": 1024}
"""Of the square matrices that are multiplied."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the device reaches: bytes a second, read and written together, and operations a second."""

    bandwidth: float
    operations: float


@dataclass(frozen=True, slots=True)
class Work:
    """One layer: floating-point operations and elements moved for one image, and its own weights."""

    name: str
    operations: float
    elements: float
    weights: float


def ceilings(device: str, dtype: Any) -> Ceilings:
    """A copy and a product of fresh random matrices, in the precision that is set: the best of some rounds."""
    import torch

    count = COPY[device] // torch.empty((), dtype=dtype).element_size()
    source = torch.randn(count, device=device).to(dtype)
    target = torch.empty_like(source)
    copied = _best(lambda: target.copy_(source), device)
    side = SIDE[device]
    matrix = torch.randn(side, side, device=device).to(dtype)
    multiplied = _best(lambda: matrix @ matrix, device)
    return Ceilings(2 * source.nbytes / copied, 2 * side**3 / multiplied)


def _best(run: Any, device: str) -> float:
    import torch

    times = []
    for _ in range(ROUNDS):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def works_of(module: Any, shape: tuple[int, ...]) -> list[Work]:
    """The work of every library call and of every elementwise pass of a module, for one image of this shape."""
    from xconv.api import read_torch
    from xconv.layout import resolve

    return list(_works(resolve(read_torch(module, input_shape=shape), "first", "channels_first")))


def bound(works: list[Work], found: Ceilings, batch: int, size: int) -> float:
    """Images a second that cannot be exceeded; `size` is the bytes of an element."""
    seconds = (
        max(
            work.operations * batch / found.operations,
            (work.elements * batch + work.weights) * size / found.bandwidth,
        )
        for work in works
    )
    return batch / sum(seconds)


FREE = ("Input", "Variable", "Identity", "Reshape", "Flatten", "Unsqueeze", "Squeeze", "ExpandDims", "Permute", "Split")
"""Families that are views, or nothing at all in inference."""
SILENT = ("Dropout", "SpatialDropout", "Noise")
CALLS = ("Conv", "ConvTranspose", "Dense", "MatMul", "Attention", "MultiHeadAttention")
PASSES = ("Pool", "GlobalPool", "AdaptivePool", "Reduce", "LayerNorm", "GroupNorm", "Softmax", "Concat", "Take")


def _works(graph: Any) -> Iterator[Work]:
    shapes = graph.value_shapes()
    users = graph.consumers()
    kinds = {node.name: type(node.spec).__name__ for node in graph.nodes}
    for node in graph.nodes:
        kind = kinds[node.name]
        read = sum(_size(shapes[value]) for value in node.inputs)
        written = sum(map(_size, node.shapes))
        weights = sum(prod(weight.shape) for weight in node.weights.values())
        if kind in (*FREE, *SILENT):
            continue
        if kind in CALLS:
            yield Work(node.name, _operations(node, shapes), read + written, weights)
        elif kind in PASSES:
            yield Work(node.name, read, read + written, weights)
        else:
            yield Work(node.name, written, _of_pass(node, kinds, shapes, users), weights)


def _of_pass(node: Any, kinds: dict[str, str], shapes: Any, users: Any) -> float:
    """What an elementwise layer moves: nothing for a neighbour in the same pass."""
    whole = {*CALLS, *PASSES, *FREE, *SILENT}
    moved = 0.0
    for value in node.inputs:
        joined = kinds[value.node] not in whole and len(users.get(value, ())) == 1
        moved += 0 if joined else _size(shapes[value])
    for place, shape in enumerate(node.shapes):
        readers = users.get(type(node.inputs[0])(node.name, place), ())
        joined = len(readers) == 1 and kinds[readers[0].name] not in whole
        moved += 0 if joined else _size(shape)
    return moved


def _operations(node: Any, shapes: Any) -> float:
    """Two for each product and sum."""
    spec, written = node.spec, sum(map(_size, node.shapes))
    match type(spec).__name__:
        case "Conv":
            return 2.0 * written * prod(spec.kernel) * spec.in_channels / spec.groups
        case "ConvTranspose":
            return 2.0 * _size(shapes[node.inputs[0]]) * prod(spec.kernel) * spec.out_channels
        case "Dense":
            return 2.0 * written * spec.in_features
        case "MatMul":
            return 2.0 * written * (shapes[node.inputs[0]][-1] or 1)
    # attention: two products of (steps, width) with (steps, width), and its own projections
    steps, width = shapes[node.inputs[0]][-2] or 1, shapes[node.inputs[0]][-1] or 1
    heads = _size(shapes[node.inputs[0]]) / (steps * width)
    products = 4.0 * heads * steps * steps * width
    return products + sum(2.0 * steps * prod(w.shape) for role, w in node.weights.items() if len(w.shape) > 1 and role)


def _size(shape: Any) -> int:
    """The elements of one image."""
    return prod(size or 1 for size in shape[1:])
