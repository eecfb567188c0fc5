"""What is random in training has the same distribution on both sides: values, how often, and what goes together."""

import keras
import numpy as np
import pytest
import torch
from keras import layers

import xconv

SHAPE = (400, 12, 10)
RATE = 0.3

DISCRETE = {
    "plain": lambda: layers.Dropout(RATE),
    "each sample": lambda: layers.Dropout(RATE, noise_shape=(None, 1, 1)),
    "steps": lambda: layers.Dropout(RATE, noise_shape=(None, 12, 1)),
    "all samples": lambda: layers.Dropout(RATE, noise_shape=(1, None, None)),
    "channels": lambda: layers.SpatialDropout1D(RATE),
    "alpha": lambda: layers.AlphaDropout(RATE),
    "alpha, channels": lambda: layers.AlphaDropout(RATE, noise_shape=(None, 1, None)),
}
SMOOTH = {"multiplied": lambda: layers.GaussianDropout(RATE), "added": lambda: layers.GaussianNoise(0.7)}


def drawn(layer):
    """What Keras and torch make of ones in training."""
    keras.utils.set_random_seed(3)
    torch.manual_seed(3)
    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, layer(inputs))
    module = xconv.keras_to_torch(model, input_layout="channels_last").train()
    ones = np.ones(SHAPE, "float32")
    return np.array(model(ones, training=True)), module(torch.tensor(ones)).detach().numpy()


def together(values):
    """For each axis, whether all along it is the same."""
    return [bool((values == values.take([0], axis)).all()) for axis in range(values.ndim)]


@pytest.mark.parametrize("name", DISCRETE)
def test_what_is_dropped(name):
    expected, actual = drawn(DISCRETE[name]())
    np.testing.assert_allclose(np.unique(actual.round(4)), np.unique(expected.round(4)), atol=1e-3)
    assert together(actual) == together(expected)
    axes = tuple(axis for axis, same in enumerate(together(expected)) if same)
    draws = np.prod([size for axis, size in enumerate(SHAPE) if axis not in axes])
    often = (actual > actual.mean()).mean()
    assert abs(often - (1 - RATE)) < 5 * np.sqrt(RATE * (1 - RATE) / draws)


@pytest.mark.parametrize("name", SMOOTH)
def test_what_is_noise(name):
    expected, actual = drawn(SMOOTH[name]())
    assert not any(together(actual))
    assert abs(actual.mean() - 1) < 5 * expected.std() / np.sqrt(expected.size)
    assert abs(actual.std() / expected.std() - 1) < 0.03
    share = (abs(actual - 1) < expected.std()).mean()
    assert abs(share - 0.683) < 0.01  # of a normal distribution


@pytest.mark.parametrize("layer", [layers.MultiHeadAttention, layers.GroupQueryAttention, layers.Attention])
def test_attention_drops_weights(layer):
    """Equal scores: each of 10 values counts 1 / 10 / (1 - rate), or nothing."""
    x = keras.Input((10, 4))
    match layer.__name__:
        case "MultiHeadAttention":
            built = layer(1, 4, dropout=RATE, use_bias=False)
            y = built(x, x)
        case "GroupedQueryAttention":
            built = layer(4, 2, 1, dropout=RATE, use_bias=False)
            y = built(x, x)
        case _:
            y = layer(dropout=RATE)([x, x])
    model = keras.Model(x, y)
    for variable in model.variables:
        if "float" in variable.dtype:
            variable.assign(np.ones(variable.shape) / variable.shape[0])
    module = xconv.keras_to_torch(model)
    torch.manual_seed(0)
    ones = torch.ones(500, 10, 4)
    kept = (module.train()(ones) / module.eval()(ones)).detach().numpy()
    expected = np.array(model(ones.numpy(), training=True)) / np.array(model(ones.numpy(), training=False))
    assert abs(kept.mean() - 1) < 0.01
    assert abs(kept.std() / expected.std() - 1) < 0.05
