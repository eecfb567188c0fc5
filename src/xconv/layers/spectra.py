"""Fourier transforms: keras.ops.fft, fft2, ifft2, rfft, irfft, stft, istft  <->  xconv's modules of these names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xconv.errors import Mismatch, Unsupported
from xconv.layers.described import REQUIRED, Defaults, Described, settings_of
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, TorchExample, Weights

__all__ = ["Spectrum"]

SETTINGS: Mapping[str, Defaults] = {
    "ops.FFT": {},
    "ops.FFT2": {},
    "ops.IFFT2": {},
    "ops.IRFFT": {"fft_length": None},
    "ops.ISTFT": {
        "sequence_length": REQUIRED,
        "sequence_stride": REQUIRED,
        "fft_length": REQUIRED,
        "length": None,
        "window": "hann",
        "center": True,
    },
    "ops.RFFT": {"fft_length": None},
    "ops.STFT": {
        "sequence_length": REQUIRED,
        "sequence_stride": REQUIRED,
        "fft_length": REQUIRED,
        "window": "hann",
        "center": True,
    },
}
"""The settings of each operation."""


@dataclass(frozen=True, slots=True)
class Spectrum(Described):
    """A transform; its real and its imaginary part are tensors of their own, before it or behind it.

    >>> Spectrum("ops.RFFT", (("fft_length", None),)).out_shapes((None, 7))
    ((None, 4), (None, 4))
    """

    order = Order.WRITTEN
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(SETTINGS)
    aten_ops = ("spectrum",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The settings; a pair of tensors, or one of real numbers."""
        given = layer.args or (layer.argument(0, "x"),)
        tensors = given[0] if isinstance(given[0], (list, tuple)) else given
        if not all(isinstance(item, Slot) for item in tensors):
            raise Unsupported(f"{layer.kind} of a constant", remedy="hold the array in a layer's weight")
        return Op(cls(layer.kind, tuple(settings_of(layer, SETTINGS[layer.kind]).items())))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """A transform as a program says it that was written in real numbers: in Keras's words."""
        call.get("given")
        kind = call["kind"]
        layer = KerasLayer(kind, json.loads(call["settings"]))
        return Op(cls(kind, tuple(settings_of(layer, SETTINGS[kind]).items())))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        slots = tuple(Slot(place) for place in range(len(inputs)))
        args = slots if len(slots) == 1 else (slots,)
        return KerasLayer(self.kind, dict(self.settings), inputs=tuple(inputs), args=args)

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """One tensor of real numbers, or two."""
        *rest, size = inputs[0]
        match self.kind:
            case "ops.RFFT":
                full = size if self.setting("fft_length") is None else self.setting("fft_length")
                return ((*rest, None if full is None else full // 2 + 1),) * 2
            case "ops.IRFFT":
                given = self.setting("fft_length")
                return ((*rest, given if given is not None or size is None else 2 * (size - 1)),)
            case "ops.STFT":
                return ((*rest, self._frames(size), self.setting("fft_length") // 2 + 1),) * 2
            case "ops.ISTFT":
                return ((*rest[:-1], self._whole(rest[-1])),)
        return inputs

    def _frames(self, size: int | None) -> int | None:
        """How many windows there are."""
        if size is None:
            return None
        length = self.setting("fft_length")
        size += length // 2 * 2 if self.setting("center") else 0
        if size < length:
            raise Mismatch(f"windows of {length} in {size} numbers")
        count: int = (size - length) // self.setting("sequence_stride") + 1
        return count

    def _whole(self, frames: int | None) -> int | None:
        """How many numbers come back."""
        length: int | None = self.setting("length")
        if frames is None or length is not None:
            return length
        full: int = self.setting("fft_length") + self.setting("sequence_stride") * (frames - 1)
        return full - self.setting("fft_length") // 2 * 2 if self.setting("center") else full

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Odd and even lengths, filled up (TensorFlow has no gradient where it cuts); windows by name, none."""
        pair = ((Slot(0), Slot(1)),)
        for kind in ("ops.FFT", "ops.FFT2", "ops.IFFT2"):
            yield Example(kind, ((4, 7), (4, 7)), args=pair)
        for length in (None, 9):
            yield Example("ops.RFFT", ((4, 7),), {"fft_length": length}, args=(Slot(0),))
            yield Example("ops.IRFFT", ((4, 5), (4, 5)), {"fft_length": length}, args=pair)
        frames = {"sequence_length": 6, "sequence_stride": 3, "fft_length": 8}
        for window, center in (("hann", True), ("hamming", False), (None, True)):
            options = {"window": window, "center": center}
            yield Example("ops.STFT", ((2, 23),), {**frames, **options}, args=(Slot(0),))
            yield Example("ops.ISTFT", ((6, 5), (6, 5)), {**frames, **options}, args=pair)
        yield Example("ops.ISTFT", ((6, 5), (6, 5)), {**frames, "length": 11}, args=pair)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """From real numbers to real numbers; programs with complex ones in between stand in tests of models."""
        yield TorchExample("torch.fft.irfft", ((4, 5),), args=(Slot(0),), kwargs={"n": 7, "dim": 1, "norm": "ortho"})
        yield TorchExample("torch.fft.irfft2", ((4, 5),), args=(Slot(0),), kwargs={"s": (3, 6), "norm": "forward"})
        yield TorchExample("torch.fft.hfft", ((4, 5),), args=(Slot(0),))
        yield TorchExample("torch.fft.fftshift", ((4, 5),), args=(Slot(0),), kwargs={"dim": (1, 2)})
