"""Attention as Keras says it exactly on every backend: products, a softmax, and what the masks need.

before   q, k, v, mask -> attention: Attention
after    q -> scaled; scaled, k -> scores -> masked by mask -> weights: Softmax; weights, v -> attention: Einsum

Without a scale and a mask it is Keras's layer Attention. `keras.ops.dot_product_attention` gives other numbers where a
query may look nowhere, on each backend its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from string import ascii_lowercase

from xconv.graph import Graph, Node, Value, unique
from xconv.layers.attention import Attention
from xconv.layers.elementwise import Elementwise
from xconv.layers.matmul import Einsum
from xconv.layers.reduce import Reduce
from xconv.layers.softmax import Softmax
from xconv.layers.triangle import Triangle
from xconv.layers.unary import Unary
from xconv.layers.where import Where
from xconv.spec import Slot, Spec

__all__ = ["expand_attention"]

NOWHERE = float("-inf")


def expand_attention(graph: Graph) -> Graph:
    """The graph with every Attention written out."""
    if not any(isinstance(node.spec, Attention) for node in graph.nodes):
        return graph
    shapes = {Value(node.name, i): shape for node in graph.nodes for i, shape in enumerate(node.shapes)}
    writer = _Writer({node.name for node in graph.nodes}, shapes)
    for node in graph.nodes:
        if isinstance(node.spec, Attention) and not (node.spec.is_layer and len(node.shapes[0]) > 2):
            writer.attention(node, node.spec)
        else:
            writer.nodes.append(node)
    return replace(graph, nodes=tuple(writer.nodes))


@dataclass(slots=True)
class _Writer:
    """The nodes so far."""

    taken: set[str]
    shapes: dict[Value, tuple[int | None, ...]]
    nodes: list[Node] = field(default_factory=list)

    def attention(self, node: Node, spec: Attention) -> None:
        """The nodes of one Attention."""
        query, key, value = node.inputs[:3]
        lead = ascii_lowercase[: len(self.shapes[query]) - 2]
        scaled = self.add(node, "scaled", Elementwise("multiply", (Slot(0), spec.scale)), query)
        scores = self.add(node, "scores", Einsum(f"{lead}xy,{lead}zy->{lead}xz"), scaled, key)
        if spec.causal:
            ones = self.add(node, "ones", Unary("ones_like"), scores)
            before = self.add(node, "before", Triangle(), ones)
            scores = self.add(node, "causal", Where(Slot(1), NOWHERE), before, scores)
        if spec.mask == "truth":
            scores = self.add(node, "masked", Where(Slot(1), NOWHERE), node.inputs[3], scores)
        elif spec.mask:
            scores = self.add(node, "masked", Elementwise("add", (Slot(0), Slot(1))), scores, node.inputs[3])
        weights = self.safe(node, scores) if spec.mask else self.add(node, "weights", Softmax(-1), scores)
        last = replace(node, spec=Einsum(f"{lead}xz,{lead}zy->{lead}xy"), inputs=(weights, value))
        self.nodes.append(last)

    def safe(self, node: Node, scores: Value) -> Value:
        """The softmax of scores; zeros for a query that may look nowhere."""
        best = self.add(node, "best", Reduce("amax", (len(self.shapes[scores]) - 1,), keepdims=True), scores)
        nowhere = self.add(node, "nowhere", Elementwise("equal", (Slot(0), NOWHERE)), best)
        safe = self.add(node, "safe", Where(0.0, Slot(1)), nowhere, scores)
        weights = self.add(node, "softmax", Softmax(-1), safe)
        return self.add(node, "weights", Where(0.0, Slot(1)), nowhere, weights)

    def add(self, node: Node, part: str, spec: Spec, *inputs: Value) -> Value:
        """One more node; its value."""
        name = unique(f"{node.name}.{part}", self.taken)
        self.taken.add(name)
        shape = spec.out_shape(*(self.shapes[value] for value in inputs))
        self.nodes.append(replace(node, name=name, spec=spec, inputs=inputs, shapes=(shape,), part=part, notes=()))
        self.shapes[Value(name)] = shape
        return Value(name)
