"""Layers as functions in keras.ops, their weights tensors of the graph: conv, batch_normalization, pools, norms.

A pool has no weights, so it is the layer's; a convolution is one by a kernel that the network computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers import pool, sliding
from xconv.layers.geometry import Sizes, flat_pads, keras_padding, pads_of, positions, sizes
from xconv.layers.linalg import MatrixFunction
from xconv.layers.norm import length
from xconv.layers.places import known_sizes
from xconv.layers.recipe import Composed, Method, Recipe
from xconv.layers.steps import Steps, Taken
from xconv.padding import Pads, is_symmetric
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Sample, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["ComputedConv", "Delegated", "Functional", "computed_conv"]


@dataclass(frozen=True, slots=True)
class ComputedConv(Spec):
    """Cross-correlation with a kernel (*k, in / groups, out) that the network computes; the channels are last."""

    stride: Sizes
    padding: Pads
    dilation: Sizes

    order = Order.WRITTEN
    keras_kinds = ("ops.Conv",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """The channels are moved last where they are not."""
        recipe = Recipe.of(layer)
        x, kernel = _two(layer, "kernel")
        return recipe.done(_convolved(layer, recipe, x, kernel))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation, behind a pad where no word means it."""
        axis, kernel = len(inputs[0]) - 1, known_sizes(inputs[1], range(len(self.stride)))
        word, source = keras_padding(self.padding, inputs[0], axis, kernel, self.stride, self.dilation)
        config = {"strides": self.stride, "dilation_rate": self.dilation, "data_format": "channels_last"}
        if word == "causal":
            word, source = (
                "valid",
                KerasLayer("ZeroPadding1D", {"padding": self.padding[0]}, args=(Slot(0),), name="pad"),
            )
        kind, config = "ops.Conv", {**config, "padding": word}
        operand: Slot | KerasLayer = Slot(1)
        channels, of_kernel, out = known_sizes((inputs[0][-1], *inputs[1][-2:]), (0, 1, 2))
        if of_kernel != channels:
            if of_kernel != 1:
                raise Unsupported("groups of a convolution by a computed kernel", remedy="split the channels")
            shape = (*kernel, channels, out // channels)
            kind = "ops.DepthwiseConv"
            operand = KerasLayer("ops.Reshape", {"newshape": shape}, args=(Slot(1),), name="kernel")
        return KerasLayer(kind, config, inputs=tuple(inputs), args=(source, operand))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.nn.functional.convNd between turns of the axes."""
        rank = len(inputs[0])
        first, last = axes.channels_first(rank), axes.channels_last(rank)
        kernel = TorchCall("torch.permute", (Slot(1), (rank - 1, rank - 2, *range(rank - 2))))
        source = TorchCall("torch.permute", (Slot(0), first))
        padding: Any = 0
        if is_symmetric(self.padding):
            padding = tuple(before for before, _ in self.padding)
        else:
            source = TorchCall("torch.nn.functional.pad", (source, flat_pads(self.padding)))
        options = {"stride": self.stride, "padding": padding, "dilation": self.dilation}
        channels, of_kernel = known_sizes((inputs[0][-1], inputs[1][-2]), (0, 1))
        options["groups"] = channels // of_kernel
        call = TorchCall(f"torch.nn.functional.conv{rank - 2}d", (source, kernel), options)
        return TorchCall("torch.permute", (call, last))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The positions of the window, and the kernel's channels."""
        rank = len(self.stride)
        kernel = known_sizes(inputs[1], range(rank))
        shape = positions(inputs[0], rank + 1, kernel, self.stride, self.dilation, self.padding)
        return (*shape[:-1], inputs[1][-1])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Either padding, strides, dilations, the channels first."""
        call, last = (Slot(0), Sample(1)), {"data_format": "channels_last"}
        yield Example("ops.Conv", ((7, 2), (3, 2, 4)), {"padding": "same", **last}, args=call)
        picture = (7, 8, 2), (3, 2, 2, 4)
        yield Example("ops.Conv", picture, {"strides": 2, "padding": "same", **last}, args=call)
        yield Example("ops.Conv", picture, {"padding": "valid", "dilation_rate": (1, 2), **last}, args=call)


def computed_conv(call: AtenCall) -> tuple[Op, ...]:
    """A convolution of torch with a kernel that the network computes."""
    x, kernel, bias = call.get("input"), call["weight"], call.get("bias")
    rank = int(call.op[-2])
    if not isinstance(x, Slot) or not isinstance(kernel, Slot) or isinstance(call["padding"], str):
        raise Unsupported(f"{call.op} of a tensor that the network holds, or padded by a word", remedy="give numbers")
    if bias is not None and not isinstance(bias, Slot):
        raise Unsupported(f"{call.op} by a computed kernel, with a bias that is held", remedy="add the bias after it")
    call.get("groups")
    recipe = Recipe(call.inputs)
    image = recipe.turned(x, axes.channels_last(rank + 2))
    turned = recipe.turned(kernel, (*range(2, rank + 2), 1, 0))
    pads = tuple((n, n) for n in call.sizes("padding", rank))
    made: Taken = recipe.add(
        ComputedConv(call.sizes("stride", rank), pads, call.sizes("dilation", rank)), image, turned
    )
    if bias is not None:
        made = recipe.both("add", made, bias)
    return recipe.done(recipe.turned(made, axes.channels_first(rank + 2)))


def _two(layer: KerasLayer, *names: str) -> list[Slot]:
    found = [layer.argument(place, name) for place, name in enumerate(("inputs", *names))]
    if not all(isinstance(item, Slot) for item in found):
        raise Unsupported(f"{layer.kind} with a constant kernel", remedy="use the layer, which holds its kernel")
    return found


def _convolved(layer: KerasLayer, recipe: Recipe, x: Taken, kernel: Taken) -> Taken:
    """The convolution that the layer's settings say."""
    first = layer.get("data_format") == "channels_first"
    source = recipe.moved(x, 1, -1) if first else x
    shape = recipe.shape(source)
    rank = len(shape) - 2
    window = known_sizes(recipe.shape(kernel), range(rank))
    stride, dilation = (sizes(layer.get(key, 1), rank, key) for key in ("strides", "dilation_rate"))
    like = replace(layer, inputs=(shape,), config={"padding": layer.get("padding", "valid")})
    pads = pads_of(like, rank + 1, window, stride, dilation)
    if pads is None:
        raise Unsupported("'same' for an open size and a computed kernel", remedy="give input_shape with all sizes")
    made = recipe.add(ComputedConv(stride, pads, dilation), source, kernel)
    return recipe.moved(made, -1, 1) if first else made


def _depthwise(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, kernel = _two(layer, "kernel")
    return _convolved(layer, recipe, x, _split(recipe, kernel))


def _split(recipe: Recipe, kernel: Taken) -> Taken:
    """A depthwise kernel as one of as many groups as there are channels."""
    *window, channels, times = known_sizes(recipe.shape(kernel), range(recipe.rank(kernel)))
    return recipe.shaped(kernel, (*window, 1, channels * times))


def _separable(layer: KerasLayer, recipe: Recipe) -> Taken:
    x, depthwise, pointwise = _two(layer, "depthwise_kernel", "pointwise_kernel")
    middle = _convolved(layer, recipe, x, _split(recipe, depthwise))
    plain = replace(layer, config={"data_format": layer.get("data_format")})
    return _convolved(plain, recipe, middle, pointwise)


def _batch_norm(layer: KerasLayer, recipe: Recipe) -> Taken:
    names = ("x", "mean", "variance", "offset", "scale")
    x, mean, variance, offset, scale = (layer.argument(place, name) for place, name in enumerate(names))
    given = [item for item in (x, mean, variance, offset, scale) if item is not None]
    if not all(isinstance(item, Slot) for item in given):
        raise Unsupported("batch_normalization with a constant", remedy="use the layer, which holds its statistics")
    rank = recipe.rank(x)
    axis = axes.normal(layer["axis"], rank)

    def along(item: Slot) -> Taken:
        return recipe.expanded(item, *range(1, rank - axis))

    spread = recipe.each("rsqrt", recipe.both("add", along(variance), float(layer.get("epsilon", 1e-3))))
    result = recipe.both("multiply", recipe.both("subtract", x, along(mean)), spread)
    if scale is not None:
        result = recipe.both("multiply", result, along(scale))
    return result if offset is None else recipe.both("add", result, along(offset))


def _norm(layer: KerasLayer, recipe: Recipe) -> Taken:
    """The length of a vector, or a norm of a matrix, in floating numbers."""
    x, power, keepdims = layer.argument(0, "x"), layer.get("ord"), bool(layer.get("keepdims", False))
    given = layer.get("axis")
    rank = recipe.rank(x)
    listed = range(rank) if given is None else [given] if isinstance(given, int) else given
    over = [axes.normal(axis, rank) for axis in listed]
    if len(over) == 2 and power not in (None, "fro"):
        return _matrix_norm(recipe, recipe.both("divide", x, 1), power, (over[0], over[1]), keepdims)
    if len(over) not in (1, 2):
        raise Mismatch(f"a norm over {len(over)} axes", remedy="name one or two")
    places = tuple(sorted(over))
    power = 2 if power in (None, "fro") else power
    if power == 0:
        ones = recipe.both("multiply", recipe.each("ones_like", x), recipe.both("not_equal", x, 0))
        return recipe.reduce("sum", recipe.both("divide", ones, 1), places, keepdims=keepdims)
    steps = Steps()
    length(steps, Slot(0), float(power), places, keepdims=keepdims)
    item: Taken = recipe.both("divide", x, 1)
    made: list[Taken] = []
    for op in steps.done():
        taken = [item if isinstance(part, Slot) else made[part.op] for part in op.inputs or ()]
        made.append(recipe.add(op.spec, *taken))
    return made[-1]


def _matrix_norm(recipe: Recipe, x: Taken, power: Any, over: tuple[int, int], keepdims: bool) -> Taken:
    row, column = over
    if power in (1, -1, inf, -inf):
        first, second = (row, column) if abs(power) == 1 else (column, row)
        sums = recipe.reduce("sum", recipe.each("abs", x), (first,), keepdims=True)
        found = recipe.reduce("amax" if power > 0 else "amin", sums, (second,), keepdims=True)
        return found if keepdims else recipe.squeezed(found, row, column)
    if power not in ("nuc", 2, -2):
        raise Mismatch(f"a matrix norm of order {power!r}")
    rank = recipe.rank(x)
    rest = tuple(axis for axis in range(rank) if axis not in over)
    values = recipe.add(MatrixFunction("svdvals"), recipe.turned(x, (*rest, row, column)))
    name = {"nuc": "sum", 2: "amax", -2: "amin"}[power]
    found = recipe.reduce(name, values, (rank - 2,))
    return recipe.expanded(found, row, column) if keepdims else found


METHODS: Mapping[str, Method] = {
    "ops.BatchNorm": _batch_norm,
    "ops.DepthwiseConv": _depthwise,
    "ops.Norm": _norm,
    "ops.SeparableConv": _separable,
}

LAST = {"data_format": "channels_last"}
STATISTICS = "normal normal positive"

_POWERS: tuple[Any, ...] = (None, 1, 2, 3, inf, -inf)

CASES = (
    Example(
        "ops.BatchNorm",
        ((4, 3), (3,), (3,)),
        {"axis": -1},
        args=(Slot(0), Sample(1), Sample(2), None, None),
        values=STATISTICS,
    ),
    Example(
        "ops.BatchNorm",
        ((4, 3), *((4,),) * 4),
        {"axis": 1, "epsilon": 1e-2},
        args=(Slot(0), *map(Sample, range(1, 5))),
        values=f"{STATISTICS} normal normal",
    ),
    Example("ops.DepthwiseConv", ((7, 2), (3, 2, 2)), {"padding": "same", **LAST}, args=(Slot(0), Sample(1))),
    Example("ops.DepthwiseConv", ((7, 8, 3), (3, 2, 3, 2)), {"strides": 2, **LAST}, args=(Slot(0), Sample(1))),
    Example(
        "ops.SeparableConv",
        ((7, 8, 3), (3, 2, 3, 2), (1, 1, 6, 5)),
        {"padding": "same", **LAST},
        args=(Slot(0), Sample(1), Sample(2)),
    ),
    *(Example("ops.Norm", ((4, 5),), {"ord": power, "axis": -1}, args=(Slot(0),)) for power in _POWERS),
    Example(
        "ops.Norm",
        ((4, 5),),
        {"ord": 0, "axis": 1, "keepdims": True},
        args=(Slot(0),),
        values="integers",
        float64=False,
    ),
    Example("ops.Norm", ((4, 5),), {"axis": [1, -1], "keepdims": True}, args=(Slot(0),)),
    *(
        Example("ops.Norm", ((4, 5),), {"ord": power, "axis": [2, 1]}, args=(Slot(0),))
        for power in ("fro", "nuc", 1, -1, 2, -2, inf, -inf)
    ),
)


class Functional(Composed):
    """See `METHODS`."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = tuple(METHODS)
    methods: ClassVar[Mapping[str, Method]] = METHODS
    cases: ClassVar[Sequence[Example]] = CASES


POOLS = {"ops.AveragePool": "AveragePooling", "ops.MaxPool": "MaxPooling"}
BLOCKS = {"ops.Fold": (sliding.BlockSum, "col2im"), "ops.Unfold": (sliding.Blocks, "im2col")}


class Delegated(Spec):
    """Operations that a layer of Keras, or an operator of torch, says too."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = (*POOLS, *BLOCKS)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op | Sequence[Op]:
        """What that layer or operator means."""
        kind = layer.kind
        if kind in BLOCKS:
            return _blocks(layer)
        rank = len(layer.inputs[0]) - 2
        word = layer.get("data_format") or "channels_last"
        config = {key: layer.get(key) for key in ("pool_size", "strides")}
        config |= {"padding": layer.get("padding", "valid"), "data_format": word}
        return pool.Pool.from_keras(replace(layer, kind=f"{POOLS[kind]}{rank}D", config=config))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Each with its options."""
        last = "channels_last"
        for kind in POOLS:
            yield Example(kind, ((7, 8, 3),), {"pool_size": 2, "padding": "same", "data_format": last}, args=(Slot(0),))
            config = {"pool_size": 3, "strides": 2, "data_format": last}
            yield Example(kind, ((9, 4),), config, args=(Slot(0),))
        yield Example("ops.Unfold", ((3, 7, 8),), {"kernel_size": (3, 2), "padding": 1, "stride": 2}, args=(Slot(0),))
        yield Example("ops.Fold", ((12, 12),), {"output_size": (4, 5), "kernel_size": 2}, args=(Slot(0),))


def _blocks(layer: KerasLayer) -> Sequence[Op]:
    """As torch says it."""
    family, op = BLOCKS[layer.kind]
    usual = {"dilation": 1, "padding": 0, "stride": 1}
    arguments = {key: layer.get(key, default) for key, default in usual.items()} | {"self": Slot(0)}
    arguments["kernel_size"] = layer["kernel_size"]
    if op == "col2im":
        arguments["output_size"] = layer["output_size"]
    pairs = {key: [item] * 2 if isinstance(item, int) else item for key, item in arguments.items()}
    ops = family.from_torch(AtenCall(op, pairs, layer.inputs, ((None,),), ("float32",)))
    return (ops,) if isinstance(ops, Op) else ops
