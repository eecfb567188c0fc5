"""Masks of Keras 2, which joins them otherwise and gives them to layers that are called with states too."""

import numpy as np
import pytest
import torch

tf_keras = pytest.importorskip("tf_keras")

import xconv  # noqa: E402
from tests.comparison import assert_same  # noqa: E402
from tests.models.test_masks import IDS, steps  # noqa: E402

layers = tf_keras.layers
pytestmark = pytest.mark.filterwarnings("ignore")


def translator():
    ids, others = tf_keras.Input((6,), dtype="int32"), tf_keras.Input((6,), dtype="int32")
    table = layers.Embedding(9, 4, mask_zero=True)
    _, h, c = layers.LSTM(3, return_state=True)(table(ids))
    y = layers.LSTM(3, return_sequences=True)(table(others), initial_state=[h, c])
    return tf_keras.Model([ids, others], y), (IDS, IDS[::-1].copy())


def sequential():
    parts = [layers.LSTM(3, return_sequences=True), layers.TimeDistributed(layers.Dense(2)), layers.SimpleRNN(2)]
    table = layers.Embedding(9, 4, mask_zero=True)
    return tf_keras.Sequential([tf_keras.Input((6,), dtype="int32"), table, *parts]), (IDS,)


def merged(kind):
    one, two = tf_keras.Input((6, 3)), tf_keras.Input((6, 3))
    y = getattr(layers, kind)()([layers.Masking()(one), layers.Masking(0.5)(two)])
    second = np.where((IDS[::-1] != 0)[..., None], steps(3, 1), 0.5)
    return tf_keras.Model([one, two], layers.LSTM(2)(y)), (steps(3).astype("float32"), second.astype("float32"))


def one_masked():
    one, two = tf_keras.Input((6, 3)), tf_keras.Input((6, 3))
    y = layers.Add()([layers.Masking()(one), two])
    return tf_keras.Model([one, two], layers.GRU(2)(y)), (steps(3).astype("float32"), steps(3, 1).astype("float32") + 1)


MODELS = {
    "states": translator,
    "sequential": sequential,
    "one masked": one_masked,
    **{kind: lambda kind=kind: merged(kind) for kind in ("Add", "Maximum", "Multiply", "Concatenate")},
}


@pytest.mark.parametrize("kind", MODELS)
def test_live_and_from_files(kind, tmp_path):
    model, arrays = MODELS[kind]()
    random = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(random.normal(size=variable.shape) / 2)
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    expected = model(list(arrays) if len(arrays) > 1 else arrays[0])
    for source in (model, tmp_path / "m.keras", tmp_path / "m.h5"):
        module = xconv.keras_to_torch(source).eval()
        assert_same(module(*map(torch.tensor, arrays)), expected.numpy(), relative=2e-6)
