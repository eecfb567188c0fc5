"""Pooling: Max/AveragePooling1D-3D, GlobalMax/AveragePooling1D-3D  <->  torch.nn.Max/AvgPool, mean and amax."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.geometry import (
    Sizes,
    channel_axis,
    check_rank,
    data_format,
    keras_padding,
    pads_of,
    positions,
    sizes,
    torch_padding,
    windows,
)
from xconv.padding import Pads, is_symmetric
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["GlobalPool", "Pool"]


@dataclass(frozen=True, slots=True)
class Pool(Spec):
    """The maximum or the mean of each window; padding never counts.

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

    order = Order.SPATIAL
    keras_kinds = tuple(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3))
    aten_ops = tuple(f"{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (1, 2, 3))

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
    def from_torch(cls, call: AtenCall) -> Op:
        """The window, its stride (the window's size where none is given) and pads, which are -inf for the maximum."""
        rank, kind = int(call.op[-2]), "max" if call.op.startswith("max") else "average"
        for key in ("self", "input"):
            call.get(key)
        kernel = call.sizes("kernel_size", rank)
        stride = call.sizes("stride", rank) if call["stride"] else kernel
        pads = tuple((n, n) for n in call.sizes("padding", rank))
        if call.get("dilation") and any(n != 1 for n in call.sizes("dilation", rank)):
            raise Unsupported("dilated pooling")
        if call["ceil_mode"]:
            raise Unsupported("ceil_mode")
        if (call.get("count_include_pad") and any(map(any, pads))) or call.get("divisor_override"):
            raise Unsupported("padding that counts")
        return Op(cls(kind, kernel, stride, pads, 1))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """MaxPooling or AveragePooling; pads of -inf that no word means come before the maximum."""
        rank, axis = len(self.kernel), axes.normal(self.axis, len(inputs[0]))
        value = float("-inf") if self.kind == "max" else 0.0
        word, source = keras_padding(self.padding, inputs[0], axis, self.kernel, self.stride, (1,) * rank, value)
        if self.kind == "average" and source != Slot(0):
            raise Unsupported(f"pads {self.padding} of an average that does not count them are not 'same' here")
        config = {
            "pool_size": self.kernel,
            "strides": self.stride,
            "padding": word,
            "data_format": data_format(axis),
        }
        kind = f"{self.kind.capitalize()}Pooling{rank}D"
        return KerasLayer(kind, config, inputs=tuple(inputs), args=(source,))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.MaxPoolNd after a pad of -inf, nn.AvgPoolNd without counting pads."""
        rank, ones = len(self.kernel), (1,) * len(self.kernel)
        config: dict[str, Any] = {"kernel_size": self.kernel, "stride": self.stride}
        if self.kind == "max":
            padding, source = torch_padding(self.padding, self.kernel, self.stride, ones, value=float("-inf"))
            return TorchCall(f"torch.nn.MaxPool{rank}d", (source,), config={**config, "padding": padding})
        if self.padding is None or not is_symmetric(self.padding) or _too_wide(self.padding, self.kernel):
            config |= {"padding": self.padding}
            return TorchCall("xconv.torch.modules.AveragePool", config=config)
        config |= {"padding": tuple(before for before, _ in self.padding), "count_include_pad": False}
        return TorchCall(f"torch.nn.AvgPool{rank}d", config=config)

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


@dataclass(frozen=True, slots=True)
class GlobalPool(Spec):
    """The maximum or the mean over all spatial axes, kept as axes of size 1 or dropped."""

    kind: str
    keepdims: bool
    axis: int = -1

    order = Order.SPATIAL
    keras_kinds = tuple(f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3))

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Refuses a mask, which would change the mean."""
        if layer.kwargs.get("mask") is not None:
            raise Unsupported("a mask given to a pooling layer", remedy="remove the padding steps before pooling")
        layer.get("mask")
        check_rank(layer, int(layer.kind[-2]))
        kind = "max" if "Max" in layer.kind else "average"
        return Op(cls(kind, bool(layer["keepdims"]), channel_axis(layer)))

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
        """Both kinds, with and without keepdims, ranks 1 to 3."""
        for kind in ("Max", "Average"):
            yield Example(f"Global{kind}Pooling2D", ((5, 4, 3),))
            yield Example(f"Global{kind}Pooling1D", ((5, 3),), {"keepdims": True})
            yield Example(f"Global{kind}Pooling3D", ((3, 4, 5, 2),), {"keepdims": True})


def _too_wide(pads: Pads, kernel: Sizes) -> bool:
    """Whether torch's pooling would refuse the padding: more than half of the window."""
    return any(2 * before > k for (before, _), k in zip(pads, kernel, strict=True))
