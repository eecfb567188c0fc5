"""What a converted module remembers of its source: `module.meta["xconv"]`, plain data.

The record survives `copy.deepcopy`, pickling and `torch.compile`; `xconv.record(module)` returns it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xconv.axes import Order
from xconv.errors import InvalidInput
from xconv.spec import Shape
from xconv.weights import Weight

__all__ = ["KEY", "MappedWeight", "Place", "Port", "Record", "checksum", "record"]

KEY = "xconv"


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output: its name and its shape as the source model writes it.

    The module takes or returns `written.transpose(order)`; the identity where the layouts are the same.
    """

    name: str
    shape: Shape
    order: Order
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Place:
    """The source tensor that a node of the module's fx graph computes, held as `written.transpose(order)`."""

    layer: str
    call: int
    tensor: int
    order: Order


@dataclass(frozen=True, slots=True)
class MappedWeight:
    """One weight: `state_dict()[name]` is `weight.apply(source array weight.key)`.

    `layer` is the source layer's path, `role` what the weight is to it (kernel, bias, gamma ...), `checksum` the
    SHA-256 of the source array's bytes, empty while it was not asked for.
    """

    name: str
    layer: str
    role: str
    weight: Weight
    checksum: str = ""


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


def record(module: Any) -> Record:
    """The record of a module that xconv made.

    Raises:
        InvalidInput: the module was not made by xconv, or lost its `meta`.
    """
    found = getattr(module, "meta", {}).get(KEY)
    if not isinstance(found, Record):
        raise InvalidInput(
            f"{type(module).__name__} carries no record of a conversion",
            remedy="give the module that xconv.keras_to_torch returned, not a wrapper around it",
        )
    return found


def checksum(array: Any) -> str:
    """The SHA-256 of an array's bytes in memory order."""
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"").hexdigest()
