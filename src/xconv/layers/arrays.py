"""Arrays as NumPy makes and turns them: keras.ops.copy, ravel, rot90, meshgrid, select, slice, depth_to_space ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.places import known_sizes
from xconv.layers.recipe import Composed, Method, Operand, Recipe
from xconv.layers.slicing import Item, Slicing
from xconv.layers.stacking import joined
from xconv.layers.steps import Taken
from xconv.layers.tile import Flip, Tile
from xconv.layers.unary import Clip
from xconv.spec import Example, KerasLayer, Sample, Slot

__all__ = ["Arrays", "blown_up"]

LIMITS = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint8": (0, 2**8 - 1),
    "bfloat16": (-3.3895313892515355e38, 3.3895313892515355e38),
    "float16": (-65504.0, 65504.0),
}
"""What a dtype can hold at the ends, where float32 holds it exactly."""


def _tensor(layer: KerasLayer, key: str = "x") -> Slot:
    """The tensor that an operation works on."""
    item = layer.argument(0, key)
    if not isinstance(item, Slot):
        raise Unsupported(f"{layer.kind} of a constant", remedy="hold the array in a layer's weight")
    return item


def _same(layer: KerasLayer, recipe: Recipe) -> Taken:
    x = _tensor(layer)
    dtype = layer.get("dtype")
    if layer.get("sparse") or layer.get("ragged"):
        raise Unsupported("a sparse or ragged tensor", remedy="use dense tensors")
    return x if dtype is None else recipe.cast(x, dtype)


def _imag(layer: KerasLayer, recipe: Recipe) -> Taken:
    return recipe.each("zeros_like", _tensor(layer))


def _saturated(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, dtype = _tensor(layer), layer["dtype"]
    if dtype not in LIMITS:
        raise Unsupported(f"saturate_cast to {dtype}, whose limits no float32 holds", remedy="clip, then cast")
    low, high = LIMITS[dtype]
    return recipe.cast(recipe.add(Clip(float(low), float(high)), x), dtype)


def _ravel(layer: KerasLayer, recipe: Recipe) -> Taken:
    return recipe.flat(_tensor(layer))


def _fliplr(layer: KerasLayer, recipe: Recipe) -> Taken:
    return recipe.add(Flip((1,)), _tensor(layer))


def _flipud(layer: KerasLayer, recipe: Recipe) -> Taken:
    return recipe.add(Flip((0,)), _tensor(layer))


def _rot90(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, turns = _tensor(layer, "array"), layer.get("k", 1) % 4
    first, second = (axes.normal(axis, recipe.rank(x)) for axis in layer.get("axes", (0, 1)))
    if turns == 0:
        return x
    if turns == 2:
        return recipe.add(Flip(tuple(sorted((first, second)))), x)
    swap = {first: second, second: first}
    turned = recipe.turned(x, tuple(swap.get(axis, axis) for axis in range(recipe.rank(x))))
    return recipe.add(Flip((first if turns == 1 else second,)), turned)


def blown_up(recipe: Recipe, item: Taken, shape: Sequence[int | None]) -> Taken:
    """New axes in front, and axes of size 1 as long as the shape says."""
    item = recipe.expanded(item, *range(len(shape) - recipe.rank(item)))
    pairs = list(zip(recipe.shape(item), shape, strict=True))
    if any(size is None and wanted is not None for size, wanted in pairs):
        raise Unsupported(f"{recipe.shape(item)} broadcast to {shape}: the batch", remedy="leave the batch open")
    if any(size not in (1, wanted) for size, wanted in pairs):
        raise Mismatch(f"{recipe.shape(item)} cannot be broadcast to {shape}")
    repeats = tuple(1 if size == wanted else wanted or 1 for size, wanted in pairs)
    return item if set(repeats) == {1} else recipe.add(Tile(repeats), item)


def _broadcast_to(layer: KerasLayer, recipe: Recipe) -> Taken:
    return blown_up(recipe, _tensor(layer), tuple(layer["shape"]))


def _full(layer: KerasLayer, recipe: Recipe) -> Taken:
    value, dtype = _tensor(layer, "fill_value"), layer.get("dtype")
    value_as = recipe.both("divide", value, 1) if dtype is None else recipe.cast(value, dtype)
    return blown_up(recipe, value_as, tuple(layer["shape"]))


def _full_like(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, value, dtype = layer.argument(0, "x"), layer.argument(1, "fill_value"), layer.get("dtype")
    if not isinstance(x, Slot) or not isinstance(value, (Slot, int, float)):
        raise Unsupported("full_like of a constant, or with an array", remedy="give it a tensor and a number")
    zeros = recipe.each("zeros_like", x)
    return recipe.both("add", zeros if dtype is None else recipe.cast(zeros, dtype), value)


def _meshgrid(layer: KerasLayer, recipe: Recipe) -> tuple[Taken, ...]:
    if not all(isinstance(item, Slot) for item in layer.args):
        raise Unsupported("meshgrid with a constant", remedy="hold the array in a layer's weight")
    rows = [recipe.flat(item) for item in layer.args]
    places = list(range(len(rows)))
    if layer.get("indexing", "xy") == "xy" and len(rows) > 1:
        places[:2] = [1, 0]
    long = [recipe.expanded(row, *(i for i in places if i != place)) for row, place in zip(rows, places, strict=True)]
    return tuple(_widened(recipe, item, [*long[:place], *long[place + 1 :]]) for place, item in enumerate(long))


def _widened(recipe: Recipe, item: Taken, others: Sequence[Taken]) -> Taken:
    """The item as large as it is with the others: chosen in any case, whatever they hold."""
    for other in others:
        item = recipe.where(recipe.both("less", other, other), item, item)
    return item


def _select(layer: KerasLayer, recipe: Recipe) -> Taken:
    conditions, choices = layer.argument(0, "condlist"), layer.argument(1, "choicelist")
    result: Operand = layer.argument(2, "default", 0)
    if not all(isinstance(item, Slot) for item in conditions):
        raise Unsupported("select by a constant", remedy="hold the array in a layer's weight")
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = recipe.where(condition, choice, result)
    if isinstance(result, (int, float)):
        raise Mismatch("select without conditions")
    return result


def _starts(layer: KerasLayer, rank: int) -> list[int]:
    """Where a slice begins along every axis."""
    given = layer.argument(1, "start_indices")
    starts = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(starts, (list, tuple)) or not all(isinstance(start, int) for start in starts):
        raise Unsupported(f"{layer.kind} at places that the network computes", remedy="use keras.ops.take or where")
    if len(starts) != rank:
        raise Mismatch(f"{len(starts)} starts for {rank} axes")
    return list(starts)


def _slice(layer: KerasLayer, recipe: Recipe) -> Taken:
    x = _tensor(layer, "inputs")
    pairs = zip(_starts(layer, recipe.rank(x)), layer["shape"], strict=True)
    items: list[Item] = [(start or None, None if size == -1 else start + size, None) for start, size in pairs]
    return recipe.add(Slicing(tuple(items)), x)


def _slice_update(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, updates = _tensor(layer, "inputs"), layer.argument(2, "updates")
    if not isinstance(updates, Slot):
        raise Unsupported("slice_update with a constant", remedy="hold the array in a layer's weight")
    return _updated(recipe, x, updates, _starts(layer, recipe.rank(x)), 0)


def _updated(recipe: Recipe, x: Taken, updates: Slot, starts: Sequence[int], axis: int) -> Taken:
    """What stands before the new part along one axis, the new part, what stands behind it."""
    if axis == recipe.rank(x):
        return updates
    size, new = recipe.shape(x)[axis], recipe.shape(updates)[axis]
    if size == new and (size is not None or starts[axis] == 0):
        return _updated(recipe, x, updates, starts, axis + 1)
    (known,) = known_sizes((new,), (0,))
    start = starts[axis] if size is None else max(min(starts[axis], size - known), 0)
    middle = _updated(recipe, recipe.between(x, axis, start, start + known), updates, starts, axis + 1)
    parts = [recipe.between(x, axis, None, start)] if start else []
    parts.append(middle)
    if start + known != size:
        parts.append(recipe.between(x, axis, start + known, None))
    return joined(recipe, parts, axis)


def _depth_to_space(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, block = _last(layer, recipe), layer["block_size"]
    height, width, channels = known_sizes(recipe.shape(x), (1, 2, 3))
    depth = channels // block**2
    parts = recipe.shaped(x, (None, height, width, block, block, depth))
    mixed = recipe.turned(parts, axes.moved_axes(6, (3,), (2,)))
    return _back(layer, recipe, recipe.shaped(mixed, (None, height * block, width * block, depth)))


def _space_to_depth(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, block = _last(layer, recipe), layer["block_size"]
    height, width, depth = known_sizes(recipe.shape(x), (1, 2, 3))
    parts = recipe.shaped(x, (None, height // block, block, width // block, block, depth))
    mixed = recipe.turned(parts, axes.moved_axes(6, (2,), (3,)))
    return _back(layer, recipe, recipe.shaped(mixed, (None, height // block, width // block, block**2 * depth)))


def _last(layer: KerasLayer, recipe: Recipe) -> Taken:
    """The image with its channels last."""
    x = _tensor(layer)
    return recipe.moved(x, 1, -1) if layer.get("data_format") == "channels_first" else x


def _back(layer: KerasLayer, recipe: Recipe, item: Taken) -> Taken:
    return recipe.moved(item, -1, 1) if layer.get("data_format") == "channels_first" else item


METHODS: Mapping[str, Method] = {
    "ops.Array": _same,
    "ops.BroadcastTo": _broadcast_to,
    "ops.Conj": _same,
    "ops.Conjugate": _same,
    "ops.ConvertToTensor": _same,
    "ops.Copy": _same,
    "ops.DepthToSpace": _depth_to_space,
    "ops.Fliplr": _fliplr,
    "ops.Flipud": _flipud,
    "ops.Full": _full,
    "ops.FullLike": _full_like,
    "ops.Imag": _imag,
    "ops.Meshgrid": _meshgrid,
    "ops.Ravel": _ravel,
    "ops.Real": _same,
    "ops.Rot90": _rot90,
    "ops.SaturateCast": _saturated,
    "ops.Select": _select,
    "ops.Slice": _slice,
    "ops.SliceUpdate": _slice_update,
    "ops.SpaceToDepth": _space_to_depth,
}

BOTH: tuple[Any, ...] = (Slot(0), Slot(1))
ONE = (Slot(0),)

CASES = (
    *(Example(f"ops.{kind}", ((4, 3),), args=ONE) for kind in ("Array", "Conj", "Conjugate", "Copy", "Real", "Imag")),
    Example("ops.Array", ((4, 3),), {"dtype": "int32"}, args=ONE),
    Example("ops.BroadcastTo", ((4, 1),), {"shape": (2, 4, 3)}, args=(Sample(0),)),
    Example("ops.ConvertToTensor", ((4, 3),), args=ONE),
    Example("ops.Full", ((),), {"shape": (4, 3)}, args=(Sample(0),)),
    Example("ops.Full", ((3,),), {"shape": (4, 3), "dtype": "int32"}, args=(Sample(0),)),
    Example("ops.DepthToSpace", ((4, 5, 12),), {"block_size": 2}, args=ONE),
    Example("ops.DepthToSpace", ((12, 5, 4),), {"block_size": 2, "data_format": "channels_first"}, args=ONE),
    Example("ops.SpaceToDepth", ((4, 6, 3),), {"block_size": 2}, args=ONE),
    Example("ops.SpaceToDepth", ((3, 4, 6),), {"block_size": 2, "data_format": "channels_first"}, args=ONE),
    Example("ops.Fliplr", ((4, 3),), args=ONE),
    Example("ops.Flipud", ((4, 3),), args=ONE),
    Example("ops.FullLike", ((4, 3),), args=(Slot(0), 1.5)),
    Example("ops.FullLike", ((4, 3), (1, 3)), args=BOTH),
    Example("ops.FullLike", ((4, 3),), {"dtype": "int32"}, args=(Slot(0), 2)),
    Example("ops.Meshgrid", ((), ()), args=BOTH),
    Example("ops.Meshgrid", ((), (), ()), {"indexing": "ij"}, args=(*BOTH, Slot(2))),
    Example("ops.Ravel", ((4, 3),), args=ONE),
    *(Example("ops.Rot90", ((4, 5, 3),), {"k": k, "axes": (1, -1)}, args=ONE) for k in (1, 3)),
    *(Example("ops.Rot90", ((4, 5, 4),), {"k": k, "axes": (1, -1)}, args=ONE) for k in (0, 2)),
    Example("ops.Rot90", ((4, 3),), {"k": -1, "axes": (2, 1)}, args=ONE),
    Example("ops.SaturateCast", ((4, 3),), {"dtype": "uint8"}, args=ONE),
    Example("ops.Select", ((4, 3),) * 4, args=([*BOTH], [Slot(2), Slot(3)]), values="boolean"),
    Example("ops.Slice", ((4, 5),), {"shape": (2, 3, 1)}, args=(Slot(0), (0, 1, 4))),
    Example("ops.Slice", ((4, 5),), {"shape": (-1, 3, -1)}, args=(Slot(0), (0, 1, 2))),
    Example("ops.SliceUpdate", ((4, 5), (2, 3)), args=(Slot(0), (0, 1, 2), Slot(1)), values="integers"),
    Example("ops.SliceUpdate", ((4, 5), (4, 3)), args=(Slot(0), (0, 0, 0), Slot(1)), values="integers"),
)


class Arrays(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES
