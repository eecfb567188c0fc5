"""Windows whose padding torch cannot say: SAME for sizes known only at run time, uneven average pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["AveragePool", "SamePad"]

POOLS = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


class SamePad(nn.Module):
    """Pads the spatial axes (2 and up) as TensorFlow's SAME does for the size that arrives; the odd pixel goes after.

    The output, seen through windows of `kernel_size`, `stride` and `dilation`, has ceil(size / stride) places.
    """

    def __init__(
        self, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], value: float = 0.0
    ) -> None:
        super().__init__()
        self.kernel_size = tuple(kernel_size)
        self.stride = tuple(stride)
        self.dilation = tuple(dilation)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride, dilation in zip(
            x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True
        ):
            total = _same_total(size, (kernel - 1) * dilation + 1, stride)
            pads = [total // 2, total - total // 2, *pads]
        return functional.pad(x, pads, value=self.value)

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, dilation={self.dilation}"
        return f"{text}, value={self.value}" if self.value else text


class AveragePool(nn.Module):
    """The mean of each window's real pixels; `padding` is (before, after) pairs, None for SAME."""

    def __init__(
        self, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[Sequence[int]] | None = None
    ) -> None:
        super().__init__()
        self.kernel_size = tuple(kernel_size)
        self.stride = tuple(stride)
        self.padding = None if padding is None else tuple((before, after) for before, after in padding)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis, (kernel, stride) in enumerate(zip(self.kernel_size, self.stride, strict=True)):
            if self.padding is None:
                total = _same_total(x.shape[axis + 2], kernel, stride)
                pads = [total // 2, total - total // 2, *pads]
            else:
                pads = [*self.padding[axis], *pads]
        pool = POOLS[len(self.kernel_size) - 1]
        real = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        mean = pool(functional.pad(x, pads), self.kernel_size, self.stride)
        return mean / pool(functional.pad(real, pads), self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding or 'same'}"


def _same_total(size: int, extent: int, stride: int) -> int:
    """All pads of one axis: what the last of ceil(size / stride) windows needs beyond the end."""
    total = extent - 1 - (size - 1) % stride
    if extent >= stride:
        return total
    padded: int = torch.sym_max(total, 0)  # type: ignore[no-untyped-call]
    return padded
