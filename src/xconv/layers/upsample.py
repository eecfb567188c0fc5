"""UpSampling1D-3D  <->  torch.nn.Upsample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.layers.geometry import Sizes, channel_axis, check_rank, data_format, sizes, spatial, windows
from xconv.layers.resizing import upsampling
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, Weights

__all__ = ["Upsample"]


@dataclass(frozen=True, slots=True)
class Upsample(Spec):
    """Every spatial axis `scale` times as long; `mode` is 'nearest' or 'bilinear' (half-pixel centres)."""

    scale: Sizes
    mode: str
    axis: int = -1

    order = Order.SPATIAL
    keras_kinds = "UpSampling1D", "UpSampling2D", "UpSampling3D"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The factors, and for UpSampling2D the interpolation."""
        rank = int(layer.kind[-2])
        check_rank(layer, rank)
        mode = layer.get("interpolation", "nearest")
        if mode not in ("nearest", "bilinear"):
            return upsampling(layer, sizes(layer["size"], rank), mode)
        return Op(cls(sizes(layer["size"], rank), mode, channel_axis(layer)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """UpSampling."""
        rank, axis = len(self.scale), axes.normal(self.axis, len(inputs[0]))
        if rank == 1:
            return KerasLayer("UpSampling1D", {"size": self.scale[0]}, inputs=tuple(inputs))
        config: dict[str, object] = {"size": self.scale, "data_format": data_format(axis)}
        if rank == 2:
            config["interpolation"] = self.mode
        return KerasLayer(f"UpSampling{rank}D", config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Upsample."""
        config: dict[str, object] = {"scale_factor": tuple(map(float, self.scale)), "mode": self.mode}
        if self.mode == "bilinear":
            config["align_corners"] = False
        return TorchCall("torch.nn.Upsample", config=config)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The spatial sizes times the factors."""
        axis = axes.normal(self.axis, len(inputs[0]))
        pairs = zip(spatial(inputs[0], axis), self.scale, strict=True)
        return windows(inputs[0], axis, tuple(None if n is None else n * factor for n, factor in pairs))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every rank, unequal factors, bilinear."""
        yield Example("UpSampling1D", ((5, 3),), {"size": 3})
        yield Example("UpSampling2D", ((4, 5, 3),), {"size": (2, 3)})
        yield Example("UpSampling2D", ((None, None, 3),), {"size": 2, "interpolation": "bilinear"}, float64=False)
        yield Example("UpSampling2D", ((4, 5, 3),), {"size": (3, 2), "interpolation": "bilinear"}, float64=False)
        yield Example("UpSampling3D", ((2, 3, 4, 2),), {"size": (1, 2, 3)})
