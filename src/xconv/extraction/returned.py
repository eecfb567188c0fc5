"""Which layer of a live model returns a tensor of its graph: `returned_by`.

A layer returns the one tensor of which, among all that it computes, something outside it makes use; so does the module
around a layer that comes last in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from xconv import axes
from xconv.comparison.opened import Opened
from xconv.comparison.trial import run_graph
from xconv.extraction.keras_features import layer_names
from xconv.extraction.tracing import graph_with_calls
from xconv.graph import Node, Value
from xconv.layers.activation import Activation
from xconv.layers.dropout import Dropout, Noise, SpatialDropout
from xconv.layers.io import Identity
from xconv.layers.pad import Pad
from xconv.layers.reshape import Flatten, Permute, Reshape
from xconv.layers.unary import Unary
from xconv.spec import Shape
from xconv.statistics import compare

__all__ = ["Returned", "Returns"]

SAME = 1e-9
"""Up to which two tensors in float64 are one, relative to the largest number."""
OPEN_SIZE = 64


@dataclass(frozen=True, slots=True)
class Returned:
    """A layer's name, as `xconv.features` takes it, and the tensor of the graph that it returns."""

    name: str
    value: Value


@dataclass(eq=False)
class Returns:
    """What the layers of an opened model return."""

    opened: Opened
    nodes: dict[str, Node] = field(init=False)
    """The nodes of the graph as it was read."""

    def __post_init__(self) -> None:
        self.nodes = self.opened.whole.by_name()

    @cached_property
    def users(self) -> dict[Value, list[Node]]:
        """Who takes each value."""
        return self.opened.whole.consumers()

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that a layer of the live model has."""
        model: Any = self.opened.model
        if self.opened.framework == "keras":
            return frozenset(layer_names(model))
        if hasattr(model, "graph") and hasattr(model, "code"):
            return frozenset(graph_with_calls(model).calls)
        return frozenset(path for path, _ in model.named_modules(remove_duplicate=False) if path)

    def as_read(self, value: Value) -> Value:
        """The value of the graph as it was read that one in canonical form is; a vector for a map of one pixel."""
        canonical = self.opened.graph.by_name()
        while value.node not in self.nodes:
            value = canonical[value.node].inputs[0]
        return value

    def layers_of(self, value: Value) -> list[Returned]:
        """The layers that return this value of the canonical graph, the best name first: the outermost module."""
        first = self.as_read(value)
        found = [
            (same != first, name.count("."), ":" in name, place, Returned(name, same))
            for place, same in enumerate(self._same(first))
            for name in self._names(same)
        ]
        return [one for *_, one in sorted(found, key=lambda item: item[:4])]

    def group(self, value: Value) -> tuple[str, list[Value]]:
        """The layer that computes a value, and what it returns; the layer is '' for what stands in none."""
        node = self.nodes[value.node]
        return (node.layer, self._used_outside(self._inside(node))) if node.layer else ("", [value])

    def _names(self, value: Value) -> Iterator[str]:
        """The names of the layers that return a value of the graph as it was read."""
        node, whole = self.nodes[value.node], self.opened.whole
        if not node.layer:
            return
        calls = {n.call for n in whole.nodes if n.layer == node.layer}
        if node.layer in self.names and self._used_outside(self._inside(node)) == [value]:
            yield f"{node.layer}:{node.call}" if len(calls) > 1 else node.layer
        path = node.layer
        while self.opened.framework == "torch" and "." in path:
            path = path.rpartition(".")[0]
            if path in self.names and self._used_outside(self._under(path)) == [value]:
                yield path

    def _inside(self, node: Node) -> set[str]:
        """The nodes of a node's layer, in the same call; those of a torch module's submodules too."""
        under = self._under(node.layer) if self.opened.framework == "torch" else set()
        own = {n.name for n in self.opened.whole.nodes if n.layer == node.layer}
        if under > own:
            return under
        return {n.name for n in self.opened.whole.nodes if (n.layer, n.call) == (node.layer, node.call)}

    def _under(self, path: str) -> set[str]:
        return {n.name for n in self.opened.whole.nodes if n.layer == path or n.layer.startswith(f"{path}.")}

    def _used_outside(self, names: set[str]) -> list[Value]:
        """The values of these nodes that others take or the network returns."""
        outputs = set(self.opened.whole.output_values())
        values = (Value(n, place) for n in self.nodes if n in names for place in range(len(self.nodes[n].shapes)))
        return [v for v in values if v in outputs or any(user.name not in names for user in self.users.get(v, ()))]

    # -- values that hold the same numbers ----------------------------------------------------------------------------

    def _same(self, first: Value) -> list[Value]:
        """A value and those behind it that hold the same numbers in the same order."""
        gone = self.nodes.keys() - self.opened.graph.by_name().keys()
        found, others, waiting = [first], list[Value](), [first]
        while waiting:
            value = waiting.pop()
            for user in self.users.get(value, ()):
                after = Value(user.name)
                if self._passes_on(user, value):
                    found.append(after)
                elif user.name in gone and not isinstance(user.spec, (Pad, Permute)):
                    others.append(after)  # it became a part of what is before it: a bias, a factor
                else:
                    continue
                waiting.append(after)
        return found if not others else [value for value in (*found, *others) if self._is_equal(value, first)]

    def _passes_on(self, node: Node, value: Value) -> bool:
        """Whether a node returns the numbers that it takes, in inference."""
        spec = node.spec
        if isinstance(spec, (Reshape, Flatten)):
            before, after = (_wide(shape) for shape in (self.opened.whole.shape(value), node.shapes[0]))
            return before == after
        if isinstance(spec, Permute):
            return axes.moves_only_ones(self.opened.whole.shape(value), spec.axes)
        linear = isinstance(spec, Activation) and spec.name == "linear"
        copied = isinstance(spec, Unary) and spec.name in ("detach", "clone", "contiguous")
        return linear or copied or isinstance(spec, (Dropout, SpatialDropout, Noise, Identity))

    def _is_equal(self, value: Value, canonical: Value) -> bool:
        """Whether both are the same numbers, in the graph as it was read and in canonical form."""
        ours, theirs = self._numbers
        a, b = ours.get(value.node), theirs.get(canonical.node)
        return a is not None and b is not None and a.size == b.size and compare(a.ravel(), b.ravel()).max_rel < SAME

    @cached_property
    def _numbers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the nodes of both graphs make of noise."""
        generator = np.random.default_rng(0)
        feeds = []
        for shape, dtype in self.opened.inputs:
            sizes = (1, *(OPEN_SIZE if size is None else size for size in shape[1:]))
            feeds.append(generator.standard_normal(sizes) if "float" in dtype else np.ones(sizes, dtype))
        kept: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for graph, keep in zip((self.opened.whole, self.opened.graph), kept, strict=True):
            run_graph(graph, feeds, keep)
        return kept


def _wide(shape: Shape) -> list[int | None]:
    """The sizes other than one, without the batch."""
    return [size for size in shape[1:] if size != 1]
