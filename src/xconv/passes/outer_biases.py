"""A bias that stands outside its convolution, inside.

before   Conv without a bias -> + Variable (C, 1, 1)       after   Conv with the bias
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node, Value
from xconv.layers.conv import Conv
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.passes.without_unused import without_unused
from xconv.spec import Slot

__all__ = ["outer_biases"]


def outer_biases(graph: Graph) -> Graph:
    """The graph with vectors that are added to what a convolution gives, along its channels, as its bias."""
    known, users = graph.by_name(), graph.consumers()
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    ends = set(graph.output_values())
    for node in graph.nodes:
        spec = node.spec
        if not isinstance(spec, Elementwise) or spec.name != "add" or spec.operands != (Slot(0), Slot(1)):
            continue
        vectors = [value for value in node.inputs if isinstance(known[value.node].spec, Variable)]
        layers = [value for value in node.inputs if isinstance(known[value.node].spec, Conv)]
        if len(vectors) != 1 or len(layers) != 1:
            continue
        conv, vector = known[layers[0].node], known[vectors[0].node]
        weight = next(iter(vector.weights.values()))
        rank = len(conv.shapes[0])
        assert isinstance(conv.spec, Conv)  # noqa: S101  told above
        along = (conv.spec.out_channels, *(1,) * (rank - 2))
        alone = len(users[layers[0]]) == 1 and layers[0] not in ends and "bias" not in conv.weights
        if alone and weight.shape in (along, (1, *along)) and conv.name not in changes:
            bias = weight.reshape((conv.spec.out_channels,))
            changes[conv.name] = replace(conv, weights={**conv.weights, "bias": bias})
            changes[node.name] = None
            aliases[Value(node.name)] = layers[0]
    return without_unused(graph.rebuilt(changes, aliases), (Variable,)) if changes else graph
