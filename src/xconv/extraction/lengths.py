"""Where the length of a feature vector comes from: `xconv.feature_length`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from typing import Any

from xconv import axes
from xconv.comparison.opened import Opened, open_model
from xconv.errors import InvalidInput
from xconv.extraction.returned import Returns
from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.concat import Concat
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.io import Input
from xconv.layers.layer_norm import LayerNorm, UnitNorm
from xconv.layers.pool import GlobalPool
from xconv.layers.recurrent import Recurrent
from xconv.layers.reshape import Flatten, Permute, Reshape
from xconv.layers.scale import Scale
from xconv.layers.softmax import Softmax
from xconv.layers.unary import Unary
from xconv.spec import Shape, Spec

__all__ = ["FeatureLength", "feature_length", "in_words"]

KEEPING = (Activation, BatchNorm, LayerNorm, UnitNorm, Scale, Softmax, Unary)
"""What leaves the length of a vector as it is."""
TOLD = {LayerNorm: "LayerNorm", BatchNorm: "BatchNorm", UnitNorm: "a vector of length 1"}
"""Of these, what is told."""


@dataclass(frozen=True, slots=True)
class FeatureLength:
    """How many numbers a network returns for one input, and why; its text says both.

    `shape` is that of the output without the batch, as its framework writes it; None where a size is open, and
    `length` is None with it. `sizes` are those of the map that was flattened, in the order of the vector. `layer` is
    the layer that decides the length.
    """

    length: int | None
    shape: Shape
    reason: str
    layer: str
    sizes: Shape = ()

    def __str__(self) -> str:
        number = "open" if self.length is None else str(self.length)
        sizes = " x ".join("?" if size is None else str(size) for size in self.sizes)
        return f"{number} = {sizes}: {self.reason}" if sizes else f"{number}: {self.reason}"


def feature_length(model: Any, *, output: int | None = None, input_shape: Any = None) -> FeatureLength:
    """How long what a model returns is, and where that comes from.

    Args:
        model: a live Keras model, a torch module, a converted module, an ExportedProgram, or a file of either.
        output: which output, counted from 0, of a model that has several.
        input_shape: the shape of the input without the batch, channels-first; needed for a torch module that does not
            say it. A map that is flattened has the length that this size gives.

    Raises:
        InvalidInput: a torch module without `input_shape`; several outputs and none chosen, or one that is not there.
        Unreadable, Unknown, Unsupported: a model that cannot be read.
    """
    opened = open_model(model, input_shape=input_shape)
    values = opened.graph.output_values()
    if (output is None and len(values) != 1) or not 0 <= (output or 0) < len(values):
        said = "; ".join(f"{place}: {in_words(opened.graph, value)}" for place, value in enumerate(values))
        raise InvalidInput(f"it has {len(values)} outputs: {said}", place=opened.name, remedy="say which: output=0")
    return _Reasons(opened).of(values[output or 0], opened.whole.output_values()[output or 0])


def in_words(graph: Graph, value: Value) -> str:
    """A tensor of a graph that is held channels-first, in words: 'a vector of length 2048'."""
    sizes = graph.shape(value)[1:]
    if len(sizes) == 1:
        return f"a vector of length {sizes[0]}"
    if None in sizes:
        return f"a map of {sizes[0]} channels"
    return f"a map {'x'.join(map(str, sizes))} ({_product(sizes)} numbers)"


class _Reasons:
    """Follows a vector back to what gave it its length."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.graph = opened.graph
        self.nodes = opened.graph.by_name()
        live = hasattr(opened.model, "named_modules") or opened.framework == "keras"
        self.returns = Returns(opened) if live and not isinstance(opened.model, (str, os.PathLike)) else None

    def of(self, value: Value, read: Value) -> FeatureLength:
        """The length of an output; `read` is the same in the graph as it was read."""
        value = self._vector(value)
        shape = self._written(read)
        source, kept = self._deciding(value)
        told = dict.fromkeys(TOLD[type(node.spec)] for node in kept if type(node.spec) in TOLD)
        behind = f", then {' and '.join(told)}" if told else ""
        hidden = any(isinstance(node.spec, Activation) for node in kept)
        reason = self._reason(source, hidden=hidden) + behind
        return FeatureLength(_product(shape), shape, reason, self._name(source), self._sizes(source, shape))

    def _sizes(self, source: Value, shape: Shape) -> Shape:
        """The sizes of a map, in the order in which it is flattened where it is."""
        node = self.nodes[source.node]
        if len(shape) > 1:
            return shape
        flattened = isinstance(node.spec, (Flatten, Reshape)) and len(self.graph.shape(source)) == 2
        return self.graph.shape(node.inputs[0])[1:] if flattened else ()

    def _written(self, read: Value) -> Shape:
        held, order = self.opened.whole.shape(read), self.opened.whole.held.get(read)
        return (axes.apply(held, axes.inverse(order)) if order else held)[1:]

    def _vector(self, value: Value) -> Value:
        """The vector that a map of one pixel was made of."""
        node = self.nodes[value.node]
        made = isinstance(node.spec, Reshape) and len(self.graph.shape(node.inputs[0])) == 2
        return node.inputs[0] if made else value

    def _deciding(self, value: Value) -> tuple[Value, list[Node]]:
        """What gave a vector its length, and what stands behind it, from there on."""
        kept = list[Node]()
        while self._keeps(self.nodes[value.node]):
            kept.insert(0, self.nodes[value.node])
            value = self.nodes[value.node].inputs[0]
        return value, kept

    def _keeps(self, node: Node) -> bool:
        """Whether a node leaves the length of a vector as it is; a map of one pixel counts as its vector."""
        if isinstance(node.spec, (GlobalPool, Flatten, Reshape)):
            return self._is_vector(node.inputs[0]) and self._is_vector(Value(node.name))
        return isinstance(node.spec, KEEPING) and self._is_vector(Value(node.name))

    def _is_vector(self, value: Value) -> bool:
        shape = self.graph.shape(value)
        return len(shape) >= 2 and set(shape[2:]) <= {1}

    def _reason(self, value: Value, *, hidden: bool) -> str:
        """Why a value is as long as it is; `hidden`: an activation stands behind it."""
        node, name = self.nodes[value.node], self._own(value)
        if not self._is_vector(value):
            return f"the map that {self._name(value)} returns, not pooled"
        if isinstance(node.spec, Dense):
            return self._dense(node, node.spec, hidden=hidden)
        if isinstance(node.spec, GlobalPool):
            return self._pooled(node, "mean" if node.spec.kind == "average" else "maximum")
        if isinstance(node.spec, (Flatten, Reshape)):
            return f"Flatten of {self._name(self._unturned(node.inputs[0]))}"
        if isinstance(node.spec, Concat):
            sizes = [self.graph.shape(each)[1] for each in node.inputs]
            return f"{' + '.join(map(str, sizes))} joined by {name}"
        kinds: dict[type[Spec], str] = {Conv: "the channels of", Recurrent: "the units of", Input: "the input"}
        return f"{kinds.get(type(node.spec), 'what is returned by')} {name}"

    def _dense(self, node: Node, spec: Dense, *, hidden: bool) -> str:
        name = self._own(Value(node.name))
        before, _ = self._deciding(node.inputs[0])
        read = self.opened.whole.by_name().get(node.name)
        kind = "1x1 convolution" if read is not None and isinstance(read.spec, Conv) else "Dense"
        if hidden and isinstance(self.nodes[before.node].spec, GlobalPool):
            return f"{kind} {name} behind the pool (hidden head), {spec.in_features} before it"
        return f"{kind} {name} ({spec.out_features} units)"

    def _pooled(self, node: Node, what: str) -> str:
        source = node.inputs[0]
        sizes = self.graph.shape(source)
        positions = "all" if None in sizes[2:] else f"the {'x'.join(map(str, sizes[2:]))}"
        return f"{what} over {positions} positions of {self._name(source)} ({sizes[1]} channels)"

    def _unturned(self, value: Value) -> Value:
        """The map before what puts its axes in the written order."""
        node = self.nodes[value.node]
        return node.inputs[0] if isinstance(node.spec, Permute) and node.kind == "layout" else value

    def _name(self, value: Value) -> str:
        """The name of the outermost layer that returns a value, else of that which computes it."""
        found = self.returns.layers_of(value) if self.returns is not None else []
        return found[0].name if found else self._own(value)

    def _own(self, value: Value) -> str:
        """The name of the layer that computes a value; of the node, where it stands in none."""
        return self.nodes[value.node].layer or value.node


def _product(shape: Shape) -> int | None:
    sizes = [size for size in shape if size is not None]
    return prod(sizes) if len(sizes) == len(shape) else None
