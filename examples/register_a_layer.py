"""Teach xconv a custom Keras layer, and see one that needs no teaching.

`Swish` computes x * sigmoid(beta * x) with a trainable beta. Its call is made of keras.ops, so xconv opens it from the
live model by itself. `Scaled` hides its arithmetic in NumPy, which no symbolic tensor can follow: a rule says what it
means, in the words that xconv already has.
"""

from __future__ import annotations

from typing import Any

import torch  # noqa: F401  before TensorFlow: the other order can crash

import keras  # isort: skip
import numpy as np

import xconv
from xconv.layers.elementwise import Elementwise
from xconv.spec import KerasLayer, Op, Slot


class Swish(keras.layers.Layer):
    """x * sigmoid(beta * x), beta trained per channel."""

    def build(self, shape: tuple[int, ...]) -> None:
        """One beta per channel."""
        self.beta = self.add_weight(shape=(shape[-1],), name="beta", initializer="ones")

    def call(self, x: Any) -> Any:
        """The activation."""
        return x * keras.ops.sigmoid(self.beta * x)


@keras.saving.register_keras_serializable(package="example")
class Scaled(keras.layers.Layer):
    """x times a number that is computed in NumPy."""

    def __init__(self, decibel: float, **options: Any) -> None:
        super().__init__(**options)
        self.decibel = decibel

    def call(self, x: Any) -> Any:
        """The product; symbolic tensors are refused on purpose."""
        if isinstance(x, keras.KerasTensor):
            raise TypeError("needs real numbers")
        return x * float(np.power(10.0, self.decibel / 20))

    def compute_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """What a saved file holds."""
        return {**super().get_config(), "decibel": self.decibel}


def main() -> None:
    """Convert a model that uses both layers, and verify it."""
    image = keras.Input((32, 24, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(image)
    x = Scaled(6.0, name="louder")(Swish(name="swish")(x))
    model = xconv.randomize(keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)))

    try:
        xconv.keras_to_torch(model)
    except xconv.XConvError as error:
        print(f"Before the rule:\n  {error}\n")

    @xconv.register("example>Scaled")
    def scaled(layer: KerasLayer) -> Op:
        return Op(Elementwise("multiply", (Slot(0), 10 ** (layer["decibel"] / 20))))

    module = xconv.keras_to_torch(model)
    print("After it:", [name for name, _ in module.named_parameters()], "\n")
    print(xconv.verify(model, module))


if __name__ == "__main__":
    main()
