"""Resampling along single axes, a matrix for each: aten.upsample_bilinear2d ...  <->  keras.ops.einsum, torch.einsum.

Keras's own layers say it where the factors are whole numbers (`Upsample`). For all else TensorFlow's kernels mean
something different, or compute in float32: here every axis is multiplied by the matrix of its weights, which is
exact in any dtype. The formulas are those of ATen/native/UpSample.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import floor
from string import ascii_lowercase
from typing import TypeAlias

from xconv.errors import Unsupported
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.slicing import WHOLE, Item, Slicing
from xconv.layers.upsample import Upsample
from xconv.spec import (
    AtenCall,
    KerasLayer,
    Made,
    Numbers,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["Resample"]

Matrix: TypeAlias = tuple[tuple[float, ...], ...]
"""A row for every place before, a column for every place after."""

LINEAR = ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
NEAREST = tuple(f"{name}{rank}d" for name in ("upsample_nearest", "_upsample_nearest_exact") for rank in (1, 2, 3))
SMOOTHED = ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")


@dataclass(frozen=True, slots=True)
class Resample(Spec):
    """Every line of the first input along `axis` times the second, a matrix (places before, places after).

    >>> Resample(2).out_shape((None, 3, 4, 5), (4, 7))
    (None, 3, 7, 5)
    """

    axis: int

    order = Order.AXES
    aten_ops = (*LINEAR, "upsample_bicubic2d", *NEAREST, *SMOOTHED)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """One axis after the other; whole factors are an `Upsample`."""
        for key in ("self", "input", "output_size"):
            call.get(key)
        corners = bool(call.get("align_corners"))
        before, after = call.inputs[0][2:], call.outputs[0][2:]
        factors = _factors(call, len(before))
        whole = tuple(int(factor) for factor in factors if factor is not None and factor >= 1 and factor == int(factor))
        if len(whole) == len(before):
            if call.op in NEAREST and None in (*before, *after):
                return (Op(Upsample(whole, "nearest", 1)),)
            if call.op == "upsample_bilinear2d" and not corners:
                return (Op(Upsample(whole, "bilinear", 1)),)
        known = [(n, m) for n, m in zip(before, after, strict=True) if n is not None and m is not None]
        if len(known) != len(before):
            raise Unsupported(f"{call.op} over axes of open size", remedy="give input_shape with all sizes")
        axes = [(n, m, factor) for (n, m), factor in zip(known, factors, strict=True)]
        if call.op in NEAREST:
            return _nearest(call, axes)
        make = _rule(call.op, corners=corners)
        copied = (*LINEAR, *SMOOTHED)
        matrices = [None if n == m and call.op in copied else make(n, m, factor) for n, m, factor in axes]
        return _by_matrices(matrices, call.dtype)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The sum of products."""
        config = {"subscripts": self._subscripts(len(inputs[0]))}
        return KerasLayer("ops.Einsum", config, inputs=tuple(inputs), args=(Slot(0), Slot(1)))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.einsum."""
        return TorchCall("torch.einsum", (self._subscripts(len(inputs[0])), Slot(0), Slot(1)))

    def out_shape(self, *inputs: Shape) -> Shape:
        """Another size along the axis."""
        return tuple(inputs[1][1] if place == self.axis else size for place, size in enumerate(inputs[0]))

    def _subscripts(self, rank: int) -> str:
        """The axis summed over, another in its place.

        >>> Resample(1)._subscripts(4)
        'abcd,bz->azcd'
        """
        letters = ascii_lowercase[:rank]
        old = letters[self.axis]
        return f"{letters},{old}z->{letters.replace(old, 'z')}"

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every mode; larger and smaller, by sizes and by factors that are whole or not, with aligned corners."""
        flat, line, cube = ((3, 5, 6),), ((3, 7),), ((2, 3, 4, 5),)
        function = "torch.nn.functional.interpolate"
        for mode in ("nearest", "nearest-exact"):
            for shape, size in ((flat, (10, 18)), (flat, (3, 2)), (flat, (7, 6)), (line, 10), (cube, (6, 2, 5))):
                yield TorchExample(function, shape, kwargs={"size": size, "mode": mode})
            for factor in (2.0, 1.7, 0.5):
                yield TorchExample(function, flat, kwargs={"scale_factor": factor, "mode": mode})
        for shape, mode in ((line, "linear"), (flat, "bilinear"), (cube, "trilinear"), (flat, "bicubic")):
            for corners in (False, True):
                options = {"mode": mode, "align_corners": corners}
                yield TorchExample(function, shape, kwargs={"size": 9, **options})
                yield TorchExample(function, shape, kwargs={"size": 4, **options})
                yield TorchExample(function, shape, kwargs={"scale_factor": 1.7, **options})
                exact = corners or mode != "bilinear"
                yield TorchExample(function, shape, kwargs={"scale_factor": 2.0, **options}, float64=exact)
        for mode in ("bilinear", "bicubic"):
            for size in ((9, 4), (3, 13)):
                yield TorchExample(function, flat, kwargs={"size": size, "mode": mode, "antialias": True})
        yield TorchExample("torch.nn.Upsample", flat, {"scale_factor": (2.0, 3.0)})
        yield TorchExample("torch.nn.UpsamplingBilinear2d", flat, {"size": (7, 8)})


def _factors(call: AtenCall, rank: int) -> list[float | None]:
    """The factors by which torch was told to scale, None where it was told a size."""
    given = call.get("scale_factors")
    single = [call.get(key) for key in ("scales_d", "scales_h", "scales_w", "scales")]
    if given is not None:
        return list(given)
    found = [factor for factor in single if factor is not None]
    return found if len(found) == rank else [None] * rank


def _nearest(call: AtenCall, axes: Sequence[tuple[int, int, float | None]]) -> Sequence[Op]:
    """Copies where every place is there equally often, steps where places are left out evenly, else matrices."""
    half = 0.5 if "exact" in call.op else 0.0
    factors: list[int] = []
    items: list[Item] = []
    matrices: list[Matrix | None] = []
    for n, m, factor in axes:
        places = _nearest_places(n, m, factor, half)
        copies = m % n == 0 and places == [j // (m // n) for j in range(m)]
        steps = None if copies else _steps(places, n)
        factors.append(m // n if copies else 1)
        items.append(steps or WHOLE)
        plain = copies or steps is not None
        matrices.append(None if plain else tuple(tuple(float(p == row) for p in places) for row in range(n)))
    ops: list[Op] = []
    if any(factor != 1 for factor in factors):
        ops.append(Op(Upsample(tuple(factors), "nearest", 1)))
    for axis, item in enumerate(items, 2):
        if item != WHOLE:
            every = tuple(item if place == axis else WHOLE for place in range(len(items) + 2))
            ops.append(Op(Slicing(every), {}, f"axis{axis}"))
    return _by_matrices(matrices, call.dtype, ops)


def _nearest_places(n: int, m: int, factor: float | None, half: float) -> list[int]:
    """For every place after, the place before.

    Raises:
        Unsupported: it is a matter of rounding, which torch's kernels do in different ways.
    """
    scale = 1.0 / factor if factor else n / m
    double = [min(floor((j + half) * scale), n - 1) for j in range(m)]
    single = [min(floor(_single(_single(j + half) * _single(scale))), n - 1) for j in range(m)]
    exact = double if factor else [min((2 * j + int(2 * half)) * n // (2 * m), n - 1) for j in range(m)]
    if not double == single == exact or (n == m and exact != list(range(n))):
        raise Unsupported(
            f"the nearest of {n} places for {m} is a matter of rounding in torch", remedy="use another size or mode"
        )
    return exact


def _steps(places: Sequence[int], size: int) -> Item | None:
    """The places as a slice of an axis of this size, where they are as far apart everywhere."""
    first, step = places[0], places[1] - places[0] if len(places) > 1 else 1
    if step < 1 or any(place != first + j * step for j, place in enumerate(places)):
        return None
    stop = places[-1] + 1 if places[-1] + step < size else None
    return first or None, stop, step if step > 1 else None


def _by_matrices(matrices: Sequence[Matrix | None], dtype: str, before: Sequence[Op] = ()) -> Sequence[Op]:
    """The axes from 2 on, one after the other, each times its matrix; float32 holds what it rounds off beside it."""
    ops = list(before)
    current: Slot | Made = Made(len(ops) - 1) if ops else Slot(0)
    left = sum(matrix is not None for matrix in matrices)
    for axis, matrix in enumerate(matrices, 2):
        if matrix is None:
            continue
        left -= 1
        size = (len(matrix), len(matrix[0]))
        parts = [matrix] if dtype == "float64" else _parts(matrix)
        for part, word in zip(parts, ("weights", "rest"), strict=False):
            ops.append(Op(Variable(size), {}, f"axis{axis}.{word}", (), {word: Numbers(part, dtype)}))
        weights = Made(len(ops) - 1)
        if len(parts) > 1:
            both = (Made(len(ops) - 2), weights)
            ops.append(Op(Elementwise("add", (Slot(0), Slot(1))), {}, f"axis{axis}.sum", both))
            weights = Made(len(ops) - 1)
        ops.append(Op(Resample(axis), {}, f"axis{axis}.product" if left else "", (current, weights)))
        current = Made(len(ops) - 1)
    return ops


def _parts(matrix: Matrix) -> list[Matrix]:
    """The matrix in float32, and in a second one what that rounds off, so that float64 has it exactly."""
    rounded = tuple(tuple(map(_single, row)) for row in matrix)
    rest = tuple(tuple(a - b for a, b in zip(*rows, strict=True)) for rows in zip(matrix, rounded, strict=True))
    return [rounded, rest] if any(map(any, rest)) else [rounded]


def _single(number: float) -> float:
    """A number rounded to float32."""
    result: float = struct.unpack("f", struct.pack("f", number))[0]
    return result


# ------------------------------------------------------------------------------------------------- weights


def _rule(op: str, *, corners: bool) -> Callable[[int, int, float | None], Matrix]:
    """The matrix of one axis by the sizes before and after and the factor that was asked for."""
    if op in SMOOTHED:
        if corners:
            raise Unsupported("antialiasing with align_corners", remedy="use align_corners=False")
        return _smoothed_cubic if "cubic" in op else _smoothed_linear
    if "cubic" in op:
        return lambda n, m, factor: _matrix(n, m, lambda j: _cubic_taps(j, n, m, factor, corners=corners))
    return lambda n, m, factor: _matrix(n, m, lambda j: _linear_taps(j, n, m, factor, corners=corners))


def _matrix(n: int, m: int, taps: Callable[[int], Sequence[tuple[int, float]]]) -> Matrix:
    """A column for each place after: weights at the places before, summed where several meet."""
    columns = []
    for j in range(m):
        column = [0.0] * n
        for place, weight in taps(j):
            column[min(max(place, 0), n - 1)] += weight
        columns.append(column)
    return tuple(zip(*columns, strict=True))


def _source(j: int, n: int, m: int, factor: float | None, *, corners: bool) -> float:
    """Where the centre of place j lies before."""
    if corners:
        return j * ((n - 1) / (m - 1)) if m > 1 else 0.0
    return (1.0 / factor if factor else n / m) * (j + 0.5) - 0.5


def _linear_taps(j: int, n: int, m: int, factor: float | None, *, corners: bool) -> list[tuple[int, float]]:
    """Two neighbours."""
    source = max(_source(j, n, m, factor, corners=corners), 0.0)
    place = min(int(source), n - 1)
    weight = min(max(source - place, 0.0), 1.0)
    return [(place, 1.0 - weight), (place + 1, weight)]


def _cubic_taps(j: int, n: int, m: int, factor: float | None, *, corners: bool) -> list[tuple[int, float]]:
    """Four neighbours, the border repeated."""
    source = _source(j, n, m, factor, corners=corners)
    place = floor(source)
    return [(place + k, _cubic(source - place - k, -0.75)) for k in (-1, 0, 1, 2)]


def _cubic(x: float, a: float) -> float:
    """Keys's kernel."""
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _smoothed_linear(n: int, m: int, factor: float | None) -> Matrix:
    """A triangle over all places that fall into the new one."""
    return _smoothed(n, m, factor, 1.0, lambda x: max(1.0 - abs(x), 0.0))


def _smoothed_cubic(n: int, m: int, factor: float | None) -> Matrix:
    """Keys's kernel over all places that fall into the new one."""
    return _smoothed(n, m, factor, 2.0, lambda x: _cubic(x, -0.5))


def _smoothed(n: int, m: int, factor: float | None, reach: float, weigh: Callable[[float], float]) -> Matrix:
    """The kernel stretched to the size of a new place, its weights brought to the sum 1, nothing beyond the border."""
    scale = 1.0 / factor if factor else n / m
    stretch = max(scale, 1.0)

    def taps(j: int) -> list[tuple[int, float]]:
        centre = scale * (j + 0.5)
        first = max(int(centre - reach * stretch + 0.5), 0)
        last = min(int(centre + reach * stretch + 0.5), n)
        weights = [weigh((place - centre + 0.5) / stretch) for place in range(first, last)]
        return [(first + k, weight / sum(weights)) for k, weight in enumerate(weights)]

    return _matrix(n, m, taps)
