"""What a node is recognised by: its family, its sizes, its weights' shapes and its surroundings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from xconv import axes
from xconv.graph import Graph, Node
from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.resample import Resample
from xconv.weights import Arrays, Weight

__all__ = ["Edge", "Side", "colour", "commutes", "same_numbers"]

TRIVIAL = frozenset({"epsilon", "momentum", "frozen", "dtype"})
"""Fields that say nothing about which node it is."""
COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum"})


@dataclass(frozen=True, slots=True)
class Edge:
    """A neighbour, and how it is reached: as which input, and which of the source's tensors."""

    node: str
    label: Hashable


class Side:
    """One graph: what each node is, and its neighbours."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = graph.by_name()
        self.before: dict[str, list[Edge]] = {name: [] for name in self.nodes}
        self.behind: dict[str, list[Edge]] = {name: [] for name in self.nodes}
        for node in graph.nodes:
            for place, value in enumerate(node.inputs):
                label = (0 if commutes(node) else place, value.index)
                self.before[node.name].append(Edge(value.node, label))
                self.behind[value.node].append(Edge(node.name, label))
        self.exact = {name: _exact(node) for name, node in self.nodes.items()}
        self.loose = {name: _loose(node) for name, node in self.nodes.items()}
        matrices = dict(_matrices(graph))
        self.family = {
            name: ("numbers", type(node.spec).__name__, matrices[name]) if name in matrices else _family(node)
            for name, node in self.nodes.items()
        }
        self.colours: list[dict[str, int]] = []


def commutes(node: Node) -> bool:
    """Whether it does not matter in which order a node takes its inputs."""
    spec = node.spec
    return isinstance(spec, Elementwise) and spec.name in COMMUTATIVE and len(node.inputs) == len(spec.operands)


def _family(node: Node) -> Hashable:
    """What a node never is together with anything else."""
    spec = node.spec
    if isinstance(spec, (Pool, GlobalPool, AdaptivePool)):
        return "pool", "Global" if isinstance(spec, GlobalPool) else "windows"
    if isinstance(spec, Elementwise):
        return "Elementwise", spec.name
    return type(spec).__name__


def _matrices(graph: Graph) -> Iterator[tuple[str, Hashable]]:
    """The nodes that resample a map, and those that make their matrices, each with the numbers of the matrix.

    The matrix is what such a layer is: another one is another way of resizing, and no pair.
    """
    known = graph.by_name()
    for node in graph.nodes:
        if not isinstance(node.spec, Resample):
            continue
        made, waiting = [], [node.inputs[1].node]
        while waiting:
            maker = known[waiting.pop()]
            made.append(maker)
            waiting += [value.node for value in maker.inputs]
        if all(isinstance(maker.spec, (Variable, Elementwise)) for maker in made):
            keys = sorted({weight.key for maker in made for weight in maker.weights.values() if weight.key})
            numbers = tuple(rows.tobytes() for key in keys for _, rows in graph.arrays[key].blocks())
            for maker in (node, *made):
                yield maker.name, (node.spec.axis, numbers)


def _shapes(node: Node) -> tuple[Hashable, ...]:
    return tuple(sorted((role, weight.shape) for role, weight in node.weights.items() if role in ("kernel", "mean")))


def _loose(node: Node) -> Hashable:
    """The family, and the shapes of the weights that it cannot lack."""
    spec = node.spec
    if isinstance(spec, Activation):
        return _family(node)  # another function at the same place is the same layer
    if isinstance(spec, (Pool, AdaptivePool)):
        return _family(node), spec.kind, getattr(spec, "kernel", None) or getattr(spec, "size", None)
    return _family(node), _shapes(node) or tuple(sorted(weight.shape for weight in node.weights.values()))


def _exact(node: Node) -> Hashable:
    """Everything that the Spec says, axes counted from the front, and the shapes of all weights."""
    rank = len(node.shapes[0]) if node.shapes else 0
    said = []
    for entry in fields(node.spec):
        value = getattr(node.spec, entry.name)
        if entry.name in TRIVIAL:
            continue
        if entry.name == "axis" and isinstance(value, int):
            value = axes.normal(value, rank)
        said.append((entry.name, repr(value)))
    return _loose(node), tuple(said), tuple(sorted((role, w.shape) for role, w in node.weights.items()))


def colour(sides: Sequence[Side], radius: int) -> None:
    """Numbers every node by its surroundings, the same numbers on both sides, for every radius up to `radius`."""
    table: dict[Hashable, int] = {}

    def number(key: Hashable) -> int:
        return table.setdefault(key, len(table))

    for side in sides:
        side.colours.append({name: number((side.family[name], side.exact[name])) for name in side.nodes})
    for _ in range(radius):
        for side in sides:
            old = side.colours[-1]

            def around(edges: Iterable[Edge], old: Mapping[str, int] = old) -> Hashable:
                return tuple(sorted((repr(edge.label), old[edge.node]) for edge in edges))

            side.colours.append(
                {n: number((old[n], around(side.before[n]), around(side.behind[n]))) for n in side.nodes}
            )


def same_numbers(a: Side, one: str, b: Side, other: str) -> bool:
    """Whether two nodes hold the same weights."""
    ours, theirs = a.nodes[one].weights, b.nodes[other].weights
    held = [weight.key in a.graph.arrays for weight in ours.values()]
    held += [weight.key in b.graph.arrays for weight in theirs.values()]
    if not held or not all(held) or ours.keys() != theirs.keys():
        return False
    return all(_numbers(ours[role], a.graph.arrays) == _numbers(theirs[role], b.graph.arrays) for role in ours)


def _numbers(weight: Weight, arrays: Arrays) -> tuple[object, bytes]:
    """What a weight holds, as it is used, and how: equal only for equal numbers of one dtype."""
    source = arrays[weight.key]
    rows = np.concatenate([block.ravel() for _, block in source.blocks()])
    return source.dtype, np.ascontiguousarray(weight.apply(rows.reshape(weight.source))).tobytes()
