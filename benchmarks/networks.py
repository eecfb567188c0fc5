"""The networks that are measured: the 40 constructors of keras.applications, and chains of any length."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["NETWORKS", "Network", "batch", "chain", "make"]


@dataclass(frozen=True, slots=True)
class Network:
    """A constructor of keras.applications; `size` is the input that it is made for."""

    name: str
    size: int


SIZES = {
    **dict.fromkeys(("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"), 224),
    **dict.fromkeys(("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "VGG16", "VGG19"), 224),
    **dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), 224),
    **dict.fromkeys(("InceptionV3", "InceptionResNetV2", "Xception"), 299),
    "NASNetMobile": 224,
    "NASNetLarge": 331,
    **{f"EfficientNetB{n}": size for n, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))},
    **{f"EfficientNetV2B{n}": size for n, size in enumerate((224, 240, 260, 300))},
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
    **dict.fromkeys(("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"), 224),
}
NETWORKS = {name: Network(name, size) for name, size in SIZES.items()}
"""Every constructor by name."""


def make(name: str, shape: tuple[int, int] | None = None, *, top: bool = True, **options: Any) -> Any:
    """A live Keras model with random, live weights and logits at its end.

    Args:
        name: a constructor of keras.applications.
        shape: height and width; None for what the network is made for.
        top: with the classifier of 1,000 classes, or the feature map alone.
        options: further arguments of the constructor.
    """
    import keras

    import xconv

    size = shape or (NETWORKS[name].size,) * 2
    ends = {"include_top": True, "classifier_activation": None} if top else {"include_top": False}
    model = getattr(keras.applications, name)(weights=None, input_shape=(*size, 3), **ends, **options)
    return xconv.randomize(model, seed=0)


def chain(length: int, channels: int = 8, size: int = 8) -> Any:
    """A Keras model of `length` layers: convolution, batch normalisation, ReLU, and again."""
    import keras

    import xconv

    kinds = (
        lambda: keras.layers.Conv2D(channels, 3, padding="same", use_bias=False),
        keras.layers.BatchNormalization,
        keras.layers.ReLU,
    )
    image = keras.Input((size, size, channels))
    value = image
    for number in range(length):
        value = kinds[number % 3]()(value)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 10 * length))  # Keras walks its graph by recursion; xconv is run without this
    try:
        model = keras.Model(image, value)
    finally:
        sys.setrecursionlimit(limit)
    return xconv.randomize(model, seed=0)


def batch(model: Any, count: int, seed: int = 1) -> Any:
    """Seeded images for a live Keras model, as it takes them: (count, height, width, channels), uniform over 0..255."""
    import numpy as np

    generator = np.random.default_rng(seed)
    return generator.random((count, *model.input_shape[1:]), dtype=np.float32) * np.float32(255)
