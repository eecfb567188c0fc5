"""A layer that is a sum of products with its weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["EinsumDense"]


class EinsumDense(nn.Module):
    """`torch.einsum(equation, x, weight)`, plus a bias on the last axes, where there is one."""

    def __init__(self, equation: str, kernel: Sequence[int], bias: Sequence[int] | None = None) -> None:
        super().__init__()
        self.equation = equation
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(tuple(kernel)), std=0.05))
        self.bias = None if bias is None else nn.Parameter(torch.zeros(tuple(bias)))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.einsum(self.equation, x, self.weight)
        return y if self.bias is None else y + self.bias

    def config(self) -> dict[str, object]:
        """The constructor's arguments."""
        bias = None if self.bias is None else tuple(self.bias.shape)
        return {"equation": self.equation, "kernel": tuple(self.weight.shape), "bias": bias}

    def extra_repr(self) -> str:
        bias = "" if self.bias is None else f", bias={tuple(self.bias.shape)}"
        return f"{self.equation!r}, kernel={tuple(self.weight.shape)}{bias}"
