"""Memory that is used again: an activation or a sum written over a tensor that nothing else needs.

What hand-written networks do with `ReLU(inplace=True)` and `out += identity`. It is done only where the tensor was made
by a layer whose gradient does not need its own output, and where the activation or sum is its only use.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import fx, nn

from xconv.spec import Slot, TorchCall

__all__ = ["in_place", "is_fresh", "without_reuse"]

FRESH = ("torch.nn.Conv", "torch.nn.BatchNorm", "xconv.torch.modules.BatchNorm", "torch.nn.Linear")
"""Layers that return a new tensor which their own gradient does not need."""

ACTIVATIONS = frozenset({"torch.nn.ReLU", "torch.nn.ReLU6", "torch.nn.Hardswish", "torch.nn.SiLU"})
"""Modules with an `inplace` flag."""

ADD, IN_PLACE_ADD = "torch.add", "operator.iadd"


def is_fresh(call: TorchCall) -> bool:
    """Whether the call gives a new tensor that its own gradient does not need."""
    return call.target.startswith(FRESH) or call.target in (ADD, IN_PLACE_ADD)


def in_place(call: TorchCall, spare: Sequence[bool]) -> TorchCall:
    """The call, written over its input where `spare` says that the input is fresh, of its shape and used nowhere else.

    >>> in_place(TorchCall("torch.nn.ReLU"), [True]).config
    {'inplace': True}
    >>> in_place(TorchCall("torch.add", (Slot(0), Slot(1))), [False, True]).args
    (Slot(index=1), Slot(index=0))
    """
    if call.target in ACTIVATIONS and call.args == (Slot(0),) and spare[0]:
        return replace(call, config={**call.config, "inplace": True})
    if call.target == ADD and call.args == (Slot(0), Slot(1)) and not call.kwargs and any(spare):
        return replace(call, target=IN_PLACE_ADD, args=call.args if spare[0] else call.args[::-1])
    return call


def without_reuse(module: nn.Module) -> nn.Module:
    """A copy that shares every tensor, in which each intermediate result keeps its value."""
    tensors = [*module.parameters(), *module.buffers()]
    result: nn.Module = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for child in result.modules():
        if getattr(child, "inplace", False) is True:
            vars(child)["inplace"] = False
    if isinstance(result, fx.GraphModule):
        for node in result.graph.nodes:
            if node.target is operator.iadd:
                node.target = torch.add
        result.recompile()
    return result
