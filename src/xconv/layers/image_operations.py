"""keras.ops.image  <->  xconv's modules of the same names; crops and pads are layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.described import REQUIRED, Defaults, Picture, picture_axis, settings_of
from xconv.layers.geometry import channel_axis, spatial, windows
from xconv.layers.pad import Pad
from xconv.padding import out_size, same_pads
from xconv.spec import Example, KerasLayer, Op, Shape, Slot

__all__ = ["Frame", "ImageOperation"]

KINDS: Mapping[str, Defaults] = {
    "ops.AffineTransform": {"interpolation": "bilinear", "fill_mode": "constant", "fill_value": 0},
    "ops.ExtractPatches": {"size": REQUIRED, "strides": None, "dilation_rate": 1, "padding": "valid"},
    "ops.GaussianBlur": {"kernel_size": (3, 3), "sigma": (1.0, 1.0)},
    "ops.HSVToRGB": {},
    "ops.PerspectiveTransform": {"interpolation": "bilinear", "fill_value": 0},
    "ops.RGBToGrayscale": {},
    "ops.RGBToHSV": {},
    "ops.SSIM": {"max_val": 1.0, "filter_size": 11, "filter_sigma": 1.5, "k1": 0.01, "k2": 0.03},
    "ops.SobelEdges": {},
}
SIDES = ("top", "bottom", "left", "right")


@dataclass(frozen=True, slots=True)
class ImageOperation(Picture):
    """An operation on pictures, and on numbers beside them that are held as written."""

    keras_kinds = tuple(KINDS)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The settings; patches with a number for every axis."""
        settings = settings_of(layer, KINDS[layer.kind])
        if layer.kind == "ops.ExtractPatches":
            return Op(cls(layer.kind, _patches(settings), _volume_axis(layer)))
        axis = picture_axis(layer)
        if layer.kind in ("ops.HSVToRGB", "ops.RGBToHSV", "ops.RGBToGrayscale"):
            allowed = (1, 3) if layer.kind == "ops.RGBToGrayscale" else (3,)
            if layer.inputs[0][axis] not in (*allowed, None):
                raise Mismatch(f"{layer.kind} takes pictures of 3 channels, it gets {layer.inputs[0]}")
        return Op(cls(layer.kind, tuple(settings.items()), axis))

    def out_shape(self, *inputs: Shape) -> Shape:
        """That of the pictures, but for grey pictures, edges, likeness and patches."""
        given = inputs[0]
        axis = axes.normal(self.axis, len(given))
        match self.kind:
            case "ops.RGBToGrayscale":
                return tuple(1 if place == axis else size for place, size in enumerate(given))
            case "ops.SobelEdges":
                return (*given, 2)
            case "ops.SSIM":
                return given[:1]
            case "ops.ExtractPatches":
                return self._patched(given, axis)
        return given

    def _patched(self, given: Shape, axis: int) -> Shape:
        size, strides, dilation, padding = (value for _, value in self.settings)
        before = spatial(given, axis)
        pads = same_pads(before, size, strides, dilation) if padding == "same" else ((0, 0),) * len(size)
        sizes: Shape = (None,) * len(size)
        if pads is not None:
            sizes = tuple(out_size(*numbers) for numbers in zip(before, size, strides, dilation, pads, strict=True))
        channels = given[axis]
        count = None if channels is None else channels * prod(size)
        return tuple(count if place == axis else n for place, n in enumerate(windows(given, axis, sizes)))

    def moved(self, order: axes.Order, weights: Any) -> Any:
        """The channels at another place; edges stay on the last axis."""
        moved = Picture.moved(self, order, weights)
        if self.kind != "ops.SobelEdges":
            return moved
        return type(moved)(moved.spec, moved.weights, (*moved.order, len(order)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every operation, with every option; where TensorFlow computes in float32, in float32."""
        shape = ((7, 6, 3),)
        one = (Slot(0),)
        yield Example("ops.RGBToGrayscale", shape, args=one, float64=False)
        yield Example("ops.RGBToGrayscale", ((7, 6, 1),), args=one)
        yield Example("ops.RGBToHSV", shape, args=one, values="positive")
        yield Example("ops.HSVToRGB", shape, args=one, values="unit")
        yield Example("ops.SobelEdges", shape, args=one)
        yield Example("ops.GaussianBlur", shape, args=one)
        yield Example("ops.GaussianBlur", shape, {"kernel_size": (3, 5), "sigma": (0.5, 2.0)}, args=one)
        yield Example("ops.ExtractPatches", shape, {"size": (2, 3)}, args=one)
        more = {"size": (3, 2), "strides": (2, 1), "padding": "same"}
        yield Example("ops.ExtractPatches", shape, more, args=one)
        yield Example("ops.ExtractPatches", shape, {"size": 2, "strides": 1, "dilation_rate": 2}, args=one)
        yield Example("ops.ExtractPatches", ((4, 5, 6, 2),), {"size": (2, 1, 3)}, args=one)
        yield Example("ops.SSIM", ((12, 13, 3), (12, 13, 3)))
        yield Example("ops.SSIM", ((7, 6, 2), (7, 6, 2)), {"filter_size": 4, "max_val": 2.0})
        for mode in ("constant", "nearest", "wrap", "reflect"):
            options = {"fill_mode": mode, "fill_value": 0.5}
            yield Example("ops.AffineTransform", ((7, 6, 3), (8,)), options, float64=False)
            options = {**options, "interpolation": "nearest"}
            yield Example("ops.AffineTransform", ((7, 6, 3), (8,)), options, float64=False)
        corners = "normal corners corners"
        for interpolation in ("bilinear", "nearest"):
            options = {"interpolation": interpolation, "fill_value": 0.5}
            yield Example(
                "ops.PerspectiveTransform", ((7, 6, 3), (4, 2), (4, 2)), options, values=corners, float64=False
            )


@dataclass(frozen=True, slots=True)
class Frame(Pad):
    """Reads crops and pads, of which two of three numbers along each axis are given."""

    keras_kinds = "ops.CropImages", "ops.PadImages"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Cropping or ZeroPadding by numbers on every side."""
        axis, crop = picture_axis(layer), layer.kind == "ops.CropImages"
        word = "cropping" if crop else "padding"
        given = [layer.get(f"{side}_{word}") for side in SIDES]
        wanted = [layer.get("target_height"), layer.get("target_width")]
        pads = []
        for place, size in enumerate(spatial(layer.inputs[0], axis)):
            first, last, total = *given[2 * place : 2 * place + 2], wanted[place]
            if None in (first, last) and size is None:
                raise Mismatch(f"{layer.kind} to a size, of pictures of open size", remedy="give numbers for all sides")
            spare = 0 if total is None or size is None else abs(size - total)
            first = spare - last if first is None else first
            last = spare - first if last is None else last
            pads.append((-first, -last) if crop else (first, last))
        return Op(Pad(tuple(pads), axis))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Numbers for all sides, or for some and a size."""
        shape, one = ((7, 6, 3),), (Slot(0),)
        every = {"top": 1, "bottom": 2, "left": 0, "right": 3}
        for kind, word in (("ops.CropImages", "cropping"), ("ops.PadImages", "padding")):
            yield Example(kind, shape, {f"{side}_{word}": size for side, size in every.items()}, args=one)
            size = (
                {"target_height": 5, "target_width": 4}
                if word == "cropping"
                else {"target_height": 9, "target_width": 8}
            )
            yield Example(kind, shape, {f"top_{word}": 1, f"right_{word}": 2, **size}, args=one)


def _patches(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Sizes, strides and dilations for every axis."""
    size = settings["size"] if isinstance(settings["size"], tuple) else (settings["size"],) * 2
    found = {"size": size, "strides": settings["strides"] or size, "dilation_rate": settings["dilation_rate"]}
    full = {key: value if isinstance(value, tuple) else (value,) * len(size) for key, value in found.items()}
    return (*full.items(), ("padding", settings["padding"]))


def _volume_axis(layer: KerasLayer) -> int:
    """The channel axis of a batch of pictures or volumes."""
    size = layer["size"]
    rank = 2 if isinstance(size, int) else len(size)
    if len(layer.inputs[0]) != rank + 2:
        raise Mismatch(f"{layer.kind} of {rank} axes is called on {layer.inputs[0]}")
    return channel_axis(layer)
