"""Which values of a graph can hold no negative number: what a ReLU gave, and what leaves such numbers alone."""

from __future__ import annotations

from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.concat import Concat, Split
from xconv.layers.dropout import Dropout
from xconv.layers.io import Identity
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.reshape import Flatten, Permute, Reshape
from xconv.layers.slicing import Slicing
from xconv.layers.upsample import Upsample

__all__ = ["not_negative"]

SOURCES = (Activation("relu"), Activation("relu6"))

KEEPERS = (AdaptivePool, Concat, Dropout, Flatten, GlobalPool, Identity, Pad, Permute, Pool, Reshape, Slicing, Split)


def not_negative(graph: Graph) -> frozenset[Value]:
    """The values that are zero or more wherever the network is fed with numbers."""
    found: set[Value] = set()
    for node in graph.nodes:
        kept = bool(node.inputs) and all(value in found for value in node.inputs)
        if node.spec in SOURCES or (kept and _keeps(node)):
            found.update(Value(node.name, index) for index in range(len(node.shapes)))
    return frozenset(found)


def _keeps(node: Node) -> bool:
    spec = node.spec
    if isinstance(spec, PadAxes):
        return spec.value >= 0
    return isinstance(spec, KEEPERS) or (isinstance(spec, Upsample) and spec.mode == "nearest")
