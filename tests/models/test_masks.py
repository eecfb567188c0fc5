"""Masks through whole networks: padded rows, a row of padding alone, live models, Sequential, files."""

import keras
import numpy as np
import pytest
import torch
from keras import layers

import xconv
from tests.comparison import assert_same
from tests.layers.reference import floats

IDS = np.array(
    [[3, 1, 4, 1, 5, 2], [2, 7, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 6, 0, 3, 0, 0], [8, 2, 8, 1, 0, 0]], "int32"
)
"""A full row, a padded one, padding alone, padding in between."""
REAL = np.array([0, 1, 3, 4])
"""The rows that hold anything."""


def steps(features, seed=0):
    """Sequences whose padding is zeros."""
    values = np.random.default_rng(seed).normal(size=(*IDS.shape, features))
    return values * (IDS != 0)[..., None]


def assert_converts(model, *arrays, source=None, rows=slice(None)):
    """Both ways, in float64, against Keras."""
    xconv.randomize(model)
    module = xconv.keras_to_torch(model if source is None else source(model)).double().eval()
    tensors = [torch.tensor(array) for array in arrays]
    given = [keras.ops.convert_to_tensor(array) for array in arrays]
    given = given if len(given) > 1 else given[0]
    expected = model(given)
    got = module(*tensors)
    pairs = list(zip(keras.tree.flatten(got), keras.tree.flatten(expected), strict=True))
    for actual, wanted in pairs:
        assert_same(actual[rows], np.asarray(wanted)[rows], relative=1e-10)
    assert any(float(abs(actual[rows].detach()).max()) > 1e-3 for actual, _ in pairs)
    again = xconv.torch_to_keras(module, tensors if len(tensors) > 1 else tensors[0])
    returned = keras.tree.flatten(again(given))
    for actual, (_, wanted) in zip(returned, pairs, strict=True):
        assert_same(np.asarray(actual)[rows], np.asarray(wanted)[rows], relative=1e-10)
    return module


def as_file(path):
    """Saves a model and gives the path."""

    def save(model):
        model.save(path)
        return path

    return save


pytestmark = pytest.mark.filterwarnings("ignore:.*was passed an input with a mask attached:UserWarning")


@pytest.fixture(autouse=True)
def _float64():
    with floats("float64"):
        yield


def classifier(kind, *, pooled):
    ids = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(ids)
    x = layers.Dropout(0.3)(x)
    x = layers.Bidirectional(kind(3, return_sequences=pooled))(x)
    x = layers.GlobalAveragePooling1D()(x) if pooled else x
    return keras.Model(ids, layers.Dense(2, activation="softmax")(x))


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_a_text_classifier(kind, tmp_path):
    """A mean over no step at all is not a number in Keras, and here."""
    module = assert_converts(classifier(kind, pooled=True), IDS, rows=REAL)
    assert bool(module(torch.tensor(IDS))[2].isnan().all())
    assert_converts(classifier(kind, pooled=False), IDS)
    assert_converts(classifier(kind, pooled=False), IDS, source=as_file(tmp_path / "model.keras"))


def sequential(*, built_later=False):
    parts = [
        layers.Embedding(9, 4, mask_zero=True),
        layers.SpatialDropout1D(0.2),
        layers.LSTM(3, return_sequences=True),
        layers.LayerNormalization(),
        layers.TimeDistributed(layers.Dense(4, activation="tanh")),
        layers.Bidirectional(layers.GRU(2)),
        layers.Dense(2),
    ]
    model = keras.Sequential(parts if built_later else [keras.Input((6,), dtype="int32"), *parts])
    model.build((None, 6))
    return model


@pytest.mark.parametrize("built_later", [False, True])
def test_a_sequential_live_and_from_its_file(built_later, tmp_path):
    assert_converts(sequential(built_later=built_later), IDS)
    assert_converts(sequential(built_later=built_later), IDS, source=as_file(tmp_path / "model.keras"))


def test_masking_of_steps(tmp_path):
    x = keras.Input((6, 3))
    y = layers.Masking()(x)
    y = layers.Dense(4, activation="relu")(y)
    y, h = layers.GRU(3, return_sequences=True, return_state=True)(y)
    model = keras.Model(x, [layers.GlobalMaxPooling1D()(y), h, layers.LSTM(2)(y)])
    assert_converts(model, steps(3))
    assert_converts(model, steps(3), source=as_file(tmp_path / "model.keras"))


@pytest.mark.parametrize("merge", ["Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
def test_two_masked_inputs(merge, tmp_path):
    """Maximum and Minimum look at the masks themselves: where one tensor is masked, the other stands in for it."""
    one, two = keras.Input((6, 3)), keras.Input((6, 3))
    a, b = layers.Masking()(one), layers.Masking(0.5)(two)
    y = getattr(layers, merge)()([a, b])
    model = keras.Model([one, two], [layers.LSTM(2)(y), layers.SimpleRNN(2, return_sequences=True)(y)])
    second = np.where((IDS[::-1] != 0)[..., None], steps(3, 1), 0.5)
    assert_converts(model, steps(3), second)
    assert_converts(model, steps(3), second, source=as_file(tmp_path / "model.keras"))


def test_three_tensors_of_which_two_are_masked():
    inputs = [keras.Input((6, 3)) for _ in range(3)]
    tensors = [layers.Masking()(inputs[0]), layers.Masking()(inputs[1]), inputs[2]]
    model = keras.Model(inputs, [layers.Maximum()(tensors), layers.Minimum()(tensors[::-1])])
    assert_converts(model, steps(3), steps(3, 1)[::-1].copy(), steps(3, 2)[:, ::-1].copy())


def test_a_mask_does_not_pass_what_destroys_it():
    ids = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(ids)
    x = layers.LSTM(4, return_sequences=True)(x)
    x = layers.Reshape((6, 2, 2))(x)
    x = layers.Reshape((6, 4))(x)
    assert_converts(keras.Model(ids, layers.GRU(2)(x)), IDS)


def test_masks_pass_into_a_nested_model_and_out_of_it(tmp_path):
    inner_ids = keras.Input((6,), dtype="int32")
    encoder = keras.Model(inner_ids, layers.Dense(3)(layers.Embedding(9, 4, mask_zero=True)(inner_ids)), name="encoder")
    states = keras.Input((6, 3))
    decoder = keras.Model(states, layers.LSTM(2, return_sequences=True)(layers.Dropout(0.1)(states)), name="decoder")
    ids = keras.Input((6,), dtype="int32")
    model = keras.Model(ids, layers.GRU(2)(decoder(encoder(ids))))
    assert_converts(model, IDS)
    assert_converts(model, IDS, source=as_file(tmp_path / "model.keras"))
    chain = keras.Sequential([keras.Input((6,), dtype="int32"), encoder, decoder, layers.GRU(3)])
    assert_converts(chain, IDS)
    assert_converts(chain, IDS, source=as_file(tmp_path / "chain.keras"))


def translator():
    """Keras 3 finds no mask for a layer that is given states too, unless the call names it."""
    ids, others = keras.Input((6,), dtype="int32"), keras.Input((6,), dtype="int32")
    table = layers.Embedding(9, 4, mask_zero=True)
    _, h, c = layers.LSTM(3, return_state=True)(table(ids))
    x = layers.LSTM(3, return_sequences=True)(table(others), initial_state=[h, c])
    return keras.Model([ids, others], layers.TimeDistributed(layers.Dense(5, activation="softmax"))(x))


def test_states_and_masks(tmp_path):
    assert_converts(translator(), IDS, IDS[::-1].copy())
    assert_converts(translator(), IDS, IDS[::-1].copy(), source=as_file(tmp_path / "model.keras"))
    x, states, mask = keras.Input((6, 3)), keras.Input((3,)), keras.Input((6,), dtype="bool")
    model = keras.Model([x, states, mask], layers.GRU(3, return_sequences=True)(x, initial_state=states, mask=mask))
    assert_converts(model, steps(3), steps(3, 1)[:, 0].copy(), IDS != 0)


class Tagger(keras.Model):
    """A model whose layers pass a mask on inside its call."""

    def __init__(self):
        super().__init__()
        self.table, self.steps = layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3, return_sequences=True)
        self.last = layers.Bidirectional(layers.GRU(2))

    def call(self, x):
        return self.last(self.steps(self.table(x)))


def test_a_subclassed_model_and_an_open_number_of_steps():
    model = Tagger()
    model(IDS)
    assert_converts(model, IDS)
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(ids)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    assert_converts(keras.Model(ids, layers.GRU(2)(x)), IDS)
