"""Normalizations, in inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from xconv.errors import Unsupported
from xconv.onnx.call import Call

__all__ = ["NORMALIZATION"]


def _batch(call: Call) -> torch.Tensor:
    call.only("training_mode", 0)
    call.only("spatial", 1)
    call.only("is_test", 1)
    value, scale, bias, mean, variance = (call.tensor(place) for place in range(5))
    # ONNX's momentum is the part that is kept, torch's the part that is new.
    momentum = round(1.0 - call.get("momentum", 0.9), 12)
    return functional.batch_norm(value, mean, variance, scale, bias, False, momentum, call.get("epsilon", 1e-5))


def _instance(call: Call) -> torch.Tensor:
    value, scale, bias = (call.tensor(place) for place in range(3))
    return functional.group_norm(value, value.shape[1], scale, bias, call.get("epsilon", 1e-5))


def _group(call: Call) -> torch.Tensor:
    value, scale, bias = (call.tensor(place) for place in range(3))
    groups = call.get("num_groups")
    call.get("stash_type")
    if call.opset < 21 and scale.shape[0] != value.shape[1]:
        scale, bias = (item.repeat_interleave(value.shape[1] // groups) for item in (scale, bias))
    return functional.group_norm(value, groups, scale, bias, call.get("epsilon", 1e-5))


def _layer(call: Call) -> torch.Tensor:
    value, scale = call.tensor(0), call.tensor(1)
    axis = call.get("axis", -1) % value.dim()
    call.get("stash_type")
    shape = [int(size) for size in value.shape[axis:]]
    if call.outputs > 1:
        raise Unsupported("the mean or deviation of a LayerNormalization", remedy="export the model without them")
    bias = call.tensor(2) if call.has(2) else None
    if list(scale.shape) != shape:
        raise Unsupported(f"LayerNormalization over {shape} with a scale of {list(scale.shape)}")
    return functional.layer_norm(value, shape, scale, bias, call.get("epsilon", 1e-5))


def _lp(call: Call) -> torch.Tensor:
    return functional.normalize(call.tensor(0), p=float(call.get("p", 2)), dim=call.get("axis", -1), eps=0.0)


NORMALIZATION: Mapping[str, Callable[[Call], Any]] = {
    "BatchNormalization": _batch,
    "InstanceNormalization": _instance,
    "GroupNormalization": _group,
    "LayerNormalization": _layer,
    "LpNormalization": _lp,
}
