"""Tied weights for Keras, which shares whole layers only.

before   embed: Embedding(W) ... head: Dense(W)     after   embed, head: one ReversibleEmbedding(W), called twice
before   a: Dense(W, b) ... b: Dense(W, b)          after   a, b: one Dense, called twice
"""

from __future__ import annotations

from dataclasses import replace

from xconv.axes import is_identity
from xconv.graph import Graph, Node, Value, map_structure
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.embedding import Embedding, ReversibleEmbedding
from xconv.layers.io import Variable
from xconv.layers.reshape import Permute, Regroup
from xconv.spec import Shape, Slot
from xconv.weights import Weight

__all__ = ["join_variables", "tie_layers"]


def join_variables(graph: Graph) -> Graph:
    """The graph with free weights that are one array in several arrangements as one weight, rearranged."""
    groups: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.spec, Variable) and not node.inputs:
            (weight,) = node.weights.values()
            groups.setdefault(weight.key, []).append(node)
    several = {key: found for key, found in groups.items() if key and len(found) > 1}
    if not several:
        return graph
    chains = {node.name: chain for found in several.values() for node, chain in _chains(found, graph)}
    nodes = [part for node in graph.nodes for part in chains.get(node.name, (node,))]
    return replace(graph, nodes=tuple(nodes))


def _chains(found: list[Node], graph: Graph) -> list[tuple[Node, tuple[Node, ...]]]:
    """For each of the nodes of one array, those that take its place; the first one's hold the array as it is."""
    taken, name = graph.by_name(), f"{found[0].name}.whole"
    while name in taken:
        name += "_"
    ((role, weight),) = found[0].weights.items()
    whole = Weight.of(weight.key, weight.source, weight.dtype)
    bare = replace(found[0], name=name, spec=Variable(whole.shape), weights={role: whole}, shapes=(whole.shape,))
    result = []
    for place, node in enumerate(found):
        (turned,) = node.weights.values()
        steps = (Regroup(turned.split), Permute(turned.order), Regroup(turned.shape))
        chain: list[Node] = [bare] if place == 0 else []
        source: Value = Value(name)
        shape: Shape = whole.shape
        for number, spec in enumerate(steps):
            after = spec.out_shape(shape)
            last = number == len(steps) - 1
            if after == shape and not (isinstance(spec, Permute) and not is_identity(spec.axes)) and not last:
                continue
            part = node.name if last else f"{node.name}.step{number}"
            chain.append(Node(part, spec, (source,), shapes=(after,), layer=node.layer, kind="layout"))
            source, shape = Value(part), after
        result.append((node, tuple(chain)))
    return result


def tie_layers(graph: Graph) -> Graph:
    """The graph with layers that share all their weights as calls of one layer."""
    return _one_owner(_with_reversible(graph))


def _with_reversible(graph: Graph) -> Graph:
    """The graph with tables that are kernels too as ReversibleEmbeddings; a bias is added behind."""
    tables = {node.weights["embeddings"]: node for node in graph.nodes if isinstance(node.spec, Embedding)}
    heads = {n.name for n in graph.nodes if isinstance(n.spec, Dense) and n.weights["kernel"] in tables}
    shared = {node.weights["kernel"] for node in graph.nodes if node.name in heads}
    if not heads:
        return graph
    moved: dict[Value, Value] = {}
    nodes: list[Node] = []
    for old in graph.nodes:
        node = replace(old, inputs=tuple(moved.get(value, value) for value in old.inputs))
        if isinstance(node.spec, Embedding) and node.weights["embeddings"] in shared:
            nodes.append(replace(node, spec=ReversibleEmbedding(node.spec.rows, node.spec.features, reverse=False)))
        elif node.name in heads:
            table = node.weights["kernel"]
            nodes += _head(node, table, tables[table])
            moved[Value(node.name)] = Value(nodes[-1].name)
        else:
            nodes.append(node)
    held = {moved.get(value, value): order for value, order in graph.held.items()}
    outputs = map_structure(lambda value: moved.get(value, value), graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs, held=held)


def _head(node: Node, table: Weight, owner: Node) -> list[Node]:
    """The product with the table, then the bias."""
    rows, features = table.shape
    note = f"its kernel is the table of {owner.name}: one layer, called twice"
    spec = ReversibleEmbedding(rows, features, reverse=True)
    product = replace(
        node, spec=spec, weights={"embeddings": table}, layer=owner.layer, call=1, notes=(*node.notes, note)
    )
    if "bias" not in node.weights:
        return [product]
    bias = Node(
        f"{node.name}.bias",
        Variable((rows,)),
        weights={"bias": node.weights["bias"]},
        shapes=((rows,),),
        layer=node.layer,
        kind="Variable",
        trainable=node.trainable,
    )
    add = Elementwise("add", (Slot(0), Slot(1)))
    total = Node(f"{node.name}.biased", add, (Value(node.name), Value(bias.name)), shapes=node.shapes)
    return [product, bias, total]


def _one_owner(graph: Graph) -> Graph:
    """The graph with nodes of the same weights as calls of the first one's layer."""
    owners: dict[tuple[tuple[str, Weight], ...], str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        weights = tuple((role, node.weights[role]) for role in sorted(node.weights))
        keyed = bool(weights) and all(weight.key for _, weight in weights)
        if keyed and not isinstance(node.spec, Variable):
            node = replace(node, layer=owners.setdefault(weights, node.layer))  # noqa: PLW2901
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))
