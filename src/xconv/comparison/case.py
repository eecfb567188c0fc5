"""Two models that should agree, aligned: what every cause of a difference is looked for in (`Case`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from xconv.alignment import Alignment, align
from xconv.comparison.opened import Opened, open_pair
from xconv.graph import Graph, Node, Value
from xconv.statistics import Array
from xconv.weights import Arrays, Weight

__all__ = ["Case", "numbers", "open_case", "spelled"]


@dataclass(frozen=True, eq=False)
class Case:
    """Two opened models and their alignment; `a` is what `b` should be.

    `feeds` holds what each is fed, channels-first, one array for each input; `given` tells whether a user chose it.
    """

    a: Opened
    b: Opened
    alignment: Alignment
    feeds: tuple[tuple[Array, ...], tuple[Array, ...]] = ((), ())
    given: bool = False
    memory: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was found out about the two models once, and is asked for again."""

    @cached_property
    def nodes_a(self) -> dict[str, Node]:
        """The nodes of `a` by name."""
        return self.a.graph.by_name()

    @cached_property
    def nodes_b(self) -> dict[str, Node]:
        """The nodes of `b` by name."""
        return self.b.graph.by_name()

    @cached_property
    def users_a(self) -> dict[Value, list[Node]]:
        """Who takes each value of `a`."""
        return self.a.graph.consumers()

    @cached_property
    def users_b(self) -> dict[Value, list[Node]]:
        """Who takes each value of `b`."""
        return self.b.graph.consumers()

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """The nodes that are one, in the order of `a`."""
        for pair in self.alignment.pairs:
            yield self.nodes_a[pair.a], self.nodes_b[pair.b]

    def only_a(self) -> Iterator[Node]:
        """The nodes that `b` lacks."""
        return (self.nodes_a[name] for name in self.alignment.only_a)

    def only_b(self) -> Iterator[Node]:
        """The nodes that `a` lacks."""
        return (self.nodes_b[name] for name in self.alignment.only_b)

    def in_b(self, value: Value) -> Value | None:
        """The value of `b` that is this value of `a`; None where `b` lacks its node."""
        name = self.alignment.to_b.get(value.node)
        return Value(name, value.index) if name is not None else None

    def in_a(self, value: Value) -> Value | None:
        """The value of `a` that is this value of `b`; None where `a` lacks its node."""
        name = self.alignment.to_a.get(value.node)
        return Value(name, value.index) if name is not None else None


def open_case(a: Any, b: Any, *, input_shape: Any = None, meant: bool = False) -> Case:
    """Both models read and aligned; arguments and errors as for `open_pair`."""
    first, second = open_pair(a, b, input_shape=input_shape, meant=meant)
    return Case(first, second, align(first.graph, second.graph))


def numbers(arrays: Arrays, weight: Weight) -> npt.NDArray[Any]:
    """The numbers of a weight as its layer uses them, in the precision in which they are stored."""
    if weight.constant is not None:
        return np.full(weight.shape, weight.constant, "float32" if weight.dtype == "bfloat16" else weight.dtype)
    import torch

    from xconv.torch.fill import fill

    source = arrays[weight.key]
    tensor = torch.empty(weight.shape, dtype=getattr(torch, source.dtype))
    fill(tensor, weight, source)
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def spelled(opened: Opened, node: Node) -> str:
    """The expression that reaches the node's layer in the live model: `model.layer1[0].conv1`.

    >>> from xconv.graph import Graph
    >>> from xconv.layers.io import Identity
    >>> empty = Graph("net", (), (), ())
    >>> spelled(Opened("net", "torch", None, empty, empty), Node("x", Identity(), layer="layer1.0.conv1"))
    'model.layer1[0].conv1'
    """
    layer = node.layer or node.name
    if opened.framework == "keras":
        return f"model.get_layer({layer!r})"
    parts = (f"[{part}]" if part.isdigit() else f".{part}" for part in layer.split("."))
    return f"model{''.join(parts)}"


def values_of(graph: Graph) -> set[Value]:
    """Every value of a graph."""
    return {Value(node.name, place) for node in graph.nodes for place in range(len(node.shapes))}
