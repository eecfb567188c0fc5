"""Products of tensors that sum over axes: keras.ops.dot, inner, outer, tensordot, kron, cross, trace, corrcoef."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.diagonal import Diagonal
from xconv.layers.matmul import Einsum
from xconv.layers.recipe import Composed, Method, Recipe
from xconv.layers.stacking import stacked
from xconv.layers.steps import Taken
from xconv.layers.unary import Clip
from xconv.spec import Example, KerasLayer, Sample, Shape, Slot

__all__ = ["Products"]


def _two(layer: KerasLayer) -> tuple[Slot, Slot]:
    """The two tensors of a product."""
    first, second = layer.argument(0, "x1"), layer.argument(1, "x2")
    if not isinstance(first, Slot) or not isinstance(second, Slot):
        raise Unsupported(f"{layer.kind} with a constant", remedy="hold the array in a layer's weight")
    return first, second


def _contracted(recipe: Recipe, pair: tuple[Taken, Taken], sums: tuple[Sequence[int], Sequence[int]]) -> Taken:
    """A sum of products over these axes of the one and of the other."""
    ranks = [recipe.rank(item) for item in pair]
    letters = iter(ascii_lowercase)
    left = [next(letters) for _ in range(ranks[0])]
    right = [next(letters) for _ in range(ranks[1])]
    for one, other in zip(*sums, strict=True):
        right[axes.normal(other, ranks[1])] = left[axes.normal(one, ranks[0])]
    kept = [letter for letter in (*left, *right) if not (letter in left and letter in right)]
    return recipe.add(Einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}"), *pair)


def _dot(layer: KerasLayer, recipe: Recipe) -> Taken:
    pair = _two(layer)
    ranks = [recipe.rank(item) for item in pair]
    if 0 in ranks:
        return recipe.both("multiply", *pair)
    return _contracted(recipe, pair, ([-1], [-1 if ranks[1] == 1 else -2]))


def _inner(layer: KerasLayer, recipe: Recipe) -> Taken:
    pair = _two(layer)
    if 0 in map(recipe.rank, pair):
        return recipe.both("multiply", *pair)
    return _contracted(recipe, pair, ([-1], [-1]))


def _outer(layer: KerasLayer, recipe: Recipe) -> Taken:
    first, second = (recipe.flat(item) for item in _two(layer))
    return recipe.both("multiply", recipe.expanded(first, 1), recipe.expanded(second, 0))


def _vdot(layer: KerasLayer, recipe: Recipe) -> Taken:
    first, second = (recipe.flat(item) for item in _two(layer))
    return _contracted(recipe, (first, second), ([0], [0]))


def _tensordot(layer: KerasLayer, recipe: Recipe) -> Taken:
    pair, given = _two(layer), layer.argument(2, "axes", 2)
    if isinstance(given, int):
        rank = recipe.rank(pair[0])
        return _contracted(recipe, pair, (range(rank - given, rank), range(given)))
    first, second = ([item] if isinstance(item, int) else list(item) for item in given)
    return _contracted(recipe, pair, (first, second))


def _kron(layer: KerasLayer, recipe: Recipe) -> Taken:
    pair: list[Taken] = list(_two(layer))
    rank = max(map(recipe.rank, pair))
    first, second = (recipe.expanded(item, *range(rank - recipe.rank(item))) for item in pair)
    sizes = [_times(m, n) for m, n in zip(recipe.shape(first), recipe.shape(second), strict=True)]
    letters = ascii_lowercase[:rank], ascii_lowercase[rank : 2 * rank]
    mixed = "".join(f"{one}{other}" for one, other in zip(*letters, strict=True))
    return recipe.shaped(recipe.add(Einsum(f"{letters[0]},{letters[1]}->{mixed}"), first, second), tuple(sizes))


def _times(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one * other


def _cross(layer: KerasLayer, recipe: Recipe) -> Taken:
    given = layer.get("axis")
    places = [layer.get(key, -1) for key in ("axisa", "axisb", "axisc")]
    places = places if given is None else [given] * 3
    pair = [recipe.moved(item, place, -1) for item, place in zip(_two(layer), places, strict=False)]
    sizes = [recipe.shape(item)[-1] for item in pair]
    if not set(sizes) <= {2, 3}:
        raise Mismatch(f"a cross product of vectors of {sizes[0]} and {sizes[1]} numbers")
    a, b = ([_part(recipe, item, i) for i in range(3)] for item in pair)
    parts = [_difference(recipe, (a[j], b[k]), (a[k], b[j])) for j, k in ((1, 2), (2, 0), (0, 1))]
    if sizes == [2, 2]:
        return _known(parts[2])
    zero = recipe.both("multiply", recipe.each("zeros_like", _known(parts[2])), 1)
    return recipe.moved(stacked(recipe, [zero if part is None else part for part in parts], -1), -1, places[2])


def _known(part: Taken | None) -> Taken:
    if part is None:
        raise Mismatch("a cross product of vectors without numbers")
    return part


def _part(recipe: Recipe, item: Taken, place: int) -> Taken | None:
    """One of three numbers; None for the third of two, which is 0."""
    return None if place >= (recipe.shape(item)[-1] or 0) else recipe.at(item, -1, place)


def _difference(
    recipe: Recipe, plus: tuple[Taken | None, Taken | None], minus: tuple[Taken | None, Taken | None]
) -> Taken | None:
    """One product less another; None is 0."""
    first, second = (None if p is None or q is None else recipe.both("multiply", p, q) for p, q in (plus, minus))
    if second is None:
        return first
    return recipe.each("neg", second) if first is None else recipe.both("subtract", first, second)


def _trace(layer: KerasLayer, recipe: Recipe) -> Taken:
    x = layer.argument(0, "x")
    places = [axes.normal(layer.get(key, place), recipe.rank(x)) for place, key in enumerate(("axis1", "axis2"))]
    if None in [recipe.shape(x)[place] for place in places]:
        raise Unsupported("the trace along the batch, or an open size", remedy="give the axes a known size")
    line = recipe.add(Diagonal(places[0], places[1], layer.get("offset", 0)), x)
    return recipe.reduce("sum", line, (recipe.rank(line) - 1,))


def _corrcoef(layer: KerasLayer, recipe: Recipe) -> Taken:
    x = layer.argument(0, "x")
    shape: Shape = recipe.shape(x)
    if len(shape) != 2 or shape[1] is None:
        raise Unsupported(f"corrcoef of {shape}", remedy="give it rows of a known size")
    centred = recipe.both("subtract", x, recipe.reduce("mean", x, (1,), keepdims=True))
    products = recipe.add(Einsum("ac,bc->ab"), centred, centred)
    squares = recipe.reduce("sum", recipe.each("square", centred), (1,))
    deviation = recipe.each("sqrt", recipe.both("divide", squares, shape[1] - 1))
    both = recipe.both("multiply", recipe.expanded(deviation, 1), recipe.expanded(deviation, 0))
    covariance = recipe.both("divide", products, shape[1] - 1)
    return recipe.add(Clip(-1.0, 1.0), recipe.both("divide", covariance, both))


def _correlate(layer: KerasLayer, recipe: Recipe) -> Taken:
    first, second = _two(layer)
    (n,), (m,) = recipe.shape(first), recipe.shape(second)
    if n is None or m is None:
        raise Unsupported("a correlation of open sizes", remedy="give both tensors a known size")
    places, mode = range(-m + 1, n), layer.get("mode", "valid")
    if mode == "same":
        start = (n + m - 1 - max(n, m)) // 2
        places = places[start : start + max(n, m)]
    elif mode == "valid":
        places = range(n - m + 1) if n >= m else range(0)
    if not places:
        raise Mismatch(f"a correlation of {n} numbers with {m}, of which none lies wholly in the other")
    return stacked(recipe, [_correlation(recipe, (first, second), place, (n, m)) for place in places], 0)


def _correlation(recipe: Recipe, pair: tuple[Taken, Taken], place: int, sizes: tuple[int, int]) -> Taken:
    """The sum of products with the second tensor moved to a place of the first."""
    start, stop = max(place, 0), min(place + sizes[1], sizes[0])
    seen = recipe.between(pair[0], 0, start, stop)
    return _contracted(recipe, (seen, recipe.between(pair[1], 0, start - place, stop - place)), ([0], [0]))


METHODS: Mapping[str, Method] = {
    "ops.Corrcoef": _corrcoef,
    "ops.Correlate": _correlate,
    "ops.Cross": _cross,
    "ops.Dot": _dot,
    "ops.Inner": _inner,
    "ops.Kron": _kron,
    "ops.Outer": _outer,
    "ops.Tensordot": _tensordot,
    "ops.Trace": _trace,
    "ops.Vdot": _vdot,
}

BOTH: tuple[Any, ...] = (Slot(0), Slot(1))

CASES = (
    Example("ops.Corrcoef", ((5,),), args=(Slot(0),)),
    *(
        Example("ops.Correlate", ((5,), (3,)), {"mode": mode}, args=(Sample(0), Sample(1)))
        for mode in ("full", "same", "valid")
    ),
    Example("ops.Correlate", ((2,), (4,)), {"mode": "same"}, args=(Sample(0), Sample(1))),
    Example("ops.Cross", ((4, 3), (4, 3)), args=BOTH),
    Example("ops.Cross", ((2, 4), (4, 3)), {"axisa": 1, "axisb": 2, "axisc": 1}, args=BOTH),
    Example("ops.Cross", ((4, 3), (4, 2)), args=BOTH),
    Example("ops.Cross", ((2, 4), (2, 4)), {"axis": 1}, args=BOTH),
    Example("ops.Dot", ((4, 3), (3, 2)), args=BOTH),
    Example("ops.Inner", ((4, 5), (2, 5)), args=BOTH),
    Example("ops.Kron", ((4,), (3,)), args=BOTH),
    Example("ops.Outer", ((4,), (3, 2)), args=BOTH),
    Example("ops.Tensordot", ((4, 5), (5, 3)), {"axes": [[2, 0], [1, 0]]}, args=BOTH),
    Example("ops.Tensordot", ((4, 5), (5, 3)), {"axes": [[-1], [1]]}, args=BOTH),
    Example("ops.Tensordot", ((4,), (5,)), {"axes": 0}, args=BOTH),
    Example("ops.Trace", ((4, 5, 3),), {"offset": 1, "axis1": 1, "axis2": -1}, args=(Slot(0),)),
    Example("ops.Trace", ((4, 5),), {"offset": -2, "axis1": 2, "axis2": 1}, args=(Slot(0),)),
    Example("ops.Vdot", ((4, 3), (4, 3)), args=BOTH),
)


class Products(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
