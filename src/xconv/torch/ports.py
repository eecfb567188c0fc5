"""The inputs and outputs of a converted network as its record tells them, whichever side it was written for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xconv import axes
from xconv.graph import Graph, Node, Value, map_structure
from xconv.layers.io import Input
from xconv.torch.record import Port

__all__ = ["order_of", "ports_of"]


def order_of(graph: Graph, value: Value, nodes: Mapping[str, Node]) -> axes.Order:
    """The order in which a value is held; empty where no transpose of what the source wrote gives it."""
    return graph.held.get(value, axes.identity(len(nodes[value.node].shapes[value.index])))


def ports_of(graph: Graph, name: Callable[[Node], str]) -> tuple[tuple[Port, ...], Any]:
    """The inputs, and the outputs nested as the source nests them; `name` gives what the source calls a node."""
    nodes = graph.by_name()

    def port(value: Value, order: axes.Order) -> Port:
        node = nodes[value.node]
        written = axes.apply(node.shapes[value.index], axes.inverse(order))
        dtype = node.spec.dtype if isinstance(node.spec, Input) else "float32"
        return Port(name(node), written, order, dtype)

    inputs = tuple(port(value, order_of(graph, value, nodes)) for value in graph.input_values())
    returned = iter(graph.returned)
    outputs = map_structure(lambda value: port(value, next(returned, order_of(graph, value, nodes))), graph.outputs)
    return inputs, outputs
