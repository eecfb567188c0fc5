"""TensorFlow's SAME for sizes that are open, as xconv's own modules say it in torch: SamePad, AveragePool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.geometry import Sizes, spatial, windows
from xconv.layers.pool import Pool
from xconv.padding import Pads, same_pads
from xconv.spec import AtenCall, KerasLayer, Op, Order, Shape, Spec, Weights

__all__ = ["SameAverage", "SamePad"]


@dataclass(frozen=True, slots=True)
class SamePad(Spec):
    """The pads that windows of this kind need at the size that arrives; it belongs to the layer behind it.

    >>> pad = SamePad((3,), (2,), (1,), 0.0, 1)
    >>> pad.out_shape((None, 4, 8)), pad.out_shape((1, 4, None))
    ((None, 4, 9), (1, 4, None))
    """

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    value: float
    axis: int

    order = Order.SPATIAL
    aten_ops = ("same_pad",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """xconv's own module, which torch.export sees as one call."""
        call.get("x")
        kernel, stride, dilation = (tuple(call[key]) for key in ("kernel", "stride", "dilation"))
        return Op(cls(kernel, stride, dilation, float(call["value"]), 1))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Only as padding='same' of the layer behind it."""
        raise Unsupported("pads that are computed", remedy="give input_shape with all sizes")

    def out_shape(self, *inputs: Shape) -> Shape:
        """Each spatial axis longer by its pads; open where its size is."""
        axis = axes.normal(self.axis, len(inputs[0]))
        sizes: list[int | None] = []
        for size, *window in zip(spatial(inputs[0], axis), self.kernel, self.stride, self.dilation, strict=True):
            pads = None if size is None else same_pads((size,), *((number,) for number in window))
            sizes.append(None if size is None or pads is None else size + sum(pads[0]))
        return windows(inputs[0], axis, tuple(sizes))


class SameAverage(Pool):
    """The mean of each window's real pixels: xconv's AveragePool, which torch.export sees as one call."""

    __slots__ = ()
    keras_kinds: ClassVar[tuple[str, ...]] = ()
    aten_ops: ClassVar[tuple[str, ...]] = ("same_average",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """`pads` are before and after along every axis, or nothing for SAME."""
        call.get("x")
        kernel, stride, flat = (tuple(call[key]) for key in ("kernel", "stride", "pads"))
        pads: Pads | None = tuple(zip(flat[::2], flat[1::2], strict=True)) if flat else None
        if pads is None:
            pads = same_pads(spatial(call.inputs[0], 1), kernel, stride, (1,) * len(kernel))
        return (Op(Pool("average", kernel, stride, pads, 1)),)
