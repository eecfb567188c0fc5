"""Operations of keras.ops.image for (batch, channels, height, width); none draws random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from xconv.padding import same_pads
from xconv.torch.modules.blurs import blurred
from xconv.torch.modules.colours import from_hsv, grey, to_hsv
from xconv.torch.modules.described import Described
from xconv.torch.modules.warps import homography, projected

__all__ = [
    "SSIM",
    "AffineTransform",
    "ExtractPatches",
    "GaussianBlur",
    "HSVToRGB",
    "PerspectiveTransform",
    "RGBToGrayscale",
    "RGBToHSV",
    "SobelEdges",
]


class RGBToGrayscale(Described):
    """Red, green and blue become one channel of brightness."""

    keras_kind = "ops.RGBToGrayscale"

    def forward(self, x: Tensor) -> Tensor:
        return grey(x).to(x.dtype)

    def like(self, *tensors: Tensor) -> Tensor:
        (x,) = tensors
        return x.new_empty(x.shape[0], 1, *x.shape[2:])


class RGBToHSV(Described):
    """Hue, saturation and value of red, green and blue."""

    keras_kind = "ops.RGBToHSV"

    def forward(self, x: Tensor) -> Tensor:
        return to_hsv(x)


class HSVToRGB(Described):
    """Red, green and blue of hue, saturation and value."""

    keras_kind = "ops.HSVToRGB"

    def forward(self, x: Tensor) -> Tensor:
        return from_hsv(x)


class GaussianBlur(Described):
    """Gaussian weights around every pixel, zeros beyond the border."""

    keras_kind = "ops.GaussianBlur"

    def __init__(self, kernel_size: Sequence[int] = (3, 3), sigma: Sequence[float] = (1.0, 1.0)) -> None:
        super().__init__(kernel_size=kernel_size, sigma=sigma)
        self.kernel_size, self.sigma = kernel_size, sigma

    def forward(self, x: Tensor) -> Tensor:
        return blurred(x, self.kernel_size, self.sigma)


class SobelEdges(Described):
    """How every channel grows downwards and to the right, along a new last axis; the border is mirrored."""

    keras_kind = "ops.SobelEdges"

    def forward(self, x: Tensor) -> Tensor:
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=x.dtype, device=x.device)
        weights = torch.stack([across.T, across])[:, None].repeat(x.shape[1], 1, 1, 1)
        edges = functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), weights, groups=x.shape[1])
        return torch.stack([edges[:, ::2], edges[:, 1::2]], -1)

    def like(self, *tensors: Tensor) -> Tensor:
        return tensors[0].new_empty(*tensors[0].shape, 2)


class ExtractPatches(Described):
    """Every patch as one pixel: its pixels in order, the channels of each together; zeros where 'same' needs them."""

    keras_kind = "ops.ExtractPatches"

    def __init__(
        self, size: Sequence[int], strides: Sequence[int], dilation_rate: Sequence[int], padding: str = "valid"
    ) -> None:
        super().__init__(size=size, strides=strides, dilation_rate=dilation_rate, padding=padding)
        self.size, self.strides, self.dilation, self.padding = (
            tuple(size),
            tuple(strides),
            tuple(dilation_rate),
            padding,
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.padding == "same":
            pads = same_pads(tuple(x.shape[2:]), self.size, self.strides, self.dilation) or ()
            x = functional.pad(x, [number for pair in reversed(pads) for number in pair])
        rank = len(self.size)
        for axis, (size, stride, dilation) in enumerate(zip(self.size, self.strides, self.dilation, strict=True), 2):
            x = x.unfold(axis, (size - 1) * dilation + 1, stride)[..., ::dilation]
        last = tuple(range(2 + rank, 2 + 2 * rank))
        return x.permute(0, *last, 1, *range(2, 2 + rank)).flatten(1, 1 + rank)

    def like(self, *tensors: Tensor) -> Tensor:
        return self.forward(tensors[0])


class AffineTransform(Described):
    """Every pixel from where eight numbers for each picture, or for all, lead; no gradient reaches these."""

    keras_kind = "ops.AffineTransform"

    def __init__(self, interpolation: str = "bilinear", fill_mode: str = "constant", fill_value: float = 0.0) -> None:
        super().__init__(interpolation=interpolation, fill_mode=fill_mode, fill_value=fill_value)
        self.interpolation, self.fill_mode, self.fill_value = interpolation, fill_mode, fill_value

    def forward(self, x: Tensor, transform: Tensor) -> Tensor:
        rows = transform.detach().reshape(-1, 8).expand(x.shape[0], 8)
        return projected(x, rows, self.interpolation, self.fill_mode, self.fill_value)


class PerspectiveTransform(Described):
    """Four points of each picture, or of all, moved from `start` to `end`; no gradient reaches these."""

    keras_kind = "ops.PerspectiveTransform"

    def __init__(self, interpolation: str = "bilinear", fill_value: float = 0.0) -> None:
        super().__init__(interpolation=interpolation, fill_value=fill_value)
        self.interpolation, self.fill_value = interpolation, fill_value

    def forward(self, x: Tensor, start: Tensor, end: Tensor) -> Tensor:
        points = (corners.detach().reshape(-1, 4, 2) for corners in (start, end))
        rows = homography(*points).expand(x.shape[0], 8)
        return projected(x, rows, self.interpolation, "constant", self.fill_value)


class SSIM(Described):
    """How alike two pictures are in their structure, one number for each pair."""

    keras_kind = "ops.SSIM"

    def __init__(
        self,
        max_val: float = 1.0,
        filter_size: int = 11,
        filter_sigma: float = 1.5,
        k1: float = 0.01,
        k2: float = 0.03,
    ) -> None:
        super().__init__(max_val=max_val, filter_size=filter_size, filter_sigma=filter_sigma, k1=k1, k2=k2)
        self.size, self.sigma = filter_size, filter_sigma
        self.least = (k1 * max_val) ** 2, (k2 * max_val) ** 2

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        steps = torch.arange(self.size, dtype=x.dtype, device=x.device) - (self.size - 1) / 2
        line = torch.exp(-(steps**2) / (2.0 * self.sigma**2))
        line = line / line.sum()
        weights = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)

        def mean(z: Tensor) -> Tensor:
            return functional.conv2d(z, weights, groups=z.shape[1])

        a, b = mean(x), mean(y)
        spread = mean(x * x) - a * a + mean(y * y) - b * b
        shared = mean(x * y) - a * b
        first, second = self.least
        alike = (2.0 * a * b + first) * (2.0 * shared + second)
        return (alike / ((a * a + b * b + first) * (spread + second))).mean((1, 2, 3))

    def like(self, *tensors: Tensor) -> Tensor:
        return tensors[0].new_empty(tensors[0].shape[0])
