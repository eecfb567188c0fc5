"""Keras passes the mask of a recurrent layer on to layers that would look at it, unseen: it is taken off.

before   lstm: Recurrent (masked, sequences) -> gru: Recurrent
after    lstm: Recurrent (masked, sequences) -> lstm.unmasked: Elementwise (times 1) -> gru: Recurrent

An operation of keras.ops carries no mask.
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node, Value, unique
from xconv.layers.elementwise import Elementwise
from xconv.layers.recurrent import Recurrent
from xconv.spec import Slot

__all__ = ["stop_masks"]

LOOKING = frozenset(
    {"Attention", "BatchNorm", "Elementwise", "GlobalPool", "GroupedAttention", "MultiHeadAttention", "Recurrent"}
    | {"Softmax", "ConvRecurrent"}
)
"""Families that Keras may say by layers that look at masks."""


def stop_masks(graph: Graph) -> Graph:
    """The graph with every output of a masked recurrent layer without its mask, where anything would look at it."""
    masked = [
        node for node in graph.nodes if getattr(node.spec, "masked", False) and getattr(node.spec, "sequences", 0)
    ]
    if not masked:
        return graph
    users, taken = graph.consumers(), {node.name for node in graph.nodes}
    nodes = list(graph.nodes)
    for node in masked:
        count = 2 if isinstance(node.spec, Recurrent) and node.spec.both and node.spec.merge is None else 1
        for index in range(count):
            value = Value(node.name, index)
            if not _is_seen(value, users):
                continue
            name = unique(f"{node.name}.unmasked", taken)
            taken.add(name)
            spec = Elementwise("multiply", (Slot(0), 1.0))
            plain = replace(
                node, name=name, spec=spec, inputs=(value,), weights={}, shapes=(node.shapes[index],), part="unmasked",
                notes=(),
            )  # fmt: skip
            nodes = [_without(item, value, Value(name)) for item in nodes]
            place = next(i for i, item in enumerate(nodes) if item.name == node.name)
            nodes.insert(place + 1, plain)
    return replace(graph, nodes=tuple(nodes))


def _without(node: Node, value: Value, plain: Value) -> Node:
    """The node with the plain value in the place of the one with a mask."""
    if value not in node.inputs:
        return node
    return replace(node, inputs=tuple(plain if item == value else item for item in node.inputs))


def _is_seen(value: Value, users: dict[Value, list[Node]]) -> bool:
    """Whether any layer behind a value would look at its mask, and is not given one."""
    open_, seen = [value], set()
    while open_:
        for node in users.get(open_.pop(), ()):
            if node.name in seen:
                continue
            seen.add(node.name)
            given = getattr(node.spec, "masked", False)
            if type(node.spec).__name__ in LOOKING and not given and not _is_operation(node):
                return True
            if not given:
                open_ += [Value(node.name, index) for index in range(len(node.shapes))]
    return False


def _is_operation(node: Node) -> bool:
    """Whether it is arithmetic that Keras says without a merging layer, or a layer that ignores masks."""
    spec = node.spec
    return isinstance(spec, Elementwise) and not (spec.merge and spec.name in ("maximum", "minimum", "multiply"))
