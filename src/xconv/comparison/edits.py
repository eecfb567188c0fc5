"""Small changes of a graph, each a new graph: another setting, other numbers, a node more, a node less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xconv.errors import Mismatch
from xconv.graph import Graph, Node, Value, map_structure, unique
from xconv.layers.io import Input
from xconv.spec import Spec, Weights
from xconv.weights import NumpySource, Weight

__all__ = ["inferred", "inserted", "rewired", "with_array", "with_node", "with_spec", "without"]


def inferred(graph: Graph) -> Graph:
    """The graph with the shapes that follow from its inputs.

    Raises:
        XConvError: shapes that do not fit.
    """
    shapes: dict[Value, Any] = {}
    nodes = []
    for node in graph.nodes:
        new = node
        if not isinstance(node.spec, Input):
            missing = [value for value in node.inputs if value not in shapes]
            if missing:
                raise Mismatch(f"nothing makes {missing[0]}", place=node.name)
            given = [shapes[value] for value in node.inputs]
            try:
                new = replace(node, shapes=tuple(node.spec.out_shapes(*given)))
            except (ValueError, IndexError, KeyError, TypeError) as error:
                raise Mismatch(f"it does not take {', '.join(map(str, given))}", place=node.name) from error
        shapes.update({Value(node.name, place): shape for place, shape in enumerate(new.shapes)})
        nodes.append(new)
    return replace(graph, nodes=tuple(nodes))


def with_spec(graph: Graph, name: str, spec: Spec) -> Graph:
    """The graph with another setting of one node."""
    return graph.rebuilt({name: replace(graph.by_name()[name], spec=spec)})


def with_node(graph: Graph, node: Node) -> Graph:
    """The graph with the node of this name replaced."""
    return graph.rebuilt({node.name: node})


def with_array(graph: Graph, name: str, role: str, array: npt.NDArray[Any]) -> Graph:
    """The graph with other numbers for one weight of one node; the weight is added where the node has none."""
    node = graph.by_name()[name]
    key = unique(f"{name}/{role}", graph.arrays)
    weight = Weight.of(key, tuple(array.shape), str(array.dtype))
    weights: Weights = {**node.weights, role: weight}
    arrays = {**graph.arrays, key: NumpySource(np.ascontiguousarray(array))}
    return replace(graph.rebuilt({name: replace(node, weights=weights)}), arrays=arrays)


def without(graph: Graph, name: str, source: int = 0) -> Graph:
    """The graph without a node: whoever took what it made takes its input."""
    node = graph.by_name()[name]
    return graph.rebuilt({name: None}, {Value(name): node.inputs[source]})


def inserted(graph: Graph, node: Node, behind: Value, users: Iterable[str], outputs: bool = False) -> Graph:
    """The graph with a node of one input put behind a value, before some of the value's users; all where none is named.

    `outputs` also puts it before the network's own outputs.
    """
    chosen = set(users) or {user.name for user in graph.consumers().get(behind, ())}
    names = {known.name for known in graph.nodes}
    new = replace(node, name=unique(node.name, names), inputs=(behind,))
    made = Value(new.name)
    nodes: list[Node] = []
    for known in graph.nodes:
        taken = known
        if known.name in chosen:
            taken = replace(known, inputs=tuple(made if value == behind else value for value in known.inputs))
        nodes.append(taken)
        if known.name == behind.node:
            nodes.append(new)
    changed = replace(graph, nodes=tuple(nodes))
    if outputs or not chosen:
        changed = replace(changed, outputs=map_structure(lambda v: made if v == behind else v, graph.outputs))
    return changed


def rewired(graph: Graph, name: str, inputs: Mapping[int, Value]) -> Graph:
    """The graph with some inputs of one node taken from elsewhere; nodes are put in an order that allows it."""
    node = graph.by_name()[name]
    taken = tuple(inputs.get(place, value) for place, value in enumerate(node.inputs))
    return ordered(graph.rebuilt({name: replace(node, inputs=taken)}))


def ordered(graph: Graph) -> Graph:
    """The graph with every node behind those that it takes from.

    Raises:
        Mismatch: a node would take what it makes itself.
    """
    known = graph.by_name()
    done: dict[str, Node] = {}
    for first in graph.nodes:
        waiting, begun = [first], set[str]()
        while waiting:
            node = waiting[-1]
            missing = [value.node for value in node.inputs if value.node not in done]
            if not missing:
                done.setdefault(node.name, waiting.pop())
                continue
            if node.name in begun:
                raise Mismatch("it would take what it makes itself", place=node.name)
            begun.add(node.name)
            waiting.extend(known[name] for name in missing)
    return replace(graph, nodes=tuple(done.values()))
