"""RandomFlip, RandomRotation and others that change pictures at random in training  <->  modules of the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xconv.layers.described import REQUIRED, Defaults, Picture, picture_axis, settings_of
from xconv.spec import Example, KerasLayer, Op

__all__ = ["Augmentation"]

RANGE = {"value_range": (0, 255)}
COLOUR = {"factor": REQUIRED, **RANGE}
WARP = {"fill_mode": "reflect", "interpolation": "bilinear", "fill_value": 0.0}

KINDS: Mapping[str, Defaults] = {
    "AugMix": {
        **RANGE,
        "num_chains": 3,
        "chain_depth": 3,
        "factor": 0.3,
        "alpha": 1.0,
        "all_ops": True,
        "interpolation": "bilinear",
    },
    "CutMix": {"factor": 1.0},
    "MixUp": {"alpha": 0.2},
    "RandAugment": {**RANGE, "num_ops": 2, "factor": 0.5, "interpolation": "bilinear"},
    "RandomBrightness": COLOUR,
    "RandomColorDegeneration": COLOUR,
    "RandomColorJitter": {
        **RANGE,
        **dict.fromkeys(("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")),
    },
    "RandomContrast": COLOUR,
    "RandomElasticTransform": {"factor": 1.0, "scale": 1.0, **WARP, **RANGE},
    "RandomErasing": {"factor": 1.0, "scale": (0.02, 0.33), "fill_value": None, **RANGE},
    "RandomFlip": {"mode": "horizontal_and_vertical"},
    "RandomGaussianBlur": {"factor": 1.0, "kernel_size": 3, "sigma": 1.0, **RANGE},
    "RandomGrayscale": {"factor": 0.5},
    "RandomHue": COLOUR,
    "RandomInvert": {"factor": 1.0, **RANGE},
    "RandomPerspective": {"factor": 1.0, "scale": 1.0, "interpolation": "bilinear", "fill_value": 0.0},
    "RandomPosterization": COLOUR,
    "RandomRotation": {"factor": REQUIRED, **WARP},
    "RandomSaturation": COLOUR,
    "RandomSharpness": COLOUR,
    "RandomShear": {"x_factor": 0.0, "y_factor": 0.0, **WARP},
    "RandomTranslation": {"height_factor": REQUIRED, "width_factor": REQUIRED, **WARP},
    "RandomZoom": {"height_factor": REQUIRED, "width_factor": None, **WARP},
    "Solarization": {"addition_factor": 0.0, "threshold_factor": 0.0, **RANGE},
}

LOWEST: Mapping[str, float] = {
    **dict.fromkeys(
        ("RandomBrightness", "RandomColorDegeneration", "RandomRotation", "RandomSaturation", "RandomShear"), -1.0
    ),
    **dict.fromkeys(("RandomTranslation", "RandomZoom", "brightness_factor", "saturation_factor"), -1.0),
    "RandomPosterization": 1,
}
"""Below which a number that stands for an interval around 0 is cut off; 0 for the others."""

SINGLE = frozenset({"RandomGrayscale.factor", "RandomPerspective.scale"})
"""Numbers that stand for themselves."""

SORTED = frozenset(
    {
        *("RandomBrightness", "RandomColorDegeneration", "RandomPosterization", "RandomSaturation", "RandomSharpness"),
        "Solarization",
    }
)
"""Whose `value_range` Keras sorts."""


@dataclass(frozen=True, slots=True)
class Augmentation(Picture):
    """A layer that changes pictures in training and nothing in inference; its factors are intervals."""

    keras_kinds = tuple(KINDS)
    training = "random: the same distribution, another stream of random numbers"
    restrictions = dict.fromkeys(("MixUp", "CutMix"), "in training the labels, which a network does not see")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The settings, with every factor as the interval that it stands for."""
        layer.get("seed")
        axis = picture_axis(layer)
        settings = {
            key: _resolved(layer.kind, key, value) for key, value in settings_of(layer, KINDS[layer.kind]).items()
        }
        what = f"in training {layer.kind} changes the pictures at random"
        return Op(cls(layer.kind, tuple(settings.items()), axis), note=f"{what}, with other random numbers than Keras")

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every layer, with numbers and with intervals."""
        shape = ((8, 6, 3),)
        for kind, defaults in KINDS.items():
            needed: dict[str, Any] = {key: 0.2 for key, default in defaults.items() if default is REQUIRED}
            if kind == "RandomPosterization":
                needed = {"factor": 3}
            yield Example(kind, shape, needed, trains=False)
            given: dict[str, Any] = {
                key: (0.1, 0.3) for key in defaults if "factor" in key and kind not in ("RandomGrayscale",)
            }
            given |= {"factor": (2, 5)} if kind == "RandomPosterization" else {}
            given |= {"value_range": (-1.0, 1.0)} if "value_range" in defaults else {}
            if "fill_mode" in defaults:
                given |= {"fill_mode": "wrap", "fill_value": 0.5, "interpolation": "nearest"}
            if {**needed, **given} != needed:
                yield Example(kind, shape, {**needed, **given}, trains=False)
        yield Example("RandomFlip", shape, {"mode": "vertical"}, trains=False)
        yield Example("RandomErasing", shape, {"fill_value": (0.5, 1.0, 2.0)}, trains=False)
        yield Example("RandomGaussianBlur", shape, {"kernel_size": (3, 5), "sigma": 0.5}, trains=False)


def _resolved(kind: str, key: str, value: Any) -> Any:
    """A factor as an interval, a range in order."""
    if key == "value_range" and kind in SORTED:
        return tuple(sorted(value))
    if key == "kernel_size":
        return value if isinstance(value, tuple) else (value, value)
    is_factor = "factor" in key or (key in ("scale", "sigma"))
    if value is None or not is_factor or f"{kind}.{key}" in SINGLE:
        return value
    if isinstance(value, tuple):
        return tuple(sorted(value))
    low = LOWEST.get(kind, LOWEST.get(key, 0.0))
    return (max(-abs(value), low), abs(value))
