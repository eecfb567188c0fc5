"""Sums, means and extremes over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from xconv.onnx.call import Call

__all__ = ["REDUCTION"]


def _reduction(function: Callable[..., torch.Tensor]) -> Callable[[Call], torch.Tensor]:
    def run(call: Call) -> torch.Tensor:
        value, keep = call.tensor(0), bool(call.get("keepdims", 1))
        axes = call.axes(1)
        if not axes:
            if call.get("noop_with_empty_axes", 0):
                return value
            axes = list(range(value.dim()))
        call.get("noop_with_empty_axes")
        return function(value, dim=axes, keepdim=keep)

    return run


def _extreme_place(function: Callable[..., torch.Tensor]) -> Callable[[Call], torch.Tensor]:
    def run(call: Call) -> torch.Tensor:
        call.only("select_last_index", 0)
        return function(call.tensor(0), dim=call.get("axis", 0), keepdim=bool(call.get("keepdims", 1)))

    return run


def _l1(value: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    return torch.sum(torch.abs(value), dim=dim, keepdim=keepdim)


def _l2(value: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    return torch.sqrt(torch.sum(value * value, dim=dim, keepdim=keepdim))


def _squares(value: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    return torch.sum(value * value, dim=dim, keepdim=keepdim)


def _product(value: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    for axis in sorted((axis % value.dim() for axis in dim), reverse=True):
        value = torch.prod(value, dim=axis, keepdim=keepdim)
    return value


def _cumulative(call: Call) -> torch.Tensor:
    call.only("exclusive", 0)
    call.only("reverse", 0)
    return torch.cumsum(call.tensor(0), dim=int(call.number(1)))


REDUCTION: Mapping[str, Callable[[Call], Any]] = {
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMin": _reduction(torch.amin),
    "ReduceProd": _reduction(_product),
    "ReduceL1": _reduction(_l1),
    "ReduceL2": _reduction(_l2),
    "ReduceSumSquare": _reduction(_squares),
    "ReduceLogSumExp": _reduction(torch.logsumexp),
    "ArgMax": _extreme_place(torch.argmax),
    "ArgMin": _extreme_place(torch.argmin),
    "CumSum": _cumulative,
}
