"""Maps of one pixel as vectors, from a global pool to whatever needs a map again.

before   GlobalPool(keepdims) -> 1x1 Conv -> Flatten       after   GlobalPool -> Dense
before   GlobalPool(keepdims) -> 1x1 Conv -> times a map   after   GlobalPool -> Dense -> Reshape -> times a map
before   Reshape(1, 1, C) -> 1x1 Conv                      after   Dense
before   Conv as large as its map -> 1x1 Conv              after   Flatten -> Dense -> Dense
before   the same -> GlobalPool                            after   Flatten -> Dense
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from xconv.graph import Graph, Node, Value, map_structure, unique
from xconv.layers.activation import Activation
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.dropout import Dropout
from xconv.layers.layer_norm import LayerNorm
from xconv.layers.pool import GlobalPool
from xconv.layers.reshape import Flatten, Reshape
from xconv.layers.unary import Unary
from xconv.passes.without_unused import without_unused
from xconv.spec import Shape

__all__ = ["one_pixel_maps"]

POINTWISE = (Activation, BatchNorm, Dropout, Unary)
"""What does to a vector what it does to its map of one pixel."""


def one_pixel_maps(graph: Graph) -> Graph:
    """The graph with maps of one pixel as vectors, from a global pool to whatever needs a map again."""
    return without_unused(_Vectors(graph).run(), (Reshape, Flatten))


class _Vectors:
    """Walks the graph once; `flat` holds, for every value that is a map of one pixel, its vector."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = graph.value_shapes()
        self.flat: dict[Value, Value] = {}
        self.maps: dict[Value, Value] = {}
        self.nodes: list[Node] = []
        self.names = {node.name for node in graph.nodes}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.nodes.extend(self._said(node))
        for value in self.graph.output_values():
            if value in self.flat:
                self.nodes.extend(self._map_of(value))
        outputs = map_structure(lambda value: self.maps.get(value, value), self.graph.outputs)
        return replace(self.graph, nodes=tuple(self.nodes), outputs=outputs)

    def _said(self, node: Node) -> Iterator[Node]:
        """The node as it is said now, with what must come before it."""
        vector = self._vector(node)
        if vector is not None:
            yield vector
            return
        alias = self._alias(node)
        if alias is not None:
            return
        if _covers(node, self.shapes):
            yield from self._flattened(node)
            return
        for value in dict.fromkeys(node.inputs):
            if value in self.flat:
                yield from self._map_of(value)
        yield replace(node, inputs=tuple(self.maps.get(value, value) for value in node.inputs))

    def _vector(self, node: Node) -> Node | None:
        """The node on vectors, where it makes a map of one pixel of a vector, or of a map by pooling."""
        value, spec = Value(node.name), node.spec
        if isinstance(spec, GlobalPool):
            if not spec.keepdims or any(value in self.flat for value in node.inputs):
                return None
            self.flat[value] = value
            return self._on(replace(node, spec=replace(spec, keepdims=False)))
        if len(node.inputs) != 1 or node.inputs[0] not in self.flat:
            return None
        source = self.flat[node.inputs[0]]
        features = node.shapes[0][1] if len(node.shapes[0]) > 1 else None
        if isinstance(spec, Conv):
            if set(spec.kernel) != {1} or spec.groups != 1 or any(map(any, spec.padding or ())):
                return None
            kernel = node.weights["kernel"].reshape((spec.out_channels, spec.in_channels))
            node = replace(node, weights={**node.weights, "kernel": kernel})
            spec = Dense(spec.in_channels, spec.out_channels, 1)
        elif not isinstance(spec, POINTWISE) and not (isinstance(spec, LayerNorm) and spec.over == (1,)):
            return None
        self.flat[value] = value
        return replace(node, spec=spec, inputs=(source,), shapes=((node.shapes[0][0], features),))

    def _flattened(self, node: Node) -> Iterator[Node]:
        """A convolution that covers its whole map, as a Dense on all its pixels."""
        spec, (source,) = node.spec, node.inputs
        assert isinstance(spec, Conv)  # noqa: S101  `_covers` says so
        features = spec.in_channels * prod(spec.kernel)
        name = unique(f"{node.name}/flat", self.names)
        self.names.add(name)
        batch = node.shapes[0][0]
        yield Node(name, Flatten(), (self.maps.get(source, source),), shapes=((batch, features),), kind="layout")
        kernel = node.weights["kernel"].reshape((spec.out_channels, features))
        dense = Dense(features, spec.out_channels, 1)
        self.flat[Value(node.name)] = Value(node.name)
        yield replace(
            node,
            spec=dense,
            weights={**node.weights, "kernel": kernel},
            inputs=(Value(name),),
            shapes=((batch, spec.out_channels),),
        )

    def _on(self, node: Node) -> Node:
        sizes = tuple((shape[0], shape[1]) for shape in node.shapes)
        return replace(node, shapes=sizes)

    def _alias(self, node: Node) -> Value | None:
        """What a reshape between a vector and its map of one pixel stands for, or the pool of such a map."""
        if isinstance(node.spec, GlobalPool) and node.inputs[0] in self.flat:
            held = self.flat if node.spec.keepdims else self.maps
            held[Value(node.name)] = self.flat[node.inputs[0]]
            return node.inputs[0]
        if not isinstance(node.spec, (Reshape, Flatten)) or node.shapes[0].count(None) > 1:
            return None
        (source,), value = node.inputs, Value(node.name)
        after = node.shapes[0]
        if source in self.flat:
            if len(after) == 2:
                self.maps[value] = self.flat[source]
                return source
            if after == self.shapes[source]:
                self.flat[value] = self.flat[source]
                return source
            return None
        before = self.shapes[source]
        if len(before) == 2 and len(after) > 2 and after[1] == before[1] and set(after[2:]) == {1}:
            self.flat[value] = self.maps.get(source, source)
            return source
        return None

    def _map_of(self, value: Value) -> Iterator[Node]:
        """The reshape that makes a map of the vector again, once."""
        if value in self.maps:
            return
        shape = self.shapes[value]
        name = unique(f"{value.node}/map", self.names)
        self.names.add(name)
        self.maps[value] = Value(name)
        yield Node(name, Reshape(shape[1:]), (self.flat[value],), shapes=(shape,), kind="layout")


def _covers(node: Node, shapes: dict[Value, Shape]) -> bool:
    """Whether this is a convolution of several pixels whose only window is the whole map."""
    spec = node.spec
    if not isinstance(spec, Conv) or spec.groups != 1 or set(spec.kernel) == {1} or any(map(any, spec.padding or ())):
        return False
    return spec.padding is not None and set(spec.dilation) == {1} and shapes[node.inputs[0]][2:] == spec.kernel
