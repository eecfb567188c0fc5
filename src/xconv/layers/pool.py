"""Pooling: Max/AveragePooling1D-3D, GlobalMax/AveragePooling1D-3D  <->  aten.max_pool2d ..., torch.nn.Max/AvgPool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.elementwise import Elementwise
from xconv.layers.geometry import (
    Sizes,
    channel_axis,
    check_batched,
    check_rank,
    data_format,
    flat_pads,
    keras_padding,
    pads_of,
    positions,
    sizes,
    spatial,
    torch_padding,
    windows,
    zero_padding,
)
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.slicing import WHOLE, Item, Slicing
from xconv.padding import Pads, ceil_extra, effective, is_symmetric
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["GlobalPool", "Pool", "fits_torch"]

NAMES = ("max_pool{}d", "max_pool{}d_with_indices", "avg_pool{}d")


@dataclass(frozen=True, slots=True)
class Pool(Spec):
    """The maximum or the mean of each window; padding counts only in a mean, and only where `counts_pads` says so.

    >>> Pool("max", (3, 3), (2, 2), ((0, 1), (0, 1))).out_shape((None, 112, 112, 64))
    (None, 56, 56, 64)
    """

    kind: str
    """'max' or 'average'."""
    kernel: Sizes
    stride: Sizes
    padding: Pads | None
    """Explicit (before, after) pairs; None: SAME, computed from the size at run time."""
    axis: int = -1
    counts_pads: bool = False

    order = Order.SPATIAL
    keras_kinds = tuple(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3))
    aten_ops = tuple(name.format(rank) for name in NAMES for rank in (1, 2, 3))

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The window, its stride (the window's size where none is given) and explicit pads."""
        rank, axis = int(layer.kind[-2]), channel_axis(layer)
        check_rank(layer, rank)
        kernel = sizes(layer["pool_size"], rank, "pool_size")
        stride = kernel if layer["strides"] is None else sizes(layer["strides"], rank, "strides")
        pads = pads_of(layer, axis, kernel, stride, (1,) * rank)
        kind = "max" if layer.kind.startswith("Max") else "average"
        return Op(cls(kind, kernel, stride, pads, axis))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The window, its stride (the window's size where none is given) and pads, which are -inf for the maximum.

        `ceil_mode` adds places after, which never count: without it the last window would fall off. The mean along one
        axis of a single channel is a sum of slices: so torch writes LocalResponseNorm, and no float64 kernel has it.
        """
        for key in ("self", "input"):
            call.get(key)
        rank = int(call.op.partition("_pool")[2][0])
        check_batched(call, rank)
        kernel = call.sizes("kernel_size", rank)
        stride = call.sizes("stride", rank) if call["stride"] else kernel
        dilation = call.sizes("dilation", rank) if call.get("dilation") else (1,) * rank
        even = tuple((n, n) for n in call.sizes("padding", rank))
        extra = ((0, 0),) * rank
        if call["ceil_mode"]:
            extra = _ceil_extra(call.inputs[0][2:], kernel, stride, dilation, even)
        pads = _sum(even, extra)
        if call.op.startswith("max"):
            if any(n != 1 for n, k in zip(dilation, kernel, strict=True) if k != 1):
                maxima = _by_slices("maximum", kernel, stride, dilation, pads)
            else:
                maxima = (Op(cls("max", kernel, stride, pads, 1)),)
            if len(call.outputs) == 1 or None in call.inputs[0][2:]:
                return maxima
            return _with_places(call.inputs, maxima, kernel, stride, dilation, pads)
        if rank == 3 and call.inputs[0][1] == 1 and sorted(kernel)[:2] == [1, 1] and not any(map(any, pads)):
            sums = _by_slices("add", kernel, stride, dilation, pads)
            factor = 1 / (call.get("divisor_override") or max(kernel))
            call.get("count_include_pad")
            return *sums, Op(Elementwise("multiply", (Slot(0), factor)), {}, "", (Made(len(sums) - 1),))
        return _average(call, cls("average", kernel, stride, pads, 1), even, extra)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """MaxPooling or AveragePooling; pads that no word means come before it."""
        rank, axis = len(self.kernel), axes.normal(self.axis, len(inputs[0]))
        value = float("-inf") if self.kind == "max" else 0.0
        ones = (1,) * rank
        word, source = keras_padding(self.padding, inputs[0], axis, self.kernel, self.stride, ones, value)
        if self.counts_pads and self.padding is not None and any(map(any, self.padding)):
            word, source = "valid", zero_padding(self.padding, axis)
        elif self.kind == "average" and isinstance(source, KerasLayer):
            return self._over_real(source, axis, inputs[0])
        return replace(self._layer(word, source, axis), inputs=tuple(inputs))

    def _layer(self, word: str, source: Any, axis: int, name: str = "") -> KerasLayer:
        """The pooling layer with Keras's word for its padding."""
        config = {
            "pool_size": self.kernel,
            "strides": self.stride,
            "padding": word,
            "data_format": data_format(axis),
        }
        kind = f"{self.kind.capitalize()}Pooling{len(self.kernel)}D"
        return KerasLayer(kind, config, args=(source,), name=name)

    def _over_real(self, padded: KerasLayer, axis: int, shape: Shape) -> KerasLayer:
        """The mean with zeros for pads, divided by the share of real pixels in each window."""
        whole = slice(None)
        key = tuple(slice(0, 1) if place in (0, axis) else whole for place in range(len(shape)))
        ones = KerasLayer(
            "ops.OnesLike", args=(KerasLayer("ops.GetItem", args=(Slot(0), key), name="one"),), name="real"
        )
        share = self._layer("valid", replace(padded, args=(ones,), name="real.pad"), axis, "share")
        return KerasLayer("ops.Divide", args=(self._layer("valid", padded, axis, "pool"), share), inputs=(shape,))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.MaxPoolNd after a pad of -inf, nn.AvgPoolNd; pads longer after than before may be torch's ceil_mode."""
        rank, ones = len(self.kernel), (1,) * len(self.kernel)
        config: dict[str, Any] = {"kernel_size": self.kernel, "stride": self.stride}
        if self.kind == "max":
            padding, source = torch_padding(self.padding, self.kernel, self.stride, ones, value=float("-inf"))
            return TorchCall(f"torch.nn.MaxPool{rank}d", (source,), config={**config, "padding": padding})
        pads, kind = self.padding, f"torch.nn.AvgPool{rank}d"
        if pads is not None and fits_torch(pads, self.kernel):
            config |= {"padding": tuple(before for before, _ in pads), "count_include_pad": self.counts_pads}
            return TorchCall(kind, config=config)
        if pads is not None and not self.counts_pads and self._is_ceil(pads, inputs[0]):
            config |= {"padding": tuple(before for before, _ in pads), "ceil_mode": True, "count_include_pad": False}
            return TorchCall(kind, config=config)
        if self.counts_pads and pads is not None:
            return TorchCall(kind, (TorchCall("torch.nn.functional.pad", (Slot(0), flat_pads(pads))),), config=config)
        return TorchCall("xconv.torch.modules.AveragePool", config={**config, "padding": pads})

    def _is_ceil(self, pads: Pads, shape: Shape) -> bool:
        """Whether torch's ceil_mode adds just what is longer after than before."""
        before = spatial(shape, axes.normal(self.axis, len(shape)))
        even = tuple((start, start) for start, _ in pads)
        if None in before or not fits_torch(even, self.kernel):
            return False
        return pads == _sum(even, _ceil_extra(before, self.kernel, self.stride, (1,) * len(pads), even))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The number of window positions along each spatial axis."""
        axis = axes.normal(self.axis, len(inputs[0]))
        return positions(inputs[0], axis, self.kernel, self.stride, (1,) * len(self.kernel), self.padding)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """'same' where uneven pads arise, odd and even sizes, unknown sizes, both kinds, every rank."""
        for kind in ("Max", "Average"):
            yield Example(f"{kind}Pooling2D", ((7, 6, 3),), {"pool_size": 3, "strides": 2, "padding": "same"})
            yield Example(f"{kind}Pooling2D", ((8, 9, 2),), {"pool_size": (2, 3)})
            yield Example(f"{kind}Pooling2D", ((None, None, 2),), {"pool_size": 3, "strides": 2, "padding": "same"})
            yield Example(f"{kind}Pooling1D", ((9, 3),), {"pool_size": 4, "strides": 1, "padding": "same"})
            cube = {"pool_size": 2, "strides": (1, 2, 1), "padding": "same"}
            yield Example(f"{kind}Pooling3D", ((5, 4, 6, 2),), cube, float64=False)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Pads, ceil_mode, both together, pads that count and that do not, divisor_override, dilation; every rank."""
        flat, line, cube = ((3, 7, 6),), ((3, 9),), ((2, 5, 4, 6),)
        wide = {"kernel_size": 3, "stride": 2, "padding": 1}
        for config in (wide, {**wide, "ceil_mode": True}, {"kernel_size": (3, 2), "stride": (3, 2), "ceil_mode": True}):
            yield TorchExample("torch.nn.MaxPool2d", flat, config)
            for counts in (True, False):
                yield TorchExample("torch.nn.AvgPool2d", flat, {**config, "count_include_pad": counts})
            yield TorchExample("torch.nn.AvgPool2d", flat, {**config, "divisor_override": 5})
        yield TorchExample("torch.nn.MaxPool2d", flat, {**wide, "dilation": (2, 1)})
        yield TorchExample("torch.nn.MaxPool2d", ((2, 9, 11),), {**wide, "dilation": 3, "ceil_mode": True})
        yield TorchExample("torch.nn.MaxPool1d", line, {"kernel_size": 3, "dilation": 2, "stride": 1})
        yield TorchExample("torch.nn.MaxPool1d", line, {"kernel_size": 4, "padding": 2})
        yield TorchExample("torch.nn.AvgPool1d", line, {"kernel_size": 4, "padding": 1, "ceil_mode": True})
        yield TorchExample("torch.nn.AvgPool1d", line, {"kernel_size": 2, "padding": 1, "count_include_pad": False})
        yield TorchExample("torch.nn.MaxPool3d", cube, wide, float64=False)
        yield TorchExample("torch.nn.MaxPool3d", cube, {**wide, "dilation": 2})
        yield TorchExample("torch.nn.AvgPool3d", cube, wide, float64=False)
        uneven = {**wide, "ceil_mode": True, "count_include_pad": False}
        yield TorchExample("torch.nn.AvgPool3d", cube, uneven, float64=False)
        yield TorchExample("torch.nn.LocalResponseNorm", ((5, 4, 3),), {"size": 3, "alpha": 0.2})
        yield TorchExample("torch.nn.LocalResponseNorm", ((5, 4, 3),), {"size": 4, "alpha": 0.3, "beta": 0.6, "k": 2.0})
        indexed = {**wide, "return_indices": True}
        yield TorchExample("torch.nn.MaxPool1d", line, {"kernel_size": 2, "return_indices": True})
        yield TorchExample("torch.nn.MaxPool2d", flat, {**indexed, "ceil_mode": True})
        yield TorchExample("torch.nn.MaxPool2d", flat, {**indexed, "dilation": (2, 1)})
        yield TorchExample("torch.nn.MaxPool3d", cube, indexed, float64=False)
        values = {"kernel_size": 2, "padding": 1, "stride": 2}
        yield TorchExample("torch.nn.functional.max_pool2d", flat, args=(Slot(0),), kwargs=values)


@dataclass(frozen=True, slots=True)
class GlobalPool(Spec):
    """The maximum or the mean over all spatial axes, kept as axes of size 1 or dropped."""

    kind: str
    keepdims: bool
    axis: int = -1

    order = Order.SPATIAL
    keras_kinds = tuple(f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3))
    restrictions = dict.fromkeys((kind for kind in keras_kinds if kind != "GlobalAveragePooling1D"), "a mask")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op | Sequence[Op]:
        """A mean over the steps that a mask lets count is spelled out."""
        mask = layer.argument(1, "mask")
        check_rank(layer, int(layer.kind[-2]))
        kind = "max" if "Max" in layer.kind else "average"
        axis, keepdims = channel_axis(layer), bool(layer["keepdims"])
        if mask is None:
            return Op(cls(kind, keepdims, axis))
        if layer.kind != "GlobalAveragePooling1D" or not isinstance(mask, Slot):
            raise Unsupported(f"{layer.kind} with a mask", remedy="remove the padding before pooling")
        from xconv.layers.masking import masked_mean

        return masked_mean(mask, 3 - axes.normal(axis, 3), keepdims=keepdims)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """GlobalMaxPooling or GlobalAveragePooling."""
        axis = axes.normal(self.axis, len(inputs[0]))
        config = {"keepdims": self.keepdims, "data_format": data_format(axis)}
        kind = f"Global{self.kind.capitalize()}Pooling{len(inputs[0]) - 2}D"
        return KerasLayer(kind, config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.mean or torch.amax over the spatial axes."""
        dims = tuple(range(2, len(inputs[0])))
        function = "torch.amax" if self.kind == "max" else "torch.mean"
        return TorchCall(function, (Slot(0),), {"dim": dims, "keepdim": self.keepdims})

    def out_shape(self, *inputs: Shape) -> Shape:
        """(batch, channels), or the same with axes of size 1."""
        axis = axes.normal(self.axis, len(inputs[0]))
        if self.keepdims:
            return windows(inputs[0], axis, (1,) * (len(inputs[0]) - 2))
        return inputs[0][0], inputs[0][axis]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both kinds, with and without keepdims, ranks 1 to 3; a mask."""
        for kind in ("Max", "Average"):
            yield Example(f"Global{kind}Pooling2D", ((5, 4, 3),))
            yield Example(f"Global{kind}Pooling1D", ((5, 3),), {"keepdims": True})
            yield Example(f"Global{kind}Pooling3D", ((3, 4, 5, 2),), {"keepdims": True})
        valid: Any = {"args": (Slot(0),), "kwargs": {"mask": Slot(1)}, "values": "normal boolean"}
        yield Example("GlobalAveragePooling1D", ((40, 3), (40,)), **valid)
        first = {"keepdims": True, "data_format": "channels_first"}
        yield Example("GlobalAveragePooling1D", ((3, 40), (40,)), first, **valid)


def fits_torch(pads: Pads, kernel: Sizes) -> bool:
    """Whether torch's pooling takes the pads: the same before and after, at most half of the window."""
    return is_symmetric(pads) and all(2 * before <= k for (before, _), k in zip(pads, kernel, strict=True))


def _sum(pads: Pads, more: Pads) -> Pads:
    """Both pads together."""
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(pads, more, strict=True))


def _ceil_extra(before: Shape, kernel: Sizes, stride: Sizes, dilation: Sizes, pads: Pads) -> Pads:
    """The places after the end that the last windows of `ceil_mode` reach into."""
    result = []
    for size, k, s, d, (pad, _) in zip(before, kernel, stride, dilation, pads, strict=True):
        if size is None and s > 1:
            raise Unsupported("ceil_mode over an axis of open size", remedy="give input_shape with all sizes")
        result.append((0, 0 if size is None else ceil_extra(size, effective(k, d), s, pad)))
    return tuple(result)


def _average(call: AtenCall, spec: Pool, even: Pads, extra: Pads) -> Sequence[Op]:
    """The mean; places that `ceil_mode` adds never count, pads where `count_include_pad` says so, all for a divisor."""
    divisor, counts = call.get("divisor_override"), call.get("count_include_pad") and any(map(any, even))
    if divisor:
        factor = prod(spec.kernel) / divisor
        pool = Op(replace(spec, counts_pads=any(map(any, spec.padding or ()))), {}, "mean")
        return pool, Op(Elementwise("multiply", (Slot(0), factor)))
    if not counts:
        return (Op(spec),)
    if not any(map(any, extra)):
        return (Op(replace(spec, counts_pads=True)),)
    return Op(Pad(even, 1), {}, "pad"), Op(replace(spec, padding=extra))


def _with_places(
    inputs: Sequence[Shape], maxima: Sequence[Op], kernel: Sizes, stride: Sizes, dilation: Sizes, pads: Pads
) -> Sequence[Op]:
    """The maxima, and the place of each within its channel."""
    from xconv.layers.unpool import places_of_maxima

    *ops, last = places_of_maxima(inputs, kernel, stride, dilation, pads, len(maxima))
    return *maxima, *ops, replace(last, returns=(Made(len(maxima) - 1), Made(len(maxima) + len(ops))))


def _by_slices(word: str, kernel: Sizes, stride: Sizes, dilation: Sizes, pads: Pads) -> Sequence[Op]:
    """The maximum, or the sum, of shifted slices, one axis after the other."""
    ops: list[Op] = []
    current: Slot | Made = Slot(0)
    if any(map(any, pads)):
        ops.append(Op(PadAxes(((0, 0), (0, 0), *pads), "constant", float("-inf")), {}, "pad", (current,)))
        current = Made(0)
    for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True), 2):
        first = len(ops)
        if k == s == 1:
            continue
        for i in range(k):
            item: Item = (i * d or None, (i + 1 - k) * d or None, s if s > 1 else None)
            items = tuple(item if place == axis else WHOLE for place in range(len(pads) + 2))
            ops.append(Op(Slicing(items), {}, f"axis{axis}.{i}", (current,)))
        current = Made(first)
        for i in range(1, k):
            spec, pair = Elementwise(word, (Slot(0), Slot(1)), merge=True), (current, Made(first + i))
            ops.append(Op(spec, {}, f"axis{axis}.{word}{i}", pair))
            current = Made(len(ops) - 1)
    return ops
