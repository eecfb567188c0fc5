"""Where a Keras model under a dtype policy casts: what its layers are called on, and what its variables become.

A live Functional model holds most of these casts as operations of its graph. A Sequential from a file holds none, and
nobody holds those at the inputs of a nested model and of the variables of a custom layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xconv.errors import InvalidInput, Unsupported
from xconv.graph import Node, Value, map_structure
from xconv.keras.records import Entry, KerasModel, VariableRef
from xconv.layers.io import Input, Variable
from xconv.layers.policy_cast import PolicyCast
from xconv.layers.unary import Cast
from xconv.policies import FLOATS, compute_dtype, nested_policies, policy_name, variable_dtype
from xconv.spec import Op, Spec
from xconv.weights import Weight

__all__ = ["Casting", "has_policies", "in_policy"]

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


def in_policy(model: KerasModel, policy: str) -> KerasModel:
    """The records with every layer under another policy of floating point, and its weights and inputs with it.

    Raises:
        InvalidInput: Keras has no such policy.
    """
    if compute_dtype(policy) not in FLOATS:
        remedy = "give 'float32', 'float64', 'float16', 'bfloat16', 'mixed_float16' or 'mixed_bfloat16'"
        raise InvalidInput(f"dtype={policy!r} is no dtype policy of floating point", remedy=remedy)
    inputs = "float64" if policy == "float64" else "float32"
    return replace(model, entries=tuple(_entry_in(entry, policy, inputs) for entry in model.entries))


def _entry_in(entry: Entry, policy: str, inputs: str) -> Entry:
    """One entry under a policy."""
    inner = in_policy(entry.inner, policy) if entry.inner is not None else None
    weights = tuple(_weight_in(weight, variable_dtype(policy)) for weight in entry.weights)
    own = entry.config.get("dtype")
    config = dict(entry.config)
    if entry.kind == "InputLayer":
        config["dtype"] = inputs if own in FLOATS else own
    elif entry.is_op:
        config = {**config, "dtype": compute_dtype(policy)} if entry.kind == "Cast" and own in FLOATS else config
    elif policy_name(entry.config):
        config = {**_nested_in(config, policy), "dtype": policy}
    calls = tuple(
        replace(
            call,
            args=map_structure(lambda item: _leaf_in(item, policy), call.args),
            kwargs=map_structure(lambda item: _leaf_in(item, policy), dict(call.kwargs)),
        )
        for call in entry.calls
    )
    return replace(entry, config=config, weights=weights, inner=inner, calls=calls)


def _leaf_in(item: Any, policy: str) -> Any:
    """A variable among the arguments of a call."""
    if isinstance(item, VariableRef):
        return replace(item, weight=_weight_in(item.weight, variable_dtype(policy)))
    return item


def _weight_in(weight: Weight, dtype: str) -> Weight:
    """A weight of floating point in another type."""
    return replace(weight, dtype=dtype) if weight.dtype in FLOATS else weight


def _nested_in(item: Any, policy: str) -> Any:
    """A config with the policies of the layers in it replaced."""
    if isinstance(item, Mapping):
        inner = {key: _nested_in(part, policy) for key, part in item.items()}
        said = inner.get("config")
        if "class_name" in item and isinstance(said, dict) and "dtype" in said and "name" in said and policy_name(said):
            inner["config"] = {**said, "dtype": policy}
        return inner
    return type(item)(_nested_in(part, policy) for part in item) if isinstance(item, (list, tuple)) else item
