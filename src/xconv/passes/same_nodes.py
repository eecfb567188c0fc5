"""What is computed twice is computed once.

before   add(x, y) -> norm;  add(x, y) -> sum          after   add(x, y) -> norm, sum
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node, Value
from xconv.layers.dropout import Dropout, Noise, SpatialDropout
from xconv.layers.io import Input, Variable

__all__ = ["join_equals"]

APART = (Input, Variable, Dropout, SpatialDropout, Noise)
"""What is never one: inputs, weights, and what is random in training."""


def join_equals(graph: Graph) -> Graph:
    """The graph with one node for all that do the same to the same, where they hold no weights.

    It remembers the others: a change of what it says is a change of them all.
    """
    known: dict[tuple[object, ...], Node] = {}
    aliases: dict[Value, Value] = {}
    others: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.weights or not node.inputs or isinstance(node.spec, APART):
            continue
        key = node.spec, tuple(aliases.get(value, value) for value in node.inputs)
        first = known.setdefault(key, node)
        if first is not node:
            others.setdefault(first.name, []).extend((node, *node.also))
            aliases.update({Value(node.name, place): Value(first.name, place) for place in range(len(node.shapes))})
    nodes: dict[str, Node | None] = dict.fromkeys(value.node for value in aliases)
    by_name = graph.by_name()
    for name, same in others.items():
        nodes[name] = replace(by_name[name], also=(*by_name[name].also, *same))
    return graph.rebuilt(nodes, aliases) if others else graph
