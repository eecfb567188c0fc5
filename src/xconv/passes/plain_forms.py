"""One spelling for sums, scales and joins that the two frameworks' networks spell differently.

before   ScaledAdd(x, y, 0.1)                      after   x + y * 0.1
before   x * Variable (C, 1, 1)                    after   Scale(x), the vector its weight
before   Concat(Concat(x, y), z)                   after   Concat(x, y, z)
before   zeros around a map, then a crop           after   one Pad
before   a Pad that crops and pads                 after   a crop, then a pad
before   a Pad with two users                      after   a Pad for each
before   Variable with a weight called places      after   Variable with a weight called value
"""

from __future__ import annotations

from dataclasses import replace

from xconv import axes
from xconv.graph import Graph, Node, Value, unique
from xconv.layers.concat import Concat
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.scale import Scale, ScaledAdd
from xconv.passes.without_unused import without_unused
from xconv.spec import Shape, Slot, Spec

__all__ = ["join_concats", "join_pads", "name_scales", "name_variables", "spell_sums", "split_crops", "split_pads"]

BOTH = (Slot(0), Slot(1))


def spell_sums(graph: Graph) -> Graph:
    """The graph with every weighted sum as a product and a sum."""
    if not any(isinstance(node.spec, ScaledAdd) for node in graph.nodes):
        return graph
    shapes, names = graph.value_shapes(), {node.name for node in graph.nodes}
    nodes: list[Node] = []
    for node in graph.nodes:
        if not isinstance(node.spec, ScaledAdd):
            nodes.append(node)
            continue
        first, second = node.inputs
        name = unique(f"{node.name}/scaled", names)
        names.add(name)
        product = Elementwise("multiply", (Slot(0), node.spec.scale))
        nodes.append(replace(node, name=name, spec=product, inputs=(second,), shapes=(shapes[second],)))
        nodes.append(replace(node, spec=Elementwise("add", BOTH, merge=True), inputs=(first, Value(name))))
    return replace(graph, nodes=tuple(nodes))


def name_variables(graph: Graph) -> Graph:
    """The graph with the one weight of every free tensor by one name, whatever its source calls it."""
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        if isinstance(node.spec, Variable) and "value" not in node.weights:
            (weight,) = node.weights.values()
            changes[node.name] = replace(node, weights={"value": weight})
    return graph.rebuilt(changes) if changes else graph


def name_scales(graph: Graph) -> Graph:
    """The graph with products of a tensor and a free vector along one axis as a Scale."""
    known, shapes = graph.by_name(), graph.value_shapes()
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        spec = node.spec
        if not isinstance(spec, Elementwise) or spec.name != "multiply" or spec.operands != BOTH:
            continue
        variables = [value for value in node.inputs if isinstance(known[value.node].spec, Variable)]
        if len(variables) != 1:
            continue
        (vector,) = variables
        other = next(value for value in node.inputs if value != vector)
        axis = _along(shapes[vector], shapes[other])
        if axis is not None and shapes[other] == node.shapes[0]:
            ((_, weight),) = known[vector.node].weights.items()
            features = max(weight.shape)
            owner = known[vector.node]
            scale = {"gamma": weight.reshape((features,))}
            changes[node.name] = replace(
                node, spec=Scale(features, axis), inputs=(other,), weights=scale, trainable=owner.trainable
            )
    return without_unused(graph.rebuilt(changes), (Variable,)) if changes else graph


def _along(vector: Shape, tensor: Shape) -> int | None:
    """The one axis of the tensor along which the vector changes; None where there is none, or it is the batch."""
    long = [place - len(vector) for place, size in enumerate(vector) if size != 1]
    if len(long) != 1 or -long[0] >= len(tensor) or tensor[long[0]] != vector[long[0]]:
        return None
    return axes.normal(long[0], len(tensor))


def join_concats(graph: Graph) -> Graph:
    """The graph with every concatenation of concatenations along the same axis as one."""
    known = graph.by_name()
    joined: dict[str, Node] = {}
    for node in graph.nodes:
        if not isinstance(node.spec, Concat):
            continue
        parts: list[Value] = []
        for value in node.inputs:
            before = joined.get(value.node)
            same = before is not None and isinstance(known[value.node].spec, Concat) and before.spec == node.spec
            parts.extend(before.inputs if before is not None and same else (value,))
        joined[node.name] = replace(node, inputs=tuple(parts))
    return without_unused(graph.rebuilt(dict(joined)), (Concat,)) if joined else graph


def join_pads(graph: Graph) -> Graph:
    """The graph with zero pads by one name, and a pad behind a pad as one: what is put there may be cropped again."""
    changes: dict[str, Node | None] = {}
    pads: dict[Value, Node] = {}
    for old in graph.nodes:
        spec = _spatial_pad(old.spec)
        if spec is None:
            continue
        node = replace(old, spec=spec)
        before = pads.get(node.inputs[0])
        if before is not None and isinstance(before.spec, Pad) and min(map(min, before.spec.pads)) >= 0:
            both = zip(before.spec.pads, spec.pads, strict=True)
            sums = tuple((first + more, last + again) for (first, last), (more, again) in both)
            node = replace(node, spec=replace(spec, pads=sums), inputs=before.inputs)
        pads[Value(node.name)] = changes[node.name] = node
    return without_unused(graph.rebuilt(changes), (Pad,)) if changes else graph


def _spatial_pad(spec: Spec) -> Pad | None:
    """The pad of a map by zeros that it is, if it is one."""
    if isinstance(spec, Pad):
        return spec
    if not isinstance(spec, PadAxes) or spec.mode != "constant" or spec.value != 0 or len(spec.pads) < len("NCW"):
        return None
    return None if any(map(any, spec.pads[:2])) else Pad(spec.pads[2:], 1)


def split_crops(graph: Graph) -> Graph:
    """The graph with every Pad that adds here and crops there as a crop and a pad behind it."""
    shapes, names = graph.value_shapes(), {node.name for node in graph.nodes}
    nodes: list[Node] = []
    for node in graph.nodes:
        pads = node.spec.pads if isinstance(node.spec, Pad) else ()
        crop = tuple((min(before, 0), min(after, 0)) for before, after in pads)
        more = tuple((max(before, 0), max(after, 0)) for before, after in pads)
        if not isinstance(node.spec, Pad) or not any(map(any, crop)) or not any(map(any, more)):
            nodes.append(node)
            continue
        name = unique(f"{node.name}/crop", names)
        names.add(name)
        first = replace(node.spec, pads=crop)
        nodes.append(replace(node, name=name, spec=first, shapes=(first.out_shape(shapes[node.inputs[0]]),)))
        nodes.append(replace(node, spec=replace(node.spec, pads=more), inputs=(Value(name),)))
    return replace(graph, nodes=tuple(nodes))


def split_pads(graph: Graph) -> Graph:
    """The graph with a pad for each of its users, so that each may take it in."""
    users, names = graph.consumers(), {node.name for node in graph.nodes}
    nodes: list[Node] = []
    copies: dict[tuple[str, Value], Value] = {}
    for node in graph.nodes:
        taken = tuple(copies.get((node.name, value), value) for value in node.inputs)
        nodes.append(replace(node, inputs=taken))
        if isinstance(node.spec, Pad):
            for user in users.get(Value(node.name), ())[1:]:
                name = unique(node.name, names)
                names.add(name)
                nodes.append(replace(nodes[-1], name=name))
                copies[user.name, Value(node.name)] = Value(name)
    return replace(graph, nodes=tuple(nodes)) if copies else graph
