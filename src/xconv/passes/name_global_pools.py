"""Means and maxima over everything between the batch and the last axis, by the name that Keras gives them.

before   Reduce(mean, axes (1, 2)) of a map           after   GlobalPool(average)
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node
from xconv.layers.pool import GlobalPool
from xconv.layers.reduce import Reduce

__all__ = ["name_global_pools"]

KINDS = {"mean": "average", "amax": "max"}


def name_global_pools(graph: Graph) -> Graph:
    """The graph with these reductions as global pools."""
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        spec = node.spec
        if not isinstance(spec, Reduce) or spec.name not in KINDS:
            continue
        rank = len(graph.shape(node.inputs[0]))
        if rank in (3, 4, 5) and spec.over == tuple(range(1, rank - 1)):
            changes[node.name] = replace(node, spec=GlobalPool(KINDS[spec.name], spec.keepdims, rank - 1))
    return graph.rebuilt(changes) if changes else graph
