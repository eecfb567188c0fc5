"""Transposed convolutions that lose the odd pixel, which torch's `padding` cannot cut off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class _Cropped(nn.Module):
    """Takes `crop` pixels off the end of each spatial axis of what the convolution gives."""

    def __init__(self, *args: Any, crop: Sequence[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.crop = tuple(crop)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        y: Tensor = super().forward(x, output_size)
        for axis, pixels in enumerate(self.crop, 2):
            y = y[(slice(None),) * axis + (slice(None, -pixels),)] if pixels else y
        return y

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, crop={self.crop}"


class ConvTranspose1d(_Cropped, nn.ConvTranspose1d):
    """nn.ConvTranspose1d, then `crop` pixels fewer at the end."""


class ConvTranspose2d(_Cropped, nn.ConvTranspose2d):
    """nn.ConvTranspose2d, then `crop` pixels fewer at the end of each spatial axis."""


class ConvTranspose3d(_Cropped, nn.ConvTranspose3d):
    """nn.ConvTranspose3d, then `crop` pixels fewer at the end of each spatial axis."""
