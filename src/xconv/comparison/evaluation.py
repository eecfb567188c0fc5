"""A graph run in float64 (`run_graph`), and what many runs of graphs that are much alike have in common (`Memory`).

Every value has a number that stands for all that it is made of: the arrays that are fed, settings, weights. What one
run has made another does not make again, so a graph that is changed in one place is run from there on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from xconv.comparison.edits import inferred
from xconv.errors import Mismatch, XConvError
from xconv.graph import Graph, Node, Value
from xconv.layers.io import Input
from xconv.scratch import working_memory
from xconv.statistics import Array
from xconv.torch.eager import Layer, layer_of
from xconv.torch.precision import full_precision
from xconv.torch.write import Reader, door, from_arrays
from xconv.weights import Arrays, ArraySource, NumpySource, Weight

__all__ = ["Memory", "run_graph"]


@dataclass(slots=True)
class Memory:
    """Weights in float64, layers, and what they made of the inputs: kept for the next run of a graph that is alike.

    No more bytes are kept than the two limits; what comes later is made each time.
    """

    weights: int = 4 * 2**30
    values: int = 2**30
    tensors: dict[tuple[int, Weight], torch.Tensor] = field(default_factory=dict)
    """By the array and the weight."""
    layers: dict[Hashable, Layer] = field(default_factory=dict)
    made: dict[int, Any] = field(default_factory=dict)
    """What nodes made, by number."""
    numbers: dict[Hashable, int] = field(default_factory=dict)
    alive: dict[int, Any] = field(default_factory=dict)
    """What is known by its identity, which is its own as long as it stays."""

    def number(self, key: Hashable) -> int:
        """The number of whatever is made in this way."""
        return self.numbers.setdefault(key, len(self.numbers))

    def identity(self, item: Any) -> int:
        """The identity of an object, which is kept."""
        if id(item) not in self.alive:
            self.alive[id(item)] = item
            if isinstance(item, NumpySource):
                self.weights -= item.array.nbytes  # made for a remedy, and held by nothing else
        return id(item)

    def reader(self, arrays: Arrays) -> Reader:
        """What gives a weight's numbers from these arrays, in float64."""
        plain = from_arrays(arrays)

        def read(name: str, weight: Weight) -> torch.Tensor:
            source: ArraySource | None = arrays.get(weight.key)
            key = self.identity(source), weight
            if source is not None and key in self.tensors:
                return self.tensors[key]
            tensor = plain(name, weight)
            if tensor.is_floating_point() and source is not None:
                tensor = tensor.double()
            if source is not None and tensor.nbytes <= self.weights:
                self.weights -= tensor.nbytes
                self.tensors[key] = tensor
            return tensor

        return read

    def keep(self, number: int, result: Any) -> None:
        """Keeps what a node made, where there is room for it."""
        size = _bytes_of(result)
        if size <= self.values:
            self.values -= size
            self.made[number] = result


def run_graph(
    graph: Graph,
    feeds: Sequence[Array],
    keep: dict[str, Array] | None = None,
    memory: Memory | None = None,
    remember: bool = False,
) -> list[Array]:
    """The outputs of a graph that is held channels-first, in inference mode and in float64.

    `keep`, where given, is filled with what every node makes (but for several tensors), by name. `memory` holds what
    the next run can use: weights and layers, and with `remember` what every node makes.

    Raises:
        XConvError: shapes that do not fit.
        Mismatch: torch refuses what the graph says.
    """
    run = _Run(inferred(graph), feeds, memory or Memory(0, 0))
    try:
        with working_memory():
            return run.outputs(keep, remember)
    except RuntimeError as error:
        raise Mismatch(str(error).strip().partition("\n")[0], place=graph.name) from error


class _Run:
    """One run of a graph whose shapes are known."""

    def __init__(self, graph: Graph, feeds: Sequence[Array], memory: Memory) -> None:
        self.graph, self.memory = graph, memory
        self.nodes = graph.by_name()
        self.shapes = graph.value_shapes()
        self.read = memory.reader(graph.arrays)
        self.feeds = dict(zip((value.node for value in graph.input_values()), feeds, strict=True))
        self.numbers: dict[str, int] = {}
        for node in graph.nodes:
            self.numbers[node.name] = memory.number(self._content(node))
        self.made: dict[str, Any] = {}

    def outputs(self, keep: dict[str, Array] | None, remember: bool) -> list[Array]:
        """Runs what is needed, and lets go of what nothing needs any more."""
        wanted = [value.node for value in self.graph.output_values()]
        if keep is not None:
            wanted += self.nodes
        needed = self._needed(wanted)
        layers = {node.name: self._layer(node) for node in self.graph.nodes if node.name in needed}
        uses = Counter(value.node for name in layers for value in self.nodes[name].inputs) + Counter(wanted)
        modules = nn.ModuleList(module for layer in layers.values() for module in layer.modules)
        with full_precision(modules, "float64"):
            for name, layer in layers.items():
                node = self.nodes[name]
                result = self.made[name] = layer.compute(self._given(node))
                if remember:
                    self.memory.keep(self.numbers[name], result)
                for value in node.inputs:
                    uses[value.node] -= 1
                    if not uses[value.node]:
                        self.made.pop(value.node, None)
        if keep is not None:
            results = ((name, self._result(name)) for name in self.nodes)
            keep.update({name: item.numpy() for name, item in results if isinstance(item, torch.Tensor)})
        return [self._value(value).detach().numpy() for value in self.graph.output_values()]

    def _needed(self, wanted: Iterable[str]) -> set[str]:
        """The nodes that must be run to have these, those aside that an earlier run has made."""
        found, waiting = set[str](), list(wanted)
        while waiting:
            name = waiting.pop()
            if name not in found and self.numbers[name] not in self.memory.made:
                found.add(name)
                waiting += [value.node for value in self.nodes[name].inputs]
        return found

    def _content(self, node: Node) -> Hashable:
        """All that a node's results depend on, as one key."""
        kept = self.memory
        if isinstance(node.spec, Input):
            return "input", kept.identity(self.feeds[node.name]), node.shapes
        taken = tuple((self.numbers[value.node], value.index, self.shapes[value]) for value in node.inputs)
        return self._said(node), taken

    def _said(self, node: Node) -> Hashable:
        """The settings and weights of a node as one key."""
        try:
            hash(node.spec)
            spec: Hashable = node.spec, repr(node.spec)  # 1 and 1.0 are equal, but not the same
        except TypeError:
            spec = type(node.spec), self.memory.identity(node.spec)
        arrays: Mapping[str, ArraySource] = self.graph.arrays
        held = sorted((role, self.memory.identity(arrays.get(w.key)), w) for role, w in node.weights.items())
        return spec, tuple(held)

    def _layer(self, node: Node) -> Layer:
        """The layer of a node, made once for all that say the same."""
        if isinstance(node.spec, Input):
            return layer_of(door(node, self.graph), self.read)
        shapes = [self.shapes[value] for value in node.inputs]
        key = self._said(node), tuple(shapes)
        if key in self.memory.layers:
            return self.memory.layers[key]
        try:
            layer = layer_of(node.spec.to_torch(node.weights, shapes), self.read)
        except XConvError as error:
            raise error.at(node.name) from error
        if all((id(self.graph.arrays.get(w.key)), w) in self.memory.tensors for w in node.weights.values() if w.key):
            self.memory.layers[key] = layer
        return layer

    def _given(self, node: Node) -> list[torch.Tensor]:
        """The tensors that a node takes."""
        if isinstance(node.spec, Input):
            return [torch.as_tensor(_widest(self.feeds[node.name]))]
        return [self._value(value) for value in node.inputs]

    def _value(self, value: Value) -> Any:
        result = self._result(value.node)
        return result[value.index] if len(self.nodes[value.node].shapes) > 1 else result

    def _result(self, name: str) -> Any:
        return self.made[name] if name in self.made else self.memory.made[self.numbers[name]]


def _bytes_of(result: Any) -> int:
    """The bytes of a tensor, or of several."""
    if isinstance(result, (tuple, list)):
        return sum(map(_bytes_of, result))
    return result.nbytes if isinstance(result, torch.Tensor) else 0


def _widest(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
