"""Uneven pads inside their convolution: a kernel with zeros before it, and even pads.

before   pad (0, 1) -> Conv 3x3, stride 2       after   Conv 4x4 whose first row and column are zero, pad 1
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xconv.comparison.case import numbers
from xconv.comparison.edits import with_array, with_spec
from xconv.graph import Graph, Node, Value
from xconv.layers.conv import Conv
from xconv.layers.io import Input

__all__ = ["extended", "only", "uneven"]


def uneven(graph: Graph) -> list[Node]:
    """The convolutions whose pads torch cannot say in one call, and a wider kernel can."""
    found = []
    for node in graph.nodes:
        pads = node.spec.padding if isinstance(node.spec, Conv) else None
        if pads is not None and any(before != after for before, after in pads) and _divides(node):
            found.append(node)
    return found


def _divides(node: Node) -> bool:
    """Whether the missing pads are whole steps of the dilation."""
    spec = node.spec
    if not isinstance(spec, Conv) or spec.padding is None:
        return False
    steps = zip(spec.padding, spec.dilation, strict=True)
    return all(min(pair) >= 0 and abs(pair[0] - pair[1]) % step == 0 for pair, step in steps)


def extended(graph: Graph, node: Node) -> Graph:
    """The graph with the node's kernel extended by zeros, so that its pads are even: the same sums and zeros more."""
    spec = node.spec
    assert isinstance(spec, Conv)  # noqa: S101  `uneven` names convolutions alone
    assert spec.padding is not None  # noqa: S101  with known pads
    zeros = [
        (max(0, after - before) // step, max(0, before - after) // step)
        for (before, after), step in zip(spec.padding, spec.dilation, strict=True)
    ]
    kernel = node.weights["kernel"]
    values = np.pad(numbers(graph.arrays, kernel), ((0, 0), (0, 0), *zeros))
    padding = tuple((max(pair), max(pair)) for pair in spec.padding)
    wider = tuple(size + sum(more) for size, more in zip(spec.kernel, zeros, strict=True))
    changed = with_spec(graph, node.name, replace(spec, kernel=wider, padding=padding))
    return with_array(changed, node.name, "kernel", values)


def only(graph: Graph, name: str) -> Graph:
    """One layer as a network of its own."""
    node = graph.by_name()[name]
    shape = graph.shape(node.inputs[0])
    entry = Node(f"{name} input", Input(shape), shapes=(shape,))
    taken = replace(node, inputs=(Value(entry.name),))
    return Graph(name, (entry, taken), Value(entry.name), Value(name), graph.arrays)
