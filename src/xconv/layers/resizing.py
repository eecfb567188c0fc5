"""Resizing, CenterCrop, UpSampling2D by bicubic and Lanczos kernels, ops.image.resize  <->  modules of the same names.

TensorFlow's kernels are not torch's but for bilinear and nearest ones: the modules hold a matrix for each axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.described import REQUIRED, Defaults, Picture, picture_axis, settings_of
from xconv.layers.geometry import Sizes, sizes, spatial, windows
from xconv.layers.io import Identity
from xconv.spec import Example, KerasLayer, Op, Shape

__all__ = ["Resized", "upsampling"]

OPTIONS = {"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": False, "fill_value": 0.0}
KINDS: Mapping[str, Defaults] = {
    "CenterCrop": {"height": REQUIRED, "width": REQUIRED},
    "RandomCrop": {"height": REQUIRED, "width": REQUIRED},
    "Resizing": {"height": REQUIRED, "width": REQUIRED, "interpolation": "bilinear", **OPTIONS, "antialias": False},
    "ops.Resize": {"size": REQUIRED, "interpolation": "bilinear", "antialias": False, **OPTIONS},
}
KERNELS = ("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5")


@dataclass(frozen=True, slots=True)
class Resized(Picture):
    """Pictures brought to a size; `kind` and `settings` are Keras's."""

    keras_kinds = tuple(KINDS)
    restrictions: ClassVar[Mapping[str, str]] = {
        "RandomCrop": "another size than that of its input",
        "Resizing": "fill modes other than 'constant', which Keras refuses too",
    }

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The settings; a border can only be filled with a value."""
        if layer.kind == "RandomCrop":
            return _random_crop(layer)
        mode = layer.get("fill_mode", "constant")
        if mode != "constant":
            raise Unsupported(f"fill_mode={mode!r}, which Keras itself refuses", remedy="use fill_mode='constant'")
        settings = settings_of(layer, KINDS[layer.kind])
        if settings.get("interpolation", "bilinear") not in KERNELS:
            raise Mismatch(f"interpolation={settings['interpolation']!r}", remedy=f"use one of {', '.join(KERNELS)}")
        if settings.get("crop_to_aspect_ratio") and settings.get("pad_to_aspect_ratio"):
            raise Mismatch("crop_to_aspect_ratio and pad_to_aspect_ratio, of which Keras takes one")
        return Op(cls(layer.kind, tuple(settings.items()), picture_axis(layer)))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The new sizes."""
        axis = axes.normal(self.axis, len(inputs[0]))
        return windows(inputs[0], axis, self._after(spatial(inputs[0], axis)))

    def _after(self, before: Shape) -> Shape:
        settings = dict(self.settings)
        if self.kind == "UpSampling2D":
            return tuple(None if n is None else n * by for n, by in zip(before, settings["size"], strict=True))
        size: Sizes = settings["size"] if "size" in settings else (settings["height"], settings["width"])
        return size

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every kernel, larger and smaller, with every option; where TensorFlow computes in float32, in float32."""
        shape = ((7, 9, 3),)
        for kernel in KERNELS:
            exact = kernel == "nearest"
            for height, width in ((4, 13), (11, 5)):
                config = {"height": height, "width": width, "interpolation": kernel}
                yield Example("Resizing", shape, config, float64=exact)
            smooth = {"height": 3, "width": 4, "interpolation": kernel, "antialias": True}
            yield Example("Resizing", shape, smooth, float64=exact)
            yield Example("ops.Resize", shape, {"size": (5, 12), "interpolation": kernel}, float64=exact)
        for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
            config = {"height": 4, "width": 8, option: True, "fill_value": 0.5}
            yield Example("Resizing", shape, config, float64=False)
            yield Example("Resizing", ((12, 5, 2),), {**config, "interpolation": "bicubic"}, float64=False)
            yield Example("ops.Resize", shape, {"size": (4, 8), option: True}, float64=False)
        yield Example("CenterCrop", shape, {"height": 4, "width": 4})
        yield Example("CenterCrop", shape, {"height": 9, "width": 4}, float64=False)
        yield Example("RandomCrop", shape, {"height": 7, "width": 9})
        for kernel in ("bicubic", "lanczos3", "lanczos5"):
            config = {"size": (2, 3), "interpolation": kernel}
            yield Example("UpSampling2D", ((4, 5, 3),), config, float64=False)
        yield Example("UpSampling2D", ((None, None, 2),), {"interpolation": "bicubic"}, float64=False)


def upsampling(layer: KerasLayer, size: Sizes, interpolation: str) -> Op:
    """UpSampling2D by a kernel that torch has not."""
    if interpolation not in KERNELS:
        raise Mismatch(f"interpolation={interpolation!r}", remedy=f"use one of {', '.join(KERNELS)}")
    settings = (("size", size), ("interpolation", interpolation))
    return Op(Resized("UpSampling2D", settings, picture_axis(layer)))


def _random_crop(layer: KerasLayer) -> Op:
    """Nothing, where the pictures have the size already."""
    layer.get("seed")
    size = sizes((layer["height"], layer["width"]), 2)
    if spatial(layer.inputs[0], picture_axis(layer)) != size:
        raise Unsupported(
            f"RandomCrop to {size[0]}x{size[1]}, which Keras 3.15 leaves out in inference: what it returns then has "
            "not the shape that it states",
            remedy="crop the pictures in the data, or use CenterCrop",
        )
    return Op(Identity())
