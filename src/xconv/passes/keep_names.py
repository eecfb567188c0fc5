"""Names of Keras layers where a converted module is read again, and idioms as the layers that spelled them out.

before   block_reshape_reshape: Reshape, put by layout for the layer block_reshape      after   block_reshape
before   Activation(hard_sigmoid), noted as add, re_lu, multiply                        after   these three
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from xconv.graph import Graph, Node, Value, map_structure
from xconv.layers.activation import Activation
from xconv.layers.elementwise import Elementwise
from xconv.spec import Slot, Spec

__all__ = ["idiom_notes", "keep_names", "unfold_idioms"]

SPELLED = "hard_sigmoid was spelled out as "
STEPS: tuple[tuple[Spec, str], ...] = (
    (Elementwise("add", (Slot(0), 3.0)), "ops.Add"),
    (Activation("relu6"), "ReLU"),
    (Elementwise("multiply", (Slot(0), 1 / 6)), "ops.Multiply"),
)


def keep_names(graph: Graph) -> Graph:
    """The graph with what alone stands for a layer called as that layer."""
    taken = {node.name for node in graph.nodes}
    owned = Counter(node.layer for node in graph.nodes)
    names = {
        node.name: node.layer
        for node in graph.nodes
        if node.kind[:1].isupper() and owned[node.layer] == 1 and node.layer and node.layer not in taken
    }
    return _renamed(graph, names) if names else graph


def _renamed(graph: Graph, names: dict[str, str]) -> Graph:
    """The graph with nodes under other names."""

    def value(item: Value) -> Value:
        return replace(item, node=names.get(item.node, item.node))

    nodes = tuple(
        replace(node, name=names.get(node.name, node.name), inputs=tuple(map(value, node.inputs)))
        for node in graph.nodes
    )
    inputs, outputs = map_structure(value, graph.inputs), map_structure(value, graph.outputs)
    held = {value(item): order for item, order in graph.held.items()}
    return replace(graph, nodes=nodes, inputs=inputs, outputs=outputs, held=held)


def idiom_notes(notes: tuple[str, ...]) -> tuple[str, ...]:
    """The notes that tell of layers which one operation stands for."""
    return tuple(note for note in notes if note.startswith(SPELLED))


def unfold_idioms(graph: Graph) -> Graph:
    """The graph with relu6(x + 3) / 6 as the layers that it was in the Keras model."""
    taken = {node.name for node in graph.nodes}
    nodes: list[Node] = []
    for node in graph.nodes:
        names = _names(node)
        if len(names) != len(STEPS) or names[-1] != node.name or taken & set(names[:-1]):
            nodes.append(node)
            continue
        rest = tuple(note for note in node.notes if note not in idiom_notes(node.notes))
        inputs = node.inputs
        for name, (spec, kind) in zip(names, STEPS, strict=True):
            made = replace(node, name=name, layer=name, spec=spec, kind=kind, inputs=inputs, notes=())
            nodes.append(made)
            inputs = (Value(name),)
        nodes[-1] = replace(nodes[-1], notes=rest)
        taken.update(names)
    held = dict(graph.held)
    for node in nodes:
        if node.inputs and node.inputs[0] in held and Value(node.name) not in held and node.spec in dict(STEPS):
            held[Value(node.name)] = held[node.inputs[0]]
    return replace(graph, nodes=tuple(nodes), held=held)


def _names(node: Node) -> list[str]:
    """The layers that spelled the node out in a Keras model; empty where there were none."""
    notes = idiom_notes(node.notes)
    if len(notes) != 1 or node.spec != Activation("hard_sigmoid") or not node.kind[:1].isupper():
        return []
    return notes[0].removeprefix(SPELLED).split(", ")
