"""Keras has several words for some meanings: `worded` takes the one that the source model used, `joined` its layers.

worded    Activation("relu")  ->  ReLU()               Add()([x, y])  ->  ops.add(x, y)
joined    Conv2D, Activation  ->  Conv2D(activation=...)
          DepthwiseConv2D, Conv2D(1)  ->  SeparableConv2D
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xconv.graph import Graph, Node, map_structure, values_in
from xconv.keras.names import layer_name
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.registry import back_of
from xconv.spec import KerasLayer, Slot

__all__ = ["joined", "worded"]

LIMITS = {"relu": None, "relu6": 6.0}
MERGES = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")


def worded(layer: KerasLayer, kind: str) -> KerasLayer:
    """The same layer in the words of a source layer of class `kind`; torch's own ReLU is a ReLU.

    What a user's rule said of a class is said back as its `back` does.

    >>> worded(KerasLayer("Activation", {"activation": "relu"}), "relu").kind
    'ReLU'
    >>> worded(KerasLayer("Activation", {"activation": "relu"}), "Activation").kind
    'Activation'
    """
    back = back_of(kind)
    if back is not None:
        return back(layer)
    is_keras = kind.removeprefix("ops.")[:1].isupper()
    if layer.kind == "Activation" and layer.config["activation"] in LIMITS and (kind == "ReLU" or not is_keras):
        limit = LIMITS[layer.config["activation"]]
        return replace(layer, kind="ReLU", config={"max_value": limit, "negative_slope": 0.0, "threshold": 0.0})
    if layer.kind == "Softmax" and kind == "Activation" and layer.config.get("axis", -1) in _last(layer):
        return replace(layer, kind="Activation", config={"activation": "softmax"})
    if layer.kind == "Reshape" and kind == "Flatten" and len(layer.config["target_shape"]) == 1:
        return replace(layer, kind="Flatten", config={})
    if layer.kind == "Flatten" and kind == "Reshape":
        return replace(layer, kind="Reshape", config={"target_shape": (-1,)})
    if layer.kind in MERGES and kind == f"ops.{layer.kind}" and _is_pair(layer.args):
        return replace(layer, kind=kind, args=tuple(layer.args[0]))
    return layer


def _last(layer: KerasLayer) -> tuple[int, int]:
    return -1, len(layer.inputs[0]) - 1 if layer.inputs else -1


def _is_pair(args: tuple[Any, ...]) -> bool:
    return len(args) == 1 and isinstance(args[0], list) and len(args[0]) == 2 and isinstance(args[0][0], Slot)


def joined(model: KerasModel, graph: Graph) -> KerasModel:
    """The model with the layers that one layer of the source became as that layer again.

    An activation goes into the layer that had it, a depthwise and a pointwise convolution into a SeparableConv.
    """
    nodes = graph.by_name()
    origin = {ref.layer: nodes[value.node] for ref, value in model.origins.items()}
    if not any(node.part for node in origin.values()):
        return model
    for names in [(first.name, second.name) for first, second in _activations(model, origin)]:
        first, second = _entries(model, *names)
        config = {**first.config, "activation": _activation_of(second, model)}
        model = _replaced(model, first, second, replace(first, config=config))
    for names in [(first.name, second.name) for first, second in _separables(model, origin)]:
        first, second = _entries(model, *names)
        model = _replaced(model, first, second, _separable(first, second, origin[first.name]))
    return model


@dataclass(frozen=True, slots=True)
class _Uses:
    """Which entries take what an entry gives; None stands for the model's outputs."""

    users: Mapping[Ref, list[str | None]]

    @classmethod
    def of(cls, model: KerasModel) -> _Uses:
        users: dict[Ref, list[str | None]] = {}
        for entry in model.entries:
            for call in entry.calls:
                for ref in _refs((call.args, dict(call.kwargs))):
                    users.setdefault(ref, []).append(entry.name)
        for ref in _refs(model.outputs):
            users.setdefault(ref, []).append(None)
        return cls(users)


def _refs(structure: Any) -> Iterator[Ref]:
    return (item for item in values_in(structure) if isinstance(item, Ref))


def _pairs(model: KerasModel, origin: Mapping[str, Node]) -> Iterator[tuple[Entry, Entry]]:
    """Every entry and the only one that takes what it gives, where both were parts of one layer of a Keras model."""
    uses, entries = _Uses.of(model), {entry.name: entry for entry in model.entries}
    for first in model.entries:
        users = [uses.users.get(Ref(first.name, call), []) for call in range(len(first.calls))]
        names = {name for some in users for name in some}
        if first.name not in origin or len(names) != 1 or any(len(some) != 1 for some in users):
            continue
        second = entries.get(names.pop() or "")
        if second is None or second.name not in origin or len(second.calls) != len(first.calls):
            continue
        a, b = origin[first.name], origin[second.name]
        if a.layer == b.layer and a.layer and a.kind == b.kind and a.kind[:1].isupper():
            yield first, second


def _entries(model: KerasModel, *names: str) -> list[Entry]:
    """The entries of these names, as they are now."""
    return [next(entry for entry in model.entries if entry.name == name) for name in names]


def _activations(model: KerasModel, origin: Mapping[str, Node]) -> Iterator[tuple[Entry, Entry]]:
    for first, second in _pairs(model, origin):
        plain = first.config.get("activation") == "linear" and not first.is_op
        if plain and origin[second.name].part.startswith("_") and _activation_of(second, model):
            yield first, second


def _activation_of(entry: Entry, model: KerasModel) -> str:
    """The name of an activation that a config can hold."""
    if entry.kind == "Activation":
        return str(entry.config["activation"])
    last = len(model.shapes.get(Ref(entry.name), ())) - 1
    return "softmax" if entry.kind == "Softmax" and entry.config.get("axis", -1) in (-1, last) else ""


def _separables(model: KerasModel, origin: Mapping[str, Node]) -> Iterator[tuple[Entry, Entry]]:
    taken = {entry.name for entry in model.entries}
    for first, second in _pairs(model, origin):
        kind, name = origin[first.name].kind, layer_name(origin[first.name].layer)
        parts = origin[first.name].part, origin[second.name].part
        fits = parts == ("depthwise", "pointwise") and first.kind.startswith("DepthwiseConv")
        if kind.startswith("SeparableConv") and fits and name not in taken:
            yield first, second


def _separable(first: Entry, second: Entry, node: Node) -> Entry:
    name = layer_name(node.layer)
    own = {key: second.config[key] for key in ("filters", "use_bias", "activation")}
    config, weights = {**first.config, **own, "name": name}, (*first.weights, *second.weights)
    return replace(first, name=name, kind=node.kind, config=config, weights=weights)


def _replaced(model: KerasModel, first: Entry, second: Entry, new: Entry) -> KerasModel:
    """The model with one entry for the two, which is called as the first and used as the second."""

    def follow(item: Any) -> Any:
        if isinstance(item, Ref) and item.layer in (first.name, second.name):
            return replace(item, layer=new.name)
        return item

    def again(call: Call) -> Call:
        args, kwargs = map_structure(follow, (call.args, dict(call.kwargs)))
        return Call(args, kwargs)

    entries = []
    for entry in model.entries:
        if entry.name == first.name:
            entries.append(replace(new, calls=tuple(map(again, new.calls))))
        elif entry.name != second.name:
            entries.append(replace(entry, calls=tuple(map(again, entry.calls))))
    shapes = {follow(ref): shape for ref, shape in model.shapes.items()}
    origins = {follow(ref): value for ref, value in model.origins.items()}
    outputs = map_structure(follow, model.outputs)
    return replace(model, entries=tuple(entries), outputs=outputs, shapes=shapes, origins=origins)
