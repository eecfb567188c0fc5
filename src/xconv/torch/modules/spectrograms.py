"""Spectrograms of sound: by learnt kernels that begin as Fourier's, and on the mel scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xconv.padding import same_pads
from xconv.torch.modules.described import Described

__all__ = ["MelSpectrogram", "STFTSpectrogram"]

LEAST = 1e-7
"""Keras's epsilon."""


class STFTSpectrogram(Described):
    """Convolutions of every channel with a real and an imaginary kernel (frame, 1, frequencies), joined by `mode`.

    What the kernels began as, `window`, `periodic` and `scaling`, is remembered only.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        mode: str,
        frame_length: int,
        frame_step: int,
        fft_length: int,
        window: str | Sequence[float] | None = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str = "channels_last",
    ) -> None:
        super().__init__(
            mode=mode,
            frame_length=frame_length,
            frame_step=frame_step,
            fft_length=fft_length,
            window=window,
            periodic=periodic,
            scaling=scaling,
            padding=padding,
            expand_dims=expand_dims,
            data_format=data_format,
        )
        self.mode, self.step, self.padding = mode, frame_step, padding
        self.frame, self.expands, self.last = frame_length, expand_dims, data_format == "channels_last"
        for name in ("real_kernel", "imag_kernel"):
            if mode != {"real_kernel": "imag", "imag_kernel": "real"}[name]:
                kernel = torch.zeros(frame_length, 1, fft_length // 2 + 1)
                self.register_parameter(name, nn.Parameter(kernel))

    def held(self) -> tuple[Tensor, ...]:
        return tuple(self.parameters())

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x, *self.held())

    def compute(self, *tensors: Tensor) -> Tensor:
        x, *kernels = tensors
        x = x.transpose(1, 2) if self.last else x
        found = self._joined([self._filtered(x, kernel) for kernel in kernels])
        if self.expands:
            return found.permute(0, 3, 2, 1) if self.last else found.transpose(2, 3)
        return found.flatten(1, 2).transpose(1, 2) if self.last else found.flatten(1, 2)

    def _filtered(self, x: Tensor, kernel: Tensor) -> Tensor:
        """(batch, channels, frequencies, time)."""
        if self.padding == "same":
            ((before, after),) = same_pads((x.shape[2],), (self.frame,), (self.step,), (1,)) or ((0, 0),)
            x = functional.pad(x, (before, after))
        weights = kernel.permute(2, 1, 0)
        made = functional.conv1d(x.reshape(-1, 1, x.shape[2]), weights, stride=self.step)
        return made.unflatten(0, (-1, x.shape[1]))  # type: ignore[no-untyped-call, no-any-return]

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        match self.mode:
            case "real" | "imag":
                return parts[0]
            case "angle":
                return torch.atan2(parts[1], parts[0])
            case "stft":
                return torch.cat(list(parts), 2)
        power = parts[0] ** 2 + parts[1] ** 2
        if self.mode == "psd":
            return power + functional.pad(power[:, :, 1:-1], (0, 0, 1, 1))
        size = power.clamp(min=LEAST).sqrt()
        return size if self.mode == "magnitude" else size.clamp(min=LEAST).log()

    def like(self, *tensors: Tensor) -> Tensor:
        return self.compute(*tensors)


class MelSpectrogram(Described):
    """The size of the Fourier transform of overlapping frames, summed in bands of the mel scale, in decibels."""

    def __init__(  # noqa: PLR0913
        self,
        *,
        fft_length: int,
        sequence_stride: int,
        sequence_length: int,
        window: str | Sequence[float] | None,
        sampling_rate: float,
        num_mel_bins: int,
        min_freq: float,
        max_freq: float,
        power_to_db: bool,
        top_db: float,
        mag_exp: float,
        min_power: float,
        ref_power: float,
    ) -> None:
        super().__init__(
            fft_length=fft_length,
            sequence_stride=sequence_stride,
            sequence_length=sequence_length,
            window=window,
            sampling_rate=sampling_rate,
            num_mel_bins=num_mel_bins,
            min_freq=min_freq,
            max_freq=max_freq,
            power_to_db=power_to_db,
            top_db=top_db,
            mag_exp=mag_exp,
            min_power=min_power,
            ref_power=ref_power,
        )
        self.fft_length, self.stride, self.bins = fft_length, sequence_stride, num_mel_bins
        self.exponent, self.decibels, self.top = mag_exp, power_to_db, top_db
        self.least, self.reference = min_power, max(abs(ref_power), min_power)
        self.window = _window(window, sequence_length, fft_length)
        self.bands = _bands(num_mel_bins, fft_length // 2 + 1, sampling_rate, (min_freq, max_freq))

    def forward(self, x: Tensor) -> Tensor:
        half = self.fft_length // 2
        padded = functional.pad(x[:, None], (half, half), mode="reflect")[:, 0]
        frames = padded.unfold(-1, self.fft_length, self.stride)
        if self.window is not None:
            frames = frames * torch.tensor(self.window, dtype=x.dtype, device=x.device)
        parts = torch.view_as_real(torch.fft.rfft(frames))
        size = (parts**2).sum(-1).sqrt() ** self.exponent
        found = size @ torch.tensor(self.bands, dtype=x.dtype, device=x.device)
        if self.decibels:
            found = 10.0 * found.clamp(min=self.least).log10() - 10.0 * math.log10(self.reference)
            found = torch.maximum(found, found.max() - self.top)
        return found.transpose(1, 2)

    def like(self, *tensors: Tensor) -> Tensor:
        (x,) = tensors
        frames = 1 + (x.shape[1] + 2 * (self.fft_length // 2) - self.fft_length) // self.stride
        return x.new_empty(x.shape[0], self.bins, frames)


def _window(window: str | Sequence[float] | None, length: int, size: int) -> list[float] | None:
    """The window in the middle of a frame; TensorFlow's are periodic where their length is even."""
    if window is None:
        return None
    if isinstance(window, str):
        base = 0.5 if window == "hann" else 0.54
        period = length if length % 2 == 0 else length - 1
        steps = np.arange(length)
        window = [1.0] if length == 1 else (base - (1 - base) * np.cos(2 * np.pi * steps / period)).tolist()
    before = (size - length) // 2
    return [0.0] * before + [float(number) for number in window] + [0.0] * (size - length - before)


def _bands(count: int, places: int, rate: float, span: tuple[float, float]) -> list[list[float]]:
    """Triangles on the mel scale, in float32 as in Keras; nothing of the constant part."""
    single = np.float32

    def mel(hertz: np.ndarray) -> np.ndarray:
        return single(1127.0) * np.log(single(1.0) + hertz / single(700.0)).astype(single)

    lines = mel(np.linspace(0.0, rate / 2.0, places, dtype=single))[1:, None]
    first, last = mel(np.asarray(span, single))
    edges = np.linspace(first, last, count + 2, dtype=single)
    rising = (lines - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - lines) / (edges[2:] - edges[1:-1])
    bands = np.maximum(single(0.0), np.minimum(rising, falling))
    return [[0.0] * count, *bands.tolist()]
