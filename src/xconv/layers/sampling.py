"""Pictures read where the network says: F.grid_sample, F.affine_grid (spatial transformers), as operations of Keras.

The formulas are those of ATen/native/GridSampler.h, gradients included: where torch's is none, what takes its place
is a constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from xconv.layers.pad_axes import PadAxes
from xconv.layers.places import known_sizes
from xconv.layers.recipe import Recipe
from xconv.layers.stacking import stacked
from xconv.layers.steps import Taken
from xconv.layers.take import Take
from xconv.layers.tile import Along, Tile
from xconv.spec import AtenCall, Op, Spec, TorchExample

__all__ = ["AffineGrid", "GridSample"]

MODES = ("bilinear", "nearest", "bicubic")
PADS = ("zeros", "border", "reflection")
CUBIC = -0.75
"""The one number of Keys's kernel, as torch has it."""

_MARGIN = (1, 2)
"""Zeros before and after every axis: what lies outside is looked up there."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How a picture is read."""

    mode: str
    padding: str
    corners: bool


@dataclass(frozen=True, slots=True)
class GridSample(Spec):
    """The numbers of a picture at places between -1 and 1 along each axis; never one layer in a graph."""

    aten_ops = "grid_sampler", "grid_sampler_2d", "grid_sampler_3d"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """For every place the pixels around it, each a row of a table of pixels, and the sum by their weights."""
        picture, grid = call.get("input"), call["grid"]
        way = _Way(MODES[call["interpolation_mode"]], PADS[call["padding_mode"]], bool(call["align_corners"]))
        recipe = Recipe(call.inputs)
        rank = recipe.rank(picture) - 2
        channels, *sizes = known_sizes(recipe.shape(picture), range(1, rank + 2))
        after = known_sizes(recipe.shape(grid), range(1, rank + 1))
        points = recipe.shaped(grid, (None, prod(after), rank))
        lines = [_along(recipe, recipe.at(points, 2, -1 - axis), size, way) for axis, size in enumerate(sizes)]
        numbers = _row_numbers(recipe, points, [taps for taps, _ in lines], sizes)
        found: Taken = recipe.add(Take(0), _rows(recipe, picture), numbers)
        if way.mode != "nearest":
            each = (None, len(lines[0][1]) ** rank, prod(after))
            weights = _joint(recipe, "multiply", [stacked(recipe, parts, 1) for _, parts in lines])
            weights = recipe.expanded(recipe.shaped(weights, each), 3)
            found = recipe.both("multiply", recipe.shaped(found, (*each, channels)), weights)
            found = recipe.reduce("sum", found, (1,))
        pixels = recipe.shaped(found, (None, *after, channels))
        return recipe.done(recipe.moved(pixels, rank + 1, 1))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every mode and what lies outside; corners; three axes; an axis of one pixel."""
        flat, deep, line = ((3, 5, 4), (3, 6, 2)), ((2, 4, 3, 5), (2, 3, 2, 3)), ((2, 1, 4), (3, 1, 2))
        function, corners = "torch.nn.functional.grid_sample", False
        for mode in MODES:
            for padding in PADS:
                corners = not corners
                options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
                yield TorchExample(function, flat, kwargs=options)
        for mode, padding in (("bilinear", "zeros"), ("bilinear", "reflection"), ("nearest", "border")):
            yield TorchExample(function, deep, kwargs={"mode": mode, "padding_mode": padding, "align_corners": False})
        for corners in (False, True):
            yield TorchExample(function, line, kwargs={"padding_mode": "reflection", "align_corners": corners})


@dataclass(frozen=True, slots=True)
class AffineGrid(Spec):
    """Where the pixels of a picture lie after an affine map of each sample; never one layer in a graph."""

    aten_ops = ("affine_grid_generator",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Each column of the maps times the places along one axis, and the last column."""
        theta, corners = call.get("theta"), bool(call["align_corners"])
        recipe = Recipe(call.inputs)
        _, _, *sizes = call["size"]
        rank = len(sizes)
        known_sizes(tuple(sizes), range(rank))
        one = recipe.each("zeros_like", recipe.between(recipe.at(theta, 2, 0), 1, 0, 1))
        total: Taken | None = None
        for column, axis in enumerate(reversed(range(rank))):
            places = _evenly(recipe, one, sizes[axis], corners=corners)
            shape = (None, *(sizes[axis] if place == axis else 1 for place in range(rank)), 1)
            factor = recipe.expanded(recipe.at(theta, 2, column), *range(1, rank + 1))
            part = recipe.both("multiply", recipe.shaped(places, shape), factor)
            total = part if total is None else recipe.both("add", total, part)
        shift = recipe.expanded(recipe.at(theta, 2, rank), *range(1, rank + 1))
        recipe.both("add", shift if total is None else total, shift)
        return recipe.done()


def _evenly(recipe: Recipe, zeros: Taken, size: int, *, corners: bool) -> Taken:
    """Places from -1 to 1, for every sample: the middles of as many parts, or with the ends themselves."""
    ones = recipe.both("add", recipe.add(Tile((1, size)), zeros), 1.0)
    middle = recipe.both("subtract", recipe.add(Along("cumsum", 1), ones), (size + 1) / 2)
    parts = size - 1 if corners else size
    return recipe.both("multiply", middle, 2 / parts if parts else 0.0)


# ---------------------------------------------------------------------------------------------------- along an axis


def _along(recipe: Recipe, point: Taken, size: int, way: _Way) -> tuple[Taken, list[Taken]]:
    """The pixels along one axis that count at each place, (batch, pixels, places), and the weight of each."""
    scale = (size - 1) / 2 if way.corners else size / 2
    at: Taken = recipe.both("multiply", recipe.both("add", point, 1.0), scale)
    at = at if way.corners else recipe.both("subtract", at, 0.5)
    weights: list[Taken] = []
    if way.mode == "nearest":
        taps: list[Taken] = [recipe.each("round", _inside(recipe, at, size, way))]
    elif way.mode == "bilinear":
        at = _inside(recipe, at, size, way)
        first = recipe.each("floor", at)
        part = recipe.both("subtract", at, first)
        taps, weights = [first, recipe.both("add", first, 1.0)], [recipe.both("subtract", 1.0, part), part]
    else:
        first = recipe.each("floor", at)
        part = recipe.both("subtract", at, first)
        taps = [_inside(recipe, recipe.both("add", first, float(step)), size, way) for step in (-1, 0, 1, 2)]
        weights = _cubic(recipe, part)
    together = recipe.cast(stacked(recipe, taps, 1), "int32")
    return recipe.both("add", together, _MARGIN[0]), weights


def _inside(recipe: Recipe, at: Taken, size: int, way: _Way) -> Taken:
    """Places on the picture and its margin; what lies further out has no gradient."""
    if way.padding == "zeros":
        on = recipe.both("logical_and", recipe.both("greater_equal", at, -1.0), recipe.both("less", at, float(size)))
        return recipe.where(on, at, float(size))
    if way.padding == "reflection":
        at = _reflected(recipe, at, size, corners=way.corners)
    last = float(size - 1)
    below = recipe.where(recipe.both("less", at, last), at, last)
    return recipe.where(recipe.both("greater", at, 0.0), below, 0.0)


def _reflected(recipe: Recipe, at: Taken, size: int, *, corners: bool) -> Taken:
    """Places thrown back at the ends: the middles of the outermost pixels, or their outer edges."""
    low, span = (0.0, size - 1.0) if corners else (-0.5, float(size))
    if not span:
        return recipe.each("zeros_like", at)
    far = recipe.each("abs", recipe.both("subtract", at, low))
    rest = recipe.both("remainder", far, 2 * span)
    return recipe.both("add", recipe.both("minimum", rest, recipe.both("subtract", 2 * span, rest)), low)


def _cubic(recipe: Recipe, part: Taken) -> list[Taken]:
    """The weights of four neighbours."""
    ways = (part, recipe.both("subtract", 1.0, part))
    outer = (CUBIC, -5 * CUBIC, 8 * CUBIC, -4 * CUBIC)
    far = [_polynomial(recipe, recipe.both("add", way, 1.0), outer) for way in ways]
    near = [_polynomial(recipe, way, (CUBIC + 2, -CUBIC - 3, 0.0, 1.0)) for way in ways]
    return [far[0], near[0], near[1], far[1]]


def _polynomial(recipe: Recipe, x: Taken, factors: Sequence[float]) -> Taken:
    """By Horner's scheme, the highest power first."""
    found: Taken = recipe.both("multiply", x, factors[0])
    for factor in factors[1:-1]:
        found = recipe.both("multiply", recipe.both("add", found, factor) if factor else found, x)
    return recipe.both("add", found, factors[-1])


# ---------------------------------------------------------------------------------------------------- all axes


def _rows(recipe: Recipe, picture: Taken) -> Taken:
    """The pixels of all pictures one below the other, each with its margin, a column for every channel."""
    rank = recipe.rank(picture)
    last = recipe.moved(picture, 1, rank - 1)
    wide = recipe.add(PadAxes(((0, 0), *(_MARGIN,) * (rank - 2), (0, 0))), last)
    return recipe.shaped(wide, (None, recipe.shape(wide)[-1]))


def _row_numbers(recipe: Recipe, points: Taken, lines: Sequence[Taken], sizes: Sequence[int]) -> Taken:
    """For every place the rows of the pixels around it, in the table of all pictures.

    Negative numbers are subtracted: on TensorFlow, Keras 3.15 takes the second operand of a sum for a bias of the
    channels where it has one axis, whichever that is, and as many places as there are channels.
    """
    lengths = [size + sum(_MARGIN) for size in sizes]
    zeros = recipe.each("zeros_like", recipe.at(recipe.at(points, 2, 0), 1, 0))
    ones = recipe.both("add", recipe.cast(zeros, "float32"), 1.0)  # of whole numbers torch gives 64-bit sums
    counted = recipe.both("subtract", recipe.add(Along("cumsum", 0), ones), 1.0)
    begins = recipe.both("multiply", recipe.cast(counted, "int32"), prod(lengths))
    steps = [-prod(lengths[axis + 1 :]) for axis in range(len(lengths))]
    long = [recipe.both("multiply", taps, step) for taps, step in zip(lines, steps, strict=True)]
    return recipe.flat(_joint(recipe, "subtract", long, recipe.expanded(begins, *range(1, len(sizes) + 2))))


def _joint(recipe: Recipe, name: str, lines: Sequence[Taken], total: Taken | None = None) -> Taken:
    """What stands along each axis, (batch, pixels, places), for all of them at once: (batch, pixels ..., places)."""
    for place, line in enumerate(lines):
        wide = recipe.expanded(line, *(axis + 1 for axis in range(len(lines)) if axis != place))
        total = wide if total is None else recipe.both(name, total, wide)
    return lines[0] if total is None else total
