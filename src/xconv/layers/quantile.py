"""What stands at a part of the way through sorted numbers: keras.ops.median, quantile, percentile, nanquantile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, inf, prod
from typing import Any, ClassVar

from xconv.errors import Mismatch, Unsupported
from xconv.layers.nan import cleaned, nothing
from xconv.layers.places import places_of
from xconv.layers.recipe import Composed, Method, Recipe
from xconv.layers.sorting import Sort
from xconv.layers.stacking import stacked
from xconv.layers.steps import Taken
from xconv.layers.take import TakeAlong
from xconv.spec import Example, KerasLayer, Slot

__all__ = ["Quantiles"]


def _quantile(*, scale: float, spares: bool) -> Method:
    """Of a share in parts of `scale`; with `spares`, of the numbers that are any."""

    def quantile(layer: KerasLayer, recipe: Recipe) -> Taken:
        x, given = layer.argument(0, "x"), layer.argument(1, "q", 0.5)
        over, keepdims = places_of(layer.get("axis"), recipe.rank(x)), bool(layer.get("keepdims", False))
        if layer.get("method", "linear") != "linear":
            raise Unsupported(
                f"{layer.kind} by the method {layer.get('method')!r}, which Keras takes for 'linear' in places",
                remedy="leave the method out",
            )
        given = given.tolist() if hasattr(given, "tolist") else given
        shares = given if isinstance(given, (list, tuple)) else [given]
        if not all(isinstance(share, (int, float)) for share in shares):
            raise Unsupported(f"{layer.kind} of a share that the network computes", remedy="give it a number")
        lines = _lines(recipe, x, over)
        found = [_found(recipe, lines, share / scale, spares=spares) for share in shares]
        if not spares:
            holes = recipe.reduce("any", recipe.each("isnan", x), over)
            found = [recipe.where(holes, nothing(recipe, x, over), item) for item in found]
        if keepdims:
            found = [recipe.expanded(item, *over) for item in found]
        return stacked(recipe, found, 0) if isinstance(given, (list, tuple)) else found[0]

    return quantile


def _lines(recipe: Recipe, x: Taken, over: tuple[int, ...]) -> Taken:
    """The numbers with all axes that are looked through as the last one."""
    rest = tuple(axis for axis in range(recipe.rank(x)) if axis not in over)
    turned = recipe.turned(x, (*rest, *over))
    if len(over) == 1:
        return turned
    shape = recipe.shape(x)
    sizes = [shape[axis] for axis in over]
    joined = None if None in sizes else prod(size for size in sizes if size is not None)
    kept = tuple(shape[axis] for axis in rest)
    if joined is None and None in kept:
        raise Unsupported("a quantile over several axes, one of them of open size", remedy="give them known sizes")
    return recipe.shaped(turned, (*kept, joined))


def _found(recipe: Recipe, lines: Taken, share: float, *, spares: bool) -> Taken:
    """The number at a share of each line; between two, by how near it is to each."""
    if not 0 <= share <= 1:
        raise Mismatch(f"a share of {share}, which does not lie between 0 and 1")
    size = recipe.shape(lines)[-1]
    if spares or size is None:
        return _counted(recipe, lines, share)
    ordered = recipe.add(Sort(recipe.rank(lines) - 1), lines)
    exact = (size - 1) * share
    below = max(min(ceil(exact), size - 1) - 1, 0)
    above = min(below + 1, size - 1)
    part = above - exact
    high = recipe.both("multiply", recipe.at(ordered, -1, above), 1 - part)
    return recipe.both("add", high, recipe.both("multiply", recipe.at(ordered, -1, below), part))


def _counted(recipe: Recipe, lines: Taken, share: float) -> Taken:
    """The same where how many numbers there are shows at run time."""
    last = recipe.rank(lines) - 1
    numbers = recipe.each("logical_not", recipe.each("isnan", lines))
    ones = recipe.both("multiply", recipe.each("ones_like", lines), numbers)
    count = recipe.reduce("sum", ones, (last,), keepdims=True)
    end = recipe.both("maximum", recipe.both("subtract", count, 1.0), 0.0)
    exact = recipe.both("multiply", end, share)
    below = recipe.both("maximum", recipe.both("subtract", recipe.each("ceil", exact), 1.0), 0.0)
    above = recipe.both("minimum", recipe.both("add", below, 1.0), end)
    part = recipe.both("subtract", above, exact)
    ordered = recipe.add(Sort(last), cleaned(recipe, lines, inf))
    high, low = (recipe.add(TakeAlong(last), ordered, recipe.cast(at, "int32")) for at in (above, below))
    high = recipe.both("multiply", high, recipe.both("subtract", 1.0, part))
    found = recipe.both("add", high, recipe.both("multiply", low, part))
    none = recipe.both("equal", count, 0.0)
    return recipe.squeezed(recipe.where(none, nothing(recipe, lines, (last,), keepdims=True), found), last)


METHODS: Mapping[str, Method] = {
    "ops.Median": _quantile(scale=1.0, spares=False),
    "ops.Nanmedian": _quantile(scale=1.0, spares=True),
    "ops.Nanpercentile": _quantile(scale=100.0, spares=True),
    "ops.Nanquantile": _quantile(scale=1.0, spares=True),
    "ops.Percentile": _quantile(scale=100.0, spares=False),
    "ops.Quantile": _quantile(scale=1.0, spares=False),
}

_PAIR: Mapping[str, Any] = {"axis": [1, 3], "keepdims": True}

CASES = (
    Example("ops.Median", ((4, 5, 3),), {"axis": [2]}, args=(Slot(0),)),
    Example("ops.Median", ((4, 5, 3),), _PAIR, args=(Slot(0),)),
    Example("ops.Median", ((4, 3),), args=(Slot(0),)),
    Example("ops.Median", ((4, 3),), {"axis": [0]}, args=(Slot(0),)),
    Example("ops.Quantile", ((4, 7),), {"axis": [-1]}, args=(Slot(0), 0.375)),
    Example("ops.Quantile", ((4, 7),), {"axis": [1]}, args=(Slot(0), [0.0, 0.4375, 1.0])),
    Example("ops.Percentile", ((4, 7),), {"axis": [-1], "keepdims": True}, args=(Slot(0), 35.0)),
    Example("ops.Nanmedian", ((4, 7),), {"axis": -1}, args=(Slot(0),), values="holes"),
    Example("ops.Nanmedian", ((4, 7),), args=(Slot(0),), values="holes"),
    Example("ops.Nanquantile", ((4, 7),), {"axis": 1}, args=(Slot(0), 0.375), values="holes"),
    Example("ops.Nanpercentile", ((4, 7),), {"axis": 2}, args=(Slot(0), 65.0), values="holes"),
)


class Quantiles(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
