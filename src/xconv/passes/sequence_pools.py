"""A mean or maximum over the steps of a sequence by one name.

before   (steps, features) -> Permute -> GlobalPool          after   (steps, features) -> Reduce over the steps
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node
from xconv.layers.pool import GlobalPool
from xconv.layers.reduce import Reduce
from xconv.layers.reshape import Permute
from xconv.passes.without_unused import without_unused

__all__ = ["sequence_pools"]

NAMES = {"average": "mean", "max": "amax"}


def sequence_pools(graph: Graph) -> Graph:
    """The graph with every global pool behind a permute as a reduction of what stands before the permute."""
    nodes = graph.by_name()
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        spec = node.spec
        before = nodes[node.inputs[0].node] if node.inputs else node
        if not isinstance(spec, GlobalPool) or spec.keepdims or spec.axis != 1 or not isinstance(before.spec, Permute):
            continue
        order = before.spec.axes
        if order[0] == 0:
            reduced = Reduce(NAMES[spec.kind], tuple(sorted(order[2:])), False)
            changes[node.name] = replace(node, spec=reduced, inputs=before.inputs)
    return without_unused(graph.rebuilt(changes), (Permute,)) if changes else graph
