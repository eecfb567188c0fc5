"""What a model holds: its own arrays by key, as far as they are weights, and what they are for."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from xconv.comparison.opened import Opened
from xconv.weights import Arrays, Weight

__all__ = ["Holdings", "holdings_of"]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The arrays of one model.

    `shared` leads from every key to the key of the same tensor that comes first; `uses` tells the layer and role of
    what the network computes with.
    """

    arrays: Arrays
    shared: Mapping[str, str] = field(default_factory=dict)
    uses: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def weight(self, key: str) -> Weight:
        """The array as it is stored."""
        source = self.arrays[key]
        return Weight.of(key, tuple(source.shape), source.dtype)

    def named(self, key: str) -> tuple[str, str]:
        """The layer and the role of an array."""
        parts = key.rpartition("." if "." in key else "/")
        return self.uses.get(key, (parts[0], parts[2]))

    def without_meaning(self, key: str) -> str:
        """Why an array says nothing about what the network computes in inference; empty where it may."""
        name = key.rpartition(".")[2]
        if name == "num_batches_tracked":
            return "a count of training steps"
        if "seed" in self.path(key):
            return "the state of a random number generator"
        return ""

    def path(self, key: str) -> str:
        """The name that the model's own framework gives the array."""
        variable = getattr(self.arrays[key], "variable", None)
        return str(getattr(variable, "path", key))


def holdings_of(opened: Opened) -> Holdings:
    """The arrays of an opened model: the state_dict of a torch module, the variables of a Keras model."""
    arrays: dict[str, Any] = dict(opened.whole.arrays)
    shared: dict[str, str] = {}
    if opened.framework == "torch":
        computed = opened.whole.computed
        arrays = {k: v for k, v in arrays.items() if k not in computed and not k.startswith("constant:")}
        arrays |= _state(opened.model) | _unsaved(opened.model, arrays)
        first: dict[int, str] = {}
        for key, source in arrays.items():
            tensor = getattr(source, "tensor", None)
            shared[key] = first.setdefault(id(tensor), key) if tensor is not None else key
    uses: dict[str, tuple[str, str]] = {}
    for node in (*opened.whole.nodes, *opened.graph.nodes):
        for role, weight in node.weights.items():
            uses.setdefault(weight.key, (node.layer or node.name, role))
            how = opened.graph.computed.get(weight.key)
            for item in (item for block in how.blocks for item in block) if how else ():
                uses.setdefault(item.weight.key, (node.layer or node.name, role))
    return Holdings(arrays, shared, uses)


def _unsaved(model: Any, used: Container[str]) -> dict[str, Any]:
    """The buffers that no state_dict holds and the network computes with."""
    from xconv.torch.arrays import TensorSource

    buffers = model.named_buffers() if hasattr(model, "named_buffers") else ()
    return {key: TensorSource(tensor) for key, tensor in buffers if key in used}


def _state(model: Any) -> dict[str, Any]:
    """The tensors of a live module or program."""
    from xconv.torch.arrays import TensorSource

    if hasattr(model, "graph_signature"):
        return {key: TensorSource(tensor) for key, tensor in model.state_dict.items()}
    if hasattr(model, "state_dict"):
        state = model.state_dict(keep_vars=True)
        return {key: TensorSource(tensor) for key, tensor in state.items() if hasattr(tensor, "detach")}
    return {}
