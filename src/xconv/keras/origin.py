"""What a Keras model remembers of the torch module that it was made of: a `Record`, kept beside the model.

Keras neither tracks nor saves it: a model that was loaded again has none, and its layers are found by their names
(`torch_path`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from xconv import axes
from xconv.graph import Graph, Node
from xconv.keras.depth import advice
from xconv.keras.model_order import deepest
from xconv.keras.records import KerasModel, Ref
from xconv.keras.walk import Key, as_array
from xconv.layers.io import Variable
from xconv.torch.ports import order_of, ports_of
from xconv.torch.record import MappedWeight, Place, Record, checksum

__all__ = ["record_of", "remember", "remembered", "with_checksums"]

_RECORDS: WeakKeyDictionary[Any, Record] = WeakKeyDictionary()


def remember(model: Any, record: Record) -> Any:
    """The model, of which `remembered` now gives this record."""
    _RECORDS[model] = record
    return model


def remembered(model: Any) -> Record | None:
    """The record of a live Keras model; None where xconv did not make it."""
    try:
        return _RECORDS.get(model)
    except TypeError:  # what cannot be referred to weakly is no model
        return None


def with_checksums(model: Any, record: Record) -> Record:
    """The record with the SHA-256 of every torch tensor, from the model's variables as they are."""

    def summed(mapped: MappedWeight) -> MappedWeight:
        layer, _, place = mapped.name.rpartition("/")
        array = as_array(model.get_layer(layer).weights[int(place)], model)
        return replace(mapped, checksum=checksum(mapped.weight.undo(array)))

    return replace(record, weights=tuple(map(summed, record.weights)))


def record_of(graph: Graph, model: KerasModel, input_layout: str) -> Record:
    """The record of a model that was written from a graph which was resolved to channels-last.

    Its places are keyed by Keras layer, call and tensor, as `str(Key)` writes them; its weights by `layer/index`.
    """
    inputs, outputs = ports_of(graph, lambda node: node.name)
    weights = tuple(_weights(model))
    used = {mapped.weight.key for mapped in weights}
    notes = tuple(filter(None, [advice(deepest(model))]))
    notes += tuple(f"{node.name}: {note}" for node in graph.nodes for note in node.notes)
    unused = tuple(key for key in graph.arrays if key not in used)
    places = dict(_places(graph, model, graph.by_name()))
    return Record(graph.name, input_layout, inputs, outputs, places, weights, notes, unused)


def _weights(model: KerasModel) -> Iterator[MappedWeight]:
    """Every variable of every layer, with the parameter or buffer whose numbers it has."""
    for entry in model.entries:
        for place, weight in enumerate(entry.weights):
            if weight.key:
                owner, _, role = weight.key.rpartition(".")
                yield MappedWeight(f"{entry.name}/{place}", owner, role, weight)


def _places(graph: Graph, model: KerasModel, nodes: dict[str, Node]) -> Iterator[tuple[str, Place]]:
    """The torch tensor of every Keras tensor: a module's output by its path, any other by the name of its node."""
    outer = {path for node in graph.nodes for path in _above(node.layer)}
    results = _results(graph)
    for ref, value in model.origins.items():
        node, order = nodes[value.node], order_of(graph, value, nodes)
        if order and len(order) == len(node.shapes[value.index]):
            alone = node.layer not in outer and results.get((node.layer, node.call)) == {node.name}
            yield _key(ref), _place(node, value.index, order, is_result=alone)


def _results(graph: Graph) -> dict[tuple[str, int], set[str]]:
    """For every call of a module, its nodes that others use: with several, nothing tells the order it returns them in.

    What the layout puts in between belongs to what it rearranges.
    """
    owners = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        if node.kind == "layout" and node.inputs:
            owners[node.name] = owners[node.inputs[0].node]
    uses: set[tuple[str, tuple[str, int] | None]] = {
        (owners[v.node].name, _call(owners[node.name])) for node in graph.nodes for v in node.inputs
    }
    uses |= {(owners[value.node].name, None) for value in graph.output_values()}
    makers = {node.name: node for node in graph.nodes if node.inputs and not isinstance(node.spec, Variable)}
    results: dict[tuple[str, int], set[str]] = {}
    for name, user in uses:
        if name in makers and user != _call(makers[name]):
            results.setdefault(_call(makers[name]), set()).add(name)
    return results


def _call(node: Node) -> tuple[str, int]:
    return node.layer, node.call


def _place(node: Node, index: int, order: axes.Order, *, is_result: bool) -> Place:
    return Place(node.layer, node.call, index, order) if is_result else Place(node.name, 0, index, order)


def _above(path: str) -> Iterator[str]:
    """The paths of the modules around one."""
    yield ""
    while path := path.rpartition(".")[0]:
        yield path


def _key(ref: Ref) -> str:
    return str(Key(ref.layer, ref.call, ref.tensor))
