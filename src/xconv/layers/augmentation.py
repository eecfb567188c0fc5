"""RandomFlip, RandomRotation and others that change pictures at random in training  ->  nothing, with a note."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xconv.layers.io import Identity
from xconv.spec import Example, KerasLayer, Op, Spec

__all__ = ["Augmentation"]

SETTINGS = (
    *("brightness_factor", "contrast_factor", "data_format", "factor", "fill_mode", "fill_value", "height_factor"),
    *("hue_factor", "interpolation", "kernel_size", "mode", "saturation_factor", "scale", "seed", "sigma"),
    *("value_range", "width_factor", "x_factor", "y_factor"),
)
"""What the layers are told about training."""


@dataclass(frozen=True, slots=True)
class Augmentation(Spec):
    """Reads such layers as `Identity`: what Keras changes in training, a torch network leaves to its data."""

    keras_kinds = (
        *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast"),
        *("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale"),
        *("RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation"),
        *("RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom"),
    )
    training = "Keras changes the pictures at random, torch does not; the report says so"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Nothing that counts in inference; the note tells what is missing in training."""
        for key in SETTINGS:
            layer.get(key)
        what = f"in training {layer.kind} changes the pictures at random"
        return Op(Identity(), note=f"{what}; the torch module does not, so augment the data that it is trained with")

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every layer."""
        needed = {
            **dict.fromkeys(("RandomBrightness", "RandomColorDegeneration", "RandomContrast", "RandomHue"), "factor"),
            **dict.fromkeys(("RandomRotation", "RandomSaturation", "RandomSharpness"), "factor"),
            "RandomZoom": "height_factor",
        }
        for kind in cls.keras_kinds:
            config: dict[str, object] = {needed[kind]: 0.2} if kind in needed else {}
            config |= {"height_factor": 0.2, "width_factor": 0.1} if kind == "RandomTranslation" else {}
            config |= {"factor": 3} if kind == "RandomPosterization" else {}
            yield Example(kind, ((8, 6, 3),), config, trains=False)
