"""Free weights for Keras, where a weight belongs to a layer and a layer is called on something.

before   pos_embed: Variable (1, 197, 768)
after    x -> index: Origin -> pos_embed: Variable (1, 197, 768), the one row of an Embedding

The way back: an Embedding of one row, called on zeros, is a Variable, and the reshape behind it is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xconv.errors import Unsupported
from xconv.graph import Graph, Node, Value
from xconv.layers.embedding import Embedding
from xconv.layers.io import Input, Origin, Variable
from xconv.layers.reshape import Regroup, Reshape
from xconv.layers.unary import Cast, Unary
from xconv.passes.without_unused import without_unused

__all__ = ["anchor_variables", "recover_variables"]


def anchor_variables(graph: Graph) -> Graph:
    """The graph with every free weight called on the index 0, which is made from the first input.

    Raises:
        Unsupported: there is no input of rank 1 or more to make it from.
    """
    if not any(isinstance(node.spec, Variable) and not node.inputs for node in graph.nodes):
        return graph
    carrier = next((n for n in graph.nodes if isinstance(n.spec, Input) and n.shapes[0]), None)
    if carrier is None:
        raise Unsupported("free weights in a network without an input", remedy="hold them in layers")
    name = "index"
    taken = graph.by_name()
    while name in taken:
        name += "_"
    spec = Origin()
    index = Node(name, spec, (Value(carrier.name),), shapes=(spec.out_shape(*carrier.shapes),), kind="layout")
    nodes: list[Node] = []
    for node in graph.nodes:
        free = isinstance(node.spec, Variable) and not node.inputs
        nodes.append(replace(node, inputs=(Value(name),)) if free else node)
    inputs = [node for node in nodes if isinstance(node.spec, Input)]
    rest = [node for node in nodes if not isinstance(node.spec, Input)]
    return replace(graph, nodes=(*inputs, index, *rest))


def recover_variables(graph: Graph) -> Graph:
    """The graph with one-row tables that are looked up at zeros as free weights."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        if not isinstance(node.spec, Embedding) or node.spec.rows != 1:
            continue
        before = nodes[node.inputs[0].node]
        value = Value(node.name)
        users = consumers.get(value, [])
        shape = _static_target(users[0]) if len(users) == 1 and value not in outputs else None
        if before.spec != Unary("zeros_like") or shape is None:
            continue
        (user,) = users
        weights = {"weight": node.weights["embeddings"].reshape(shape)}
        variable = replace(node, spec=Variable(shape), weights=weights, inputs=(), shapes=(shape,), kind="Variable")
        changes[node.name] = None
        cast = _cast_back(variable, consumers.get(Value(user.name), []))
        if cast is not None:
            changes[user.name], user = None, cast
        changes[user.name] = replace(variable, name=user.name, layer=user.layer, part=user.part)
    return without_unused(graph.rebuilt(changes)) if changes else graph


def _cast_back(variable: Node, users: Sequence[Node]) -> Node | None:
    """The cast that gives a free weight of integers or truth values, which a table holds as floats, its dtype again."""
    (weight,) = variable.weights.values()
    whole = weight.dtype == "bool" or "int" in weight.dtype
    return users[0] if whole and len(users) == 1 and isinstance(users[0].spec, Cast) else None


def _static_target(node: Node) -> tuple[int, ...] | None:
    """The shape that a reshape of a table's row gives, where it is known."""
    if not isinstance(node.spec, (Regroup, Reshape)) or None in node.shapes[0]:
        return None
    return tuple(size for size in node.shapes[0] if size is not None)
