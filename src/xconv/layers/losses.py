"""What training asks of a network, in a graph: keras.ops.binary_crossentropy ..., sparsemax, in_top_k, multi_hot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.indexed import OneHot
from xconv.layers.recipe import Composed, Method, Recipe
from xconv.layers.softmax import Softmax
from xconv.layers.sorting import Sort
from xconv.layers.steps import Taken
from xconv.layers.take import TakeAlong
from xconv.layers.tile import Along
from xconv.layers.unary import Clip
from xconv.spec import Example, KerasLayer, Slot

__all__ = ["Losses"]

EPSILON = 1e-7
"""keras.backend.epsilon, unless somebody changed it."""


def _pair(layer: KerasLayer, first: str = "target", second: str = "output") -> tuple[Slot, Slot]:
    found = layer.argument(0, first), layer.argument(1, second)
    if not all(isinstance(item, Slot) for item in found):
        raise Unsupported(f"{layer.kind} with a constant", remedy="hold the array in a layer's weight")
    return found


def _clipped(recipe: Recipe, item: Taken) -> Taken:
    return recipe.add(Clip(EPSILON, 1.0 - EPSILON), item)


def _binary(layer: KerasLayer, recipe: Recipe) -> Taken:
    target, output = _pair(layer)
    if layer.get("from_logits", False):
        above = recipe.both("subtract", recipe.both("maximum", output, 0.0), recipe.both("multiply", output, target))
        rest = recipe.each("log1p", recipe.each("exp", recipe.each("neg", recipe.each("abs", output))))
        return recipe.both("add", above, rest)
    chance = _clipped(recipe, output)
    yes = recipe.both("multiply", target, recipe.each("log", chance))
    other = recipe.each("log", recipe.both("subtract", 1, chance))
    no = recipe.both("multiply", recipe.both("subtract", 1, target), other)
    return recipe.each("neg", recipe.both("add", yes, no))


def _categorical(layer: KerasLayer, recipe: Recipe) -> Taken:
    target, output = _pair(layer)
    axis = axes.normal(layer.get("axis", -1), recipe.rank(output))
    if layer.get("from_logits", False):
        logs: Taken = recipe.add(Softmax(axis, log=True), output)
    else:
        share = recipe.both("divide", output, recipe.reduce("sum", output, (axis,), keepdims=True))
        logs = recipe.each("log", _clipped(recipe, share))
    return recipe.each("neg", recipe.reduce("sum", recipe.both("multiply", target, logs), (axis,)))


def _sparse(layer: KerasLayer, recipe: Recipe) -> Taken:
    target, output = _pair(layer)
    last = recipe.rank(output) - 1
    if axes.normal(layer.get("axis", -1), last + 1) != last:
        raise Unsupported(f"{layer.kind} along another axis than the last", remedy="move the classes last")
    logits: Taken = output
    if not layer.get("from_logits", False):
        logits = recipe.each("log", _clipped(recipe, output))
    column = target if recipe.rank(target) == last + 1 else recipe.expanded(target, -1)
    found = recipe.add(TakeAlong(last), recipe.add(Softmax(last, log=True), logits), recipe.cast(column, "int32"))
    return recipe.each("neg", recipe.squeezed(found, last))


def _sparsemax(layer: KerasLayer, recipe: Recipe) -> Taken:
    x: Slot = layer.argument(0, "x")
    axis = axes.normal(layer.get("axis", -1), recipe.rank(x))
    ordered = recipe.each("neg", recipe.add(Sort(axis), recipe.each("neg", x)))
    ones = recipe.each("ones_like", x)
    total, count = recipe.add(Along("cumsum", axis), ordered), recipe.add(Along("cumsum", axis), ones)
    limit = recipe.both("divide", recipe.both("subtract", total, 1), count)
    support = recipe.both("greater", recipe.both("subtract", ordered, limit), 0)
    number = recipe.reduce("sum", recipe.both("multiply", ones, support), (axis,), keepdims=True)
    held = recipe.reduce("sum", recipe.where(support, total, 0.0), (axis,), keepdims=True)
    threshold = recipe.both("divide", recipe.both("subtract", held, 1), number)
    return recipe.both("maximum", recipe.both("subtract", x, threshold), 0.0)


def _in_top_k(layer: KerasLayer, recipe: Recipe) -> Taken:
    target, output = _pair(layer, "targets", "predictions")
    chosen = recipe.add(TakeAlong(1), output, recipe.expanded(target, 1))
    better = recipe.cast(recipe.both("greater", output, chosen), "int32")
    few = recipe.both("less", recipe.reduce("sum", better, (1,)), layer["k"])
    finite = recipe.each("isfinite", recipe.squeezed(chosen, 1))
    return recipe.both("logical_and", few, finite)


def _multi_hot(layer: KerasLayer, recipe: Recipe) -> Taken:
    x = layer.argument(0, "inputs")
    count, dtype = layer.get("num_classes") or layer.get("num_tokens"), layer.get("dtype") or "float32"
    if layer.get("sparse", False) or not isinstance(count, int):
        raise Unsupported("a sparse multi_hot, or one of no stated size", remedy="give num_classes, sparse=False")
    rank = recipe.rank(x)
    axis = axes.normal(layer.get("axis", -1), rank + 1)
    rows = recipe.add(OneHot.made(count, -1 if axis == rank else axis, dtype), x)
    return recipe.reduce("any" if dtype == "bool" else "amax", rows, (1 if rank > 1 else 0,))


METHODS: Mapping[str, Method] = {
    "ops.BinaryCrossentropy": _binary,
    "ops.CategoricalCrossentropy": _categorical,
    "ops.InTopK": _in_top_k,
    "ops.MultiHot": _multi_hot,
    "ops.SparseCategoricalCrossentropy": _sparse,
    "ops.Sparsemax": _sparsemax,
}

BOTH = (Slot(0), Slot(1))
LOGITS = {"from_logits": True}

CASES = (
    Example("ops.BinaryCrossentropy", ((4, 3), (4, 3)), args=BOTH, values="positive unit"),
    Example("ops.BinaryCrossentropy", ((4, 3), (4, 3)), LOGITS, args=BOTH),
    Example("ops.CategoricalCrossentropy", ((4, 3), (4, 3)), args=BOTH, values="positive"),
    Example("ops.InTopK", ((), (5,)), {"k": 2}, args=BOTH, values="integers normal", float64=False),
    Example("ops.MultiHot", ((4,),), {"num_classes": 5}, args=(Slot(0),), values="integers", float64=False),
    Example("ops.MultiHot", ((4, 2),), {"num_classes": 5, "dtype": "bool"}, args=(Slot(0),), values="integers"),
    Example("ops.SparseCategoricalCrossentropy", ((4,), (4, 5)), args=BOTH, values="integers positive"),
    Example("ops.SparseCategoricalCrossentropy", ((1,), (5,)), LOGITS, args=BOTH, values="integers normal"),
    Example("ops.Sparsemax", ((4, 5),), args=(Slot(0),)),
    Example("ops.Sparsemax", ((4, 5),), {"axis": 1}, args=(Slot(0),)),
)


class Losses(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
