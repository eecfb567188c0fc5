"""A torch call under a Keras dtype policy: a layer whose weights are held in one type and used in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xconv.graph import LowRank, Node
from xconv.policies import compute_dtype, inner_dtype
from xconv.spec import TorchCall

__all__ = ["COMPUTING", "LOW_RANK", "in_policy", "with_low_rank"]

COMPUTING = "xconv.torch.modules.Computing"
"""The target that stands for a layer which computes in another type than it is held in: `computing` makes it."""

LOW_RANK = "xconv.torch.modules.LowRank"
"""The target that stands for a layer whose weights LoRA adapts: `low_rank` makes it."""


def in_policy(call: TorchCall, node: Node) -> TorchCall:
    """The call of a node, and those in its arguments, computing in what the node's policy says."""
    if not node.policy:
        return call
    args = tuple(_argument(item, node) for item in call.args)
    call = replace(call, args=args, kwargs={key: _argument(item, node) for key, item in call.kwargs.items()})
    inner, outer = inner_dtype(node.policy, wide=node.spec.wide), compute_dtype(node.policy)
    held = {weight.dtype for weight in call.tensors.values() if "float" in weight.dtype}
    if not call.is_module or not held or held == {inner} == {outer}:
        return call
    layer = TorchCall(call.target, config=call.config, tensors=call.tensors)
    return replace(call, target=COMPUTING, config={"layer": layer, "inner": inner, "outer": outer})


def _argument(item: Any, node: Node) -> Any:
    """An argument, with the calls in it."""
    if isinstance(item, TorchCall):
        return in_policy(item, node)
    if isinstance(item, (tuple, list)):
        return type(item)(_argument(part, node) for part in item)
    return item


def with_low_rank(call: TorchCall, low_rank: Mapping[str, LowRank]) -> TorchCall:
    """The call, and those in its arguments, with the matrices that LoRA keeps beside their weights."""
    if not low_rank:
        return call
    args = tuple(with_low_rank(item, low_rank) if isinstance(item, TorchCall) else item for item in call.args)
    call = replace(call, args=args)
    found = {role: low_rank[weight.key] for role, weight in call.tensors.items() if weight.key in low_rank}
    if not found:
        return call
    tensors = dict(call.tensors)
    for role, item in found.items():
        tensors |= {f"{role}_lora_a": item.a, f"{role}_lora_b": item.b}
    ways = {role: (call.tensors[role], item.factor) for role, item in found.items()}
    layer = TorchCall(call.target, config=call.config, tensors=call.tensors)
    return replace(call, target=LOW_RANK, config={"layer": layer, "ways": ways}, tensors=tensors)
