"""One spelling for what is taken of a recurrent layer, and for the direction in which it reads.

before   r: Recurrent (sequences, states) -> r[1], its final state     after   r: Recurrent -> r, its last step
before   both ways -> Concat of both final states                      after   both ways -> r, both last steps
before   Flip over the steps -> Recurrent                              after   Recurrent, backward
"""

from __future__ import annotations

from dataclasses import replace

from xconv import axes
from xconv.graph import Graph, Node, Value
from xconv.layers.concat import Concat
from xconv.layers.recurrent import Recurrent
from xconv.layers.tile import Flip
from xconv.passes.without_unused import without_unused

__all__ = ["backward_layers", "last_steps"]

STEPS = 1
"""The axis of the steps."""


def last_steps(graph: Graph) -> Graph:
    """The graph with final states as last steps, where of all that a recurrent layer makes they alone are used."""
    users, outputs = graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        spec = node.spec
        if not isinstance(spec, Recurrent) or not (spec.sequences and spec.states) or spec.masked:
            continue
        used = [value for value in _made(node) if value in users or value in outputs]
        last = _last(node, spec, used, users)
        if last is None or (len(used) > 1 and outputs & {*used}):
            continue
        trimmed = replace(spec, sequences=False, states=False)
        changes[node.name] = replace(node, spec=trimmed, shapes=tuple(trimmed.out_shapes(*_shapes(graph, node))))
        aliases[last] = Value(node.name)
        if last.node != node.name:
            changes[last.node] = None
    return graph.rebuilt(changes, aliases) if changes else graph


def _made(node: Node) -> tuple[Value, ...]:
    return tuple(Value(node.name, index) for index in range(len(node.shapes)))


def _shapes(graph: Graph, node: Node) -> tuple[tuple[int | None, ...], ...]:
    return tuple(graph.shape(value) for value in node.inputs)


def _last(node: Node, spec: Recurrent, used: list[Value], users: dict[Value, list[Node]]) -> Value | None:
    """The value that is the last step (of both directions), where nothing else is used."""
    first = Value(node.name, 1)
    if not spec.both:
        return first if used == [first] else None
    second = Value(node.name, 1 + (len(node.shapes) - 1) // 2)
    takers = {user.name: user for value in used for user in users.get(value, ())}
    if spec.merge != "concat" or used != [first, second] or len(takers) != 1:
        return None
    (taker,) = takers.values()
    joins = isinstance(taker.spec, Concat) and axes.normal(taker.spec.axis, 2) == 1
    return Value(taker.name) if joins and taker.inputs == (first, second) else None


def backward_layers(graph: Graph) -> Graph:
    """The graph with every recurrent layer over reversed steps as one that reads backwards."""
    known = graph.by_name()
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        spec = node.spec
        if not isinstance(spec, Recurrent) or spec.both or spec.masked:
            continue
        flip = known[node.inputs[0].node]
        if isinstance(flip.spec, Flip) and [axes.normal(axis, len("NTC")) for axis in flip.spec.over] == [STEPS]:
            turned = replace(spec, backward=not spec.backward)
            changes[node.name] = replace(node, spec=turned, inputs=(flip.inputs[0], *node.inputs[1:]))
    return without_unused(graph.rebuilt(changes), (Flip,)) if changes else graph
