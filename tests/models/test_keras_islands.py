"""Float32 that the code of a Keras layer asks for is read in float64 on both sides, said, and hides no difference."""

import keras
import pytest
import torch
from keras import layers, ops

import xconv
from xconv.report.records import Verdict


class Scaled(layers.Layer):
    """A norm in float32, as many a language model has it, and a number that the code makes in float32."""

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=shape[-1:])

    def call(self, x):
        x = ops.cast(x, "float32")
        x = x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-3)
        x = x * (1 + ops.cast(self.scale, "float32"))
        return ops.cast(x, self.compute_dtype) * ops.cast(0.3, self.compute_dtype)


class Turned(layers.Layer):
    """Places counted in float32, with frequencies of float32, as waves."""

    def call(self, x):
        places = ops.arange(ops.shape(x)[1], dtype="float32") + ops.cast(0, "float32")
        steps = ops.arange(0, x.shape[-1], 1, dtype="float32") / ops.cast(x.shape[-1], "float32")
        frequencies = ops.power(ops.cast(100.0, "float32"), -steps)
        waves = ops.cast(ops.cos(ops.einsum("i,j->ij", places, frequencies)), self.compute_dtype)
        return x * waves


class Softened(layers.Layer):
    """An inner layer with a policy of its own."""

    def build(self, shape):
        self.softmax = layers.Softmax(dtype="float32")

    def call(self, x):
        return ops.cast(self.softmax(x * 3), self.compute_dtype)


def model_of(layer):
    steps = keras.Input((None, 6))
    x = layers.Dense(6, name="first")(steps)
    return xconv.randomize(keras.Model(steps, layers.Dense(4, name="last")(layer(x))))


@pytest.mark.parametrize("layer", [Scaled, Turned, Softened])
def test_it_is_read_in_float64_and_said(layer):
    model = model_of(layer())
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert report.verdict is Verdict.CONSTANTS, str(report)
    assert report.outputs[0].float64.max_rel < 1e-13
    assert dict(report.constants)["code of layers"].startswith("asks for float32")


@pytest.mark.parametrize("layer", [Scaled, Turned, Softened])
def test_a_small_difference_beside_it_is_still_found(layer):
    model = model_of(layer())
    module = xconv.keras_to_torch(model)
    with torch.no_grad():
        module.last.weight[1, 2] += 3e-7
    assert not xconv.verify(model, module).ok


def test_keras_is_left_as_it_was():
    before = ops.cast, ops.arange
    model = model_of(Softened())
    xconv.verify(model, xconv.keras_to_torch(model))
    assert (ops.cast, ops.arange) == before
    assert model.layers[2].softmax.compute_dtype == "float32"
