"""What a torch module remembers of the Keras model that it was made of: its `Record`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from xconv.graph import Graph, Node, Value
from xconv.torch.names import identifier
from xconv.torch.ports import order_of, ports_of
from xconv.torch.record import MappedWeight, Place, Record, Source
from xconv.weights import Weight

__all__ = ["record_of"]


def record_of(graph: Graph, input_layout: str, names: Mapping[Weight, Sequence[str]]) -> Record:
    """The record of a module that was written from a graph which was resolved to channels-first.

    `names` are the state_dict names of every weight. Its places are keyed by the nodes of the module's fx graph.
    """
    inputs, outputs = ports_of(graph, lambda node: node.layer or node.name)
    held: dict[str, list[Weight]] = {}
    for weight in names:
        held.setdefault(weight.key, []).append(weight)  # a module may hold it in another shape than the graph
    mapped = dict.fromkeys(
        MappedWeight(names[form][0], node.layer, role, form)
        for node in graph.nodes
        for role, weight in node.weights.items()
        for form in held.get(weight.key, ())
        if weight.constant is None
    )
    mapped |= dict.fromkeys(
        MappedWeight(names[weight][0], node.layer, f"{role}_lora_{part}", weight)
        for node in graph.nodes
        for role, held_weight in node.weights.items()
        for part, weight in _matrices(graph, held_weight)
        if weight in names
    )
    used = {found.weight.key for found in mapped}
    unused = tuple(key for key in graph.arrays if key not in used)
    notes, places = tuple(_notes(graph, held)), dict(_places(graph))
    return Record(
        graph.name, input_layout, inputs, outputs, places, tuple(mapped), notes, unused, dict(_sources(graph))
    )


def _matrices(graph: Graph, weight: Weight) -> Iterator[tuple[str, Weight]]:
    """What LoRA keeps beside a weight."""
    found = graph.low_rank.get(weight.key)
    if found is not None:
        yield from (("a", found.a), ("b", found.b))


def _places(graph: Graph) -> Iterator[tuple[str, Place]]:
    """The source tensor of every node that is the last of a layer's call."""
    nodes = graph.by_name()
    last = {(node.layer, node.call): node for node in graph.nodes if node.layer and node.inputs}
    for (layer, call), node in last.items():
        order = order_of(graph, Value(node.name), nodes)
        if order:
            yield identifier(node.name), Place(layer, call, 0, order)


def _notes(graph: Graph, held: Mapping[str, Sequence[Weight]]) -> Iterator[str]:
    """The notes of all nodes, and the weights that became several parameters."""
    for node in graph.nodes:
        for note in node.notes:
            yield f"{node.name}: {note}"
    for key, forms in held.items():
        if key and len(forms) > 1:
            what = f"used in {len(forms)} layouts, so it is as many parameters, which training would let drift apart"
            yield f"{key}: {what}"


def _sources(graph: Graph) -> Iterator[tuple[str, Source]]:
    """What every node that belongs to a layer was."""
    owned = Counter(node.layer for node in graph.nodes)
    for node in graph.nodes:
        if node.layer:
            name = _name(node, owned)
            yield identifier(node.name), Source(name, node.layer, node.call, node.part, node.kind, node.notes)


def _name(node: Node, owned: Mapping[str, int]) -> str:
    """The name of a node in the source: its layer's, where layout put it in the place of all that the layer was."""
    return node.layer if owned[node.layer] == 1 and not node.part and not node.call else node.name
