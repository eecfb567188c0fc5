"""Products of matrices. `Dense` is not ONNX's: it is a product with weights that stand ready in torch's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from xconv.onnx.call import Call

__all__ = ["PRODUCTS"]


def _dense(call: Call) -> torch.Tensor:
    return functional.linear(call.tensor(0), call.weights["weight"], call.weights.get("bias"))


def _gemm(call: Call) -> torch.Tensor:
    first, second = call.tensor(0), call.tensor(1)
    first = first.t() if call.get("transA", 0) else first
    second = second.t() if call.get("transB", 0) else second
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    result = torch.matmul(first, second)
    result = result * alpha if alpha != 1 else result
    if not call.has(2):
        return result
    bias = call.tensor(2)
    return result + (bias * beta if beta != 1 else bias)


def _einsum(call: Call) -> torch.Tensor:
    return torch.einsum(call.get("equation").decode(), *(call.tensor(place) for place in range(len(call.inputs))))


PRODUCTS: Mapping[str, Callable[[Call], Any]] = {
    "Dense": _dense,
    "Gemm": _gemm,
    "MatMul": lambda call: torch.matmul(call.tensor(0), call.tensor(1)),
    "Einsum": _einsum,
}
