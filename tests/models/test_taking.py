"""keras.ops.take by a tensor of numbers of any rank, also that of the tensor that is taken from."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import xconv
from xconv.report.records import Verdict


@pytest.mark.parametrize(
    ("shape", "numbers", "axis"),
    [((4, 3), (5,), 1), ((4, 3), (5, 2), 1), ((4, 3), (5, 2), 2), ((6,), (5,), 1), ((4, 3), (2, 5, 2), 1)],
)
def test_numbers_of_any_rank(shape, numbers, axis):
    x, places = keras.Input(shape, name="x"), keras.Input(numbers, dtype="int32", name="places")
    model = xconv.randomize(keras.Model([x, places], ops.take(layers.Dense(shape[-1])(x), places, axis=axis)))
    draw = np.random.default_rng(0)
    given = [draw.normal(size=(2, *shape)), draw.integers(0, 3, (2, *numbers)).astype("int32")]
    report = xconv.verify(model, xconv.keras_to_torch(model), inputs=given)
    assert report.verdict is Verdict.EXACT, str(report)
    assert report.outputs[0].float64.max_rel < 1e-13


def test_images_whose_channels_torch_holds_first():
    image, places = keras.Input((5, 6, 3)), keras.Input((2, 3, 2), dtype="int32")
    x = layers.Conv2D(4, 3, padding="same")(image)
    model = xconv.randomize(keras.Model([image, places], ops.take(x, places, axis=2)))
    draw = np.random.default_rng(0)
    given = [draw.normal(size=(2, 5, 6, 3)), draw.integers(0, 6, (2, 2, 3, 2)).astype("int32")]
    report = xconv.verify(model, xconv.keras_to_torch(model), inputs=given)
    assert report.verdict is Verdict.EXACT, str(report)
