"""The pads of a max pool as zeros, where nothing in its input is negative.

    before   relu -> max pool(3x3, padding 1)           after   relu -> Pad(1) -> max pool(3x3, valid)

torch pads with -inf. Keras has no layer for that, but one for zeros, and behind a ReLU every window holds at least one
value that is not below them. Where the pads are what 'same' gives for the size, they stay inside the pool.
"""

from __future__ import annotations

from dataclasses import replace

from xconv import axes
from xconv.graph import Graph, Node, Value
from xconv.layers.geometry import spatial
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.padding import same_pads, zero_pads
from xconv.passes.not_negative import not_negative
from xconv.spec import Shape

__all__ = ["safe_zero_pads"]


def safe_zero_pads(graph: Graph) -> Graph:
    """The graph with a zero padding before every max pool that a ReLU makes safe."""
    safe = not_negative(graph)
    shapes = {Value(node.name, index): shape for node in graph.nodes for index, shape in enumerate(node.shapes)}
    held = dict(graph.held)
    taken = {node.name for node in graph.nodes}
    nodes: list[Node] = []
    for node in graph.nodes:
        pad = _pad(node, shapes[node.inputs[0]]) if node.inputs and node.inputs[0] in safe else None
        if pad is None or not isinstance(node.spec, Pool):
            nodes.append(node)
            continue
        (source,) = node.inputs
        name = f"{node.name}.pad"
        while name in taken:
            name += "_"
        taken.add(name)
        if source in held:
            held[Value(name)] = held[source]
        nodes.append(Node(name, pad, (source,), shapes=pad.out_shapes(shapes[source]), layer=node.layer, part="pad"))
        bare = replace(node.spec, padding=zero_pads(len(node.spec.kernel)))
        nodes.append(replace(node, spec=bare, inputs=(Value(name),)))
    return replace(graph, nodes=tuple(nodes), held=held)


def _pad(node: Node, shape: Shape) -> Pad | None:
    """The zero padding for a max pool whose pads no word of Keras means."""
    spec = node.spec
    if not isinstance(spec, Pool) or spec.kind != "max" or not spec.padding or not any(map(any, spec.padding)):
        return None
    axis = axes.normal(spec.axis, len(shape))
    same = same_pads(spatial(shape, axis), spec.kernel, spec.stride, (1,) * len(spec.kernel))
    return None if spec.padding == same else Pad(spec.padding, axis)
