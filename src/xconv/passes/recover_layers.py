"""Layers that torch spells out: F.normalize, and a product with a free matrix.

before   square -> sum -> sqrt -> maximum(1e-12) -> tile -> divide(x, .)      after   UnitNorm(x)
before   MatMul(x, weight: Variable (in, out))                                after   Dense(x)
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node, Value
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.layer_norm import UnitNorm
from xconv.layers.matmul import MatMul
from xconv.layers.reduce import Reduce
from xconv.layers.tile import Tile
from xconv.layers.unary import Unary
from xconv.spec import Slot

__all__ = ["recover_dense", "recover_unit_norms"]


def recover_unit_norms(graph: Graph) -> Graph:
    """The graph with each division by a length of at least epsilon as one node."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        found = _unit_norm(node, nodes)
        if found is None:
            continue
        spec, inner = found
        values = [Value(part.name) for part in inner]
        if any(len(consumers.get(value, ())) != 1 or value in outputs for value in values):
            continue
        changes[node.name] = replace(node, spec=spec, inputs=node.inputs[:1])
        changes.update({part.name: None for part in inner})
    return graph.rebuilt(changes) if changes else graph


def _unit_norm(node: Node, nodes: dict[str, Node]) -> tuple[UnitNorm, list[Node]] | None:
    """What ends at `node`, and the nodes that it is made of."""
    if node.spec != Elementwise("divide", (Slot(0), Slot(1))):
        return None
    x, below = node.inputs
    inner = [nodes[below.node]]
    if isinstance(inner[-1].spec, Tile):
        inner.append(nodes[inner[-1].inputs[0].node])
    bounded = inner[-1].spec
    if not isinstance(bounded, Elementwise) or bounded.name != "maximum" or len(inner[-1].inputs) != 1:
        return None
    number = next((item for item in bounded.operands if not isinstance(item, Slot)), 0.0)
    for wanted in (Unary("sqrt"), None, Unary("square")):
        inner.append(nodes[inner[-1].inputs[0].node])
        if wanted is not None and inner[-1].spec != wanted:
            return None
    total = inner[-2].spec
    if not isinstance(total, Reduce) or total.name != "sum" or not total.keepdims:
        return None
    if inner[-1].inputs != (x,) or number <= 0:
        return None
    return UnitNorm(total.over, float(number)), inner


def recover_dense(graph: Graph) -> Graph:
    """The graph with products by a matrix that nothing else uses as Dense layers."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        if not isinstance(node.spec, MatMul) or len(graph.shape(node.inputs[0])) < 2:
            continue
        value = node.inputs[1]
        free = nodes[value.node]
        once = value not in outputs and len(consumers[value]) == 1 and node.inputs.count(value) == 1
        if not isinstance(free.spec, Variable) or free.inputs or len(free.spec.size) != 2 or not once:
            continue
        (weight,) = free.weights.values()
        spec = Dense(*free.spec.size, len(graph.shape(node.inputs[0])) - 1)
        dense = replace(node, spec=spec, inputs=node.inputs[:1], weights={"kernel": weight.transpose((1, 0))})
        changes[node.name] = replace(dense, layer=free.layer, trainable=free.trainable)
        changes[free.name] = None
    return graph.rebuilt(changes) if changes else graph
