"""BatchNorm inside the layer before it, for inference.

before   Conv, ConvTranspose or Dense -> BatchNorm       after   the layer with scaled kernel and shifted bias
before   Conv or Dense -> Scale                          after   the same
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xconv import axes
from xconv.comparison.case import numbers
from xconv.comparison.edits import with_array
from xconv.graph import Graph, Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.dense import Dense
from xconv.layers.scale import Scale
from xconv.statistics import Array

__all__ = ["fold_batch_norms"]

LAYERS = (Conv, ConvTranspose, Dense)


def fold_batch_norms(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """The graph with every normalisation folded that alone reads a layer's result, and the names of what was folded.

    The new weights are float64: whoever serves in float32 rounds them once. What stands behind a sum, a join or an
    activation stays.
    """
    folded = []
    for name in [node.name for node in graph.nodes if isinstance(node.spec, (BatchNorm, Scale))]:
        known = graph.by_name()
        node, layer = known[name], known[known[name].inputs[0].node]
        if _fits(graph, layer, node):
            graph = _folded(graph, layer, node)
            folded.append(name)
    return graph, tuple(folded)


def _fits(graph: Graph, layer: Node, node: Node) -> bool:
    """Whether the layer's result is read by the normalisation alone, along the channels that the layer makes."""
    made = Value(layer.name)
    alone = [user.name for user in graph.consumers().get(made, ())] == [node.name]
    if not isinstance(layer.spec, LAYERS) or not alone or made in graph.output_values():
        return False
    rank = len(layer.shapes[0])
    return axes.normal(layer.spec.axis, rank) == axes.normal(getattr(node.spec, "axis"), rank)  # noqa: B009


def _folded(graph: Graph, layer: Node, node: Node) -> Graph:
    factor, offset = _affine(graph, node)
    kernel = layer.weights["kernel"]
    place = 1 if isinstance(layer.spec, ConvTranspose) else 0
    along = tuple(-1 if axis == place else 1 for axis in range(len(kernel.shape)))
    values = numbers(graph.arrays, kernel).astype(np.float64) * factor.reshape(along)
    bias = offset
    if "bias" in layer.weights:
        bias = bias + numbers(graph.arrays, layer.weights["bias"]).astype(np.float64) * factor
    graph = with_array(graph, layer.name, "kernel", values)
    graph = with_array(graph, layer.name, "bias", bias)
    changed = replace(graph.by_name()[layer.name], notes=(*layer.notes, f"{node.layer or node.name} is folded into it"))
    return graph.rebuilt({layer.name: changed, node.name: None}, {Value(node.name): Value(layer.name)})


def _affine(graph: Graph, node: Node) -> tuple[Array, Array]:
    """The factor and the offset of every channel."""
    held = {role: numbers(graph.arrays, weight).astype(np.float64) for role, weight in node.weights.items()}
    if isinstance(node.spec, BatchNorm):
        factor = held.get("gamma", 1.0) / np.sqrt(held["variance"] + node.spec.epsilon)
        return factor, held.get("beta", 0.0) - held["mean"] * factor
    return held["gamma"], np.zeros_like(held["gamma"])
