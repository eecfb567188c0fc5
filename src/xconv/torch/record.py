"""What a converted network remembers of its source, plain data; `xconv.record` returns it.

That of a torch module is `module.meta["xconv"]` and survives `copy.deepcopy`, pickling and `torch.compile`; that of a
Keras model is kept beside it (`keras/origin.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xconv.axes import Order
from xconv.errors import InvalidInput
from xconv.spec import Shape
from xconv.weights import Weight

__all__ = ["KEY", "MappedWeight", "Place", "Port", "Record", "Source", "checksum", "record"]

KEY = "xconv"


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output: its name and its shape as the source model writes it.

    The converted network takes or returns `written.transpose(order)`; the identity where the layouts are the same.
    """

    name: str
    shape: Shape
    order: Order
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Place:
    """The source tensor that a node of the module's fx graph, or a Keras layer, computes: `written.transpose(order)`.

    `layer` is the source layer's path, and a torch module's; the name of the node for what no module returns.
    """

    layer: str
    call: int
    tensor: int
    order: Order


@dataclass(frozen=True, slots=True)
class MappedWeight:
    """One weight: `state_dict()[name]` is `weight.apply(source array weight.key)`.

    In a Keras model `name` is `layer/index`, for `model.get_layer(layer).weights[index]`, and `weight.key` the name in
    the torch module's state_dict. `layer` is the source layer's path, `role` what the weight is to it (kernel, bias,
    gamma ...), `checksum` the SHA-256 of the source array's bytes, empty while it was not asked for.
    """

    name: str
    layer: str
    role: str
    weight: Weight
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What a node of the module's fx graph was in the source model: which call of which layer, and which part of it.

    `kind` is the layer's class, with `ops.` in front for an operation; `notes` are those on this node.
    """

    name: str
    layer: str
    call: int = 0
    part: str = ""
    kind: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """Where a converted module came from: ports, the source tensor of every node, and every weight's way."""

    source: str
    input_layout: str
    inputs: tuple[Port, ...]
    outputs: Any
    """A structure of `Port`s, nested as the source model nests its outputs."""
    places: Mapping[str, Place] = field(default_factory=dict)
    weights: tuple[MappedWeight, ...] = ()
    notes: tuple[str, ...] = ()
    """What a user should know: idioms recovered, pads folded, regularisers not carried."""
    unused: tuple[str, ...] = ()
    """The keys of the source arrays that the module does not need, such as the sample count of a Normalization."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """What every node of the module's fx graph was, by its name: so that it can be called the same again."""

    def to_json(self) -> str:
        """The record as text, the same text for the same record; `from_json` reads it."""
        from xconv.torch.program import encode

        return json.dumps({"xconv_record": 1, "record": encode(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record that `to_json` wrote.

        Raises:
            Unreadable: the text is something else.
        """
        from xconv.torch.program import decode_as

        return decode_as(cls, text, "xconv_record", "record")


def record(module: Any, *, checksums: bool = False) -> Record:
    """The record of a network that xconv made: ports, the source of every weight and tensor, notes.

    Args:
        module: what `xconv.keras_to_torch` or `xconv.load` returned, or the Keras model of `xconv.torch_to_keras`.
        checksums: fill in the SHA-256 of every source array, computed from the network's weights as they are now by
            undoing their rearrangement.

    Raises:
        InvalidInput: the network was not made by xconv, or lost its record: a Keras model that was loaded again has
            none, and `xconv.keras.names.torch_path` tells the torch module of a layer by its name.
    """
    found = getattr(module, "meta", {}).get(KEY) if not _is_keras(module) else _remembered(module)
    if not isinstance(found, Record):
        raise InvalidInput(
            f"{type(module).__name__} carries no record of a conversion",
            remedy="give the network that xconv returned, not a wrapper around it or one that Keras loaded",
        )
    if not checksums:
        return found
    if _is_keras(module):
        from xconv.keras.origin import with_checksums as of_variables

        return of_variables(module, found)
    from xconv.torch.mapping import with_checksums

    return with_checksums(module, found)


def _is_keras(network: Any) -> bool:
    """Whether it is a Keras model; on the torch backend that is a torch module too."""
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(network).__mro__)


def _remembered(model: Any) -> Record | None:
    from xconv.keras.origin import remembered

    return remembered(model)


def checksum(array: Any) -> str:
    """The SHA-256 of the bytes of a NumPy array or a torch tensor, in memory order.

    >>> checksum(np.zeros(0))[:8]
    'e3b0c442'
    """
    if hasattr(array, "detach"):
        import torch

        array = array.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()
