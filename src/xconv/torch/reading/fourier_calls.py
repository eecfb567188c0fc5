"""torch's Fourier transforms, as a program calls them: axes, sizes and norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.torch.reading.fourier import KNOWN, Along, fft, irfft, rfft
from xconv.torch.reading.parts import Asked, Complex, Part
from xconv.torch.reading.sizes import exact, size_of

__all__ = ["TRANSFORMS"]

_aten = torch.ops.aten


def _as_complex(item: Any) -> Complex:
    return item if isinstance(item, Complex) else Complex.of(_floating(item))


def _floating(item: Any) -> Part:
    """Whole numbers as torch transforms them."""
    part: Part = item
    return part if part.value.is_floating_point() else part.each(_aten.to.dtype, torch.get_default_dtype())


def _over(call: Asked, x: Complex | Part) -> list[Along]:
    """The axes and sizes that a call names: `n` and `dim`, or a list of both."""
    rank = x.value.dim()
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
        if number is None and exact(x.value)[axis] == _expression(size):
            return Along(axis)
        if number is None:
            raise Unsupported("a transform to a size that is known only at run time", remedy=KNOWN)
        size = number
    return Along(axis, None if size in (None, -1) else int(size))


def _expression(size: fx.Node) -> Any:
    return size.meta["val"].node.expr


def _numbers(x: Complex | Part, over: Sequence[Along]) -> list[int | None]:
    """How many numbers are transformed along each axis."""
    shape = x.value.shape
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
    over = [Along(axes.normal(dim, x.value.dim())) for dim in call["dim"]]
    if call.op == "_fft_c2r":
        *others, last = over
        size = call["last_dim_size"]
        if isinstance(size, fx.Node):
            raise Unsupported("a transform to as many real numbers as are known only at run time", remedy=KNOWN)
        over = [*others, Along(last.axis, size)]
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


def _shifted(call: Asked) -> Complex | Part:
    """fftshift, ifftshift: the frequency 0 in the middle, or back at the beginning."""
    x, dims = call["self"], call["dim"]
    over = range(x.value.dim()) if dims is None else [axes.normal(dim, x.value.dim()) for dim in dims]
    sizes = _numbers(x, [Along(axis) for axis in over])
    if None in sizes:
        raise Unsupported(f"{call.op} along an open size", remedy=f"{KNOWN}, or name the axes by dim")
    halves = [((size or 0) + (call.op == "fft_ifftshift")) // 2 for size in sizes]
    moved: Complex | Part = x.each(_aten.roll.default, halves, list(over))
    return moved


TRANSFORMS: Mapping[str, Callable[[Asked], Any]] = {
    **dict.fromkeys(("fft_fft", "fft_fft2", "fft_fftn", "fft_ifft", "fft_ifft2", "fft_ifftn"), _complex_transform),
    **dict.fromkeys(("fft_rfft", "fft_rfft2", "fft_rfftn", "fft_ihfft"), _real_transform),
    **dict.fromkeys(("fft_irfft", "fft_irfft2", "fft_irfftn", "fft_hfft"), _inverse_real_transform),
    **dict.fromkeys(("fft_fftshift", "fft_ifftshift"), _shifted),
    **dict.fromkeys(("_fft_c2c", "_fft_r2c", "_fft_c2r"), _plain_kernel),
}
"""How each of torch's transforms is written."""
