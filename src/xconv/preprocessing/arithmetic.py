"""How the pixels of a resized image are rounded: not at all, at the end, or after each direction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xconv.preprocessing.kernels import Floats, Kernel, matrix

__all__ = ["ARITHMETICS", "FLOAT", "deviation", "in_words", "resized"]

FLOAT = "in floating point"
ROUNDED = "in floating point, rounded to 8 bits"
CUT_OFF = "in floating point, cut off to 8 bits"
PILLOW = "in 8 bits, rounded after each direction (Pillow)"
PILLOW_DOWN = "in 8 bits, rounded after each direction, the height first (Pillow)"
"""Pillow begins with the direction that it takes to be cheaper; versions differ in it."""
TORCH = "in 8 bits with weights of 16 bits (torch on uint8 tensors)"
NEAR = 0.006
"""Of 255 levels: what a resize in float32 is off by."""
ARITHMETICS = (FLOAT, ROUNDED, CUT_OFF, PILLOW, PILLOW_DOWN, TORCH)


def resized(picture: Floats, size: tuple[int, int], kernel: Kernel, arithmetic: str = FLOAT) -> Floats:
    """The picture (height, width, channels) in another size.

    >>> picture = np.array([[0.0, 255.0]])[:, :, None]
    >>> resized(picture, (1, 3), Kernel("bilinear", False))[0, :, 0].tolist()
    [0.0, 127.5, 255.0]
    >>> resized(picture, (1, 3), Kernel("bilinear", True), PILLOW)[0, :, 0].tolist()
    [0.0, 128.0, 255.0]
    """
    height, width = picture.shape[:2]
    rows, columns = matrix(kernel, height, size[0]), matrix(kernel, width, size[1])
    passes = {PILLOW: _pillow_pass, PILLOW_DOWN: _pillow_pass, TORCH: _torch_pass}.get(arithmetic)
    if passes is not None and kernel.interpolation != "nearest":
        if arithmetic == PILLOW_DOWN and height != size[0] and width != size[1]:
            return _along_width(_along_height(picture, rows, passes), columns, passes)
        across = picture if width == size[1] else _along_width(picture, columns, passes)
        return across if height == size[0] else _along_height(across, rows, passes)
    result = _along_height(_along_width(picture, columns, _product), rows, _product)
    if arithmetic == FLOAT or kernel.interpolation == "nearest":
        return result
    return _eight_bits(np.floor(result + 1e-4) if arithmetic == CUT_OFF else np.rint(result))


def in_words(arithmetic: str) -> str:
    """What to call it: Pillow's order is Pillow's own affair."""
    return PILLOW if arithmetic == PILLOW_DOWN else arithmetic


def deviation(seen: Floats, exact: Floats, made: Floats, arithmetic: str) -> Floats:
    """How far every pixel is from what the arithmetic says, of 255 levels.

    A pixel that lies as near to the border between two levels as float32 can tell may be rounded to either.
    """
    if arithmetic in (ROUNDED, CUT_OFF):
        middle = seen if arithmetic == ROUNDED else seen + 0.5
        whole = np.abs(seen - np.rint(seen))
        return np.maximum(np.maximum(np.abs(np.clip(exact, 0, 255) - middle) - 0.5 - NEAR, 0), whole)
    return np.abs(made - seen)


Pass = Callable[[Floats, Floats], Floats]


def _along_width(picture: Floats, weights: Floats, apply: Pass) -> Floats:
    """Every line times the weights."""
    lines = np.moveaxis(picture, 1, 0)
    return np.moveaxis(apply(weights, lines.reshape(len(lines), -1)).reshape(-1, *lines.shape[1:]), 0, 1)


def _along_height(picture: Floats, weights: Floats, apply: Pass) -> Floats:
    return apply(weights, picture.reshape(len(picture), -1)).reshape(-1, *picture.shape[1:])


def _product(weights: Floats, lines: Floats) -> Floats:
    return np.asarray(weights @ lines)


def _pillow_pass(weights: Floats, lines: Floats) -> Floats:
    """Weights are whole multiples of 2**-22; the sums are exact in float64."""
    return _fixed_point(weights, lines, 22)


def _torch_pass(weights: Floats, lines: Floats) -> Floats:
    """Weights in 16 bits, with as many places after the point as the largest one leaves."""
    largest = float(weights.max())
    bits = next(bits for bits in range(23) if bits == 22 or int(0.5 + largest * 2 ** (bits + 1)) >= 2**15)
    return _fixed_point(weights, lines, bits)


def _fixed_point(weights: Floats, lines: Floats, bits: int) -> Floats:
    whole = np.trunc(weights * 2.0**bits + np.copysign(0.5, weights))
    return _eight_bits(np.floor((whole @ lines + 2.0 ** (bits - 1)) / 2.0**bits))


def _eight_bits(values: Floats) -> Floats:
    return np.clip(values, 0.0, 255.0)
