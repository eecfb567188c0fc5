"""Small networks that the tests of files, commands and modules share."""

from collections.abc import Callable
from typing import Any

import keras
import torch
from keras import layers

from xconv.randomization import randomize

__all__ = ["SMALL", "inputs_of", "mobile", "nested_models", "several", "sizeless"]


def mobile() -> Any:
    """A MobileNetV2 of 64x64, ten classes, live weights."""
    model = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=10)
    return randomize(model, seed=0)


def nested_models(library: Any) -> tuple[Any, Any]:
    """A Sequential model and one with two outputs, of keras or of tf_keras, to be called inside another."""
    inner = library.Sequential(
        [
            library.Input((8, 9, 4)),
            library.layers.Conv2D(4, 3, padding="same", name="c"),
            library.layers.BatchNormalization(name="b"),
            library.layers.Conv2D(2, 1, name="e"),
        ],
        name="seq",
    )
    inside = library.Input((8, 9, 2))
    return inner, library.Model(inside, [library.layers.Dense(5, name="c")(inside), inside], name="pair")


def several() -> Any:
    """Two inputs and two outputs by name, a nested model that is called twice, a frozen BatchNorm, a tied layer."""
    image, features = keras.Input((8, 9, 4), name="image"), keras.Input((5,), name="features")
    inside = keras.Input((8, 9, 4))
    nested = layers.Conv2D(4, 1, name="project")(inside)
    inner = keras.Model(inside, layers.BatchNormalization(name="bn")(nested), name="inner")
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = layers.BatchNormalization(name="frozen", trainable=False)(shared(shared(image)))
    x = inner(layers.ReLU(name="relu")(inner(x)))
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    total = layers.Add(name="total")([pooled, layers.Dense(4, name="dense", trainable=False)(features)])
    return randomize(keras.Model({"image": image, "features": features}, {"total": total, "map": x}, name="several"), 0)


def sizeless() -> Any:
    """Height and width None, strided 'same' convolutions and pooling."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(image)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="bn")(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    x = layers.AveragePooling2D(2, padding="same", name="average")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return randomize(keras.Model(image, layers.Dense(3, name="dense")(x), name="sizeless"), 0)


SMALL: dict[str, Callable[[], Any]] = {"mobile": mobile, "several": several, "sizeless": sizeless}

SHAPES = {"mobile": ((3, 64, 64),), "several": ((4, 8, 9), (5,)), "sizeless": ((3, 33, 38),)}


def inputs_of(name: str, batch: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """Seeded inputs as the converted module takes them."""
    generator = torch.Generator().manual_seed(batch)
    return tuple(torch.randn((batch, *shape), generator=generator, dtype=dtype) for shape in SHAPES[name])
