"""Keras's activations that torch.nn lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ClippedReLU", "Exponential", "SparsePlus", "SparseSigmoid", "Squareplus"]


class ClippedReLU(nn.Module):
    """Keras's ReLU: x above `threshold`, at most `max_value`; negative_slope * (x - threshold) below it."""

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0) -> None:
        super().__init__()
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        y = torch.where(x > self.threshold, x, 0.0) if self.threshold else functional.relu(x)
        if self.max_value is not None:
            y = y.clamp(0.0, self.max_value)
        if self.negative_slope:
            y = y - self.negative_slope * functional.relu(self.threshold - x)
        return y

    def extra_repr(self) -> str:
        return f"max_value={self.max_value}, negative_slope={self.negative_slope}, threshold={self.threshold}"


class Exponential(nn.Module):
    """exp(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp()


class SparsePlus(nn.Module):
    """0 below -1, x above 1, (x + 1)^2 / 4 between them."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x <= -1, 0.0, torch.where(x < 1, 0.25 * (x + 1).square(), x))


class SparseSigmoid(nn.Module):
    """0 below -1, 1 above 1, (x + 1) / 2 between them."""

    def forward(self, x: Tensor) -> Tensor:
        return (0.5 * (x + 1)).clamp(0.0, 1.0)


class Squareplus(nn.Module):
    """(x + sqrt(x^2 + b)) / 2."""

    def __init__(self, b: float = 4.0) -> None:
        super().__init__()
        self.b = b

    def forward(self, x: Tensor) -> Tensor:
        return (x + torch.sqrt(x.square() + self.b)) / 2

    def extra_repr(self) -> str:
        return f"b={self.b}"
