"""What nothing asks a recurrent layer for is not asked of it: its final states, and all steps but the last.

before   x -> r: Recurrent (sequences, states) -> [:, -1]            after   x -> r: Recurrent -> y
              r[1] -> h: Stack (unused)

A state that is picked from the stack of all, as torch gives them, is taken from its layer.
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node, Value
from xconv.layers.concat import Stack
from xconv.layers.recurrent import Recurrent
from xconv.layers.slicing import WHOLE, Slicing
from xconv.passes.without_unused import without_unused

__all__ = ["trim_recurrent"]

LAST = (WHOLE, -1, WHOLE)


def trim_recurrent(graph: Graph) -> Graph:
    """The graph without unused states, and with the last step alone where nothing else is taken."""
    if not any(isinstance(node.spec, Recurrent) for node in graph.nodes):
        return graph
    graph = without_unused(_picked(graph))
    consumers, outputs = graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        if not isinstance(node.spec, Recurrent):
            continue
        spec, shapes = node.spec, node.shapes
        first = 2 if spec.both and spec.merge is None else 1
        final = [Value(node.name, index) for index in range(first, len(shapes))]
        if spec.states and not any(value in consumers or value in outputs for value in final):
            spec, shapes = replace(spec, states=False), shapes[:first]
        users = consumers.get(Value(node.name), [])
        one = len(users) == 1 and users[0].spec == Slicing(LAST) and Value(node.name) not in outputs
        if one and spec.sequences and not spec.both:
            spec, shapes = replace(spec, sequences=False), (users[0].shapes[0], *shapes[1:])
            changes[users[0].name] = None
            aliases[Value(users[0].name)] = Value(node.name)
        changes[node.name] = replace(node, spec=spec, shapes=shapes)
    return graph.rebuilt(changes, aliases)


def _picked(graph: Graph) -> Graph:
    """The graph with every state that is picked from a stack taken from where it was made."""
    nodes = graph.by_name()
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        stack = nodes[node.inputs[0].node] if isinstance(node.spec, Slicing) else None
        if stack is None or stack.spec != Stack(0) or not isinstance(node.spec, Slicing):
            continue
        first, *rest = node.spec.items
        if isinstance(first, int) and all(item == WHOLE for item in rest):
            changes[node.name] = None
            aliases[Value(node.name)] = stack.inputs[first]
    return graph.rebuilt(changes, aliases) if changes else graph
