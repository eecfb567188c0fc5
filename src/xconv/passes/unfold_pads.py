"""Pads as the layers of a Keras model that they were, where a module that xconv made of it is read again.

before   Conv(7x7, padding 3), noted as holding conv1_pad      after   conv1_pad: Pad(3) -> Conv(7x7, valid)
before   Pad((0, 1)) -> Conv(stride 2), both of one layer      after   Conv(stride 2, padding (0, 1)), which is 'same'
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xconv.graph import Graph, Node, Value
from xconv.layers.conv import Conv
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.pool import Pool
from xconv.padding import zero_pads
from xconv.passes.fold_pads import around
from xconv.passes.not_negative import not_negative
from xconv.spec import Spec

__all__ = ["pad_notes", "unfold_pads"]

BEFORE, AFTER = "the padding of ", " is part of it"


def pad_notes(notes: tuple[str, ...]) -> tuple[str, ...]:
    """The notes that tell of a padding layer."""
    return tuple(note for note in notes if note.startswith(BEFORE) and note.endswith(AFTER))


def unfold_pads(graph: Graph) -> Graph:
    """The graph with the paddings of the source model in their own layers, and those of its layers inside them."""
    return _out_of_layers(_into_layers(graph))


def _is_keras(node: Node) -> bool:
    """Whether the node was a layer of a Keras model."""
    return node.kind[:1].isupper()


def _into_layers(graph: Graph) -> Graph:
    """A pad and the convolution or pool of the same layer as one."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        value = Value(node.name)
        users = consumers.get(value, [])
        if not _is_keras(node) or len(users) != 1 or value in outputs:
            continue
        (user,) = users
        if (user.layer, user.call, user.kind) == (node.layer, node.call, node.kind) and node.layer:
            spec = _inside(node.spec, nodes[user.name].spec)
            if spec is not None:
                changes[user.name], changes[node.name] = replace(user, spec=spec), None
                aliases[value] = node.inputs[0]
    return graph.rebuilt(changes, aliases) if changes else graph


def _inside(pad: Spec, spec: Spec) -> Spec | None:
    """The convolution or max pool with the pads before it; None where they are not of that kind."""
    if not isinstance(pad, (Pad, PadAxes)) or not isinstance(spec, (Conv, Pool)) or spec.padding is None:
        return None
    pads, value = around(pad, spec)
    fits = value == 0 if isinstance(spec, Conv) else spec.kind == "max" and value == float("-inf")
    if pads is None or not fits or any(map(any, spec.padding)) or any(size < 0 for pair in pads for size in pair):
        return None
    total: dict[str, Any] = {"padding": pads}
    return replace(spec, **total)


def _out_of_layers(graph: Graph) -> Graph:
    """The padding layers that were folded when the module was made, in front of what they were folded into."""
    taken, safe = set(graph.by_name()), not_negative(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        notes = pad_notes(node.notes)
        name = notes[0].removeprefix(BEFORE).removesuffix(AFTER) if len(notes) == 1 else ""
        pads = _unfolded(node, name, safe=bool(node.inputs) and node.inputs[0] in safe)
        if pads is None or name in taken:
            nodes.append(node)
            continue
        shape = pads.out_shape(graph.shape(node.inputs[0]))
        nodes.append(Node(name, pads, node.inputs, {}, (shape,), name, kind=f"ZeroPadding{len(pads.pads)}D"))
        bare: dict[str, Any] = {"padding": zero_pads(len(pads.pads))}
        rest = tuple(note for note in node.notes if note not in notes)
        nodes.append(replace(node, spec=replace(node.spec, **bare), inputs=(Value(name),), notes=rest))
        taken.add(name)
    held = dict(graph.held)
    for node in nodes:
        if node.name not in graph.by_name() and node.inputs[0] in held:
            held[Value(node.name)] = held[node.inputs[0]]
    return replace(graph, nodes=tuple(nodes), held=held)


def _unfolded(node: Node, name: str, *, safe: bool) -> Pad | None:
    """The padding layer that is inside the node; None where taking it out is not exact, or it was none."""
    spec = node.spec
    if not name or not _is_keras(node) or name.startswith(f"{node.name}."):
        return None
    if not isinstance(spec, (Conv, Pool)) or spec.padding is None or not any(map(any, spec.padding)):
        return None
    if isinstance(spec, Pool) and not (spec.kind == "max" and safe):
        return None
    return Pad(spec.padding, spec.axis)
