"""The calls of a live Keras graph: their names, numbers and tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xconv.graph import map_structure, unique
from xconv.keras.records import Ref

__all__ = ["ACTIVATION", "Refs", "is_model", "is_tensor", "named", "numbered", "own_activation", "parted"]

ACTIVATION = "/activation"
"""What the entry of a layer's own activation is called, behind the layer's name."""


@dataclass(frozen=True, slots=True)
class Refs:
    """How Keras tensors are named: by the entry and the number of the call that made them."""

    numbers: Mapping[int, int]
    names: Mapping[int, str]
    path: str = ""
    opened: frozenset[int] = frozenset()
    """Layers whose activation is an entry of its own: what they return is what that makes."""

    parted: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """For calls of a layer that differ in more than their tensors, by node: an entry of their own, the number in it."""

    def of(self, tensor: Any) -> Ref:
        """The reference to a Keras tensor."""
        operation, node_index, tensor_index = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        name, number = self.parted.get(id(node), (self.names[id(operation)], self.numbers.get(id(node), 0)))
        return Ref(name + (ACTIVATION if id(operation) in self.opened else ""), number, tensor_index)

    def constant(self, node: Any, number: int) -> str:
        """The key of a constant that a call holds."""
        return f"{self.path}{self.names[id(node.operation)]}/constant_{number}"

    def parts(self, operation: Any, nodes: Sequence[Any]) -> dict[str, list[Any]]:
        """The nodes of an operation by the name of their entry."""
        found: dict[str, list[Any]] = {self.names[id(operation)]: []}
        for node in nodes:
            name, _ = self.parted.get(id(node), (self.names[id(operation)], 0))
            found.setdefault(name, []).append(node)
        return found


def own_activation(op: Any) -> Any:
    """The function that a layer of Keras's applies last, where it is none of Keras's; None for all others."""
    function, module = getattr(op, "activation", None), type(op).__module__
    if not callable(function) or not module.startswith("keras.") or module.startswith("keras.src.layers.rnn"):
        return None
    own = str(getattr(function, "__module__", "keras.")).startswith("keras.")
    return None if own or hasattr(function, "trainable") else function


def numbered(nodes: Sequence[Any]) -> dict[int, int]:
    """For every node, the how-manieth call of its operation it is inside this function."""
    by_operation: dict[int, list[Any]] = {}
    for node in nodes:
        by_operation.setdefault(id(node.operation), []).append(node)
    numbers = {}
    for same in by_operation.values():
        order = {id(node): i for i, node in enumerate(same[0].operation._inbound_nodes)}
        for number, node in enumerate(sorted(same, key=lambda node: order[id(node)])):
            numbers[id(node)] = number
    return numbers


def named(operations: Sequence[Any]) -> dict[int, str]:
    """A unique name for every operation; traced graphs may repeat one."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for op in operations:
        names[id(op)] = unique(op.name, taken)
        taken.add(names[id(op)])
    return names


def parted(
    operations: Sequence[Any], calls: Mapping[int, Sequence[Any]], names: Mapping[int, str]
) -> dict[int, tuple[str, int]]:
    """The calls of layers that are opened, by what they are opened for: shapes, and arguments that are no tensors."""
    taken, found = set(names.values()), {}
    for op in operations:
        nodes = calls.get(id(op), ())
        if len(nodes) < 2 or not hasattr(op, "trainable") or type(op).__module__.startswith("keras.") or is_model(op):
            continue
        kinds: dict[str, tuple[str, list[Any]]] = {}
        for node in nodes:
            kind = _said(node)
            if kind not in kinds:
                kinds[kind] = (unique(names[id(op)], taken) if kinds else names[id(op)], [])
                taken.add(kinds[kind][0])
            name, same = kinds[kind]
            found[id(node)] = name, len(same)
            same.append(node)
    return found


def _said(node: Any) -> str:
    """What a call says besides its tensors: their shapes, and all other arguments."""

    def leaf(item: Any) -> Any:
        if is_tensor(item):
            return f"tensor {tuple(item.shape)} {item.dtype}"
        return f"array {id(item)}" if hasattr(item, "shape") else repr(item)

    return repr(map_structure(leaf, [list(node.arguments.args), dict(node.arguments.kwargs)]))


def is_model(op: Any) -> bool:
    """Whether it is a model of Keras."""
    import keras

    return isinstance(op, keras.Model)


def is_tensor(item: Any) -> bool:
    """Whether it is a symbolic tensor of Keras."""
    import keras

    return isinstance(item, keras.KerasTensor)
