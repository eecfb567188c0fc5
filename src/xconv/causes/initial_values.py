"""Whether numbers are those of a layer that was never trained, and of which initialiser (`initialisers_of`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from xconv.graph import Node
from xconv.layers.conv import Conv
from xconv.layers.embedding import Embedding
from xconv.layers.recurrent import Recurrent
from xconv.statistics import Array

__all__ = ["FEWEST", "initialisers_of"]

TORCH = "Kaiming uniform (a=sqrt(5))"
"""What torch draws convolutions and linear layers from: up to 1 / sqrt(fan_in)."""
FEWEST = 200
"""Fewer numbers tell no distribution."""
FAR = 7.0
"""Normal numbers are never as many deviations away; torch's trunc_normal_ yields one in a million that is."""
DOUBT = 4.0
"""How many deviations an estimate may be off."""
CUT = 0.8796256610342398
"""The deviation of a normal distribution that is cut off at two deviations."""
KURTOSIS = {"uniform": 1.8, "normal": 3.0, "truncated normal": 2.3655}


@dataclass(frozen=True, slots=True)
class _Moments:
    size: int
    mean: float
    deviation: float
    kurtosis: float
    largest: float


def initialisers_of(node: Node, role: str, array: Array) -> tuple[str, ...]:
    """The initialisers that give such numbers to a kernel of this layer; empty where none does.

    Several where the sizes make them one: of a square kernel, fan_in is fan_out.
    A bias is told by its range alone, as torch draws it, which proves little without its kernel.
    """
    if array.ndim == 1 and role.startswith("bias"):
        return _bias(node, array)
    if array.ndim < 2 or array.size < FEWEST or array.dtype.kind != "f":
        return ()
    found = _moments(array)
    if found.largest > FAR * found.deviation:
        found = _moments(_without_strays(array, FAR * found.deviation))
    if not np.isfinite(found.largest) or found.deviation == 0:
        return ()
    if abs(found.mean) > DOUBT * found.deviation / sqrt(found.size):
        return () if role != "recurrent" else _orthogonal(array)
    shape = _shape(found)
    if role == "recurrent" and _orthogonal(array):
        return _orthogonal(array)
    off = DOUBT * sqrt((KURTOSIS[shape] - 1) / 4 / found.size) + 1e-4 if shape else 0.0
    wanted = [(name, size) for kind, name, size in _known(node, array) if kind == shape]
    return tuple(dict.fromkeys(name for name, size in wanted if abs(found.deviation / size - 1) <= off))


def _bias(node: Node, array: Array) -> tuple[str, ...]:
    kernel = node.weights.get("kernel")
    if kernel is None or not array.any():
        return ()
    limit = 1 / sqrt(prod(kernel.shape[1:]))
    if isinstance(node.spec, Recurrent):
        limit = 2 / sqrt(node.spec.units)  # the sum of two
    return (TORCH,) if float(np.abs(array).max()) <= limit * (1 + 1e-6) else ()


def _without_strays(array: Array, limit: float) -> Array:
    """The numbers up to a limit, if all but one in 100000 are."""
    kept = array[np.abs(array) <= limit]
    return kept if array.size - kept.size <= max(1, array.size // 100_000) else array


def _moments(array: Array) -> _Moments:
    flat = array.ravel()
    size = flat.size
    mean = float(flat.mean(dtype=np.float64))
    squares = flat * flat
    second = float(squares.mean(dtype=np.float64))
    fourth = float(np.einsum("i,i->", squares, squares, dtype=np.float64)) / size
    deviation = sqrt(max(second - mean * mean, 0.0))
    kurtosis = fourth / second**2 if second else 0.0
    return _Moments(size, mean, deviation, kurtosis, float(max(flat.max(), -flat.min())))


def _shape(found: _Moments) -> str:
    """The family of the distribution by its fourth moment and its largest number; empty where it is none of them."""
    limits = {"uniform": sqrt(3), "truncated normal": 2 / CUT, "normal": np.inf}
    spreads = {"uniform": 1.5, "truncated normal": 3.0, "normal": sqrt(24)}
    for name, limit in limits.items():
        near = abs(found.kurtosis - KURTOSIS[name]) <= DOUBT * spreads[name] / sqrt(found.size)
        margin = 1 + DOUBT / sqrt(found.size)
        if near and found.largest <= limit * found.deviation * margin:
            return name
    return ""


def _known(node: Node, array: Array) -> Iterator[tuple[str, str, float]]:
    """Kind, name and deviation of every initialiser that Keras and torch give to such a kernel."""
    for fan_in, fan_out in dict.fromkeys(_fans(node, array)):
        both = fan_in + fan_out
        scales = {"Glorot": 2 / both, "He (Kaiming)": 2 / fan_in, "He (Kaiming) fan_out": 2 / fan_out}
        scales |= {"LeCun": 1 / fan_in}
        yield "uniform", "uniform up to 1 / sqrt(fan_out)", sqrt(1 / (3 * fan_out))
        yield "uniform", TORCH, sqrt(1 / (3 * fan_in))
        for name, square in scales.items():
            for kind in KURTOSIS:
                yield kind, f"{name} {kind}", sqrt(square)
    yield "uniform", "uniform up to 0.05", 0.05 / sqrt(3)
    for size in (0.01, 0.02, 0.05, 1.0):
        for kind in ("normal", "truncated normal"):
            yield kind, f"{kind} of {size:g}", size
    for size in (0.01, 0.02, 0.05):
        yield "truncated normal", f"truncated normal of {size:g}, not rescaled", size * CUT
    yield "uniform", "uniform up to 1 / sqrt(units)", 1 / sqrt(3 * array.shape[-1])


def _fans(node: Node, array: Array) -> Iterator[tuple[int, int]]:
    """The numbers of inputs and outputs of a unit, as torch counts them and as Keras does."""
    shape = array.shape
    if isinstance(node.spec, Embedding):
        yield shape[0], shape[1]
        return
    window = prod(shape[2:])
    yield shape[1] * window, shape[0] * window
    if isinstance(node.spec, Conv) and node.spec.groups > 1:
        groups = node.spec.groups
        yield shape[1] * window, shape[0] * window // groups
        if groups == node.spec.in_channels:
            yield groups * window, shape[0] // groups * window


def _orthogonal(array: Array) -> tuple[str, ...]:
    """Whether the columns of a recurrent kernel are orthonormal."""
    wide = array.astype(np.float64)
    gram = np.einsum("ij,ik->jk", wide, wide)
    return ("orthogonal",) if np.allclose(gram, np.eye(len(gram)), atol=1e-4) else ()
