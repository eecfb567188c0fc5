"""TimeDistributed around models, custom layers and statistics of the batch, live and from files, in training too."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers

import xconv
from tests.comparison import assert_same
from tests.layers.reference import floats, randomise
from tests.models.test_masks import IDS, as_file, assert_converts
from xconv.errors import Unsupported


@pytest.fixture(autouse=True)
def _float64():
    with floats("float64"):
        yield


def images():
    """A small network of images."""
    x = keras.Input((6, 5, 3))
    y = layers.Conv2D(4, 3, activation="relu", padding="same", strides=2)(x)
    y = layers.Conv2D(2, 2)(layers.MaxPooling2D(1)(y))
    return keras.Model(x, layers.Flatten()(y), name="images")


def clips():
    """It, for every picture of a clip; then a recurrent layer."""
    x = keras.Input((4, 6, 5, 3))
    return keras.Model(x, layers.LSTM(3)(layers.TimeDistributed(images(), name="each")(x)))


def random(*shape):
    return np.random.default_rng(3).normal(size=shape)


def test_a_model_for_every_step(tmp_path):
    assert_converts(clips(), random(2, 4, 6, 5, 3))
    assert_converts(clips(), random(2, 4, 6, 5, 3), source=as_file(tmp_path / "model.keras"))


def test_layers_of_images_stay_free_of_permutes():
    """One where the clip comes in, one where the last of them is flattened."""
    x = keras.Input((4, 9, 8, 3))
    y = layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu"))(x)
    y = layers.TimeDistributed(layers.MaxPooling2D())(y)
    y = layers.TimeDistributed(layers.Conv2D(2, 2))(y)
    y = layers.TimeDistributed(layers.GlobalMaxPooling2D())(y)
    module = assert_converts(keras.Model(x, layers.GRU(2)(y)), random(2, 4, 9, 8, 3))
    permutes = [node for node in module.graph.nodes if "permute" in str(node.target) or "permute" in str(node.name)]
    assert len(permutes) == 1


class Gain(layers.Layer):
    """A layer that xconv does not know."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), name="gain")

    def call(self, x):
        return keras.ops.tanh(x * self.gain)

    def compute_output_shape(self, shape):
        return shape


def test_a_custom_layer_for_every_step():
    x = keras.Input((4, 3))
    assert_converts(keras.Model(x, layers.TimeDistributed(Gain())(x)), random(2, 4, 3))


def nested_with_statistics():
    x = keras.Input((6, 3))
    y = layers.BatchNormalization()(layers.Conv1D(4, 2)(x))
    return keras.Model(x, layers.GlobalMaxPooling1D()(y), name="inside")


WITH_STATISTICS = {
    "a layer": lambda: layers.BatchNormalization(momentum=0.8),
    "a model": nested_with_statistics,
}


@pytest.mark.parametrize("kind", WITH_STATISTICS)
def test_statistics_are_those_of_every_step(kind, tmp_path):
    """In training too: outputs, and running statistics after four steps of one call."""
    x = keras.Input((4, 6, 3))
    model = keras.Model(x, layers.TimeDistributed(WITH_STATISTICS[kind]())(x))
    array = random(5, 4, 6, 3)
    assert_converts(model, array, source=as_file(tmp_path / "model.keras"))
    randomise(model, np.random.default_rng(0))
    module = xconv.keras_to_torch(model).double().train()
    got, wanted = module(torch.tensor(array)), model(tf.constant(array), training=True)
    assert_same(got, wanted, relative=1e-10)
    mean = next(variable for variable in model.variables if "moving_mean" in variable.path)
    assert_same(next(b for name, b in module.named_buffers() if "running_mean" in name), mean, relative=1e-10)


def test_frozen_statistics_need_no_steps_of_their_own():
    x = keras.Input((4, 6, 3))
    layer = layers.BatchNormalization()
    layer.trainable = False
    module = assert_converts(keras.Model(x, layers.TimeDistributed(layer)(x)), random(2, 4, 6, 3))
    assert not [node for node in module.graph.nodes if "stack" in str(node.target)]


def test_a_mask_of_steps_passes_a_layer_that_takes_none():
    ids = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(ids)
    x = layers.TimeDistributed(layers.Reshape((2, 2)))(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    assert_converts(keras.Model(ids, layers.LSTM(2)(x)), IDS)


def test_sentences_of_words():
    """A mask of every step of every step."""
    ids = keras.Input((3, 6), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(ids)
    x = layers.TimeDistributed(layers.Bidirectional(layers.GRU(3)))(x)
    assert_converts(keras.Model(ids, layers.Dense(2)(x)), np.stack([IDS, IDS[::-1], IDS[:, ::-1]], 1))


def test_an_open_number_of_steps():
    x = keras.Input((None, 6, 3))
    model = keras.Model(x, layers.TimeDistributed(layers.Conv1D(2, 2))(x))
    with pytest.raises(Unsupported, match="over an open number of steps; give the input a fixed length"):
        xconv.keras_to_torch(model)
    dense = keras.Input((None, 3))
    assert_converts(keras.Model(dense, layers.TimeDistributed(layers.Dense(2))(dense)), random(2, 7, 3))
