"""In which order each value of a graph is held: `resolve(graph, "first")` for torch, `"last"` for Keras.

Every value is written by its source in some order of axes, and held in another: `held = written.transpose(order)`.
A layer says by one word (`Spec.order`) what it asks for; this module knows no layers. It walks the graph once,
decides the order of each value, renames axes, and puts a `Permute` only where orders truly meet.

    before   x (N,H,W,C) -> Conv(axis=3) -> Softmax(axis=3) -> Flatten
    after    x (N,C,H,W) -> Conv(axis=1) -> Softmax(axis=1) -> Permute(0,2,3,1) -> Flatten

A reshape that joins or splits axes which lie side by side in memory either way is carried over to the order in which
they are held.

A `Permute` that the user wrote costs nothing by itself: it only changes which order the next value counts as written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from xconv import axes
from xconv.errors import InvalidInput, XConvError
from xconv.graph import Graph, Node, Value, map_structure, unique
from xconv.layers.io import Input, Variable
from xconv.layers.reshape import Permute, Regroup, Reshape, Unsqueeze
from xconv.spec import Order, Shape, Spec

__all__ = ["Layout", "Target", "resolve"]

Target = Literal["first", "last"]
Layout = Literal["channels_first", "channels_last"]


SEQUENCE = 3
"""The axes of a sequence: batch, steps, features."""


def resolve(
    graph: Graph, target: Target, input_layout: Layout | None = None, *, sequences_as_written: bool = False
) -> Graph:
    """The same function with every layer in the order that `target` wants.

    Inputs that feed spatial layers are taken, and outputs that come from them are returned, in the target's own layout
    where `input_layout` is that one (the default), otherwise as the source writes them; all others stay as written.
    `held` of the result tells the order of every value that is not held as written.

    A sequence made of a map may be held in either order. `sequences_as_written` holds it as the source writes it, so
    that two networks that say the same are held the same, wherever their layers stand.

    Raises:
        InvalidInput: `input_layout` is neither 'channels_first' nor 'channels_last'.
    """
    own: Layout = "channels_first" if target == "first" else "channels_last"
    asked = own if input_layout is None else input_layout
    if asked not in ("channels_first", "channels_last"):
        raise InvalidInput(f"input_layout={input_layout!r}", remedy="give 'channels_first' or 'channels_last'")
    resolver = _Resolver(graph, target, _demands(graph, target), asked == own, sequences_as_written)
    resolver.taken.update(node.name for node in graph.nodes if not isinstance(node.spec, Permute))
    for node in graph.nodes:
        try:
            resolver.add(node)
        except XConvError as error:
            raise error.at(node.name) from error
    return resolver.result()


def wanted(shape: Shape, axis: int, target: Target) -> axes.Order:
    """The order that a spatial layer whose channels are on `axis` asks for.

    >>> wanted((None, 8, 9, 3), 3, "first"), wanted((None, 3, 8, 9), 1, "first")
    ((0, 3, 1, 2), (0, 1, 2, 3))
    """
    rank = len(shape)
    return axes.move_axis(rank, axes.normal(axis, rank), 1 if target == "first" else rank - 1)


def _demands(graph: Graph, target: Target) -> dict[Value, axes.Order]:
    """For every value, the order that the first spatial layer downstream wants it in; walks backwards."""
    shapes = {Value(n.name, i): shape for n in graph.nodes for i, shape in enumerate(n.shapes)}
    demands: dict[Value, axes.Order] = {}
    for node in reversed(graph.nodes):
        for place, value in enumerate(node.inputs):
            if node.spec.order is Order.SPATIAL and place == 0:
                demands[value] = wanted(shapes[value], node.spec.axis, target)  # type: ignore[attr-defined]
            elif node.spec.order in (Order.ANY, Order.AXES):
                made = (demands.get(Value(node.name, index)) for index in range(len(node.shapes)))
                demand = next((order for order in made if order is not None), None)
                if demand is not None and len(demand) == len(shapes[value]):
                    demands.setdefault(value, demand)
    return demands


@dataclass(slots=True)
class _Resolver:
    """The state of one walk."""

    graph: Graph
    target: Target
    demands: Mapping[Value, axes.Order]
    keeps: bool
    """Whether inputs and outputs are in the target's own layout; otherwise they are as the source writes them."""
    sequences_as_written: bool
    nodes: list[Node] = field(default_factory=list)
    where: dict[Value, Value] = field(default_factory=dict)
    """For every value of the source graph, the value that holds it."""
    held: dict[Value, axes.Order] = field(default_factory=dict)
    """For every value of the source graph, the order in which it is held."""
    shapes: dict[Value, Shape] = field(default_factory=dict)
    """The held shapes of the values of the new graph."""
    made: dict[tuple[Value, axes.Order], Value] = field(default_factory=dict)
    written: dict[Value, Shape] = field(default_factory=dict)
    orders: dict[Value, axes.Order] = field(default_factory=dict)
    """For every value of the new graph that is not held as written, its order."""
    taken: set[str] = field(default_factory=set)
    images: set[Value] = field(default_factory=set)
    """The values of the source graph that spatial layers gave, through layers that keep their axes."""
    sequences: set[Value] = field(default_factory=set)
    """The values of the source graph that were made by a reshape, up to the next spatial layer."""
    waiting: dict[Value, Node] = field(default_factory=dict)
    """Free weights with one use, which decides the order in which they are held."""
    uses: Counter[Value] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.uses.update(value for node in self.graph.nodes for value in node.inputs)
        self.uses.update(self.graph.output_values())

    def add(self, node: Node) -> None:
        """Place one node of the source graph."""
        for index, shape in enumerate(node.shapes):
            self.written[Value(node.name, index)] = shape
        if isinstance(node.spec, Input):
            self._input(node)
        elif isinstance(node.spec, Permute):
            self._permute(node)
        elif isinstance(node.spec, (Reshape, Regroup)):
            self._reshape(node)
        elif isinstance(node.spec, Variable) and self.uses[Value(node.name)] == 1:
            self.waiting[Value(node.name)] = node
            self.held[Value(node.name)] = axes.identity(len(node.shapes[0]))
        elif node.spec.order is Order.ANY:
            self._elementwise(node)
        else:
            self._axes(node)

    def _input(self, node: Node) -> None:
        """An input that feeds spatial layers is taken in the target's layout where that is asked for."""
        value, rank = Value(node.name), len(node.shapes[0])
        order = self.demands.get(value, axes.identity(rank))
        taken = order if self.keeps else axes.identity(rank)
        spec = replace(node.spec, shape=axes.apply(node.shapes[0], taken))  # type: ignore[call-arg]
        self._put(node, replace(node, spec=spec), (), taken)
        if taken != order:
            self.where[value], self.held[value] = self._in_order(value, order), order

    def _permute(self, node: Node) -> None:
        """The same memory, counted in another order."""
        source = node.inputs[0]
        value = Value(node.name)
        self.where[value] = self._in_order(source, self.held[source])
        self.held[value] = axes.compose(axes.inverse(node.spec.axes), self.held[source])  # type: ignore[attr-defined]
        if source in self.sequences:
            self.sequences.add(value)

    def _reshape(self, node: Node) -> None:
        """Axes are joined and split as they are held where that is the same, else as the next layer wants them."""
        source, value = node.inputs[0], Value(node.name)
        before, after = self.written[source], node.shapes[0]
        wishes = [self.held[source]]
        if value in self.demands:
            wishes.append(axes.regrouped(after, before, self.demands[value]) or wishes[0])
        for order in (*wishes, axes.identity(len(before))):
            result = axes.regrouped(before, after, order)
            if result is None and axes.is_identity(order):
                result = axes.identity(len(after))
            if result is not None:
                spec = _reshaped(axes.apply(before, order), axes.apply(after, result), node.spec)
                self._put(node, replace(node, spec=spec), (self._in_order(source, order),), result)
                return

    def _elementwise(self, node: Node) -> None:
        """All inputs in one order."""
        rank = max((len(self.written[value]) for value in node.inputs), default=0)
        order = self._common(node, rank)
        merge = getattr(node.spec, "merge", False)
        inputs = tuple(self._aligned(value, order, merge=merge) for value in node.inputs)
        self._put(node, node, inputs, order if len(node.shapes[0]) == rank else axes.identity(len(node.shapes[0])))

    def _axes(self, node: Node) -> None:
        """A layer with axes of its own: SPATIAL asks for an order, AXES takes what it gets, WRITTEN the source's."""
        first = node.inputs[0] if node.inputs else None
        rank = len(self.written[first]) if first else 0
        order = axes.identity(rank)
        if first and node.spec.order is Order.SPATIAL:
            order = wanted(self.written[first], node.spec.axis, self.target)  # type: ignore[attr-defined]
        elif first and node.spec.order is Order.AXES:
            order = self._common(node, rank)
            if self.target == "last" and node.spec.keras_axis_last:
                axis = axes.normal(node.spec.axis, rank)  # type: ignore[attr-defined]
                order = (*(place for place in order if place != axis), axis)
        ranks = [len(self.written[value]) for value in node.inputs]
        inputs = tuple(
            self._in_order(value, order if own == rank else axes.identity(own))
            for value, own in zip(node.inputs, ranks, strict=True)
        )
        if node.spec.order is Order.WRITTEN or not first:
            self._put(node, node, inputs, axes.identity(len(node.shapes[0])))
            return
        moved = node.spec.moved(order, node.weights)
        out_rank = len(node.shapes[0])
        out = moved.order if len(moved.order) == out_rank else axes.identity(out_rank)
        self._put(node, replace(node, spec=moved.spec, weights=moved.weights), inputs, out)

    def _common(self, node: Node, rank: int) -> axes.Order:
        """The order in which inputs of this rank meet: as a layer behind wants it, as an image is held, or the first.

        What counts as written plays no part in it: else another one would be turned when the result is resolved again.
        """
        every = [value for value in node.inputs if len(self.written[value]) == rank and value not in self.waiting]
        sequence = not self.sequences.isdisjoint(every) or self.images.isdisjoint(every)
        if self.sequences_as_written and rank == SEQUENCE and sequence:
            return axes.identity(rank)
        wish = self.demands.get(Value(node.name))
        if any(self.held[value] == wish for value in every):
            return self.held[next(value for value in every if self.held[value] == wish)]
        first = next((value for value in every if value in self.images), next(iter(every), None))
        return axes.identity(rank) if first is None else self.held[first]

    def _put(self, old: Node, new: Node, inputs: tuple[Value, ...], order: axes.Order) -> None:
        """Add a node whose outputs are held in `order`."""
        shapes = tuple(axes.apply(shape, order) if len(shape) == len(order) else shape for shape in old.shapes)
        self._append(replace(new, inputs=inputs, shapes=shapes), order)
        values = [Value(old.name, index) for index in range(len(shapes))]
        spatial = old.spec.order is Order.SPATIAL
        if isinstance(old.spec, Reshape) or not (spatial or self.sequences.isdisjoint(old.inputs)):
            self.sequences.update(values)
        image = spatial or not self.images.isdisjoint(old.inputs)
        if image or (isinstance(old.spec, Input) and Value(old.name) in self.demands):
            self.images.update(values)
        for index, shape in enumerate(shapes):
            value = Value(old.name, index)
            self.where[value] = value
            self.held[value] = order if len(shape) == len(order) else axes.identity(len(shape))

    def _in_order(self, value: Value, order: axes.Order) -> Value:
        """The value held in `order`, through a Permute (or a Reshape, where only axes of size 1 move)."""
        if value in self.waiting:
            self._settle(value, order)
        source = self.where[value]
        step = axes.compose(axes.inverse(self.held[value]), order)
        if axes.is_identity(step):
            return source
        if (source, step) not in self.made:
            shape = axes.apply(self.shapes[source], step)
            only_ones = axes.moves_only_ones(self.shapes[source], step) and None not in shape[1:]
            batched = shape[0] is None and self.shapes[source][0] is None
            spec = Reshape(shape[1:]) if only_ones and batched else Permute(step)
            self.made[source, step] = self._rearranged(source, spec, shape, order)
        return self.made[source, step]

    def _aligned(self, value: Value, order: axes.Order, *, merge: bool) -> Value:
        """A value of lower rank with axes of size 1 where broadcasting puts them, in `order`."""
        rank = len(self.written[value])
        if rank == len(order):
            return self._in_order(value, order)
        if value in self.waiting and not merge:
            return self._settle_spread(value, order)
        source = self._in_order(value, axes.identity(rank))
        new = (None,) * (len(order) - rank)
        full = (*range(min(rank, 1)), *new, *range(1, rank)) if merge else (*new, *range(rank))
        places = axes.apply(full, order)
        while not merge and places and places[0] is None:
            places = places[1:]
        if places == tuple(range(rank)):
            return source
        key = (source, (-1, *order))
        if key not in self.made:
            self.made[key] = self._spread(source, places)
        return self.made[key]

    def _settle(self, value: Value, order: axes.Order) -> None:
        """Place a free weight that was waiting for its use, its numbers in that order."""
        node = self.waiting.pop(value)
        weights = {role: weight.transpose(order) for role, weight in node.weights.items()}
        spec = Variable(axes.apply(node.shapes[0], order))  # type: ignore[arg-type]
        self._put(node, replace(node, spec=spec, weights=weights), (), order)

    def _settle_spread(self, value: Value, order: axes.Order) -> Value:
        """Place a free weight of lower rank, with axes of size 1 where broadcasting needs them (not in front)."""
        shape = self.written[value]
        places = axes.apply((*(None,) * (len(order) - len(shape)), *range(len(shape))), order)
        while places and places[0] is None:
            places = places[1:]
        if places == axes.identity(len(shape)):
            return self._in_order(value, places)
        node = self.waiting.pop(value)
        kept = tuple(axis for axis in places if axis is not None)
        sizes = tuple(1 if axis is None else shape[axis] or 1 for axis in places)
        weights = {role: weight.transpose(kept).reshape(sizes) for role, weight in node.weights.items()}
        self._append(replace(node, spec=Variable(sizes), weights=weights, shapes=(sizes,)), axes.identity(len(sizes)))
        return Value(node.name)

    def _spread(self, source: Value, places: Sequence[int | None]) -> Value:
        """Axes of the source, or new axes of size 1 (None), in the sequence given."""
        kept = tuple(axis for axis in places if axis is not None)
        if not axes.is_identity(kept):
            source = self._rearranged(source, Permute(kept), axes.apply(self.shapes[source], kept), kept)
        if None not in places:
            return source
        sizes = iter(self.shapes[source])
        shape = tuple(1 if axis is None else next(sizes) for axis in places)
        spec = Unsqueeze(tuple(place for place, axis in enumerate(places) if axis is None))
        return self._rearranged(source, spec, shape, axes.identity(len(shape)))

    def _rearranged(self, source: Value, spec: Spec, shape: Shape, order: axes.Order) -> Value:
        """Add a node that only rearranges."""
        name = unique(f"{source.node}_{type(spec).__name__.lower()}", self.taken)
        self._append(Node(name, spec, (source,), {}, (shape,), kind="layout"), order)
        return Value(name)

    def _append(self, node: Node, order: axes.Order) -> None:
        self.nodes.append(node)
        self.taken.add(node.name)
        for index, shape in enumerate(node.shapes):
            self.shapes[Value(node.name, index)] = shape
            if len(shape) == len(order) and not axes.is_identity(order):
                self.orders[Value(node.name, index)] = order

    def result(self) -> Graph:
        """The new graph; outputs that are not in the layout asked for are brought into it."""
        returned: list[axes.Order] = []

        def output(value: Value) -> Value:
            order, rank = self.held[value], len(self.written[value])
            native = axes.channels_first(rank) if self.target == "first" else axes.channels_last(rank)
            keep = self.keeps and rank > 2 and order == native and value in self.images
            returned.append(order if keep else axes.identity(rank))
            return self._in_order(value, returned[-1])

        outputs = map_structure(output, self.graph.outputs)
        return replace(self.graph, nodes=tuple(self.nodes), outputs=outputs, held=self.orders, returned=tuple(returned))


def _reshaped(before: Shape, after: Shape, written: Spec) -> Spec:
    """The reshape between two held shapes; the batch stays out of it where it is in front of both and was so before."""
    if isinstance(written, Reshape) and before[:1] == after[:1] == (None,):
        return Reshape(after[1:])
    return written if isinstance(written, Reshape) and after.count(None) > 1 else Regroup(after)
