"""One call of an ONNX operator: its inputs and attributes, each of which must be read.

An input is a torch tensor, or a NumPy array where it depends on no numbers of the network's input: constants, and sizes
(of dtype object where a size is open, which torch.export keeps as a symbol).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from xconv.errors import Unsupported
from xconv.onnx.constants import meant

__all__ = ["Call", "Held", "as_number", "as_tensor", "is_host"]

Held: TypeAlias = "torch.Tensor | np.ndarray[Any, Any]"


def is_host(value: Any) -> bool:
    """Whether a value is known without running the network, its open sizes apart."""
    return isinstance(value, np.ndarray)


def as_number(value: Any) -> Any:
    """The number in an array of one element: the one that was meant, where it is a float32."""
    item = value.reshape(-1)[0]
    if isinstance(item, np.float32):
        return meant(float(item))
    return item.item() if isinstance(item, np.generic) else item


def as_tensor(value: Any) -> torch.Tensor:
    """The torch tensor of a value."""
    if isinstance(value, torch.Tensor):
        return value
    if value.dtype == object:
        raise Unsupported("it computes with sizes that stay open", remedy="export the model with fixed sizes")
    return torch.from_numpy(np.array(value))


@dataclass(slots=True)
class Call:
    """An operator with what it is called on; `weights` are those that stand ready in torch's own form."""

    kind: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    outputs: int = 1
    """How many results are asked for, up to the last."""
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    double: bool = False
    """Whether the network computes in float64; numbers that are known beforehand always do."""
    unread: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.unread = set(self.attributes)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, a float as it was meant."""
        self.unread.discard(name)
        value = self.attributes.get(name, default)
        return meant(value) if isinstance(value, float) else value

    def only(self, name: str, *allowed: Any, default: Any = None) -> None:
        """Refuse an attribute that says something else."""
        value = self.get(name, default)
        if value not in allowed and value is not default:
            raise Unsupported(f"{self.kind} with {name}={value!r}", remedy="export the model without it")

    def has(self, place: int) -> bool:
        """Whether the input is given; ONNX leaves optional ones out."""
        return len(self.inputs) > place and self.inputs[place] is not None

    def tensor(self, place: int) -> torch.Tensor:
        """An input as a tensor."""
        value = as_tensor(self.inputs[place])
        return value.float() if value.dtype == torch.float64 and not self.double else value

    def operand(self, place: int, rank: int) -> Any:
        """An input of arithmetic: a constant of one element as a number, where that leaves the result its rank."""
        value = self.inputs[place]
        if is_host(value) and value.size == 1 and value.ndim <= rank:
            return as_number(value)
        return self.tensor(place)

    def known(self, place: int) -> np.ndarray[Any, Any]:
        """An input that must be known beforehand: axes, sizes, pads."""
        value = self.inputs[place]
        if not is_host(value):
            what = f"input {place} of {self.kind} is computed from the network's input"
            raise Unsupported(what, remedy="export the model with fixed sizes")
        return np.asarray(value)

    def sizes(self, place: int) -> list[Any]:
        """An input of whole numbers, as a list; open sizes are torch's symbols."""
        return [item.item() if isinstance(item, np.generic) else item for item in self.known(place).reshape(-1)]

    def number(self, place: int, default: Any = None) -> Any:
        """An optional input of one number."""
        return as_number(self.known(place)) if self.has(place) else default

    def axes(self, place: int, default: list[int] | None = None) -> list[int] | None:
        """Axes, which older operator sets give as an attribute and newer ones as an input."""
        if self.has(place):
            return [int(axis) for axis in self.sizes(place)]
        found = self.get("axes")
        return list(found) if found is not None else default
