"""Products and sums with one number per channel, held as constants or as parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Normalization", "PReLU", "Rescaling", "Scale"]

Numbers: TypeAlias = float | Sequence[float]


class Rescaling(nn.Module):
    """x * scale + offset; each is a number, or one number per place along `axis`."""

    def __init__(self, scale: Numbers, offset: Numbers = 0.0, axis: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.offset = offset
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        return x * _along(self.scale, x, self.axis) + _along(self.offset, x, self.axis)

    def extra_repr(self) -> str:
        axis = f", axis={self.axis}" if isinstance(self.scale, Sequence) or isinstance(self.offset, Sequence) else ""
        return f"scale={self.scale}, offset={self.offset}{axis}"


class Normalization(nn.Module):
    """(x - mean) / max(sqrt(variance), 1e-7), or with `invert` the way back.

    Mean and variance have the shape `sizes`, which is broadcast from the last axis. They are buffers, or constants
    where `mean` and `variance` give their values in memory order.
    """

    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        mean: Sequence[float] | None = None,
        variance: Sequence[float] | None = None,
        *,
        invert: bool = False,
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.invert = invert
        self.constants = None if mean is None or variance is None else (tuple(mean), tuple(variance))
        if self.constants is None:
            self.register_buffer("mean", torch.zeros(self.sizes))
            self.register_buffer("variance", torch.ones(self.sizes))

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        if self.constants is None:
            mean, variance = self.mean, self.variance
        else:
            mean, variance = (
                torch.tensor(values, dtype=x.dtype, device=x.device).view(self.sizes) for values in self.constants
            )
        deviation = variance.sqrt().clamp(min=1e-7)
        return mean + x * deviation if self.invert else (x - mean) / deviation

    def extra_repr(self) -> str:
        text = f"{self.sizes}" + ("" if self.constants is None else ", mean={}, variance={}".format(*self.constants))
        return f"{text}, invert=True" if self.invert else text


class Scale(nn.Module):
    """x times a trainable vector along `axis` (LayerScale)."""

    def __init__(self, num_features: int, axis: int = 1) -> None:
        super().__init__()
        self.num_features = num_features
        self.axis = axis
        self.weight = nn.Parameter(torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.view(-1, *(1,) * (x.dim() - 1 - self.axis % x.dim()))

    def extra_repr(self) -> str:
        return f"{self.num_features}, axis={self.axis}"


class PReLU(nn.Module):
    """x above 0, weight * x below; the weight has one number, or one for all, along each axis but the batch."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.weight = nn.Parameter(torch.full(self.sizes, 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.weight * x)

    def extra_repr(self) -> str:
        return f"{self.sizes}"


def _along(values: Numbers, x: Tensor, axis: int) -> Tensor | float:
    """Numbers as a tensor that multiplies along `axis`; one number as it is."""
    if not isinstance(values, Sequence):
        return values
    return torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, *(1,) * (x.dim() - 1 - axis % x.dim()))
