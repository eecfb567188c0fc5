"""Where a Keras model under a dtype policy casts: what its layers are called on, and what its variables become.

A live Functional model holds most of these casts as operations of its graph. A Sequential from a file holds none, and
nobody holds those at the inputs of a nested model and of the variables of a custom layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xconv.errors import Unsupported
from xconv.graph import Node, Value
from xconv.keras.records import Entry, KerasModel
from xconv.layers.io import Input, Variable
from xconv.layers.policy_cast import PolicyCast
from xconv.layers.unary import Cast
from xconv.policies import FLOATS, compute_dtype, nested_policies, policy_name
from xconv.spec import Op, Spec

__all__ = ["Casting", "has_policies"]

OWN_INPUTS = frozenset({"LayerNormalization", "GroupNormalization", "Embedding"})
"""Layers that take what they are called on as it is."""


def has_policies(model: KerasModel) -> bool:
    """Whether any layer computes in anything but float32."""
    for entry in model.entries:
        if entry.inner is not None and has_policies(entry.inner):
            return True
        if not entry.is_op and entry.kind != "InputLayer" and policy_name(entry.config) not in ("float32", ""):
            return True
    return False


@dataclass(slots=True)
class Casting:
    """What is known of the floating-point type of every value; nothing is asked where all is float32."""

    active: bool
    known: dict[Value, str] = field(default_factory=dict)
    """The type of a value where it is of floating point."""

    def policy(self, entry: Entry) -> str:
        """The policy of a layer; '' for an operation, and where the whole model is float32.

        Raises:
            Unsupported: a quantised layer, or a wrapper of another policy than what it wraps.
        """
        if entry.is_op or entry.kind == "InputLayer":
            return ""
        policy = policy_name(entry.config)
        inner = {name for name in nested_policies(dict(entry.config)) if name} - {policy}
        if policy and inner:
            raise Unsupported(
                f"its dtype policy is {policy!r}, that of the layer in it {', '.join(map(repr, sorted(inner)))}",
                remedy="give both the same policy",
            )
        return policy if self.active else ""

    def spec(self, spec: Spec) -> Spec:
        """A cast of the model's graph as the rounding that it is, where the model has policies."""
        if self.active and isinstance(spec, Cast) and spec.dtype in FLOATS:
            return PolicyCast(spec.dtype, every=True)
        return spec

    def inputs(
        self, entry: Entry, policy: str, values: Sequence[Value], add: Callable[[Op, Value], Value]
    ) -> list[Value]:
        """What a layer computes with, cast where that is not known to be done; `add` makes a node of a cast."""
        if not policy or entry.kind in OWN_INPUTS:
            return list(values)
        return [self.cast(value, compute_dtype(policy), add) for value in values]

    def cast(self, value: Value, dtype: str, add: Callable[[Op, Value], Value]) -> Value:
        """The value in a floating-point type."""
        if not self.active or self.known.get(value) in (dtype, "no float"):
            return value
        found = add(Op(PolicyCast(dtype)), value)
        self.known[found] = dtype
        return found

    def note(self, node: Node) -> None:
        """Remember the type of what a node gives."""
        found = self._given(node)
        if found is not None:
            self.known.update({Value(node.name, index): found for index in range(len(node.shapes))})

    def _given(self, node: Node) -> str | None:
        if not self.active:
            return None
        if isinstance(node.spec, (Input, Cast, PolicyCast)):
            dtype = node.spec.dtype
            return dtype if dtype in FLOATS else "no float"
        if isinstance(node.spec, Variable):
            (weight,) = node.weights.values()
            return weight.dtype if weight.dtype in FLOATS else "no float"
        if node.policy:
            return compute_dtype(node.policy)
        given = {self.known.get(value) for value in node.inputs}
        return given.pop() if len(given) == 1 else None
