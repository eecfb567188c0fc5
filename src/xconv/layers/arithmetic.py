"""Operations of keras.ops that are sums, products and choices of others: average, ptp, heaviside, isclose ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import ClassVar

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.places import places_of
from xconv.layers.recipe import Composed, Method, Recipe
from xconv.layers.steps import Taken
from xconv.spec import Example, KerasLayer, Slot

__all__ = ["Arithmetic"]


def _isclose(layer: KerasLayer, recipe: Recipe) -> Taken:
    first, second = layer.argument(0, "x1"), layer.argument(1, "x2")
    relative, absolute = layer.argument(2, "rtol", 1e-05), layer.argument(3, "atol", 1e-08)
    far = recipe.each("abs", recipe.both("subtract", first, second))
    size = recipe.each("abs", second) if isinstance(second, Slot) else abs(second)
    allowed = recipe.both("multiply", size, relative) if isinstance(second, Slot) else size * relative
    allowed = recipe.both("add", allowed, absolute) if isinstance(second, Slot) else allowed + absolute
    close: Taken = recipe.both("less_equal", far, allowed)
    if layer.get("equal_nan", False) and isinstance(second, Slot) and isinstance(first, Slot):
        both = recipe.both("logical_and", recipe.each("isnan", first), recipe.each("isnan", second))
        close = recipe.both("logical_or", close, both)
    return close


def _all_close(layer: KerasLayer, recipe: Recipe) -> Taken:
    close = _isclose(layer, recipe)
    return recipe.reduce("all", close, tuple(range(recipe.rank(close))))


def _average(layer: KerasLayer, recipe: Recipe) -> Taken:
    axis, weights = layer.get("axis"), layer.argument(1, "weights")
    over = places_of(axis, recipe.rank(Slot(0)))
    if weights is None:
        return recipe.reduce("mean", Slot(0), over)
    if not isinstance(weights, Slot):
        raise Unsupported("an average with constant weights", remedy="hold them in a layer's weight")
    if recipe.rank(weights) != recipe.rank(Slot(0)):
        behind = recipe.rank(Slot(0)) - over[0] - 1
        total: Taken = recipe.reduce("sum", weights, (0,))
        long = recipe.expanded(weights, *range(1, behind + 1))
        return recipe.both("divide", recipe.reduce("sum", recipe.both("multiply", Slot(0), long), over), total)
    total = recipe.reduce("sum", weights, over)
    return recipe.both("divide", recipe.reduce("sum", recipe.both("multiply", Slot(0), weights), over), total)


def _cdist(layer: KerasLayer, recipe: Recipe) -> Taken:
    rows = recipe.expanded(layer.argument(0, "x"), -2)
    others = recipe.expanded(layer.argument(1, "y"), -3)
    squares = recipe.each("square", recipe.both("subtract", rows, others))
    return recipe.each("sqrt", recipe.reduce("sum", squares, (recipe.rank(squares) - 1,)))


def _cbrt(layer: KerasLayer, recipe: Recipe) -> Taken:
    x = layer.argument(0, "x")
    root = recipe.both("power", recipe.each("abs", x), 1.0 / 3.0)
    return recipe.both("multiply", recipe.each("sign", x), root)


def _count(layer: KerasLayer, recipe: Recipe) -> Taken:
    over = places_of(layer.argument(1, "axis"), recipe.rank(Slot(0)))
    found = recipe.cast(recipe.cast(Slot(0), "bool"), "int32")
    return recipe.cast(recipe.reduce("sum", found, over), "int32")


def _diff(layer: KerasLayer, recipe: Recipe) -> Taken:
    axis = layer.get("axis", -1)
    item: Taken = layer.argument(0, "a")
    for _ in range(layer.get("n", 1)):
        item = recipe.both("subtract", recipe.between(item, axis, 1, None), recipe.between(item, axis, None, -1))
    return item


def _divide_no_nan(layer: KerasLayer, recipe: Recipe) -> Taken:
    first, second = layer.argument(0, "x1"), layer.argument(1, "x2")
    if not isinstance(second, Slot):
        return (
            recipe.both("divide", first, second)
            if second
            else recipe.both("multiply", recipe.each("zeros_like", first), 1.0)
        )
    zero = recipe.both("equal", second, 0)
    return recipe.where(zero, 0.0, recipe.both("divide", first, recipe.where(zero, 1.0, second)))


def _fabs(layer: KerasLayer, recipe: Recipe) -> Taken:
    return recipe.each("abs", recipe.both("divide", layer.argument(0, "x"), 1))


def _heaviside(layer: KerasLayer, recipe: Recipe) -> Taken:
    first, second = layer.argument(0, "x1"), layer.argument(1, "x2")
    not_below = recipe.where(recipe.both("greater", first, 0), 1.0, second)
    return recipe.where(recipe.both("less", first, 0), 0.0, not_below)


def _isreal(layer: KerasLayer, recipe: Recipe) -> Taken:
    return recipe.cast(recipe.each("ones_like", layer.argument(0, "x")), "bool")


def _ldexp(layer: KerasLayer, recipe: Recipe) -> Taken:
    number, exponent = layer.argument(0, "x1"), layer.argument(1, "x2")
    number = recipe.both("divide", number, 1)
    result = recipe.both("multiply", number, recipe.both("power", 2.0, recipe.both("divide", exponent, 1)))
    still = recipe.both("logical_or", recipe.each("isinf", number), recipe.both("equal", number, 0))
    return recipe.where(still, number, result)


def _moments(layer: KerasLayer, recipe: Recipe) -> tuple[Taken, ...]:
    if layer.get("synchronized", False):
        raise Unsupported("moments over several devices", remedy="leave out synchronized=True")
    over, keepdims = places_of(layer["axes"], recipe.rank(Slot(0))), bool(layer.get("keepdims", False))
    return tuple(recipe.reduce(name, Slot(0), over, keepdims=keepdims) for name in ("mean", "var"))


def _psnr(layer: KerasLayer, recipe: Recipe) -> Taken:
    squares = recipe.each("square", recipe.both("subtract", Slot(0), Slot(1)))
    error = recipe.reduce("mean", squares, tuple(range(recipe.rank(squares))))
    return recipe.both(
        "subtract", 20 * log10(layer["max_val"]), recipe.both("multiply", recipe.each("log10", error), 10.0)
    )


def _ptp(layer: KerasLayer, recipe: Recipe) -> Taken:
    over, keepdims = places_of(layer.argument(1, "axis"), recipe.rank(Slot(0))), bool(layer.get("keepdims", False))
    highest, lowest = (recipe.reduce(name, Slot(0), over, keepdims=keepdims) for name in ("amax", "amin"))
    return recipe.both("subtract", highest, lowest)


def _size(layer: KerasLayer, recipe: Recipe) -> Taken:
    ones = recipe.cast(recipe.each("ones_like", layer.argument(0, "x")), "int32")
    return recipe.cast(recipe.reduce("sum", ones, tuple(range(recipe.rank(ones)))), "int32")


def _trapezoid(layer: KerasLayer, recipe: Recipe) -> Taken:
    if layer.get("x") is not None:
        raise Unsupported("trapezoid at given places", remedy="multiply with their differences, and sum up")
    axis, width = layer.get("axis", -1), float(layer.get("dx", 1.0))
    heights = recipe.both("add", recipe.between(Slot(0), axis, 1, None), recipe.between(Slot(0), axis, None, -1))
    areas = recipe.both("multiply", recipe.both("multiply", heights, 0.5), width)
    return recipe.reduce("sum", areas, (axes.normal(axis, recipe.rank(areas)),))


METHODS: Mapping[str, Method] = {
    "ops.AllClose": _all_close,
    "ops.Average": _average,
    "ops.CDist": _cdist,
    "ops.Cbrt": _cbrt,
    "ops.CountNonzero": _count,
    "ops.Diff": _diff,
    "ops.DivideNoNan": _divide_no_nan,
    "ops.Fabs": _fabs,
    "ops.Heaviside": _heaviside,
    "ops.Isclose": _isclose,
    "ops.Isreal": _isreal,
    "ops.Ldexp": _ldexp,
    "ops.Moments": _moments,
    "ops.PSNR": _psnr,
    "ops.Ptp": _ptp,
    "ops.Size": _size,
    "ops.Trapezoid": _trapezoid,
}

TWO, SLOTS = ((4, 3), (4, 3)), (Slot(0), Slot(1))

CASES = (
    Example("ops.AllClose", TWO, {"rtol": 0.5}, args=SLOTS),
    Example("ops.Isclose", TWO, args=(*SLOTS, 0.5, 0.25)),
    Example("ops.Isclose", TWO, {"equal_nan": True}, args=SLOTS),
    Example("ops.Average", ((4, 5, 3),), {"axis": -2}, args=(Slot(0),)),
    Example("ops.Average", ((4, 3),), args=(Slot(0),)),
    Example("ops.Average", ((4, 5, 3),) * 2, {"axis": 1}, args=SLOTS, values="positive"),
    Example("ops.Average", TWO, args=SLOTS, values="positive"),
    Example("ops.CDist", ((4, 3), (5, 3)), args=SLOTS),
    Example("ops.Cbrt", ((4, 3),), args=(Slot(0),)),
    Example("ops.CountNonzero", ((4, 5, 3),), {"axis": [1, -1]}, args=(Slot(0),), values="integers"),
    Example("ops.CountNonzero", ((4, 3),), args=(Slot(0),), values="boolean"),
    Example("ops.Diff", ((4, 5, 3),), {"n": 2, "axis": 2}, args=(Slot(0),)),
    Example("ops.Diff", ((4, 3),), {"n": 0}, args=(Slot(0),)),
    Example("ops.DivideNoNan", TWO, args=SLOTS),
    Example("ops.DivideNoNan", ((4, 3),), args=(Slot(0), 2.0)),
    Example("ops.DivideNoNan", ((4, 3),), args=(Slot(0), 0.0)),
    Example("ops.Fabs", ((4, 3),), args=(Slot(0),)),
    Example("ops.Heaviside", TWO, args=SLOTS),
    Example("ops.Isreal", ((4, 3),), args=(Slot(0),)),
    Example("ops.Ldexp", TWO, args=SLOTS, values="integers", float64=False),
    Example("ops.Moments", ((4, 5, 3),), {"axes": [1, 2]}, args=(Slot(0),)),
    Example("ops.Moments", ((4, 3),), {"axes": [0, -1], "keepdims": True}, args=(Slot(0),)),
    Example("ops.PSNR", TWO, {"max_val": 3.0}, args=SLOTS),
    Example("ops.Ptp", ((4, 5, 3),), {"axis": 1, "keepdims": True}, args=(Slot(0),)),
    Example("ops.Ptp", ((4, 3),), args=(Slot(0),)),
    Example("ops.Size", ((4, 3),), args=(Slot(0),)),
    Example("ops.Trapezoid", ((4, 5, 3),), {"axis": 2, "dx": 0.5}, args=(Slot(0),)),
    Example("ops.Trapezoid", ((4, 3),), args=(Slot(0),)),
)


class Arithmetic(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
