"""Keras's dtype policies: what a layer computes in, and what its variables are held in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xconv.errors import Unsupported

__all__ = [
    "FLOATS",
    "LOW",
    "compute_dtype",
    "inner_dtype",
    "nested_policies",
    "policy_for",
    "policy_name",
    "variable_dtype",
]

FLOATS = ("float64", "float32", "float16", "bfloat16")

LOW = ("float16", "bfloat16")
"""The floating-point types of less than 32 bits that Keras computes in."""


def compute_dtype(policy: str) -> str:
    """What a layer of this policy computes in.

    >>> compute_dtype("mixed_float16"), compute_dtype("float64")
    ('float16', 'float64')
    """
    return policy.removeprefix("mixed_")


def variable_dtype(policy: str) -> str:
    """What a layer of this policy holds its variables in.

    >>> variable_dtype("mixed_bfloat16"), variable_dtype("bfloat16")
    ('float32', 'bfloat16')
    """
    return "float32" if policy.startswith("mixed_") else policy


def inner_dtype(policy: str, *, wide: bool) -> str:
    """What a layer computes in inside: float32 at least, where it is one that Keras does not trust with less.

    >>> inner_dtype("mixed_float16", wide=True), inner_dtype("mixed_float16", wide=False)
    ('float32', 'float16')
    """
    dtype = compute_dtype(policy)
    return "float32" if wide and dtype in LOW else dtype


def policy_for(compute: str, variables: str | None) -> str:
    """The policy of a layer that computes in one type and holds its variables in another; None where it has none.

    Raises:
        Unsupported: Keras has no such policy.

    >>> policy_for("float16", "float32"), policy_for("float16", "float16")
    ('mixed_float16', 'float16')
    """
    if variables is None or variables == compute:
        return compute
    if variables == "float32" and compute in LOW:
        return f"mixed_{compute}"
    raise Unsupported(
        f"weights in {variables} that are computed with in {compute}, for which Keras has no dtype policy",
        remedy="give the module weights in float32, or in the type that it computes in",
    )


def policy_name(config: Mapping[str, Any]) -> str:
    """The name of the policy in a layer's config: 'float32' where it has none; '' where it is not of floating point.

    Raises:
        Unsupported: a policy that changes what the layer computes by more than its rounding.

    >>> policy_name({"dtype": {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}})
    'mixed_float16'
    """
    policy = config.get("dtype") or "float32"
    if isinstance(policy, Mapping):
        inner = policy.get("config", policy)
        kind = str(policy.get("class_name"))
        if "DTypePolicyMap" in kind:
            raise Unsupported("a map of dtype policies", remedy="give each layer its own dtype policy")
        if "mode" in inner or "Quantized" in kind:
            raise _quantised(str(inner.get("mode") or kind))
        policy = inner.get("name") or "float32"
    if compute_dtype(policy) in FLOATS:
        return str(policy)
    if "_from_" in policy:
        raise _quantised(policy.partition("_from_")[0])
    if "float" in policy:
        raise Unsupported(f"dtype policy {policy!r}", remedy="load the weights into the model under another policy")
    return ""


def _quantised(mode: str) -> Unsupported:
    return Unsupported(
        f"a quantised layer ({mode})",
        remedy="keras_to_torch(..., dequantize=True) gives the float layer that its weights stand for",
    )


def nested_policies(config: Any) -> Iterator[str]:
    """The policies of the layers in a layer's config: of the cell of an RNN, of what a wrapper wraps."""
    if isinstance(config, Mapping):
        inner = config.get("config")
        if "class_name" in config and isinstance(inner, Mapping) and "dtype" in inner and "name" in inner:
            yield policy_name(inner)
        for item in config.values():
            yield from nested_policies(item)
    elif isinstance(config, (list, tuple)):
        for item in config:
            yield from nested_policies(item)
