"""Arithmetic of complex tensors, each a pair of real ones, with real tensors and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from xconv.torch.reading.parts import Complex, Operand, Part

__all__ = [
    "angle",
    "bilinear",
    "magnitude",
    "minus",
    "pair",
    "paired",
    "plus",
    "polar",
    "product",
    "reciprocal",
    "times",
]

_aten = torch.ops.aten


def pair(item: Operand) -> tuple[Any, Any]:
    """The real and the imaginary part; 0 for that of real numbers."""
    if isinstance(item, Complex):
        return item.real, item.imaginary
    if isinstance(item, Part):
        return item, 0
    whole = item.real
    return (int(whole) if isinstance(item, (bool, int)) else whole), item.imag


def _is_zero(item: Any) -> bool:
    return not isinstance(item, Part) and item == 0


def plus(a: Any, b: Any) -> Any:
    """A sum, where a number 0 adds nothing."""
    return a if _is_zero(b) else b if _is_zero(a) else a + b


def minus(a: Any, b: Any) -> Any:
    """A difference, where a number 0 takes nothing away."""
    return a if _is_zero(b) else -b if _is_zero(a) else a - b


def product(a: Any, b: Any) -> Any:
    """A product, where a number 0 gives none and 1 changes nothing."""
    if _is_zero(a) or _is_zero(b):
        return 0
    for one, other in ((a, b), (b, a)):
        if not isinstance(one, Part) and one == 1:
            return other
    return a * b


def paired(real: Any, imaginary: Any) -> Complex:
    """A pair of one shape of what may be numbers or broadcast."""
    if not isinstance(real, Part):
        real = imaginary.like(real)
    if not isinstance(imaginary, Part):
        imaginary = real.like(imaginary)
    if tuple(real.value.shape) != tuple(imaginary.value.shape):
        real, imaginary = real + imaginary.like(0), imaginary + real.like(0)
    return Complex(real, imaginary)


def times(a: Operand, b: Operand) -> Complex:
    """The product."""
    for one, other in ((a, b), (b, a)):
        if not isinstance(one, (Complex, Part)) and one == 0:
            return (other if isinstance(other, Complex) else paired(*pair(other))) * 0.0
    (ar, ai), (br, bi) = pair(a), pair(b)
    return paired(minus(product(ar, br), product(ai, bi)), plus(product(ar, bi), product(ai, br)))


def reciprocal(z: Complex) -> Complex:
    """1 / z, divided by the larger part first, so that no square is too large or too small; no gradient goes there."""
    sizes = z.each(_aten.abs.default)
    scale = sizes.real.each(_aten.maximum.default, sizes.imaginary).each(_aten.detach.default)
    real, imaginary = z.real / scale, z.imaginary / scale
    square = (real * real + imaginary * imaginary) * scale
    return Complex(real / square, -imaginary / square)


def magnitude(z: Complex) -> Part:
    """The absolute value."""
    return z.real.each(_aten.hypot.default, z.imaginary)


def angle(z: Complex) -> Part:
    """The angle; where both parts are 0 no gradient comes, as in torch."""
    nought, still = z.each(_aten.eq.Scalar, 0), z.each(_aten.detach.default)
    neither = nought.real.each(_aten.logical_and.default, nought.imaginary)
    imaginary = neither.each(_aten.where.self, still.imaginary, z.imaginary)
    return imaginary.each(_aten.atan2.default, neither.each(_aten.where.self, still.real, z.real))


def polar(size: Any, turn: Part) -> Complex:
    """Numbers of this size and angle."""
    waves = map(turn.each, (_aten.cos.default, _aten.sin.default))
    return Complex(*(product(wave, size) for wave in waves))


def bilinear(multiply: Callable[[Part, Part], Part], a: Operand, b: Operand) -> Complex:
    """A product of tensors that adds up products of elements."""
    (ar, ai), (br, bi) = pair(a), pair(b)

    def of(x: Any, y: Any) -> Any:
        return 0 if _is_zero(x) or _is_zero(y) else multiply(x, y)

    return paired(minus(of(ar, br), of(ai, bi)), plus(of(ar, bi), of(ai, br)))
