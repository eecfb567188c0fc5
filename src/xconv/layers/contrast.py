"""AutoContrast and CLAHE, which change pictures in inference too  <->  modules of the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.described import Defaults, Picture, picture_axis, settings_of
from xconv.layers.geometry import spatial
from xconv.spec import Example, KerasLayer, Op

__all__ = ["Contrast"]

CLAHE = "ContrastLimitedAdaptiveHistogramEqualization"
KINDS: Mapping[str, Defaults] = {
    "AutoContrast": {"value_range": (0, 255)},
    CLAHE: {"value_range": (0, 255), "clip_limit": 4.0, "tile_grid_size": (8, 8)},
}


@dataclass(frozen=True, slots=True)
class Contrast(Picture):
    """A layer that spreads the values of each picture by its own histogram, in training and in inference."""

    keras_kinds = tuple(KINDS)
    restrictions: ClassVar[Mapping[str, str]] = {
        "AutoContrast": "channels first",
        "ContrastLimitedAdaptiveHistogramEqualization": "more tiles than Keras can fill",
    }

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The settings; what fails in Keras, or means something else there, is refused."""
        axis, settings = picture_axis(layer), settings_of(layer, KINDS[layer.kind])
        if layer.kind == CLAHE:
            _check_tiles(layer, axis, settings)
        else:
            if axis == 1 and "trainable" in layer.config:  # as Keras wrote it; xconv's own module means the picture
                raise Unsupported(
                    "data_format='channels_first', for which Keras 3.15 spreads each column over all channels",
                    remedy="use data_format='channels_last'",
                )
            settings["value_range"] = tuple(sorted(settings["value_range"]))
        return Op(cls(layer.kind, tuple(settings.items()), axis))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both layers, on pictures of two ranges; tiles that fit and tiles that need a border."""
        shape = ((8, 6, 3),)
        yield Example("AutoContrast", shape)
        yield Example("AutoContrast", shape, {"value_range": (-1.0, 3.0)}, float64=False)
        yield Example(CLAHE, ((9, 10, 3),), {"value_range": (-2.0, 2.0), "tile_grid_size": (2, 3)}, float64=False)
        config = {"value_range": (-2.0, 2.0), "tile_grid_size": (4, 2), "clip_limit": 0.0}
        yield Example(CLAHE, ((8, 6, 2),), config, float64=False)


def _check_tiles(layer: KerasLayer, axis: int, settings: Mapping[str, Any]) -> None:
    """Refuse a border that is longer than the picture, as TensorFlow does."""
    pairs = zip(spatial(layer.inputs[0], axes.normal(axis, 4)), settings["tile_grid_size"], strict=True)
    for size, tiles in pairs:
        if size is not None and -(-size // tiles) * tiles > 2 * size:
            raise Unsupported(f"{tiles} tiles along {size} pixels, which Keras cannot fill", remedy="use fewer tiles")
