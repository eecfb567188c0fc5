"""Transposed convolution: Conv1DTranspose-3DTranspose  <->  aten.conv_transpose1d-3d, torch.nn.ConvTranspose1d-3d."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.activation import with_activation
from xconv.layers.conv import Conv
from xconv.layers.geometry import Sizes, channel_axis, check_rank, convolution_of, data_format, sizes, spatial, windows
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.reshape import Reshape
from xconv.layers.tile import Flip
from xconv.padding import Pads, effective
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, TorchExample, Weights
from xconv.weights import Weight

__all__ = ["ConvTranspose"]


@dataclass(frozen=True, slots=True)
class ConvTranspose(Spec):
    """Every pixel spreads the kernel, `stride` apart; then `crop` is cut off (before, after); then comes the bias.

    A negative number of `crop` adds zeros at the end, over which the bias lies too. The kernel is
    (in, out, *kernel), not flipped.

    >>> ConvTranspose(3, 8, (3,), (2,), ((0, 1),), (1,), 2).out_shape((None, 5, 3))
    (None, 10, 8)
    """

    in_channels: int
    out_channels: int
    kernel: Sizes
    stride: Sizes
    crop: Pads
    dilation: Sizes
    axis: int = -1

    order = Order.SPATIAL
    keras_kinds = "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"
    aten_ops = "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"
    holds = "weight", "bias"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """Kernel (*k, out, in) to (in, out, *k); padding and output_padding as what is cut off."""
        rank, axis = int(layer.kind[4]), channel_axis(layer)
        check_rank(layer, rank)
        kernel = sizes(layer["kernel_size"], rank, "kernel_size")
        stride, dilation = (
            sizes(layer["strides"], rank, "strides"),
            sizes(layer["dilation_rate"], rank, "dilation_rate"),
        )
        extra = layer.get("output_padding")
        extra = (extra,) * rank if extra is None or isinstance(extra, int) else tuple(extra)
        crop = _crop(layer["padding"], kernel, stride, dilation, extra)
        weights = layer.named("kernel", "bias") if layer["use_bias"] else layer.named("kernel")
        channels, expected = layer.inputs[0][axis], (*kernel, layer["filters"], layer.inputs[0][axis])
        if channels is None or weights["kernel"].shape != expected:
            raise Mismatch(f"the kernel has shape {weights['kernel'].shape}, the configuration asks for {expected}")
        weights["kernel"] = weights["kernel"].transpose((rank + 1, rank, *range(rank)))
        return with_activation(
            layer, Op(cls(channels, layer["filters"], kernel, stride, crop, dilation, axis), weights)
        )

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Weight (in, out/groups, *k); what no Keras layer has is a convolution of the reversed, spread input."""
        weights, kernel, stride, dilation = convolution_of(call)
        padding, extra = (call.sizes(key, len(kernel)) for key in ("padding", "output_padding"))
        crop = tuple((p, p - more) for p, more in zip(padding, extra, strict=True))
        channels, out = weights["kernel"].shape[:2]
        spec = cls(channels, out * call["groups"], kernel, stride, crop, dilation, 1)
        tails = any(-after >= s for (_, after), s in zip(crop, stride, strict=True))
        if call["groups"] == 1 and not tails and (max(dilation) == 1 or max(stride) == 1):
            return (Op(spec, weights),)
        return _reversed(spec, weights, call["groups"], call.inputs[0])

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The padding, and where it must be the output_padding, that cut off as much; `split_crops` came before."""
        rank = len(self.kernel)
        padding, extra = self._words()
        config = {
            "filters": self.out_channels,
            "kernel_size": self.kernel,
            "strides": self.stride,
            "padding": padding,
            "output_padding": extra,
            "data_format": data_format(axes.normal(self.axis, rank + 2)),
            "dilation_rate": self.dilation,
            "activation": "linear",
            "use_bias": "bias" in weights,
        }
        kernel = weights["kernel"].transpose((*range(2, rank + 2), 1, 0))
        arrays = (kernel, *(w for role, w in weights.items() if role == "bias"))
        return KerasLayer(f"Conv{rank}DTranspose", config, arrays, tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.ConvTransposeNd; xconv's own where an odd pixel comes off, which torch's padding cannot cut."""
        rank = len(self.kernel)
        config: dict[str, Any] = {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": tuple(before for before, _ in self.crop),
            "output_padding": tuple(max(before - after, 0) for before, after in self.crop),
            "dilation": self.dilation,
            "bias": "bias" in weights,
        }
        tensors = {"weight": weights["kernel"], **{role: w for role, w in weights.items() if role == "bias"}}
        rest = tuple(max(after - pad, 0) for pad, (_, after) in zip(config["padding"], self.crop, strict=True))
        if not any(rest):
            return TorchCall(f"torch.nn.ConvTranspose{rank}d", config=config, tensors=tensors)
        config["crop"] = rest
        return TorchCall(f"xconv.torch.modules.ConvTranspose{rank}d", config=config, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """(n - 1) * stride + extent - crop along each spatial axis, and out_channels."""
        axis = axes.normal(self.axis, len(inputs[0]))
        parts = zip(spatial(inputs[0], axis), self.kernel, self.stride, self.crop, self.dilation, strict=True)
        after = tuple(None if n is None else (n - 1) * s + effective(k, d) - sum(c) for n, k, s, c, d in parts)
        shape = windows(inputs[0], axis, after)
        return (*shape[:axis], self.out_channels, *shape[axis + 1 :])

    def in_torch(self) -> bool:
        """Whether torch takes the output_padding that the crop asks for."""
        parts = zip(self.crop, self.stride, self.dilation, strict=True)
        return all(before - after < max(s, d) for (before, after), s, d in parts)

    def in_keras(self) -> bool:
        """Whether Keras has words for the crop."""
        try:
            self._words()
        except Unsupported:
            return False
        return True

    def _words(self) -> tuple[str, Sizes | None]:
        """Keras's padding and output_padding for the crop."""
        totals = [sum(pair) for pair in self.crop]
        extents = [effective(k, d) for k, d in zip(self.kernel, self.dilation, strict=True)]
        wanted = {
            "valid": tuple(-total for total in totals),
            "same": tuple(extent - extent % 2 - total for extent, total in zip(extents, totals, strict=True)),
        }
        for padding, extra in [("valid", None), ("same", None), *wanted.items()]:
            given = extra or (None,) * len(totals)
            if extra and any(not 0 <= size < stride for size, stride in zip(extra, self.stride, strict=True)):
                continue
            if padding == "same" and extra and any(n % 2 + size < 1 for n, size in zip(extents, extra, strict=True)):
                continue  # TensorFlow refuses to compute it
            if _crop(padding, self.kernel, self.stride, self.dilation, given) == self.crop:
                return padding, extra
        raise Unsupported(f"crop {self.crop} is no padding of Keras")

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Kernels smaller and larger than the stride, odd and even crops, output_padding, every rank."""
        flat = {"filters": 4, "kernel_size": (3, 2)}
        yield Example("Conv2DTranspose", ((4, 5, 3),), {**flat, "strides": 2, "padding": "same"}, ((3, 2, 4, 3), (4,)))
        yield Example("Conv2DTranspose", ((4, 5, 3),), {**flat, "strides": (2, 3)}, ((3, 2, 4, 3), (4,)))
        yield Example("Conv2DTranspose", ((4, 5, 3),), {**flat, "padding": "same"}, ((3, 2, 4, 3), (4,)))
        wide = {"filters": 4, "kernel_size": (4, 5), "strides": 2, "use_bias": False}
        yield Example("Conv2DTranspose", ((None, None, 3),), {**wide, "padding": "same"}, ((4, 5, 4, 3),))
        extra = {"filters": 4, "kernel_size": 3, "strides": 2, "output_padding": 1}
        yield Example("Conv2DTranspose", ((4, 5, 3),), {**extra, "padding": "same"}, ((3, 3, 4, 3), (4,)))
        yield Example("Conv2DTranspose", ((4, 5, 3),), extra, ((3, 3, 4, 3), (4,)))
        short = {"filters": 4, "kernel_size": 1, "strides": 3}
        yield Example("Conv1DTranspose", ((5, 3),), {**short, "padding": "same"}, ((1, 4, 3), (4,)))
        yield Example("Conv1DTranspose", ((5, 3),), {**short, "kernel_size": 4, "strides": 2}, ((4, 4, 3), (4,)))
        dilated = {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}
        yield Example("Conv2DTranspose", ((4, 5, 3),), dilated, ((3, 3, 4, 3), (4,)), float64=False)
        cube = {"filters": 2, "kernel_size": (3, 2, 2), "strides": 2, "padding": "same"}
        yield Example("Conv3DTranspose", ((3, 4, 2, 3),), cube, ((3, 2, 2, 2, 3), (2,)))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Padding, output_padding, strides below and above the kernel, groups, dilation; every rank."""
        flat = {"in_channels": 4, "out_channels": 6, "kernel_size": (3, 2)}
        for more in (
            {},
            {"stride": 2, "padding": 1, "output_padding": 1},
            {"stride": (2, 3), "output_padding": (1, 2), "bias": False},
            {"stride": 3, "kernel_size": 1, "output_padding": 2},
            {"stride": 2, "padding": 1, "kernel_size": 4},
            {"padding": 1, "kernel_size": 3},
            {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
            {"groups": 2, "kernel_size": 3, "padding": 2},
            {"stride": 2, "kernel_size": 2, "padding": 2, "groups": 2},
            {"stride": (2, 1), "dilation": (1, 3), "padding": (0, 2)},
            {"stride": 2, "dilation": 3, "output_padding": 2},
        ):
            yield TorchExample("torch.nn.ConvTranspose2d", ((4, 5, 4),), {**flat, **more})
        dilated = {**flat, "dilation": (2, 1), "padding": (2, 0)}
        yield TorchExample("torch.nn.ConvTranspose2d", ((4, 5, 4),), dilated, float64=False)
        for more in ({"stride": 2, "padding": 1}, {"stride": 3, "output_padding": 1}, {"groups": 2, "stride": 2}):
            yield TorchExample("torch.nn.ConvTranspose1d", ((4, 5),), {**flat, "kernel_size": 3, **more})
            cube = {**flat, "kernel_size": (3, 2, 2), **more}
            yield TorchExample("torch.nn.ConvTranspose3d", ((4, 3, 4, 2),), cube)


def _reversed(spec: ConvTranspose, weights: Weights, groups: int, shape: Shape) -> Sequence[Op]:
    """A convolution of the reversed input, its pixels `stride` apart, and the result reversed again.

    Reversed along every spatial axis, the input of a transposed convolution meets the kernel as in a convolution.
    """
    rank, kernel = len(spec.kernel), weights["kernel"]
    over = tuple(range(2, rank + 2))
    pads = []
    for k, s, d, (before, after) in zip(spec.kernel, spec.stride, spec.dilation, spec.crop, strict=True):
        extent = effective(k, d)
        pads.append((extent - s - after, extent - 1 - before))
    cut = tuple((min(before, 0), min(after, 0)) for before, after in pads)
    grown = tuple((max(before, 0), max(after, 0)) for before, after in pads)
    ones = (1,) * rank
    convolution = Conv(spec.in_channels, spec.out_channels, spec.kernel, ones, grown, spec.dilation, groups, 1)
    split = (groups, spec.in_channels // groups, spec.out_channels // groups, *spec.kernel)
    swapped = kernel.reshape(split).transpose((0, 2, 1, *range(3, rank + 3)))
    held: dict[str, Weight] = {**weights, "kernel": swapped.reshape((spec.out_channels, split[1], *spec.kernel))}
    ops = [*_spread(spec.stride, shape), Op(Flip(over), {}, "reversed")]
    if any(map(any, cut)):
        ops.append(Op(Pad(cut, 1), {}, "cut"))
    return *ops, Op(convolution, held), Op(Flip(over), {}, "restored")


def _spread(stride: Sizes, shape: Shape) -> list[Op]:
    """`stride - 1` zeros after every pixel."""
    if max(stride) == 1:
        return []
    known = tuple(size for size in shape[2:] if size is not None)
    if len(known) != len(stride):
        what = "a transposed convolution with groups or dilation over axes of open size"
        raise Unsupported(what, remedy="give input_shape with all sizes")
    channels = shape[1]
    single = (channels, *(part for size in known for part in (size, 1)))
    pads = ((0, 0), (0, 0), *(pair for s in stride for pair in ((0, 0), (0, s - 1))))
    whole = (channels, *(size * s for size, s in zip(known, stride, strict=True)))
    return [
        Op(Reshape(single), {}, "pixels"),
        Op(PadAxes(pads), {}, "zeros"),
        Op(Reshape(whole), {}, "spread"),
    ]


def _crop(word: str, kernel: Sizes, stride: Sizes, dilation: Sizes, extra: Sequence[int | None]) -> Pads:
    """What Keras cuts off of the full result, before and after, along each axis.

    >>> _crop("same", (3,), (2,), (1,), (None,)), _crop("valid", (1,), (3,), (1,), (None,))
    (((0, 1),), ((0, -2),))
    """
    if word not in ("valid", "same"):
        raise Unsupported(f"padding={word!r}", remedy="use 'valid' or 'same'")
    result = []
    for k, s, d, more in zip(kernel, stride, dilation, extra, strict=True):
        extent = effective(k, d)
        if more is not None and not 0 <= more < s:
            raise Mismatch(f"output_padding={more} must be smaller than the stride {s}")
        if word == "valid":
            total = -max(s - extent, 0) if more is None else -more
        else:
            total = extent - s if more is None else extent - extent % 2 - more
        before = max(total, 0) // 2
        result.append((before, total - before))
    return tuple(result)
