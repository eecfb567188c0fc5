"""STFTSpectrogram, MelSpectrogram  <->  modules of the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import ClassVar

from xconv.errors import Mismatch, Unsupported
from xconv.layers.described import Defaults, Described, settings_of
from xconv.padding import out_size, same_pads
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, TorchCall, Weights

__all__ = ["Spectrogram"]

KINDS: Mapping[str, Defaults] = {
    "MelSpectrogram": {
        "fft_length": 2048,
        "sequence_stride": 512,
        "sequence_length": None,
        "window": "hann",
        "sampling_rate": 16000,
        "num_mel_bins": 128,
        "min_freq": 20.0,
        "max_freq": None,
        "power_to_db": True,
        "top_db": 80.0,
        "mag_exp": 2.0,
        "min_power": 1e-10,
        "ref_power": 1.0,
    },
    "STFTSpectrogram": {
        "mode": "log",
        "frame_length": 256,
        "frame_step": None,
        "fft_length": None,
        "window": "hann",
        "periodic": False,
        "scaling": "density",
        "padding": "valid",
        "expand_dims": False,
        "data_format": "channels_last",
    },
}


@dataclass(frozen=True, slots=True)
class Spectrogram(Described):
    """How much of each frequency is in a sound at each time; `kind` and `settings` are Keras's."""

    order = Order.WRITTEN
    keras_kinds = tuple(KINDS)
    restrictions: ClassVar[Mapping[str, str]] = {"STFTSpectrogram": "padding='same' of an open length"}

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The settings with nothing left open; the kernels."""
        settings = settings_of(layer, KINDS[layer.kind])
        if layer.kind == "MelSpectrogram":
            if len(layer.inputs[0]) != 2:
                raise Mismatch(f"MelSpectrogram is called on {layer.inputs[0]}", remedy="give it (batch, samples)")
            settings["sequence_length"] = settings["sequence_length"] or settings["fft_length"]
            settings["max_freq"] = settings["max_freq"] or int(settings["sampling_rate"] / 2)
            return Op(cls(layer.kind, tuple(settings.items())))
        settings["data_format"] = settings["data_format"] or "channels_last"
        settings["frame_step"] = settings["frame_step"] or settings["frame_length"] // 2
        settings["fft_length"] = settings["fft_length"] or 2 ** ceil(log2(settings["frame_length"]))
        if settings["padding"] == "same" and None in layer.inputs[0][1:]:
            raise Unsupported("padding='same' of a sound of open length", remedy="give the model a known length")
        roles = [role for role in ("real", "imag") if settings["mode"] in (role, *MODES)]
        return Op(cls(layer.kind, tuple(settings.items())), layer.named(*roles))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer; its kernels are weights."""
        held = tuple(weights[role] for role in ("real", "imag") if role in weights)
        return KerasLayer(self.kind, dict(self.settings), held, tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's module; its kernels are as in Keras."""
        tensors = {f"{role}_kernel": weight for role, weight in weights.items()}
        config = dict(self.settings)
        return TorchCall(f"xconv.torch.modules.{self.kind}", (Slot(0),), config=config, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """Time and frequencies, in the order that the settings ask for."""
        settings = dict(self.settings)
        if self.kind == "MelSpectrogram":
            length = inputs[0][1]
            size, step = settings["fft_length"], settings["sequence_stride"]
            time = None if length is None else 1 + (length + 2 * (size // 2) - size) // step
            return (inputs[0][0], settings["num_mel_bins"], time)
        last = settings["data_format"] == "channels_last"
        batch, length, channels = inputs[0] if last else (inputs[0][0], inputs[0][2], inputs[0][1])
        window = ((settings["frame_length"],), (settings["frame_step"],), (1,))
        pads = same_pads((length,), *window) if settings["padding"] == "same" else ((0, 0),)
        time = out_size(length, window[0][0], window[1][0], 1, (pads or ((0, 0),))[0])
        count = (settings["fft_length"] // 2 + 1) * (2 if settings["mode"] == "stft" else 1)
        if settings["expand_dims"]:
            return (batch, time, count, channels) if last else (batch, channels, time, count)
        joined = None if channels is None else channels * count
        return (batch, time, joined) if last else (batch, joined, time)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every mode, layout and padding; bands in decibels and not, windows of both kinds and of one's own."""
        kernel = (8, 1, 5)
        bare = {"window": None, "scaling": None}  # for any other, Keras asks for SciPy
        for mode in ("real", "imag", *MODES):
            held = (kernel,) if mode in ("real", "imag") else (kernel, kernel)
            yield Example("STFTSpectrogram", ((20, 2),), {"mode": mode, "frame_length": 8, **bare}, held)
        config = {"mode": "stft", "frame_length": 6, "frame_step": 5, "fft_length": 16, "padding": "same", **bare}
        for expanded in (False, True):  # TensorFlow has no kernel on a CPU for channels that come first
            options = {**config, "expand_dims": expanded}
            yield Example("STFTSpectrogram", ((21, 3),), options, ((6, 1, 9),) * 2)
        small = {"fft_length": 16, "sequence_stride": 6, "num_mel_bins": 3, "min_freq": 300.0}
        yield Example("MelSpectrogram", ((40,),), small, float64=False)
        plain = {**small, "power_to_db": False, "mag_exp": 1.0, "window": "hamming", "sequence_length": 11}
        yield Example("MelSpectrogram", ((40,),), plain, float64=False)
        own = {**small, "window": None, "top_db": 10.0, "ref_power": 2.0, "sampling_rate": 8000, "max_freq": 3000.0}
        yield Example("MelSpectrogram", ((43,),), own, float64=False)


MODES = ("log", "magnitude", "psd", "angle", "stft")
"""Those that need both kernels."""
