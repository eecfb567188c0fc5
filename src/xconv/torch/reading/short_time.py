"""torch.stft and torch.istft in keras.ops.stft and istft: spectra of windows that slide along a signal, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from xconv.errors import Unknown, Unsupported
from xconv.torch.reading.fourier import spectrum, whole_spectrum
from xconv.torch.reading.parts import Asked, Complex, Part
from xconv.torch.reading.sizes import size_of

__all__ = ["istft", "stft"]

_aten = torch.ops.aten


def stft(call: Asked) -> Complex | Part:
    """The windows' numbers stand in the operation; frequencies come before times."""
    x, size = call["self"], call["n_fft"]
    settings = _windows(call, size)
    if isinstance(x, Complex) or call.get("center", False) or call.get("align_to_window"):
        raise Unknown(f"{call.op} of complex numbers, or with align_to_window", remedy="transform the parts")
    for key in ("pad_mode", "return_complex"):
        call.get(key)
    if settings["window"] == [1.0] * size:
        settings["window"] = None
    made = _cut_up(x, settings)
    if call["onesided"] is False:
        made = whole_spectrum(made, -1, size)
    turned = made.each(_aten.transpose.int, -2, -1)
    scaled = turned * (1 / math.sqrt(size) if call["normalized"] else 1)
    return scaled if call.result.is_complex() else scaled.as_pairs


def istft(call: Asked) -> Part:
    """keras.ops divides by what windows add up to in the middle; at the ends there are fewer, as ones tell."""
    z, size, length = call["self"], call["n_fft"], call["length"]
    settings = _windows(call, size)
    if call["onesided"] is False or call["return_complex"] or not isinstance(z, Complex):
        raise Unsupported("istft of a whole spectrum, or of real numbers", remedy="use onesided=True")
    frames = size_of(z.real.value.shape[-1])
    if frames is None:
        raise Unsupported("istft of an open number of windows", remedy="give the network known sizes")
    stop = size + settings["sequence_stride"] * (frames - 1)
    _check_overlap(settings)
    start = size // 2 if call["center"] else 0
    wanted = stop - 2 * start if length is None else length
    whole = _joined(z.each(_aten.transpose.int, -2, -1), settings)
    there = _joined(_cut_up(whole.like(1), settings), settings)
    numbers, share = (part.each(_aten.slice.Tensor, -1, start, start + wanted) for part in (whole, there))
    found = numbers / share
    if call["normalized"]:
        found = found * math.sqrt(size)
    missing = start + wanted - stop
    return found.each(_aten.constant_pad_nd.default, [0, missing]) if missing > 0 else found


def _joined(spectra: Complex, settings: Mapping[str, Any]) -> Part:
    return spectrum([spectra.real, spectra.imaginary], "ops.ISTFT", settings)[0]


def _cut_up(signal: Part, settings: Mapping[str, Any]) -> Complex:
    return Complex(*spectrum([signal], "ops.STFT", settings))


def _windows(call: Asked, size: int) -> dict[str, Any]:
    """The settings of keras.ops, with the numbers of the window, which is in the middle of `size` numbers."""
    length, window = call["win_length"] or size, call["window"]
    numbers = call.writer.numbers(window) if isinstance(window, Part) else torch.ones(length)
    if numbers is None:
        raise Unsupported(f"{call.op} with a window that is computed or learned", remedy="hold it in a buffer")
    return {
        "sequence_length": length,
        "sequence_stride": call["hop_length"] or size // 4,
        "fft_length": size,
        "window": numbers.double().tolist(),
        "center": False,
    }


def _check_overlap(settings: dict[str, Any]) -> None:
    """Refuse windows between which nothing is left, by which keras.ops would divide."""
    window, step, size = settings["window"], settings["sequence_stride"], settings["fft_length"]
    left = (size - len(window)) // 2
    places = {(left + place) % step for place, number in enumerate(window) if number}
    if len(places) < step:
        raise Unsupported("istft of windows that leave places out", remedy="let them overlap by a smaller hop_length")
