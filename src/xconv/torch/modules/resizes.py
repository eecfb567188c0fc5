"""Resizes as TensorFlow computes them: for each axis the matrix of its kernel, or torch's own where that is the same.

Torch's bicubic has another coefficient and border, its area is another mean, and it has no Lanczos kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from xconv.kernel_matrices import matrix
from xconv.kernels import SINGLE, Kernel
from xconv.torch.modules.described import Described, floating

__all__ = ["CenterCrop", "Resize", "Resizing", "UpSampling2D", "resized"]

Size: TypeAlias = Sequence[int]


def resized(x: Tensor, size: Size, interpolation: str, *, antialias: bool = False) -> Tensor:
    """`tf.image.resize` for (batch, channels, height, width); integers become floating, but for 'nearest'."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    antialias = antialias and interpolation not in ("nearest", "area")
    if interpolation == "bilinear" and not antialias:
        return functional.interpolate(floating(x), tuple(size), mode="bilinear", align_corners=False)
    antialias = antialias or interpolation == "area"
    down = _weights(interpolation, antialias, x.shape[2], size[0])
    across = _weights(interpolation, antialias, x.shape[3], size[1])
    if interpolation == "nearest":
        rows, columns = (weights.argmax(1).to(x.device) for weights in (down, across))
        return x[:, :, rows][..., columns]
    held = floating(x)
    made: Tensor = down.to(held) @ (held @ across.to(held).T)
    return made


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _weights(interpolation: str, antialias: bool, before: int, after: int) -> Tensor:
    """The matrix of TensorFlow's kernel, (after, before), in float64; compiled code holds it as a constant."""
    variant = "a=-0.5" if interpolation == "bicubic" else ""
    kernel = Kernel(interpolation, antialias, variant=variant, places=SINGLE)
    return torch.from_numpy(matrix(kernel, before, after).astype("float64"))


def _part(x: Tensor, size: Size) -> Tensor:
    """The largest part from the middle that has the aspect ratio of `size`."""
    old = x.shape[2:]
    wanted = (int(float(old[1] * size[0]) / size[1]), int(float(old[0] * size[1]) / size[0]))
    for axis in (0, 1):
        length = max(min(old[axis], wanted[axis]), 1)
        x = x.narrow(axis + 2, (old[axis] - length) // 2, length)
    return x


def _framed(x: Tensor, size: Size, value: float) -> Tensor:
    """A border on two sides that gives the aspect ratio of `size`; as in Keras, an odd pixel of it is missing."""
    old = x.shape[2:]
    wanted = (int(float(old[1] * size[0]) / size[1]), int(float(old[0] * size[1]) / size[0]))
    down, across = ((max(new, n) - n) // 2 for n, new in zip(old, wanted, strict=True))
    return functional.pad(x, (across, across, down, down), value=value)


class Resize(Described):
    """`keras.ops.image.resize`; an aspect ratio is kept by cutting off or by borders of `fill_value`."""

    keras_kind = "ops.Resize"

    def __init__(
        self,
        size: Size,
        interpolation: str = "bilinear",
        antialias: bool = False,
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_value: float = 0.0,
    ) -> None:
        super().__init__(
            size=size,
            interpolation=interpolation,
            antialias=antialias,
            crop_to_aspect_ratio=crop_to_aspect_ratio,
            pad_to_aspect_ratio=pad_to_aspect_ratio,
            fill_value=fill_value,
        )
        self.size, self.interpolation, self.antialias, self.fill_value = size, interpolation, antialias, fill_value
        self.crops, self.pads = crop_to_aspect_ratio, pad_to_aspect_ratio

    def forward(self, x: Tensor) -> Tensor:
        part = _part(x, self.size) if self.crops else _framed(x, self.size, self.fill_value) if self.pads else x
        found = resized(part, self.size, self.interpolation, antialias=self.antialias)
        return found if x.is_floating_point() else _whole(found, x.dtype)

    def like(self, *tensors: Tensor) -> Tensor:
        (x,) = tensors
        return x.new_empty(*x.shape[:2], *self.size)


class Resizing(Resize):
    """Keras's layer: height and width apart."""

    keras_kind = "Resizing"

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_value: float = 0.0,
        antialias: bool = False,
    ) -> None:
        options = interpolation, antialias, crop_to_aspect_ratio, pad_to_aspect_ratio, fill_value
        super().__init__((height, width), *options)
        del self.settings["size"]
        self.settings = {"height": height, "width": width, **self.settings}


class CenterCrop(Described):
    """The middle; where a side is too short, the part of this aspect ratio is resized."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height=height, width=width)
        self.size = (height, width)

    def forward(self, x: Tensor) -> Tensor:
        held = floating(x)
        spare = [old - new for old, new in zip(x.shape[2:], self.size, strict=True)]
        if min(spare) < 0:
            return resized(_part(held, self.size), self.size, "bilinear")
        return held.narrow(2, spare[0] // 2, self.size[0]).narrow(3, spare[1] // 2, self.size[1])

    def like(self, *tensors: Tensor) -> Tensor:
        return floating(tensors[0]).new_empty(*tensors[0].shape[:2], *self.size)


class UpSampling2D(Described):
    """As many times as high and as wide, by a kernel that torch has not."""

    def __init__(self, size: Size, interpolation: str) -> None:
        super().__init__(size=size, interpolation=interpolation)
        self.size, self.interpolation = size, interpolation

    def forward(self, x: Tensor) -> Tensor:
        return resized(x, self._after(x), self.interpolation)

    def like(self, *tensors: Tensor) -> Tensor:
        return tensors[0].new_empty(*tensors[0].shape[:2], *self._after(tensors[0]))

    def _after(self, x: Tensor) -> Size:
        return [old * factor for old, factor in zip(x.shape[2:], self.size, strict=True)]


def _whole(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Integers again: rounded, halves to even, and as large as the dtype allows."""
    if not x.is_floating_point():
        return x
    limits = torch.iinfo(dtype)
    return x.round().clamp(limits.min, limits.max).to(dtype)
