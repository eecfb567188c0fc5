"""Fourier transforms of a program in those of keras.ops, which work on the last axes of pairs of real tensors."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

import xconv.torch.described  # noqa: F401 - it tells torch of the operators
from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.torch.reading.parts import Asked, Complex, Part
from xconv.torch.reading.sizes import exact, size_of

__all__ = ["TRANSFORMS", "whole_spectrum"]

_aten = torch.ops.aten

KNOWN = "give the network known sizes"


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
        return cls(tensor, axes.identity(_value(tensor).dim()))

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
            self.now = _each(self.now, _aten.permute.default, places)
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
    turned.now = Complex(*_spectrum([_fitted(turned.now, last.size, -1)], "ops.RFFT"))
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
    (turned.now,) = _spectrum([turned.now.real, turned.now.imaginary], "ops.IRFFT", fft_length=last.size)
    result: Part = turned.done()
    return result


def _transform(turned: Turned, over: Sequence[Along], *, inverse: bool) -> None:
    """Along two axes at once, along any other number of them one by one."""
    for step in (over,) if len(over) == 2 else [(along,) for along in over]:
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
    sources = {part.node.args[0] for part in parts if part.node.target is operator.getitem}
    rank = len(turned.order)
    if len(step) != 1 or len(sources) != 1 or step[0] != Along(rank - 2) or not axes.is_identity(turned.order):
        return None
    (source,) = sources
    if not isinstance(source, fx.Node) or source.args[1:] != ("ops.FFT", "{}") or any(p.node.users for p in parts):
        return None
    given: Any = source.args[0]
    return Complex(*(Part(part.writer, node) for part, node in zip(parts, given, strict=True)))


def _kernel(x: Any, count: int, *, inverse: bool) -> Complex:
    """Along the last axis, or the last two; keras.ops has no way back along one axis, so another of size 1 joins it."""
    alone = inverse and count == 1
    if alone:
        x = x.each(_aten.unsqueeze.default, -2)
    kind = ("ops.IFFT2" if inverse else "ops.FFT2") if inverse or count == 2 else "ops.FFT"
    made = Complex(*_spectrum([x.real, x.imaginary], kind))
    return made.each(_aten.squeeze.dim, -2) if alone else made


def _spectrum(parts: Sequence[Part], kind: str, **settings: Any) -> list[Part]:
    """One call of a transform of keras.ops."""
    write, words = parts[0].writer, json.dumps(settings)
    if kind == "ops.IRFFT":
        return [write.part(torch.ops.xconv.described.default, list(parts), kind, words)]
    return write.several(torch.ops.xconv.described_several.default, list(parts), kind, words)


def _each(x: Complex | Part, target: Any, *args: Any) -> Any:
    """What an operator gives for a real tensor, or for both parts of a complex one."""
    return x.each(target, *args) if isinstance(x, Complex) else x.writer.part(target, x, *args)


def _fitted(x: Any, size: int | None, axis: int) -> Any:
    """Cut, or filled up with zeros, to a size along an axis."""
    have = size_of(_value(x).shape[axis])
    if size is None or size == have:
        return x
    if have is None:
        raise Unsupported("a transform of an open size that is cut or filled up", remedy=KNOWN)
    if size < have:
        return _each(x, _aten.slice.Tensor, axis, 0, size)
    return _each(x, _aten.constant_pad_nd.default, [*(0, 0) * (-axis - 1), 0, size - have])


# ---------------------------------------------------------------------- torch's words


def _as_complex(item: Any) -> Complex:
    return item if isinstance(item, Complex) else Complex.of(_floating(item))


def _floating(item: Any) -> Part:
    """Whole numbers as torch transforms them."""
    part: Part = item
    return part if part.value.is_floating_point() else part.writer.part(_aten.to.dtype, part, torch.get_default_dtype())


def _over(call: Asked, x: Complex | Part) -> list[Along]:
    """The axes and sizes that a call names: `n` and `dim`, or a list of both."""
    rank = _rank(x)
    if "n" in call.arguments:
        dims, sizes = [call["dim"]], [call["n"]]
    else:
        given, named = call["s"], call["dim"]
        if named is None:
            named = range(rank) if given is None else range(rank - len(given), rank)
        dims, sizes = list(named), [None] * len(named) if given is None else list(given)
    if len(dims) != len(sizes):
        raise Mismatch(f"{call.op} of sizes {sizes} along the axes {dims}")
    return [_along(x, axes.normal(dim, rank), size) for dim, size in zip(dims, sizes, strict=True)]


def _along(x: Complex | Part, axis: int, size: Any) -> Along:
    """An axis with its new size; a size that the axis has is none."""
    if isinstance(size, fx.Node):
        number = size_of(size.meta["val"])
        if number is None and exact(_value(x))[axis] == _expression(size):
            return Along(axis)
        if number is None:
            raise Unsupported("a transform to a size that is known only at run time", remedy=KNOWN)
        size = number
    return Along(axis, None if size in (None, -1) else int(size))


def _expression(size: fx.Node) -> Any:
    return size.meta["val"].node.expr


def _numbers(x: Complex | Part, over: Sequence[Along]) -> list[int | None]:
    """How many numbers are transformed along each axis."""
    shape = _value(x).shape
    return [size_of(shape[along.axis]) if along.size is None else along.size for along in over]


def _factor(norm: str | None, sizes: Sequence[int | None], *, inverse: bool) -> float:
    """By what the result is multiplied; a way back divides by the sizes already."""
    norm = norm or "backward"
    if norm == "backward" or not sizes:
        return 1.0
    if None in sizes:
        raise Unsupported(f"norm={norm!r} of an open size", remedy=KNOWN)
    count = math.prod(size for size in sizes if size is not None)
    factor = {"ortho": math.sqrt(count), "forward": float(count)}[norm]
    return factor if inverse else 1 / factor


def _complex_transform(call: Asked) -> Complex:
    """fft, fft2, fftn and the ways back."""
    inverse, x = "ifft" in call.op, _as_complex(call["self"])
    over = _over(call, x)
    return fft(x, over, inverse=inverse) * _factor(call["norm"], _numbers(x, over), inverse=inverse)


def _real_transform(call: Asked) -> Complex:
    """rfft, rfft2, rfftn, and ihfft: the conjugate of the first as a way back."""
    x = _floating(call["self"])
    over = _over(call, x)
    back = call.op == "fft_ihfft"
    factor = _factor(_swapped(call["norm"]) if back else call["norm"], _numbers(x, over), inverse=False)
    made = rfft(x if factor == 1 else x * factor, over)
    return made.conjugate if back else made


def _inverse_real_transform(call: Asked) -> Part:
    """irfft, irfft2, irfftn, and hfft: the first of the conjugate, not divided."""
    forth, x = call.op == "fft_hfft", _as_complex(call["self"])
    size = call["n"] if "n" in call.arguments else (call["s"] or (None,))[-1]
    if isinstance(size, fx.Node) and size_of(size.meta["val"]) is None:
        raise Unsupported("a transform to as many real numbers as are known only at run time", remedy=KNOWN)
    *others, last = _over(call, x)
    (bins,) = _numbers(x, [Along(last.axis)])
    if last.size is None and bins is not None:
        last = Along(last.axis, 2 * (bins - 1))
    norm = _swapped(call["norm"]) if forth else call["norm"]
    numbers = irfft(x.conjugate if forth else x, [*others, last])
    factor = _factor(norm, [*_numbers(x, others), last.size], inverse=True)
    return numbers if factor == 1 else numbers * factor


def _swapped(norm: str | None) -> str:
    return {"backward": "forward", "forward": "backward"}.get(norm or "backward", "ortho")


KERNEL_NORMS = ("none", "ortho", "divided")
"""What the numbers say by which torch's own operators name how a result is divided."""


def _plain_kernel(call: Asked) -> Complex | Part:
    """_fft_c2c, _fft_r2c, _fft_c2r: what torch itself writes the others in."""
    x, word = call["self"], KERNEL_NORMS[call["normalization"]]
    over = [Along(axes.normal(dim, _rank(x))) for dim in call["dim"]]
    if call.op == "_fft_c2r":
        *others, last = over
        over = [*others, Along(last.axis, size_of(_plain(call["last_dim_size"])))]
        numbers = irfft(_as_complex(x), over)
        factor = _divided(word, _numbers(x, over), inverse=True)
        return numbers if factor == 1 else numbers * factor
    if call.op == "_fft_r2c":
        made = rfft(x, over) if call["onesided"] else fft(Complex.of(x), over)
        return made * _divided(word, _numbers(x, over), inverse=False)
    inverse = not call["forward"]
    return fft(_as_complex(x), over, inverse=inverse) * _divided(word, _numbers(x, over), inverse=inverse)


def _divided(word: str, sizes: Sequence[int | None], *, inverse: bool) -> float:
    """The factor for a word of KERNEL_NORMS."""
    names = {"none": "forward", "divided": "backward"} if inverse else {"none": "backward", "divided": "forward"}
    return _factor(names.get(word, word), sizes, inverse=inverse)


def _rank(x: Complex | Part) -> int:
    rank: int = _value(x).dim()
    return rank


def _value(x: Complex | Part) -> Any:
    """torch's stand-in for a real tensor, or for the parts of a complex one."""
    return (x.real if isinstance(x, Complex) else x).value


def _plain(size: Any) -> Any:
    return size.meta["val"] if isinstance(size, fx.Node) else size


def whole_spectrum(half: Complex, axis: int, size: int) -> Complex:
    """Both halves of the spectrum of real numbers: the other is the first conjugated, backwards."""
    other = half.each(_aten.slice.Tensor, axis, 1, size - size // 2)
    other = other.each(_aten.flip.default, [axis]).conjugate
    pairs = ((half.real, other.real), (half.imaginary, other.imaginary))
    return Complex(*(part.writer.part(_aten.cat.default, [part, more], axis) for part, more in pairs))


def _shifted(call: Asked) -> Complex | Part:
    """fftshift, ifftshift: the frequency 0 in the middle, or back at the beginning."""
    x, dims = call["self"], call["dim"]
    over = range(_rank(x)) if dims is None else [axes.normal(dim, _rank(x)) for dim in dims]
    sizes = _numbers(x, [Along(axis) for axis in over])
    if None in sizes:
        raise Unsupported(f"{call.op} along an open size", remedy=f"{KNOWN}, or name the axes by dim")
    halves = [((size or 0) + (call.op == "fft_ifftshift")) // 2 for size in sizes]
    moved: Complex | Part = _each(x, _aten.roll.default, halves, list(over))
    return moved


TRANSFORMS: Mapping[str, Callable[[Asked], Any]] = {
    **dict.fromkeys(("fft_fft", "fft_fft2", "fft_fftn", "fft_ifft", "fft_ifft2", "fft_ifftn"), _complex_transform),
    **dict.fromkeys(("fft_rfft", "fft_rfft2", "fft_rfftn", "fft_ihfft"), _real_transform),
    **dict.fromkeys(("fft_irfft", "fft_irfft2", "fft_irfftn", "fft_hfft"), _inverse_real_transform),
    **dict.fromkeys(("fft_fftshift", "fft_ifftshift"), _shifted),
    **dict.fromkeys(("_fft_c2c", "_fft_r2c", "_fft_c2r"), _plain_kernel),
}
"""How each of torch's transforms is written."""
