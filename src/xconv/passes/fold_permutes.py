"""Flatten order into the weights behind it, and reshapes into one.

before   x (N,C,H,W) -> Permute(0,2,3,1) -> Flatten -> Dropout -> Dense(W)
after    x (N,C,H,W) -> Flatten -> Dropout -> Dense(W with its columns in C,H,W order)

before   Reshape -> Reshape                        after   the second Reshape
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from xconv import axes
from xconv.graph import Graph, Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.dense import Dense
from xconv.layers.reshape import Flatten, Permute, Regroup, Reshape
from xconv.passes.without_unused import without_unused
from xconv.spec import Order, Shape
from xconv.weights import Weight

__all__ = ["fold_flatten", "merge_reshapes"]


def fold_flatten(graph: Graph) -> Graph:
    """The graph with the layout's permutes before Flatten folded into the Dense and BatchNorm weights behind."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    held = dict(graph.held)
    shared = {node.layer for node in graph.nodes if node.call}
    for node in graph.nodes:
        permute = _layout_permute(node, nodes)
        if permute is None or None in permute.shapes[0][1:]:
            continue
        behind = _reaches_only_weights(Value(node.name), consumers, outputs)
        if behind is None or any(user.layer in shared for user in behind):
            continue  # a layer that is called twice has one kernel, for both orders
        written, back = permute.shapes[0][1:], axes.inverse(permute.spec.axes)  # type: ignore[attr-defined]
        changes[node.name] = replace(node, inputs=permute.inputs)
        if consumers[Value(permute.name)] == [node]:
            changes[permute.name] = None
        for user in behind:
            changes[user.name] = _reordered(user, written, back)
            if not isinstance(user.spec, Dense):
                held[Value(user.name)] = ()
        held[Value(node.name)] = ()
    return replace(graph.rebuilt(changes), held=held) if changes else graph


def merge_reshapes(graph: Graph) -> Graph:
    """The graph with chains of reshapes as one, and without those that change nothing."""
    nodes = graph.by_name()
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        if not isinstance(node.spec, (Reshape, Flatten, Regroup)) or None in node.shapes[0][1:]:
            continue
        before = nodes[node.inputs[0].node]
        if _are_one(before, node):
            first = changes.get(before.name) or before
            node = replace(_owned(node, first), inputs=first.inputs)  # noqa: PLW2901
            changes[node.name] = node
        if nodes[node.inputs[0].node].shapes[node.inputs[0].index] == node.shapes[0] and node.kind == "layout":
            aliases[Value(node.name)] = node.inputs[0]
            changes[node.name] = None
    return without_unused(graph.rebuilt(changes, aliases), (Reshape, Permute, Flatten, Regroup)) if changes else graph


def _are_one(before: Node, node: Node) -> bool:
    """Whether two reshapes, one behind the other, are the second alone: the batch apart, or all sizes known."""
    kinds = Regroup if isinstance(node.spec, Regroup) else (Reshape, Flatten)
    if not isinstance(before.spec, kinds):
        return False
    known = None not in (*before.shapes[0], *node.shapes[0])
    return known if isinstance(node.spec, Regroup) else before.shapes[0][0] is None


def _owned(node: Node, first: Node) -> Node:
    """Layout's own reshape, as belonging to the layer whose reshape it takes the place of."""
    if node.kind != "layout" or first.kind == "layout":
        return node
    return replace(node, layer=first.layer, part=first.part, call=first.call, kind=first.kind)


def _layout_permute(node: Node, nodes: dict[str, Node]) -> Node | None:
    """The layout's own Permute before a Flatten, or before a Reshape to one axis."""
    flat = isinstance(node.spec, Flatten) or (isinstance(node.spec, Reshape) and len(node.spec.target) == 1)
    if not flat:
        return None
    before = nodes[node.inputs[0].node]
    return before if isinstance(before.spec, Permute) and before.kind == "layout" else None


def _reaches_only_weights(value: Value, consumers: dict[Value, list[Node]], outputs: set[Value]) -> list[Node] | None:
    """Every node behind a flat value up to the Dense layers; None where something else sees its order."""
    found: list[Node] = []
    wanted = [value]
    while wanted:
        current = wanted.pop()
        if current in outputs:
            return None
        for user in consumers.get(current, []):
            single = len(user.inputs) == 1
            if isinstance(user.spec, Dense):
                found.append(user)
            elif single and (user.spec.order is Order.ANY or isinstance(user.spec, BatchNorm)):
                found.append(user)
                wanted.append(Value(user.name))
            else:
                return None
    return found


def _reordered(node: Node, written: Shape, back: axes.Order) -> Node:
    """The node with the flattened axis of its weights in the order in which the tensor is held."""
    shape = tuple(size or 1 for size in written)
    order = tuple(axis - 1 for axis in back[1:])

    def turn(weight: Weight) -> Weight:
        *rest, last = weight.shape
        if last != prod(shape):
            return weight
        lead = tuple(range(len(rest)))
        split = weight.reshape((*rest, *shape))
        return split.transpose((*lead, *(len(rest) + axis for axis in order))).reshape(weight.shape)

    if isinstance(node.spec, Dense):
        weights = {role: turn(w) if role == "kernel" else w for role, w in node.weights.items()}
        note = "its kernel is reordered from (H, W, C) to (C, H, W)"
        return replace(node, weights=weights, notes=(*node.notes, note))
    return replace(node, weights={role: turn(weight) for role, weight in node.weights.items()})
