"""One operator of an ONNX graph with its weights, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Array", "Held", "Step"]

Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class Held:
    """A weight: the name under which it is shared, its numbers, and the input it is, or None where it has a role."""

    key: str
    array: Array
    place: int | None = None
    turned: bool = False
    """Whether the array is the other way round than the model has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator. `inputs` are names, '' where an optional one is left out; `held` are its weights by role."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    name: str = ""
    path: str = ""

    @property
    def given(self) -> tuple[str, ...]:
        """The names of what the graph brings to it; '' for its own weights."""
        own = {held.place for held in self.held.values()}
        return tuple("" if place in own else name for place, name in enumerate(self.inputs))

    def same_layer(self, other: Step) -> bool:
        """Whether both are calls of one layer: the same weights, of which there are some, and the same settings."""
        mine, yours = ({role: held.key for role, held in step.held.items()} for step in (self, other))
        same = self.kind == other.kind and mine == yours
        return same and bool(mine) and repr(self.attributes) == repr(other.attributes)
