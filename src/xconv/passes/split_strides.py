"""Convolutions that Keras has no layer for, in two: stride with dilation, and crops of transposed convolutions.

    before   Conv(stride 2, dilation 2)                 after   Conv(dilation 2) -> every second place
    before   ConvTranspose(crop (1, 0))                 after   ConvTranspose(no crop) -> Pad(-1, 0)

`join_strides` is the way back, for a network that Keras wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xconv import axes
from xconv.graph import Graph, Node, Value, map_structure, unique
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.pad import Pad
from xconv.layers.slicing import WHOLE, Item, Slicing
from xconv.spec import Shape, Spec

__all__ = ["join_strides", "split_strides"]


def split_strides(graph: Graph) -> Graph:
    """The graph with strides of dilated convolutions, and crops without a Keras word, as nodes behind them."""
    parts = {node.name: _parts(node) for node in graph.nodes}
    if not any(parts.values()):
        return graph
    taken = set(parts)
    moved: dict[Value, Value] = {}
    held = dict(graph.held)
    nodes: list[Node] = []
    for old in graph.nodes:
        node = replace(old, inputs=tuple(moved.get(value, value) for value in old.inputs))
        found = parts[old.name]
        if found is None:
            nodes.append(node)
            continue
        first, second, word = found
        before = graph.shape(old.inputs[0])
        name = unique(f"{node.name}.{word}", taken)
        taken.add(name)
        whole = replace(node, spec=first, shapes=first.out_shapes(before))
        rest = replace(node, name=name, spec=second, inputs=(Value(node.name),), weights={}, part=word, notes=())
        nodes += [whole, rest]
        moved[Value(node.name)] = Value(name)
        if Value(node.name) in held:
            held[Value(name)] = held[Value(node.name)]
    outputs = map_structure(lambda value: moved.get(value, value), graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs, held=held)


def join_strides(graph: Graph) -> Graph:
    """The graph with the slices and crops that `split_strides` makes inside the convolutions before them."""
    consumers, outputs = graph.consumers(), set(graph.output_values())
    called_again = {node.layer for node in graph.nodes if node.call}
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        users = consumers.get(Value(node.name), [])
        if len(users) != 1 or Value(node.name) in outputs or node.layer in called_again:
            continue
        spec = _whole(node.spec, users[0].spec, node.shapes[0])
        if spec is not None:
            changes[node.name] = replace(node, spec=spec, shapes=users[0].shapes)
            changes[users[0].name] = None
            aliases[Value(users[0].name)] = Value(node.name)
    return graph.rebuilt(changes, aliases) if changes else graph


def _parts(node: Node) -> tuple[Spec, Spec, str] | None:
    """What a convolution is for Keras, what follows it, and the word for that; None where it is one layer."""
    spec = node.spec
    if isinstance(spec, Conv) and spec.padding is not None and max(spec.stride) > 1 and max(spec.dilation) > 1:
        steps = iter(spec.stride)
        rank = len(spec.kernel) + 2
        still = (0, axes.normal(spec.axis, rank))
        items = tuple(WHOLE if place in still else _step(next(steps)) for place in range(rank))
        return replace(spec, stride=(1,) * len(spec.stride)), Slicing(items), "stride"
    if isinstance(spec, ConvTranspose) and not spec.in_keras():
        tail = tuple((0, min(after, 0)) for _, after in spec.crop)
        crop = tuple((-before, -max(after, 0)) for before, after in spec.crop)
        return replace(spec, crop=tail), Pad(crop, spec.axis), "crop"
    return None


def _whole(first: Spec, second: Spec, between: Shape) -> Spec | None:
    """The one Spec that both together are; None where they are not what `split_strides` makes, or a plain crop."""
    if isinstance(first, Conv) and isinstance(second, Slicing) and max(first.dilation) > 1 == max(first.stride):
        rank = len(first.kernel) + 2
        axis = axes.normal(first.axis, rank)
        steps = _steps(second.items, axis) if len(second.items) == rank and first.padding is not None else None
        return replace(first, stride=steps) if steps else None
    if isinstance(first, ConvTranspose) and isinstance(second, Slicing):
        second = _crop(second.items, between, axes.normal(first.axis, len(between))) or second
    if isinstance(first, ConvTranspose) and isinstance(second, Pad):
        same_axis = axes.normal(first.axis, len(first.kernel) + 2) == axes.normal(second.axis, len(first.kernel) + 2)
        crops = all(size <= 0 for pair in second.pads for size in pair)
        if same_axis and crops:
            both = zip(first.crop, second.pads, strict=True)
            joined = replace(first, crop=tuple((a - c, b - d) for (a, b), (c, d) in both))
            return joined if joined.in_torch() else None
    return None


def _crop(items: Sequence[Item], shape: Shape, axis: int) -> Pad | None:
    """The slices as a crop of the spatial axes; None where they do anything else."""
    found = []
    for place, (item, size) in enumerate(zip(items, shape, strict=False)):
        if not isinstance(item, tuple) or item[2] not in (None, 1) or (place in (0, axis) and item != WHOLE):
            return None
        start, stop = item[0] or 0, item[1]
        if stop is not None and stop > 0:
            stop = None if size is None else min(stop - size, 0)
            if stop is None:
                return None
        if start < 0 or item[1] == 0:
            return None
        if place not in (0, axis):
            found.append((-start, stop or 0))
    return Pad(tuple(found), axis) if len(items) == len(shape) else None


def _step(step: int) -> Item:
    """Every `step`-th place."""
    return (None, None, step) if step > 1 else WHOLE


def _steps(items: Sequence[Item], axis: int) -> tuple[int, ...] | None:
    """The steps along the spatial axes; None where the key does more than take steps."""
    found = []
    for place, item in enumerate(items):
        if not isinstance(item, tuple) or item[:2] != (None, None) or (place in (0, axis) and item != WHOLE):
            return None
        if place not in (0, axis):
            found.append(item[2] or 1)
    return tuple(found)
