"""Convolution: Conv1D-3D, DepthwiseConv1D-2D, SeparableConv1D-2D  <->  aten.conv1d-3d, torch.nn.Conv1d-3d."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.activation import with_activation
from xconv.layers.geometry import (
    Sizes,
    channel_axis,
    check_rank,
    convolution_of,
    data_format,
    keras_padding,
    pads_of,
    positions,
    sizes,
    torch_padding,
)
from xconv.padding import Pads, effective, zero_pads
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights
from xconv.weights import Weight

__all__ = ["Conv", "SeparableConv"]


@dataclass(frozen=True, slots=True)
class Conv(Spec):
    """Cross-correlation over the spatial axes; depthwise when groups == in_channels.

    >>> Conv(3, 8, (3, 3), (2, 2), ((0, 1), (0, 1)), (1, 1)).out_shape((None, 224, 224, 3))
    (None, 112, 112, 8)
    """

    in_channels: int
    out_channels: int
    kernel: Sizes
    stride: Sizes
    padding: Pads | None
    """Explicit (before, after) pairs; None: SAME, computed from the size at run time."""
    dilation: Sizes
    groups: int = 1
    axis: int = -1

    order = Order.SPATIAL
    keras_kinds: ClassVar[tuple[str, ...]] = ("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D")
    aten_ops: ClassVar[tuple[str, ...]] = ("conv1d", "conv2d", "conv3d")
    holds: ClassVar[tuple[str, ...]] = ("weight", "bias")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """Kernel (*k, in/groups, out), or depthwise (*k, in, multiplier), to (out, in/groups, *k)."""
        axis, kernel, stride, dilation = _window(layer)
        channels = _channels(layer, axis)
        if layer.kind.startswith("Depthwise"):
            groups, out = channels, channels * layer["depth_multiplier"]
        else:
            groups, out = layer["groups"], layer["filters"]
        pads = pads_of(layer, axis, kernel, stride, dilation)
        weights = layer.named("kernel", "bias") if layer["use_bias"] else layer.named("kernel")
        weights["kernel"] = _from_keras_kernel(weights["kernel"], (out, channels // groups, *kernel))
        spec = cls(channels, out, kernel, stride, pads, dilation, groups, axis)
        return with_activation(layer, Op(spec, weights))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """Weight (out, in/groups, *k); pads are numbers, or 'same' at stride 1 with the odd pixel after."""
        if isinstance(call.get("weight"), Slot):
            from xconv.layers.functional import computed_conv

            return computed_conv(call)
        weights, kernel, stride, dilation = convolution_of(call)
        pads: Pads
        if isinstance(call["padding"], str):
            total = [
                effective(k, d) - 1 if call["padding"] == "same" else 0 for k, d in zip(kernel, dilation, strict=True)
            ]
            pads = tuple((n // 2, n - n // 2) for n in total)
        else:
            pads = tuple((n, n) for n in call.sizes("padding", len(kernel)))
        out, groups = weights["kernel"].shape[0], call["groups"]
        spec = cls(weights["kernel"].shape[1] * groups, out, kernel, stride, pads, dilation, groups, 1)
        return Op(spec, weights)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """A DepthwiseConv where Keras has one for it, otherwise a Conv with groups; `split_strides` came before."""
        rank, axis = len(self.kernel), axes.normal(self.axis, len(self.kernel) + 2)
        depthwise = self.groups == self.in_channels > 1 and rank < 3 and len(set(self.stride)) == 1
        word, source = keras_padding(self.padding, inputs[0], axis, self.kernel, self.stride, self.dilation)
        config = {
            "kernel_size": self.kernel,
            "strides": self.stride,
            "padding": word,
            "data_format": data_format(axis),
            "dilation_rate": self.dilation,
            "activation": "linear",
            "use_bias": "bias" in weights,
        }
        if depthwise and word != "causal":
            config["depth_multiplier"] = self.out_channels // self.groups
            kind, split = f"DepthwiseConv{rank}D", (self.groups, self.out_channels // self.groups, *self.kernel)
            order = (*range(2, rank + 2), 0, 1)
            kernel = weights["kernel"].reshape(split).transpose(order)
        else:
            config |= {"filters": self.out_channels, "groups": self.groups}
            kind, kernel = f"Conv{rank}D", weights["kernel"].transpose((*range(2, rank + 2), 1, 0))
        bias = tuple(w for role, w in weights.items() if role == "bias")
        return KerasLayer(kind, config, (kernel, *bias), tuple(inputs), (source,))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.ConvNd; uneven pads come as a pad before it."""
        padding, source = torch_padding(self.padding, self.kernel, self.stride, self.dilation)
        config = {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "bias": "bias" in weights,
        }
        tensors = {"weight": weights["kernel"], **{role: w for role, w in weights.items() if role == "bias"}}
        return TorchCall(f"torch.nn.Conv{len(self.kernel)}d", (source,), config=config, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The number of window positions along each spatial axis, and out_channels."""
        axis = axes.normal(self.axis, len(inputs[0]))
        shape = positions(inputs[0], axis, self.kernel, self.stride, self.dilation, self.padding)
        return (*shape[:axis], self.out_channels, *shape[axis + 1 :])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Ranks, paddings, strides, dilation, groups, depthwise; odd and even, unequal sizes."""
        wide = {"filters": 4, "kernel_size": (3, 2)}
        yield Example("Conv2D", ((7, 6, 3),), {**wide, "padding": "same", "strides": 2}, ((3, 2, 3, 4), (4,)))
        yield Example("Conv2D", ((8, 9, 4),), {**wide, "padding": "same", "groups": 2}, ((3, 2, 2, 4), (4,)))
        yield Example("Conv2D", ((9, 8, 3),), {**wide, "dilation_rate": (2, 3), "use_bias": False}, ((3, 2, 3, 4),))
        yield Example(
            "Conv2D", ((None, None, 3),), {**wide, "padding": "same", "strides": (2, 3)}, ((3, 2, 3, 4), (4,))
        )
        yield Example("Conv2D", ((7, 6, 3),), {"filters": 5, "kernel_size": 1, "strides": 2}, ((1, 1, 3, 5), (5,)))
        causal = {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}
        yield Example("Conv1D", ((9, 3),), causal, ((3, 3, 4), (4,)))
        cube = {"filters": 3, "kernel_size": (3, 2, 2), "padding": "same", "strides": 2}
        yield Example("Conv3D", ((5, 6, 4, 2),), cube, ((3, 2, 2, 2, 3), (3,)))
        depthwise = {"kernel_size": 3, "depth_multiplier": 2, "padding": "same", "strides": 2}
        yield Example("DepthwiseConv2D", ((7, 8, 3),), depthwise, ((3, 3, 3, 2), (6,)))
        yield Example("DepthwiseConv1D", ((9, 4),), {"kernel_size": 3}, ((3, 4, 1), (4,)))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """What Keras says otherwise: strides with dilation, unequal strides, modes of padding; every rank, groups."""
        flat: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": (3, 2)}
        deep: dict[str, Any] = {"in_channels": 4, "out_channels": 8, "kernel_size": 3, "groups": 4}
        cube: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": (3, 2, 2)}
        image, line, volume = ((4, 7, 8),), ((4, 9),), ((4, 5, 6, 4),)
        cases: Sequence[tuple[Any, dict[str, Any], dict[str, Any]]] = (
            (image, flat, {"stride": 2, "padding": 1}),
            (image, flat, {"stride": (2, 1), "padding": (2, 1), "dilation": (1, 2), "bias": False}),
            (image, flat, {"padding": "same", "dilation": (1, 3)}),
            (image, flat, {"padding": "valid", "groups": 2}),
            (image, flat, {"padding": (2, 1), "padding_mode": "reflect"}),
            (image, flat, {"padding": "same", "padding_mode": "replicate"}),
            (image, flat, {"padding": (3, 1), "stride": 2, "padding_mode": "replicate", "groups": 2}),
            (image, flat, {"padding": (1, 2), "padding_mode": "circular"}),
            (image, deep, {"stride": (2, 1)}),
            (image, deep, {"stride": 2, "dilation": 2, "padding": 2}),
            (image, deep, {"dilation": (2, 1), "padding": 1}),
            (line, {**flat, "kernel_size": 4}, {"padding": 1}),
            (line, {**flat, "kernel_size": 4}, {"padding": "same", "padding_mode": "circular"}),
            (line, deep, {"stride": 3, "dilation": 2}),
            (volume, cube, {"padding": 1, "stride": 2}),
            (volume, cube, {"groups": 2}),
            (volume, cube, {"stride": 2, "dilation": (1, 2, 1), "padding": 1}),
            (volume, deep, {"padding": 1}),
        )
        for shape, config, more in cases:
            yield TorchExample(f"torch.nn.Conv{len(shape[0]) - 1}d", shape, {**config, **more})


class SeparableConv(Conv):
    """A depthwise convolution without bias, then a 1x1 convolution: Keras's SeparableConv1D-2D as two `Conv`s."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = ("SeparableConv1D", "SeparableConv2D")
    aten_ops: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """depthwise_kernel (*k, in, multiplier) and pointwise_kernel (1.., in*multiplier, filters)."""
        axis, kernel, stride, dilation = _window(layer)
        channels, ones = _channels(layer, axis), (1,) * len(kernel)
        middle, out = channels * layer["depth_multiplier"], layer["filters"]
        roles = ("depthwise", "pointwise", "bias") if layer["use_bias"] else ("depthwise", "pointwise")
        weights = layer.named(*roles)
        pads = pads_of(layer, axis, kernel, stride, dilation)
        depthwise = Conv(channels, middle, kernel, stride, pads, dilation, channels, axis)
        pointwise = Conv(middle, out, ones, ones, zero_pads(len(kernel)), ones, 1, axis)
        first = {"kernel": _from_keras_kernel(weights["depthwise"], (middle, 1, *kernel))}
        second = {"kernel": _from_keras_kernel(weights["pointwise"], (out, middle, *ones))}
        second |= {role: w for role, w in weights.items() if role == "bias"}
        return with_activation(layer, Op(depthwise, first, "depthwise"), Op(pointwise, second, "pointwise"))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """None of its own."""
        return iter(())

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Strided, dilated, without bias."""
        common = {"depth_multiplier": 2, "filters": 5, "kernel_size": (3, 2)}
        strided = {**common, "padding": "same", "strides": 2}
        yield Example("SeparableConv2D", ((7, 8, 3),), strided, ((3, 2, 3, 2), (1, 1, 6, 5), (5,)))
        bare = {**common, "kernel_size": 3, "use_bias": False}
        yield Example("SeparableConv1D", ((9, 3),), bare, ((3, 3, 2), (1, 6, 5)))


def _window(layer: KerasLayer) -> tuple[int, Sizes, Sizes, Sizes]:
    """The channel axis, the kernel, the stride and the dilation."""
    rank, axis = int(layer.kind[-2]), channel_axis(layer)
    check_rank(layer, rank)
    kernel, stride, dilation = (sizes(layer[key], rank, key) for key in ("kernel_size", "strides", "dilation_rate"))
    return axis, kernel, stride, dilation


def _channels(layer: KerasLayer, axis: int) -> int:
    """The number of input channels, which must be known."""
    channels = layer.inputs[0][axis]
    if channels is None:
        raise Mismatch(f"{layer.kind} gets an input whose channels are unknown", remedy="give the model an input shape")
    return channels


def _from_keras_kernel(kernel: Weight, shape: tuple[int, ...]) -> Weight:
    """Move the last two axes (in, out) of a Keras kernel to the front, out first; depthwise stays channel-major."""
    rank = len(shape) - 2
    depthwise = shape[1] == 1 and kernel.shape[-2] * kernel.shape[-1] == shape[0] and kernel.shape[-2] != 1
    order = (rank, rank + 1, *range(rank)) if depthwise else (rank + 1, rank, *range(rank))
    if len(kernel.shape) != rank + 2:
        raise Mismatch(f"the kernel has shape {kernel.shape}, expected rank {rank + 2}")
    moved = kernel.transpose(order).reshape(shape) if depthwise else kernel.transpose(order)
    if moved.shape != shape:
        raise Mismatch(f"the kernel has shape {kernel.shape}, which does not give {shape}")
    return moved
