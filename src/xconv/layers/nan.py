"""Numbers that are missing: keras.ops.nan_to_num  <->  torch.nan_to_num; nansum, nanmax ... are made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

from xconv import axes
from xconv.layers.places import places_of
from xconv.layers.recipe import Composed, Method, Recipe
from xconv.layers.reduce import Argument
from xconv.layers.steps import Taken
from xconv.layers.tile import Along
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["NanReductions", "NanToNum", "cleaned", "nothing"]


@dataclass(frozen=True, slots=True)
class NanToNum(Spec):
    """Each number, or another for what is none and for the infinities; None is the largest that the dtype holds."""

    nan: float = 0.0
    highest: float | None = None
    lowest: float | None = None

    order = Order.ANY
    keras_kinds = ("ops.NanToNum",)
    aten_ops = ("nan_to_num",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Three numbers."""
        given = (layer.get("nan", 0.0), layer.get("posinf"), layer.get("neginf"))
        return Op(cls(*(None if item is None else float(item) for item in given)))  # type: ignore[arg-type]

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """Three numbers."""
        call.get("self")
        ends = (None if item is None else float(item) for item in (call["posinf"], call["neginf"]))
        return Op(cls(float(call["nan"] or 0.0), *ends))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"nan": self.nan, "posinf": self.highest, "neginf": self.lowest}
        return KerasLayer("ops.NanToNum", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.nan_to_num."""
        return TorchCall("torch.nan_to_num", (Slot(0), self.nan, self.highest, self.lowest))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """With and without ends, on numbers and on integers."""
        yield Example("ops.NanToNum", ((4, 3),), {"nan": 1.5, "posinf": 2.0, "neginf": -3.0}, args=(Slot(0),))
        yield Example("ops.NanToNum", ((4, 3),), args=(Slot(0),))
        yield Example("ops.NanToNum", ((4, 3),), args=(Slot(0),), values="integers")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Ends by name; the infinities as they are."""
        yield TorchExample("torch.nan_to_num", ((4, 3),), args=(Slot(0),), kwargs={"neginf": -1.0})
        options = {"nan": 0.5, "posinf": inf, "neginf": -inf}
        yield TorchExample("torch.nan_to_num", ((4, 3),), args=(Slot(0),), kwargs=options)


def cleaned(recipe: Recipe, item: Taken, number: float) -> Taken:
    """A number in the place of what is none; 0 and 1 leave integers what they are."""
    if number in (0, 1):
        return recipe.where(recipe.each("isnan", item), int(number), item)
    return recipe.add(NanToNum(number, inf, -inf), item)


def nothing(recipe: Recipe, item: Taken, over: tuple[int, ...], *, keepdims: bool = False) -> Taken:
    """NaN where one is among the numbers, without a gradient."""
    return recipe.each("detach", recipe.reduce("sum", item, over, keepdims=keepdims))


def _reduced(layer: KerasLayer, recipe: Recipe) -> tuple[Slot, tuple[int, ...], bool]:
    """What is reduced, over which axes, and whether these stay."""
    x = layer.argument(0, "x")
    return x, places_of(layer.get("axis"), recipe.rank(x)), bool(layer.get("keepdims", False))


def _total(name: str, number: float) -> Method:
    def total(layer: KerasLayer, recipe: Recipe) -> Taken:
        x, over, keepdims = _reduced(layer, recipe)
        return recipe.reduce(name, cleaned(recipe, x, number), over, keepdims=keepdims)

    return total


def _extreme(name: str, number: float) -> Method:
    """The largest or smallest; no number where there is none, which the sum of nothing but NaN is."""

    def extreme(layer: KerasLayer, recipe: Recipe) -> Taken:
        x, over, keepdims = _reduced(layer, recipe)
        found = recipe.reduce(name, cleaned(recipe, x, number), over, keepdims=keepdims)
        none = recipe.reduce("all", recipe.each("isnan", x), over, keepdims=keepdims)
        return recipe.where(none, nothing(recipe, x, over, keepdims=keepdims), found)

    return extreme


def _place(name: str, number: float) -> Method:
    """The place of the largest or smallest; -1 where there is none."""

    def place(layer: KerasLayer, recipe: Recipe) -> Taken:
        x, axis = layer.argument(0, "x"), layer.get("axis")
        keepdims = bool(layer.get("keepdims", False))
        rank = recipe.rank(x)
        flat = recipe.flat(x) if axis is None else x
        at = 0 if axis is None else axes.normal(axis, rank)
        kept = keepdims and axis is not None
        found = recipe.add(Argument(name, at, kept), cleaned(recipe, flat, number))
        none = recipe.reduce("all", recipe.each("isnan", flat), (at,), keepdims=kept)
        result = recipe.where(none, -1, found)
        return recipe.expanded(result, *range(rank)) if keepdims and axis is None else result

    return place


def _counted(recipe: Recipe, x: Taken, over: tuple[int, ...], keepdims: bool) -> Taken:
    """How many numbers there are, in the dtype of the numbers."""
    found = recipe.each("logical_not", recipe.each("isnan", x))
    return recipe.reduce("sum", recipe.both("multiply", recipe.each("ones_like", x), found), over, keepdims=keepdims)


def _mean(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, over, keepdims = _reduced(layer, recipe)
    return _mean_of(recipe, x, over, keepdims)


def _mean_of(recipe: Recipe, x: Taken, over: tuple[int, ...], keepdims: bool) -> Taken:
    total = recipe.reduce("sum", cleaned(recipe, x, 0.0), over, keepdims=keepdims)
    return recipe.both("divide", total, _counted(recipe, x, over, keepdims))


def _variance(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, over, keepdims = _reduced(layer, recipe)
    away = recipe.both("subtract", x, _mean_of(recipe, x, over, keepdims=True))
    squares = recipe.each("square", recipe.where(recipe.each("isnan", x), 0.0, away))
    total = recipe.reduce("sum", squares, over, keepdims=keepdims)
    return recipe.both("divide", total, _counted(recipe, x, over, keepdims))


def _deviation(layer: KerasLayer, recipe: Recipe) -> Taken:
    return recipe.each("sqrt", _variance(layer, recipe))


def _running(name: str) -> Method:
    """Sums and products of what stands before, as Keras makes them."""

    def running(layer: KerasLayer, recipe: Recipe) -> Taken:
        x, axis, dtype = layer.argument(0, "x"), layer.get("axis"), layer.get("dtype")
        clean: Taken = recipe.add(NanToNum(0.0 if name == "cumsum" else 1.0), x)
        clean = clean if dtype is None else recipe.cast(clean, dtype)
        flat = recipe.flat(clean) if axis is None else clean
        return recipe.add(Along(name, 0 if axis is None else axes.normal(axis, recipe.rank(x))), flat)

    return running


METHODS: Mapping[str, Method] = {
    "ops.Nanargmax": _place("argmax", -inf),
    "ops.Nanargmin": _place("argmin", inf),
    "ops.Nancumprod": _running("cumprod"),
    "ops.Nancumsum": _running("cumsum"),
    "ops.Nanmax": _extreme("amax", -inf),
    "ops.Nanmean": _mean,
    "ops.Nanmin": _extreme("amin", inf),
    "ops.Nanprod": _total("prod", 1.0),
    "ops.Nanstd": _deviation,
    "ops.Nansum": _total("sum", 0.0),
    "ops.Nanvar": _variance,
}

_KINDS: tuple[str, ...] = tuple(METHODS)
_PAIR: Mapping[str, Any] = {"axis": [1, -1], "keepdims": True}

CASES = (
    *(Example(kind, ((4, 5),), {"axis": -1}, args=(Slot(0),), values="holes") for kind in _KINDS),
    *(Example(kind, ((4, 5),), args=(Slot(0),), values="holes") for kind in _KINDS),
    *(Example(kind, ((2, 5, 3),), _PAIR, args=(Slot(0),), values="holes") for kind in _KINDS if _KINDS.index(kind) > 3),
)


class NanReductions(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = _KINDS
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
