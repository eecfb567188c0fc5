"""The calls that torch.nn.MultiheadAttention is exported as -> one layer, wherever a graph holds them.

Self-attention alone is more than twenty calls: a projection, moves of axes, the attention, moves, a projection. Moves
change no number, so what they do is found by doing it to the places of the elements: a region is one layer where every
element comes to the very place that the layer would put it, for two sizes of the batch. All else stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xconv import axes
from xconv.graph import Graph, Node, Value, unique
from xconv.layers.attention import Attention
from xconv.layers.dense import Dense
from xconv.layers.expand import ExpandDims, Squeeze
from xconv.layers.multi_head_attention import MultiHeadAttention
from xconv.layers.reshape import Permute, Regroup, Reshape
from xconv.layers.slicing import Slicing
from xconv.passes.without_unused import without_unused
from xconv.spec import Computed, Rows
from xconv.torch.arrays import TensorSource
from xconv.weights import Weight

__all__ = ["collapse_attention"]

BATCHES = (2, 3)
RESHAPES = (Regroup, Reshape, ExpandDims, Squeeze)
MOVES = (*RESHAPES, Permute, Slicing)


def collapse_attention(graph: Graph, arrays: dict[str, TensorSource], computed: dict[str, Computed]) -> Graph:
    """The graph with every attention between projections as one layer.

    `arrays` gets the rows of joint weights, `computed` which rows they are.
    """
    finder = _Finder(graph, arrays, computed, graph.by_name(), graph.consumers(), set(graph.output_values()))
    for node in graph.nodes:
        if isinstance(node.spec, Attention):
            found = finder.region(node, node.spec)
            if found is not None:
                graph = _replaced(graph, found)
    return graph


@dataclass(frozen=True, slots=True)
class _Projection:
    """Where queries, keys or values come from: rows of a Dense of a sequence; `batch` is the axis of the batch."""

    dense: Node
    start: int
    batch: int


@dataclass(frozen=True, slots=True)
class _Region:
    """A new layer, its inputs with the axis of the batch in each, the last node that it replaces, the axis there."""

    layer: Node
    inputs: tuple[tuple[Value, int], ...]
    last: Node
    batch: int


@dataclass(frozen=True, slots=True)
class _Finder:
    """Looks for the projections around an attention."""

    graph: Graph
    arrays: dict[str, TensorSource]
    computed: dict[str, Computed]
    nodes: Mapping[str, Node]
    consumers: Mapping[Value, list[Node]]
    outputs: set[Value]

    def region(self, node: Node, spec: Attention) -> _Region | None:
        """The region around an attention, where there is one."""
        shapes = [self.shape(value) for value in node.inputs]
        if spec.mask or len(shapes[0]) != 4 or not node.layer:
            return None
        heads, length, width = shapes[0][1], shapes[0][3], shapes[2][3]
        if heads is None or length is None or width is None or spec.scale != length**-0.5:
            return None
        found = [self.projection(value) for value in node.inputs]
        ending = self.ending(node)
        if ending is None or any(item is None for item in found):
            return None
        query, key, value = (item for item in found if item is not None)
        out, last, batch = ending
        features = (*(item.dense.spec.in_features for item in (query, key, value)), out.spec.out_features)  # type: ignore[attr-defined]
        every = (query.dense, key.dense, value.dense, out)
        biases = {"bias" in dense.weights for dense in every}
        if len(biases) != 1 or len({dense.trainable for dense in every}) != 1:
            return None
        weights: dict[str, Weight] = {}
        sizes = (heads * length, heads * length, heads * width)
        for role, item, size in zip(("query", "key", "value"), (query, key, value), sizes, strict=True):
            weights[role] = self.rows(item.dense.weights["kernel"], item.start, size)
            if "bias" in item.dense.weights:
                weights[f"{role}_bias"] = self.rows(item.dense.weights["bias"], item.start, size)
        weights |= {"output" if role == "kernel" else "output_bias": weight for role, weight in out.weights.items()}
        inputs = [(item.dense.inputs[0], item.batch) for item in (query, value, key)]
        inputs = inputs[:2] if inputs[1] == inputs[2] else inputs
        layer = MultiHeadAttention(features, heads, length, width, spec.causal)
        made = replace(out, name=node.layer, spec=layer, weights=weights, layer=node.layer, part="", call=node.call)
        notes = tuple(note for dense in every for note in dense.notes)
        return _Region(replace(made, notes=notes, kind="MultiheadAttention"), tuple(inputs), last, batch)

    def projection(self, value: Value) -> _Projection | None:
        """The projection behind moves of axes, where (batch, heads, steps, length) are cut from its rows."""
        chain: list[Node] = []
        node = self.nodes[value.node]
        while isinstance(node.spec, MOVES):
            chain.insert(0, node)
            node = self.nodes[node.inputs[0].node]
        shape = node.shapes[0]
        if not isinstance(node.spec, Dense) or len(shape) != 3 or shape.count(None) != 1 or shape[2] is None:
            return None
        batch, rows = shape.index(None), shape[2]
        starts = set()
        for size in BATCHES:
            places = _numbered(shape, size)
            moved = _moved(places, chain)
            if moved is None or moved.ndim != 4:
                return None
            start = int(moved.flat[0]) % rows
            wanted = places if batch == 0 else places.swapaxes(0, 1)
            cut = wanted[:, :, start : start + moved.shape[1] * moved.shape[3]]
            if cut.size != moved.size:
                return None
            cut = cut.reshape(*wanted.shape[:2], moved.shape[1], moved.shape[3]).swapaxes(1, 2)
            if cut.shape != moved.shape or not np.array_equal(cut, moved):
                return None
            starts.add(start)
        return _Projection(node, starts.pop(), batch) if len(starts) == 1 else None

    def ending(self, attention: Node) -> tuple[Node, Node, int] | None:
        """The projection of the heads side by side, the last node that moves axes, the axis of the batch there."""
        before, dense = self.follow(attention)
        if dense is None or not isinstance(dense.spec, Dense):
            return None
        after, _ = self.follow(dense)
        shape = attention.shapes[0]
        for count in range(len(after) + 1):
            last = (dense, *after[:count])[-1]
            axis = [self._ends(shape, size, before, dense, after[:count]) for size in BATCHES]
            if axis[0] is not None and axis[0] == axis[1]:
                return dense, last, axis[0]
        return None

    def _ends(self, shape: Any, size: int, before: list[Node], dense: Node, after: list[Node]) -> int | None:
        """The axis of the batch, where steps come out of the projection of heads in their order."""
        batch, heads, steps, width = (size if n is None else n for n in shape)
        places = np.arange(batch * steps * heads * width).reshape(batch, steps, heads, width)
        moved = _moved(places.swapaxes(1, 2), before)
        if moved is None or moved.shape[-1] != heads * width or moved.size != places.size:
            return None
        rows = moved.reshape(-1, heads * width)
        order = rows[:, 0] // (heads * width)
        if not np.array_equal(rows, places.reshape(-1, heads * width)[order]):
            return None
        out: int = dense.spec.out_features  # type: ignore[attr-defined]
        results = (order[:, None] * out + np.arange(out)).reshape(*moved.shape[:-1], out)
        final = _moved(results, after)
        wanted = np.arange(batch * steps * out).reshape(batch, steps, out)
        if final is None or final.ndim != 3:
            return None
        return next((axis for axis in (0, 1) if np.array_equal(final, wanted.swapaxes(0, axis))), None)

    def follow(self, node: Node) -> tuple[list[Node], Node | None]:
        """The moves of axes behind a node, as far as each has one use; then what uses the last."""
        chain: list[Node] = []
        while True:
            value = Value(node.name)
            users = self.consumers.get(value, [])
            if len(users) != 1 or value in self.outputs:
                return chain, None
            (node,) = users
            if not isinstance(node.spec, MOVES):
                return chain, node
            chain.append(node)

    def rows(self, weight: Weight, start: int, size: int) -> Weight:
        """Some rows of a weight as a weight of their own."""
        if weight.shape[0] == size:
            return weight
        key = f"{weight.key}[{start}:{start + size}]"
        whole = weight.apply(self.arrays[weight.key].tensor.detach())
        self.arrays[key] = TensorSource(whole[start : start + size])
        self.computed[key] = Computed(((Rows(weight, start, start + size),),))
        return Weight.of(key, (size, *weight.shape[1:]), weight.dtype)

    def shape(self, value: Value) -> tuple[int | None, ...]:
        """The shape of a value."""
        return self.nodes[value.node].shapes[value.index]


def _numbered(shape: tuple[int | None, ...], batch: int) -> Any:
    """An array of the shape whose elements are their own places."""
    sizes = tuple(batch if size is None else size for size in shape)
    return np.arange(int(np.prod(sizes))).reshape(sizes)


def _moved(places: Any, chain: list[Node]) -> Any:
    """The places after moves of axes; None where one cannot be done to them."""
    for node in chain:
        try:
            if isinstance(node.spec, Permute):
                places = places.transpose(node.spec.axes)
            elif isinstance(node.spec, Slicing):
                places = places[tuple(slice(*i) if isinstance(i, tuple) else i for i in node.spec.items)]
            else:
                places = places.reshape(tuple(-1 if size is None else size for size in node.shapes[0]))
        except (ValueError, IndexError):
            return None
    return places


def _replaced(graph: Graph, region: _Region) -> Graph:
    """The graph with the layer in the place of the last node of its region; time-first sequences are turned."""
    layer, last, batch = region.layer, region.last, region.batch
    turn = Permute(axes.move_axis(3, 0, 1))
    nodes, shapes = list(graph.nodes), graph.by_name()
    place = next(index for index, node in enumerate(nodes) if node.name == last.name)
    new: list[Node] = []
    inputs: list[Value] = []
    for index, (value, axis) in enumerate(region.inputs):
        shape = shapes[value.node].shapes[value.index]
        if axis == 1:
            turned = axes.apply(shape, turn.axes)
            name = unique(f"{layer.name}.batch_first{index}", graph.by_name())
            new.append(Node(name, turn, (value,), {}, (turned,), layer.layer, kind="layout"))
            inputs.append(Value(name))
        else:
            inputs.append(value)
    first = shapes[last.name].shapes[0]
    shape = first if batch == 0 else axes.apply(first, turn.axes)
    made = replace(
        layer, name=unique(f"{layer.name}.attention", graph.by_name()), inputs=tuple(inputs), shapes=(shape,)
    )
    end = made
    new.append(made)
    if batch == 1:
        name = unique(f"{layer.name}.time_first", graph.by_name())
        end = Node(name, turn, (Value(made.name),), {}, (first,), layer.layer, kind="layout")
        new.append(end)
    nodes[place + 1 : place + 1] = new
    result = replace(graph, nodes=tuple(nodes)).rebuilt({}, {Value(last.name): Value(end.name)})
    result = without_unused(result)
    return result if layer.name in result.by_name() else _renamed(result, made.name, layer.name)


def _renamed(graph: Graph, old: str, new: str) -> Graph:
    """The graph with a node of another name."""
    return graph.rebuilt({old: replace(graph.by_name()[old], name=new)}, {Value(old): Value(new)})
