"""Augmentation in training: Keras's layer and its torch module draw from the same distribution."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import xconv
from xconv.errors import Unsupported

layers = keras.layers
SHAPE = (7, 6, 3)
PICTURE = np.random.default_rng(0).uniform(0, 255, SHAPE).astype("float32")

TOGETHER: dict[str, Any] = {
    "RandomBrightness": {"factor": (-0.1, 0.4)},
    "RandomColorDegeneration": {"factor": (0.1, 0.9)},
    "RandomColorJitter": {"brightness_factor": 0.2, "contrast_factor": 0.5, "hue_factor": 0.3},
    "RandomContrast": {"factor": (0.3, 0.8)},
    "RandomErasing": {"factor": (0.4, 0.9), "scale": (0.1, 0.5)},
    "RandomFlip": {"mode": "horizontal_and_vertical"},
    "RandomGrayscale": {"factor": 0.3},
    "RandomHue": {"factor": (0.1, 0.6)},
    "RandomInvert": {"factor": (0.2, 0.6)},
    "RandomPerspective": {"factor": 0.8, "scale": 0.4, "fill_value": 9.0},
    "RandomPosterization": {"factor": (2, 6)},
    "RandomRotation": {"factor": 0.3},
    "RandomSaturation": {"factor": (0.2, 0.8)},
    "RandomSharpness": {"factor": (0.1, 0.9)},
    "RandomShear": {"x_factor": (0.1, 0.5), "y_factor": 0.2},
    "RandomTranslation": {"height_factor": (-0.1, 0.4), "width_factor": 0.3, "fill_mode": "wrap"},
    "RandomZoom": {"height_factor": (-0.3, 0.2), "fill_mode": "constant", "fill_value": 5.0},
    "Solarization": {"addition_factor": (0.1, 0.4), "threshold_factor": (0.2, 0.7)},
}
"""Layers that draw for every picture by itself."""

APART: dict[str, Any] = {
    "CutMix": {"factor": (0.5, 1.0)},
    "RandomElasticTransform": {"factor": (0.7, 1.0), "scale": (0.2, 1.0)},
    "RandomGaussianBlur": {"factor": (0.5, 1.0), "sigma": (0.2, 1.0)},
}
"""Layers that draw something for the whole batch."""


def features(pictures: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Some pixels, the mean and the spread of each picture: (pictures, features)."""
    flat = pictures.reshape(len(pictures), -1)
    edge, middle = flat[:, 1], pictures[:, 3, 2, 0]
    return np.stack([edge, middle, pictures[:, 5, 4, 2], flat.mean(1), flat.std(1)], 1)


def distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """The largest difference between the distribution functions of two samples (Kolmogorov and Smirnov)."""
    places = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(np.sort(sample), places + 1e-3, side="right") / len(sample) for sample in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def assert_same_distribution(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> None:
    """Equal distributions are farther apart than this once in a thousand times."""
    allowed = 1.95 * np.sqrt(1 / len(a) + 1 / len(b))
    for place, (one, two) in enumerate(zip(features(a).T, features(b).T, strict=True)):
        assert distance(one, two) < allowed, (place, distance(one, two), allowed)


def pair(kind: str, config: Any) -> tuple[Any, torch.nn.Module]:
    """A Keras layer and the module that it becomes."""
    image = keras.Input(SHAPE)
    layer = getattr(layers, kind)(**config, seed=1)
    return layer, xconv.keras_to_torch(keras.Model(image, layer(image))).train()


def of_torch(module: torch.nn.Module, pictures: Any) -> np.ndarray[Any, Any]:
    given = torch.tensor(np.asarray(pictures)).permute(0, 3, 1, 2).contiguous()
    result: torch.Tensor = module(given)
    assert result.shape == given.shape
    return result.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("kind", TOGETHER)
def test_pictures_that_are_changed_by_themselves(kind: str) -> None:
    torch.manual_seed(0)
    layer, module = pair(kind, TOGETHER[kind])
    pictures = np.tile(PICTURE, (1500, 1, 1, 1))
    ours, theirs = of_torch(module, pictures), np.asarray(layer(tf.constant(pictures), training=True))
    assert np.abs(ours - pictures).max() > 1
    assert_same_distribution(ours, theirs)
    np.testing.assert_array_equal(of_torch(module.eval(), pictures[:3]), pictures[:3])


def test_pictures_mixed_with_others() -> None:
    torch.manual_seed(0)
    layer, module = pair("MixUp", {"alpha": 0.4})
    pictures = np.random.default_rng(1).uniform(0, 255, (1500, *SHAPE)).astype("float32")
    ours, theirs = of_torch(module, pictures), np.asarray(layer(tf.constant(pictures), training=True))
    assert_same_distribution(ours, theirs)
    assert_same_distribution(ours - pictures, theirs - pictures)


@pytest.mark.parametrize("kind", APART)
def test_batches_that_are_changed_as_one(kind: str) -> None:
    torch.manual_seed(0)
    layer, module = pair(kind, APART[kind])
    two = np.stack([PICTURE, 255 - PICTURE])
    batches = [(of_torch(module, two), np.asarray(layer(tf.constant(two), training=True))) for _ in range(70)]
    for place in (0, 1):
        assert_same_distribution(np.stack([b[0][place] for b in batches]), np.stack([b[1][place] for b in batches]))


@pytest.mark.parametrize("kind", ["RandAugment", "AugMix"])
def test_policies(kind: str) -> None:
    torch.manual_seed(0)
    layer, module = pair(kind, {"factor": 0.4})
    few = np.tile(PICTURE, (4, 1, 1, 1))
    batches = [(of_torch(module, few)[0], np.asarray(layer(tf.constant(few), training=True))[0]) for _ in range(30)]
    assert_same_distribution(np.stack([b[0] for b in batches]), np.stack([b[1] for b in batches]))


def test_another_distribution_is_seen() -> None:
    """The comparison of this file can fail."""
    torch.manual_seed(0)
    layer, _ = pair("RandomBrightness", {"factor": (-0.1, 0.4)})
    _, other = pair("RandomBrightness", {"factor": (-0.1, 0.5)})
    pictures = np.tile(PICTURE, (1500, 1, 1, 1))
    with pytest.raises(AssertionError):
        assert_same_distribution(of_torch(other, pictures), np.asarray(layer(tf.constant(pictures), training=True)))


def test_there_and_back() -> None:
    """A module of augmentation is the same layer again, intervals and all."""
    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.RandomZoom(0.2, (0.1, 0.3))(layers.RandomFlip("vertical")(image)))
    again = xconv.torch_to_keras(xconv.keras_to_torch(model))
    flip, zoom = again.layers[1:]
    assert (type(flip), flip.mode) == (layers.RandomFlip, "vertical")
    assert (type(zoom), zoom.height_lower, zoom.width_upper) == (layers.RandomZoom, -0.2, 0.3)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: layers.RandomCrop(5, 4), "has not the shape that it states"),
        (lambda: layers.AutoContrast(data_format="channels_first"), "over all channels"),
        (lambda: layers.StringLookup(vocabulary=["a"]), "no tensors of strings"),
        (lambda: layers.TextVectorization(vocabulary=["a"]), "no tensors of strings"),
    ],
)
def test_what_is_refused(make: Any, reason: str) -> None:
    layer = make()
    words = isinstance(layer, (layers.StringLookup, layers.TextVectorization))
    image = keras.Input((1,), dtype="string") if words else keras.Input(SHAPE)
    with pytest.raises(Unsupported, match=reason):
        xconv.keras_to_torch(keras.Model(image, layer(image)))
