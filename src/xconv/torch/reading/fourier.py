"""Fourier transforms of a program in those of keras.ops, which work on the last axes of pairs of real tensors."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import xconv.torch.described  # noqa: F401 - it tells torch of the operator
from xconv import axes
from xconv.errors import Unsupported
from xconv.torch.reading.parts import Complex, Part
from xconv.torch.reading.sizes import size_of

__all__ = ["KNOWN", "Along", "fft", "irfft", "rfft", "spectrum", "whole_spectrum"]

_aten = torch.ops.aten

KNOWN = "give the network known sizes"
"""What to try where a size is open."""


@dataclass(frozen=True, slots=True)
class Along:
    """One axis that is transformed, and the size to which it is cut or filled up before; None leaves it as it is."""

    axis: int
    size: Any = None


@dataclass(slots=True)
class Turned:
    """A tensor whose axes wait in another order until somebody asks for their own."""

    now: Any
    """Complex, or Part."""
    order: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Complex | Part) -> Turned:
        """A tensor as it is."""
        return cls(tensor, axes.identity(tensor.value.dim()))

    def last(self, *wanted: int) -> None:
        """Bring these axes, as they were numbered at first, behind the others."""
        self._turn((*(axis for axis in self.order if axis not in wanted), *wanted))

    def done(self) -> Any:
        """The tensor with its axes in their own order."""
        self._turn(axes.identity(len(self.order)))
        return self.now

    def _turn(self, order: tuple[int, ...]) -> None:
        places = tuple(self.order.index(axis) for axis in order)
        if not axes.is_identity(places):
            self.now = self.now.each(_aten.permute.default, places)
        self.order = order


def fft(x: Complex, over: Sequence[Along], *, inverse: bool = False) -> Complex:
    """The transform along these axes; the way back divides by their sizes."""
    turned = Turned.of(x)
    _transform(turned, over, inverse=inverse)
    result: Complex = turned.done()
    return result


def rfft(x: Part, over: Sequence[Along]) -> Complex:
    """The transform of real numbers: one half along the last of these axes, then along the others."""
    *others, last = over
    turned = Turned.of(x)
    turned.last(last.axis)
    turned.now = Complex(*spectrum([_fitted(turned.now, last.size, -1)], "ops.RFFT", {}))
    _transform(turned, others, inverse=False)
    result: Complex = turned.done()
    return result


def irfft(x: Complex, over: Sequence[Along]) -> Part:
    """The way back to real numbers: along all but the last of these axes, then to as many numbers as it says.

    Without a size there are twice as many as steps between the frequencies.
    """
    *others, last = over
    turned = Turned.of(x)
    _transform(turned, others, inverse=True)
    turned.last(last.axis)
    if last.size is not None:
        turned.now = _fitted(turned.now, last.size // 2 + 1, -1)
    settings = {"fft_length": last.size}
    (turned.now,) = spectrum([turned.now.real, turned.now.imaginary], "ops.IRFFT", settings)
    result: Part = turned.done()
    return result


def _transform(turned: Turned, over: Sequence[Along], *, inverse: bool) -> None:
    """Along two axes at once, along any other number of them one by one."""
    for step in (over,) if len(over) == 2 else [[along] for along in over]:
        before = None if inverse else _before(turned, step)
        if before is not None:
            turned.now = _kernel(before, 2, inverse=False)
            continue
        turned.last(*(along.axis for along in step))
        for place, along in enumerate(step):
            turned.now = _fitted(turned.now, along.size, place - len(step))
        turned.now = _kernel(turned.now, len(step), inverse=inverse)


def _before(turned: Turned, step: Sequence[Along]) -> Complex | None:
    """What was transformed along the last axis alone, where now only the one before it is: fft(fft(x), dim=-2)."""
    parts = (turned.now.real, turned.now.imaginary)
    if step != [Along(len(turned.order) - 2)] or any(part.node.target is not operator.getitem for part in parts):
        return None
    (source, first), (other, second) = (part.node.args for part in parts)
    same = source is other and (first, second) == (0, 1) and axes.is_identity(turned.order)
    if not same or source.args[1:] != ("ops.FFT", "{}") or any(part.node.users for part in parts):
        return None
    given: Any = source.args[0]
    return Complex(*(Part(part.writer, node) for part, node in zip(parts, given, strict=True)))


def _kernel(x: Any, count: int, *, inverse: bool) -> Complex:
    """Along the last axis, or the last two; keras.ops has no way back along one axis, so another of size 1 joins it."""
    if None in map(size_of, x.value.shape[-count:]):
        raise Unsupported("a transform of complex numbers along an open size, which Keras refuses", remedy=KNOWN)
    alone = inverse and count == 1
    if alone:
        x = x.each(_aten.unsqueeze.default, -2)
    kind = ("ops.IFFT2" if inverse else "ops.FFT2") if inverse or count == 2 else "ops.FFT"
    made = Complex(*spectrum([x.real, x.imaginary], kind, {}))
    return made.each(_aten.squeeze.dim, -2) if alone else made


def spectrum(parts: Sequence[Part], kind: str, settings: Mapping[str, Any]) -> list[Part]:
    """One call of a transform of keras.ops."""
    return parts[0].writer.several(torch.ops.xconv.spectrum.default, list(parts), kind, json.dumps(settings))


def _fitted(x: Any, size: int | None, axis: int) -> Any:
    """Cut, or filled up with zeros, to a size along an axis."""
    have = size_of(x.value.shape[axis])
    if size is None or size == have:
        return x
    if have is None:
        raise Unsupported("a transform of an open size that is cut or filled up", remedy=KNOWN)
    if size < have:
        return x.each(_aten.slice.Tensor, axis, 0, size)
    return x.each(_aten.constant_pad_nd.default, [*(0, 0) * (-axis - 1), 0, size - have])


def whole_spectrum(half: Complex, axis: int, size: int) -> Complex:
    """Both halves of the spectrum of real numbers: the other is the first conjugated, backwards."""
    other = half.each(_aten.slice.Tensor, axis, 1, size - size // 2)
    other = other.each(_aten.flip.default, [axis]).conjugate
    pairs = ((half.real, other.real), (half.imaginary, other.imaginary))
    return Complex(*(part.writer.part(_aten.cat.default, [part, more], axis) for part, more in pairs))
