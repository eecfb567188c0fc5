"""What Keras does at random in training, and torch.nn has no class for; nothing happens in inference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["GaussianDropout", "GaussianNoise", "SharedDropout", "StochasticDepth"]

SELU = -1.6732632423543772 * 1.0507009873554805
"""What a SELU tends to for large negative numbers."""


class StochasticDepth(nn.Module):
    """Each sample's whole tensor is dropped with probability `p`; the others grow by 1 / (1 - p).

    With `mode="batch"`, all samples are dropped together or none, as in torchvision.
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        keep = 1.0 - self.p
        samples = 1 if self.mode == "batch" else x.shape[0]
        mask = torch.empty((samples, *(1,) * (x.dim() - 1)), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * (mask / keep if keep else mask)

    def extra_repr(self) -> str:
        return f"p={self.p}" if self.mode == "row" else f"p={self.p}, mode={self.mode!r}"


class SharedDropout(nn.Module):
    """Elements become 0 with probability `p`, all along the axes `dims` together; the others grow by 1 / (1 - p).

    With `alpha` they become what a SELU tends to, and all is scaled and moved so that mean and variance stay.
    """

    def __init__(self, p: float, dims: Sequence[int], alpha: bool = False) -> None:
        super().__init__()
        self.p, self.dims, self.alpha = p, tuple(dims), alpha

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        keep = 1.0 - self.p
        shape = [1 if axis in self.dims else size for axis, size in enumerate(x.shape)]
        kept = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(keep)
        if not self.alpha:
            return x * (kept / keep if keep else kept)
        scale = (keep * (1.0 + self.p * SELU**2)) ** -0.5
        result: Tensor = scale * (x * kept + SELU * (1.0 - kept)) - scale * SELU * self.p
        return result

    def config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {"p": self.p, "dims": self.dims, "alpha": self.alpha}

    def extra_repr(self) -> str:
        return f"p={self.p}, dims={self.dims}" + (", alpha=True" if self.alpha else "")


class GaussianDropout(nn.Module):
    """Each element times a normal number of mean 1 and variance rate / (1 - rate)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        return x * (1.0 + math.sqrt(self.rate / (1.0 - self.rate)) * torch.randn_like(x))

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class GaussianNoise(nn.Module):
    """Each element plus a normal number of mean 0 and standard deviation `stddev`."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.stddev == 0.0:
            return x
        return x + self.stddev * torch.randn_like(x)

    def extra_repr(self) -> str:
        return f"stddev={self.stddev}"
