"""Nodes that no output depends on are dropped.

before   x -> a -> y                               after   x -> a -> y
         x -> b (unused) -> c (unused)
"""

from __future__ import annotations

from xconv.graph import Graph, Node
from xconv.layers.io import Input
from xconv.spec import Spec

__all__ = ["without_unused"]


def without_unused(graph: Graph, kinds: tuple[type[Spec], ...] = (Spec,)) -> Graph:
    """The graph without nodes of these kinds that no output depends on; inputs stay."""
    used = {value.node for value in graph.output_values()}
    changes: dict[str, Node | None] = {}
    for node in reversed(graph.nodes):
        if node.name in used or isinstance(node.spec, Input) or not isinstance(node.spec, kinds):
            used.update(value.node for value in node.inputs)
        else:
            changes[node.name] = None
    return graph.rebuilt(changes) if changes else graph
