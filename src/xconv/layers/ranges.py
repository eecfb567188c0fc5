"""Numbers in a row: keras.ops.linspace, geomspace, vander, digitize, isin, unravel_index, extract_sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.places import known_sizes
from xconv.layers.recipe import Composed, Method, Operand, Recipe
from xconv.layers.stacking import stacked
from xconv.layers.steps import Taken
from xconv.layers.take import Take
from xconv.layers.tile import Along, Tile
from xconv.spec import Example, KerasLayer, Sample, Slot

__all__ = ["Ranges"]


def _row(layer: KerasLayer, recipe: Recipe, start: Operand, stop: Operand) -> Taken:
    """Numbers at equal distances along a new axis."""
    count, axis = layer.get("num", 50), layer.get("axis", 0)
    if layer.get("retstep", False) or not count:
        raise Unsupported(f"{layer.kind} with retstep=True, or of no numbers", remedy="leave out retstep")
    span = recipe.both("subtract", stop, start)
    gaps = count - 1 if layer.get("endpoint", True) else count
    step = recipe.expanded(recipe.both("divide", span, max(gaps, 1)), axis)
    first = recipe.expanded(recipe.both("add", recipe.each("zeros_like", span), start), axis)
    at = axes.normal(axis, recipe.rank(step))
    steps = recipe.add(Tile(tuple(count if place == at else 1 for place in range(recipe.rank(step)))), step)
    places = recipe.both("subtract", recipe.add(Along("cumsum", at), recipe.each("ones_like", steps)), 1)
    row: Taken = recipe.both("add", first, recipe.both("multiply", steps, places))
    return row


def _typed(layer: KerasLayer, recipe: Recipe, row: Taken) -> Taken:
    dtype = layer.get("dtype")
    if dtype is None:
        return row
    return recipe.cast(recipe.each("floor", row) if "int" in dtype else row, dtype)


def _ends(layer: KerasLayer) -> tuple[Any, Any]:
    ends = layer.argument(0, "start"), layer.argument(1, "stop")
    if not all(isinstance(end, (Slot, int, float)) for end in ends):
        raise Unsupported(f"{layer.kind} between arrays", remedy="hold the array in a layer's weight")
    return ends


def _linspace(layer: KerasLayer, recipe: Recipe) -> Taken:
    return _typed(layer, recipe, _row(layer, recipe, *_ends(layer)))


def _logspace(layer: KerasLayer, recipe: Recipe) -> Taken:
    row = _typed(layer, recipe, _row(layer, recipe, *_ends(layer)))
    return recipe.both("power", float(layer.get("base", 10)), row)


def _geomspace(layer: KerasLayer, recipe: Recipe) -> Taken:
    start, stop = _ends(layer)
    if layer.get("dtype") is not None or layer.get("axis", 0) != 0:
        raise Unsupported(
            "geomspace in another dtype, or along another axis than the first, which Keras cannot",
            remedy="cast or turn its result",
        )
    tens: list[Operand] = []
    for end in (start, stop):
        if isinstance(end, Slot):
            tens.append(recipe.both("divide", recipe.each("log", recipe.each("abs", end)), log(10.0)))
        else:
            tens.append(log(abs(end)) / log(10.0))
    row = recipe.both("power", 10.0, _row(layer, recipe, *tens))
    if not isinstance(start, Slot):
        return recipe.both("multiply", row, 1.0 if start > 0 else -1.0 if start < 0 else 0.0)
    return recipe.both("multiply", row, recipe.each("sign", start))


def _vander(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, count = layer.argument(0, "x"), layer.get("N")
    if count is None:
        (count,) = known_sizes(recipe.shape(x), (0,))
    powers = range(count) if layer.get("increasing", False) else range(count - 1, -1, -1)
    return stacked(recipe, [recipe.both("power", x, power) for power in powers], -1)


def _numbers(value: Any, what: str) -> list[float]:
    """A constant row of numbers."""
    given = value.tolist() if hasattr(value, "tolist") else value
    given = [given] if isinstance(given, (int, float)) else given
    if not isinstance(given, (list, tuple)) or not all(isinstance(item, (int, float)) for item in given):
        raise Unsupported(f"{what} of numbers that are no row", remedy="give it a row of numbers")
    return list(given)


def _digitize(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, given = layer.argument(0, "x"), layer.argument(1, "bins")
    if isinstance(given, Slot):
        rank = recipe.rank(x)
        row = recipe.expanded(recipe.flat(given), *range(rank))
        above = recipe.cast(recipe.both("greater_equal", recipe.expanded(x, -1), row), "int32")
        return recipe.cast(recipe.reduce("sum", above, (rank,)), "int32")
    bins = _numbers(given, "digitize")
    total: Taken | None = None
    for edge in bins:
        above = recipe.cast(recipe.both("greater_equal", x, float(edge)), "int32")
        total = above if total is None else recipe.both("add", total, above)
    if total is None:
        raise Mismatch("digitize without bins")
    return total


def _is_in(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, others = layer.argument(0, "x1"), layer.argument(1, "x2")
    layer.get("assume_unique")
    if isinstance(others, Slot):
        rank = recipe.rank(x)
        row = recipe.expanded(recipe.flat(others), *range(rank))
        found: Taken = recipe.reduce("any", recipe.both("equal", recipe.expanded(x, -1), row), (rank,))
    else:
        same = [recipe.both("equal", x, number) for number in _numbers(others, "isin")]
        if not same:
            raise Mismatch("isin without numbers")
        found = same[0]
        for item in same[1:]:
            found = recipe.both("logical_or", found, item)
    return recipe.each("logical_not", found) if layer.get("invert", False) else found


def _unravel(layer: KerasLayer, recipe: Recipe) -> tuple[Taken, ...]:
    left = layer.argument(0, "indices")
    if recipe.rank(left) != 1:
        raise Unsupported("unravel_index of several axes, which Keras's backends do apart", remedy="use a row")
    parts: list[Taken] = []
    for size in reversed(layer["shape"]):
        parts.insert(0, recipe.both("remainder", left, size))
        left = recipe.both("floor_divide", left, size)
    return tuple(parts)


def _sequences(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, length, stride = layer.argument(0, "x"), layer["sequence_length"], layer["sequence_stride"]
    last = recipe.rank(x) - 1
    (size,) = known_sizes(recipe.shape(x), (last,))
    count = max(size - length, -stride) // stride + 1
    if count < 1:
        raise Mismatch(f"no sequence of {length} in {size}")
    places = tuple(number * stride + place for number in range(count) for place in range(length))
    taken = recipe.add(Take(last, places), x)
    return recipe.shaped(taken, (*recipe.shape(x)[:-1], count, length))


METHODS: Mapping[str, Method] = {
    "ops.Digitize": _digitize,
    "ops.ExtractSequences": _sequences,
    "ops.Geomspace": _geomspace,
    "ops.IsIn": _is_in,
    "ops.Linspace": _linspace,
    "ops.Logspace": _logspace,
    "ops.UnravelIndex": _unravel,
    "ops.Vander": _vander,
}

BOTH = (Slot(0), Slot(1))

CASES = (
    Example("ops.Digitize", ((4, 3), (5,)), args=(Slot(0), Sample(1)), values="normal sorted"),
    Example("ops.ExtractSequences", ((4, 9),), {"sequence_length": 3, "sequence_stride": 2}, args=(Slot(0),)),
    Example("ops.Geomspace", ((4,), (4,)), {"num": 5}, args=BOTH, values="positive"),
    Example("ops.Geomspace", ((4,),), {"num": 5, "endpoint": False}, args=(Slot(0), 3.0), values="positive"),
    Example("ops.IsIn", ((4, 3), (2,)), args=BOTH, values="integers"),
    Example("ops.IsIn", ((4, 3),), {"invert": True}, args=(Slot(0), [1, 3]), values="integers"),
    Example("ops.Linspace", ((4, 3), (4, 3)), {"num": 5, "axis": 1}, args=BOTH),
    Example("ops.Linspace", ((4, 3),), {"num": 4, "endpoint": False, "axis": -1}, args=(0.5, Slot(0))),
    Example("ops.Logspace", ((4,), (4,)), {"num": 3, "base": 2, "axis": 1}, args=BOTH),
    Example("ops.UnravelIndex", ((),), {"shape": (2, 3)}, args=(Slot(0),), values="integers"),
    Example("ops.Vander", ((),), {"N": 4}, args=(Slot(0),)),
    Example("ops.Vander", ((),), {"N": 3, "increasing": True}, args=(Slot(0),)),
)


class Ranges(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
