"""Files that tf_keras (Keras 2) writes: the old words and calls, TensorFlow functions, and every array."""

import json

import numpy as np
import pytest
import torch  # noqa: F401  - before TensorFlow

tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")

from tests.models.small_models import nested_models  # noqa: E402
from tests.models.test_archive import flat, joined, live_weights, randomise  # noqa: E402
from xconv.keras.archive import read_file  # noqa: E402
from xconv.keras.records import Ref  # noqa: E402

layers = tf_keras.layers
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def model():
    tf_keras.backend.clear_session()
    image = tf_keras.Input((8, 9, 3), name="image")
    inner, pair = nested_models(tf_keras)
    x = layers.Conv2D(4, 1, name="conv1/stem")(image)
    x = layers.LeakyReLU(0.3, name="leaky")(layers.ReLU(6.0, name="relu")(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(x)
    a, b = pair(inner(x))
    x = tf.nn.relu6(tf.concat([a, b * 2.0], axis=-1)[:, 1:, :, :3])
    x = tf.math.multiply(tf.reshape(x, (-1, 63, 3)), np.ones((1, 1, 3), "float32"))
    x = 2 - x
    x = tf.reduce_mean(tf.stack([x, x], axis=1), axis=1)
    x, _ = tf.split(tf.concat([x, x], -1), [2, 4], axis=-1)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="bi")(x)
    x = layers.MultiHeadAttention(2, 3, name="mha")(x, x, use_causal_mask=True)
    x = layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], name="stack")(x)
    shared = layers.Dense(2, name="shared")
    once = shared(x)
    twice = shared(once)
    model = tf_keras.Model(
        {"image": image}, {"once": once, "more": layers.Add(name="sum")([once, twice])}, name="outer"
    )
    randomise(model)
    return model


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_functional(model, tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    model.save(path)
    read = read_file(path)
    keys, live = flat(read), live_weights(model)
    assert len(keys) == len(live)
    for key, variable in zip(keys, live, strict=True):
        np.testing.assert_array_equal(joined(read.arrays[key]), variable.numpy(), err_msg=key)
    assert read.inputs == {"image": Ref("image")}
    assert read.outputs == {"once": Ref("shared"), "more": Ref("sum")}
    entries = {entry.name: entry for entry in read.entries}
    assert not [entry.name for entry in read.entries if entry.problem]
    assert entries["image"].config["batch_shape"] == [None, 8, 9, 3]
    assert entries["leaky"].config["negative_slope"] == pytest.approx(0.3)
    assert "groups" not in entries["dw"].config
    assert entries["sum"].calls[0].args == ([Ref("shared"), Ref("shared", 1)],)
    assert entries["sum"].is_op is False
    assert entries["pair"].inner.outputs == [Ref("c"), Ref(pair_input(model))]
    assert entries["mha"].calls[0].kwargs["value"] == Ref("bi")


def pair_input(model):
    return model.get_layer("pair").layers[0].name


def test_tensorflow_functions_are_operations_of_keras_3(model, tmp_path):
    model.save(tmp_path / "m.keras")
    entries = {entry.name: entry for entry in read_file(tmp_path / "m.keras").entries}

    def said(name):
        entry = entries[name]
        config = {key: value for key, value in entry.config.items() if key != "name"}
        return entry.kind, config, entry.calls[0].args

    assert said("tf.math.multiply") == ("Multiply", {}, (Ref("pair", 0, 1), 2.0))
    assert said("tf.concat") == ("Concatenate", {"axis": -1}, ([Ref("pair"), Ref("tf.math.multiply")],))
    assert said("tf.reshape") == ("Reshape", {"newshape": [-1, 63, 3]}, (Ref("tf.nn.relu6"),))
    assert said("tf.math.subtract") == ("Subtract", {}, (2.0, Ref("tf.math.multiply_1")))
    assert said("tf.math.reduce_mean") == ("Mean", {"axis": 1, "keepdims": False}, (Ref("tf.stack"),))
    assert said("tf.split") == ("Split", {"axis": -1, "indices_or_sections": [2]}, (Ref("tf.concat_1"),))
    key = (slice(None), slice(1, None), slice(None), slice(None, 3))
    assert said("tf.__operators__.getitem") == ("GetItem", {}, (Ref("tf.concat"), key))
    constant = entries["tf.math.multiply_1"].calls[0].args[1]
    assert (constant.dtype, constant.shape) == (np.float32, (1, 1, 3))
    assert all(entries[name].is_op for name in entries if name.startswith("tf."))


def test_unknown_function_is_a_problem(tmp_path):
    image = tf_keras.Input((4,))
    model = tf_keras.Model(image, tf.math.bessel_i0(image))
    model.save(tmp_path / "m.keras")
    problem = read_file(tmp_path / "m.keras").entries[1].problem
    assert "tf.math.bessel_i0" in problem
    assert "keras.ops" in problem


def test_nested_model_called_twice(tmp_path):
    inside = tf_keras.Input((4,))
    inner = tf_keras.Model(inside, layers.Dense(4)(inside), name="inner")
    image = tf_keras.Input((4,))
    once = inner(image)
    model = tf_keras.Model(image, [inner(once), once])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        read = read_file(tmp_path / name)
        assert read.outputs == [Ref("inner", 1), Ref("inner", 0)]
        assert read.entries[1].calls[1].args == (Ref("inner", 0),)


def test_sequential_built_by_its_first_call(tmp_path):
    model = tf_keras.Sequential([layers.Dense(3), layers.Dense(2)], name="s")
    model(np.ones((1, 4), "float32"))
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        read = read_file(tmp_path / name)
        assert [entry.kind for entry in read.entries] == ["InputLayer", "Dense", "Dense"]
        for key, variable in zip(flat(read), model.weights, strict=True):
            np.testing.assert_array_equal(joined(read.arrays[key]), variable.numpy())


def test_weights_only_h5_like_the_downloads(tmp_path):
    model = tf_keras.Sequential([tf_keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    randomise(model)
    model.save_weights(tmp_path / "m.h5")
    read = read_file(tmp_path / "m.h5", config=json.loads(model.to_json()))
    for key, variable in zip(flat(read), model.weights, strict=True):
        np.testing.assert_array_equal(joined(read.arrays[key]), variable.numpy())
