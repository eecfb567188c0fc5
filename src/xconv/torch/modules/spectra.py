"""Fourier transforms as keras.ops has them: real and imaginary parts are tensors of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from xconv.torch.modules.described import Described

__all__ = ["FFT", "FFT2", "IFFT2", "IRFFT", "ISTFT", "RFFT", "STFT"]

Window: TypeAlias = str | Sequence[float] | None


def _parts(z: Tensor) -> tuple[Tensor, Tensor]:
    return z.real.contiguous(), z.imag.contiguous()


class FFT(Described):
    """The transform along the last axis."""

    keras_kind, several = "ops.FFT", True

    def forward(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        return _parts(torch.fft.fft(torch.complex(real, imag)))


class FFT2(Described):
    """The transform along the last two axes."""

    keras_kind, several = "ops.FFT2", True

    def forward(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        return _parts(torch.fft.fft2(torch.complex(real, imag)))


class IFFT2(Described):
    """The way back along the last two axes."""

    keras_kind, several = "ops.IFFT2", True

    def forward(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        return _parts(torch.fft.ifft2(torch.complex(real, imag)))


class RFFT(Described):
    """The transform of real numbers along the last axis, which is cut or filled up to `fft_length`."""

    keras_kind, several = "ops.RFFT", True

    def __init__(self, fft_length: int | None = None) -> None:
        super().__init__(fft_length=fft_length)
        self.fft_length = fft_length

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _parts(torch.fft.rfft(x, n=self.fft_length))


class IRFFT(Described):
    """The way back to real numbers."""

    keras_kind = "ops.IRFFT"

    def __init__(self, fft_length: int | None = None) -> None:
        super().__init__(fft_length=fft_length)
        self.fft_length = fft_length

    def forward(self, real: Tensor, imag: Tensor) -> Tensor:
        numbers: Tensor = torch.fft.irfft(torch.complex(real, imag), n=self.fft_length)
        return numbers

    def like(self, *tensors: Tensor) -> Tensor:
        return torch.empty_like(self(*tensors))


class STFT(Described):
    """The transforms of windows that slide along the last axis."""

    keras_kind, several = "ops.STFT", True

    def __init__(
        self,
        sequence_length: int,
        sequence_stride: int,
        fft_length: int,
        window: Window = "hann",
        center: bool = True,
    ) -> None:
        names = ("sequence_length", "sequence_stride", "fft_length", "window", "center")
        super().__init__(
            **dict(zip(names, (sequence_length, sequence_stride, fft_length, window, center), strict=True))
        )
        self.sequence_length, self.sequence_stride, self.fft_length = sequence_length, sequence_stride, fft_length
        self.window, self.center = window, center

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.reshape(-1, x.shape[-1])
        if self.center:
            rows = functional.pad(rows, (self.fft_length // 2,) * 2, mode="reflect")
        frames = rows.unfold(-1, self.fft_length, self.sequence_stride)
        made = torch.fft.rfft(frames * window_of(self.window, self.sequence_length, self.fft_length, x))
        return _parts(made.reshape(*x.shape[:-1], *made.shape[1:]))


class ISTFT(Described):
    """The way back from transforms of windows, which overlap."""

    keras_kind = "ops.ISTFT"

    def __init__(
        self,
        sequence_length: int,
        sequence_stride: int,
        fft_length: int,
        length: int | None = None,
        window: Window = "hann",
        center: bool = True,
    ) -> None:
        names = ("sequence_length", "sequence_stride", "fft_length", "length", "window", "center")
        values = (sequence_length, sequence_stride, fft_length, length, window, center)
        super().__init__(**dict(zip(names, values, strict=True)))
        self.sequence_length, self.sequence_stride, self.fft_length = sequence_length, sequence_stride, fft_length
        self.length, self.window, self.center = length, window, center

    def forward(self, real: Tensor, imag: Tensor) -> Tensor:
        frames = torch.fft.irfft(torch.complex(real, imag), n=self.fft_length)
        count, step = frames.shape[-2], self.sequence_stride
        if self.window is not None:
            frames = frames * self._inverse(real)
        size = self.fft_length + step * (count - 1)
        blocks = frames.reshape(-1, count, self.fft_length).mT
        whole = functional.fold(blocks, (1, size), (1, self.fft_length), stride=(1, step))
        start = self.fft_length // 2 if self.center else 0
        end = size - start
        if self.length is not None:
            end = start + self.length
        return whole.reshape(*real.shape[:-2], size)[..., start:end]

    def _inverse(self, like: Tensor) -> Tensor:
        """The window divided by how much of its square every place gets of all of them."""
        window, step = window_of(self.window, self.sequence_length, self.fft_length, like), self.sequence_stride
        overlaps = -(-self.fft_length // step)
        squares = functional.pad(window.square(), (0, overlaps * step - self.fft_length)).view(overlaps, step).sum(0)
        return window / squares.repeat(overlaps)[: self.fft_length]

    def like(self, *tensors: Tensor) -> Tensor:
        return torch.empty_like(self(*tensors))


def window_of(window: Window, length: int, full: int, like: Tensor) -> Tensor:
    """A window by its name or numbers, in the middle of `full` places; as in TensorFlow, odd ones are symmetric."""
    even = length % 2 == 0
    dtype, device = like.dtype, like.device
    if window is None:
        return torch.ones(full, dtype=dtype, device=device)
    if window == "hann":
        made = torch.hann_window(length, periodic=even, dtype=dtype, device=device)
    elif window == "hamming":
        made = torch.hamming_window(length, periodic=even, dtype=dtype, device=device)
    else:
        made = torch.tensor(window, dtype=dtype, device=device)
    left = (full - length) // 2
    return functional.pad(made, (left, full - length - left))
