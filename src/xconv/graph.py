"""The framework-neutral graph: nodes in topological order, values between them, weights by key."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from xconv.axes import Order as AxesOrder
from xconv.errors import Mismatch
from xconv.spec import Computed, Shape, Spec, Weights
from xconv.weights import Arrays, Weight

__all__ = ["Graph", "LowRank", "Node", "Value", "map_structure", "unique", "values_in"]


@dataclass(frozen=True, slots=True)
class Value:
    """The index-th output of a node."""

    node: str
    index: int = 0

    def __str__(self) -> str:
        return self.node if self.index == 0 else f"{self.node}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Node:
    """One operation on values.

    `name` is unique, with `/` between the levels of nested models. `layer` is the source layer that owns it: the
    calls of a shared layer have the same `layer`, and so do the parts of a layer that means several operations.
    """

    name: str
    spec: Spec
    inputs: tuple[Value, ...] = ()
    weights: Weights = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    layer: str = ""
    part: str = ""
    call: int = 0
    """The how-manieth call of its layer."""
    kind: str = ""
    trainable: bool = True
    notes: tuple[str, ...] = ()
    """What a reader of the report should know: regularisers not carried, folds made."""
    policy: str = ""
    """The dtype policy of its layer ('mixed_float16'), where not everything in the network is float32."""
    also: tuple[Node, ...] = ()
    """Nodes of the source that computed the same, for which this one stands."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """What LoRA adds to a weight wherever it is used: factor * a @ b, in the order of axes of the source's array."""

    a: Weight
    b: Weight
    factor: float


@dataclass(frozen=True, slots=True)
class Graph:
    """A network.

    `inputs` and `outputs` are structures (a value, or tuples, lists and dicts of them), as the source model takes
    and returns them. Input values belong to nodes with an `Input` spec. `held` tells, for values that are not held
    in the order in which the source wrote them, the order in which they are: `held = written.transpose(order)`. An
    empty order says that a flat value is held in an order that no transpose gives.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: Any
    outputs: Any
    arrays: Arrays = field(default_factory=dict)
    held: Mapping[Value, AxesOrder] = field(default_factory=dict)
    returned: tuple[AxesOrder, ...] = ()
    """The order in which each output is returned, flat; a value may count as written in several orders."""
    computed: Mapping[str, Computed] = field(default_factory=dict)
    """How those arrays came about that the source does not hold: rows and sums of rows of those that it does."""
    low_rank: Mapping[str, LowRank] = field(default_factory=dict)
    """The arrays that LoRA adapts, by key, where its matrices are kept."""

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def by_name(self) -> dict[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    def shape(self, value: Value) -> Shape:
        """The shape of a value, as it is held."""
        return self.by_name()[value.node].shapes[value.index]

    def value_shapes(self) -> dict[Value, Shape]:
        """The shapes of all values, as they are held."""
        return {Value(node.name, i): shape for node in self.nodes for i, shape in enumerate(node.shapes)}

    def consumers(self) -> dict[Value, list[Node]]:
        """For every value, the nodes that take it, in order."""
        result: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                result.setdefault(value, []).append(node)
        return result

    def output_values(self) -> tuple[Value, ...]:
        """The output values, flat, in order."""
        return tuple(values_in(self.outputs))

    def input_values(self) -> tuple[Value, ...]:
        """The input values, flat, in order."""
        return tuple(values_in(self.inputs))

    @property
    def batch(self) -> int | None:
        """The size of the batch that the layers demand; None where any will do.

        Raises:
            Mismatch: they demand several.
        """
        sizes = {node.spec.batch for node in self.nodes} - {None}
        if len(sizes) > 1:
            raise Mismatch(f"{self.name} has stateful layers for batches of {', '.join(sorted(map(str, sizes)))}")
        return sizes.pop() if sizes else None

    def rebuilt(self, nodes: Mapping[str, Node | None], aliases: Mapping[Value, Value] | None = None) -> Graph:
        """The graph with nodes replaced (or dropped, where None) and the uses of values redirected."""
        redirect = dict(aliases or {})

        def follow(value: Value) -> Value:
            while value in redirect:
                value = redirect[value]
            return value

        kept = []
        for old in self.nodes:
            node = nodes.get(old.name, old)
            if node is not None:
                kept.append(replace(node, inputs=tuple(map(follow, node.inputs))))
        return replace(self, nodes=tuple(kept), outputs=map_structure(follow, self.outputs))

    def __str__(self) -> str:
        rows = [
            (n.name, type(n.spec).__name__, ", ".join(map(str, n.inputs)), ", ".join(map(str, n.shapes)))
            for n in self.nodes
        ]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[3]]) for r in rows)


def values_in(structure: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists and dicts, in order.

    >>> list(values_in({"a": [1, 2], "b": (3,)}))
    [1, 2, 3]
    """
    if isinstance(structure, Mapping):
        structure = tuple(structure.values())
    if isinstance(structure, (tuple, list)):
        for item in structure:
            yield from values_in(item)
    elif structure is not None:
        yield structure


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same nesting with `function` applied to every leaf; None stays None.

    >>> map_structure(str, {"a": [1, 2]})
    {'a': ['1', '2']}
    """
    if isinstance(structure, Mapping):
        return {key: map_structure(function, item) for key, item in structure.items()}
    if isinstance(structure, (tuple, list)):
        return type(structure)(map_structure(function, item) for item in structure)
    return None if structure is None else function(structure)


def unique(base: str, taken: Container[str]) -> str:
    """The name, with the first number that is free behind it where it is taken.

    >>> unique("relu", {"add"}), unique("relu", {"relu", "relu_1"})
    ('relu', 'relu_2')
    """
    names = (f"{base}_{number}" if number else base for number in count())
    return next(name for name in names if name not in taken)
