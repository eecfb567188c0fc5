"""A Keras model as plain data, the same whether it came from a live model or from a file.

    KerasModel
      entries: one per layer or operation, each with its config, its weights and its calls
      inputs, outputs: structures of `Ref`

A `Ref` names the tensor that a call returned; calls hold their arguments as Keras was given them, with a `Ref` in
the place of each tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xconv.graph import LowRank
from xconv.spec import Shape
from xconv.weights import Arrays, Weight

__all__ = ["Call", "Entry", "KerasModel", "Ref", "VariableRef"]


@dataclass(frozen=True, slots=True)
class Ref:
    """The `tensor`-th output of the `call`-th call of the entry `layer`. Counting starts at 0."""

    layer: str
    call: int = 0
    tensor: int = 0


@dataclass(frozen=True, slots=True)
class VariableRef:
    """A variable used as an argument of an operation: a custom layer's own weight, found by tracing."""

    weight: Weight
    name: str
    trainable: bool = True
    compute: str = ""
    """What the layer that owns it computes in, where it casts the variable to that."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: arguments with a `Ref` for every tensor."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One layer, operation or nested model.

    `kind` is the class name as the config gives it; `is_op` tells an operation of `keras.ops` from a layer of the
    same name (`Add` is both). `module` and `registered_name` say where the class lives. `weights` are the layer's
    own variables in creation order, keys `layer/name`. `inner` is the content of a nested Functional, Sequential or
    traced model.
    """

    name: str
    kind: str
    module: str | None = "keras.layers"
    registered_name: str | None = None
    is_op: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    weights: tuple[Weight, ...] = ()
    inner: KerasModel | None = None
    trainable: bool = True
    problem: str = ""
    """Why this entry cannot be read (a Lambda's code, a foreign wrapper); reported with its name."""
    remedy: str = ""
    """What to do about the problem, where that is known."""
    notes: tuple[str, ...] = ()
    """What a reader of the report should know of how it was read."""


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A Functional graph as data. A Sequential is a chain of calls; `inputs` are `Ref`s of InputLayer entries."""

    name: str
    entries: tuple[Entry, ...]
    inputs: Any
    outputs: Any
    arrays: Arrays = field(default_factory=dict)
    shapes: Mapping[Ref, Shape] = field(default_factory=dict)
    """Shapes of tensors that the source states; may be empty."""
    keras_version: str = ""
    source: str = ""
    """Where it came from, for messages: a path or 'a live model'."""
    origins: Mapping[Ref, Any] = field(default_factory=dict)
    """Where the model was written from a graph: the graph's value that each tensor is."""
    low_rank: Mapping[str, LowRank] = field(default_factory=dict)
    """The arrays that LoRA adapts, by key, where its matrices are kept."""
