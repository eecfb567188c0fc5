"""Files that Keras writes, read without Keras: structure and every array against the live model."""

import json
import zipfile

import numpy as np
import pytest
import torch  # noqa: F401  - before TensorFlow, whichever backend Keras has

keras = pytest.importorskip("keras")

from tests.models.small_models import nested_models  # noqa: E402
from xconv.errors import Mismatch, Unreadable  # noqa: E402
from xconv.keras.archive import read_file  # noqa: E402
from xconv.keras.records import Ref  # noqa: E402


def joined(source):
    blocks = [block.copy() for _, block in source.blocks()]
    return blocks[0] if blocks[0].ndim == 0 else np.concatenate(blocks).reshape(source.shape)


def randomise(model, seed=0):
    numbers = np.random.default_rng(seed)
    model.set_weights([numbers.normal(size=w.shape).astype(w.dtype) for w in model.get_weights()])


def flat(model):
    """All weights of a KerasModel in the order of model.layers."""
    found = []
    for entry in model.entries:
        found += [weight.key for weight in entry.weights]
        found += flat(entry.inner) if entry.inner else []
    return found


def live_weights(model):
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.SpectralNormalization):
            found += [layer.vector_u, *layer.layer.weights]
        else:
            found += live_weights(layer) if hasattr(layer, "layers") else list(layer.weights)
    return found


def assert_same_arrays(read, model):
    keys, live = flat(read), live_weights(model)
    assert len(keys) == len(live)
    assert len(set(keys)) == len(keys)
    for key, variable in zip(keys, live, strict=True):
        np.testing.assert_array_equal(joined(read.arrays[key]), keras.ops.convert_to_numpy(variable), err_msg=key)
    assert set(keys) == set(read.arrays)


def sample():
    keras.utils.clear_session()
    layers, ops = keras.layers, keras.ops
    image = keras.Input((8, 9, 3), name="image")
    inner, pair = nested_models(keras)
    x = inner(layers.Conv2D(4, 1, name="stem")(image))
    a, b = pair(x)
    x = ops.concatenate([a, b * 2.0], axis=-1)
    x = x[:, 1:, ..., :3]
    x = ops.reshape(x, (-1, 63, 3))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="bi")(x)
    x = layers.MultiHeadAttention(2, 3, name="mha")(x, x, use_causal_mask=True)
    x = layers.RNN([layers.GRUCell(3), layers.GRUCell(2), layers.LSTMCell(2)], name="stack")(x)
    x = layers.Dropout(0.3)(x)
    x = x + ops.convert_to_tensor(np.ones((1, 2), "float32"))
    shared = layers.Dense(2, name="shared")
    once = shared(x)
    twice = shared(once)
    model = keras.Model({"image": image}, {"once": once, "more": [twice]}, name="outer")
    randomise(model)
    return model


@pytest.mark.parametrize("suffix", [".keras", ".h5", "/"])
def test_functional(tmp_path, suffix):
    model = sample()
    path = tmp_path / f"model{suffix}"
    if suffix == "/":
        keras.saving.save_model(model, path, zipped=False)
    else:
        model.save(path)
    read = read_file(path)
    assert read.name == "outer"
    assert read.keras_version == keras.__version__
    assert_same_arrays(read, model)
    assert read.inputs == {"image": Ref("image")}
    assert read.outputs == {"once": Ref("shared"), "more": [Ref("shared", 1)]}
    entries = {entry.name: entry for entry in read.entries}
    assert entries["concatenate"].is_op
    assert entries["get_item"].calls[0].args[1] == (slice(None), slice(1, None), Ellipsis, slice(None, 3))
    constant = entries["add"].calls[0].args[1]
    assert constant.dtype == np.float32
    assert constant.shape == (1, 2)
    assert entries["multiply"].calls[0].args == (Ref("pair", 0, 1), 2.0)
    assert read.shapes[Ref("stem")] == (None, 8, 9, 4)
    assert entries["pair"].inner.outputs == [Ref("c"), Ref(model.get_layer("pair").layers[0].name)]
    assert [weight.key for weight in entries["bi"].weights][3] == "bi/backward_layer/cell/0"
    assert "stack/cell/cells/1/2" in read.arrays
    assert "seq/b/3" in read.arrays


def test_nested_model_called_twice_and_as_output(tmp_path):
    inside = keras.Input((4,))
    inner = keras.Model(inside, keras.layers.Dense(4)(inside), name="inner")
    image = keras.Input((4,))
    once = inner(image)
    model = keras.Model(image, [inner(once), once])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        read = read_file(tmp_path / name)
        assert read.outputs == [Ref("inner", 1), Ref("inner", 0)]
        assert read.entries[1].calls[1].args == (Ref("inner", 0),)


def test_time_distributed_model(tmp_path):
    inner = keras.Sequential([keras.Input((5, 4)), keras.layers.Dense(3, name="d"), keras.layers.BatchNormalization()])
    image = keras.Input((2, 5, 4))
    model = keras.Model(image, keras.layers.TimeDistributed(inner, name="td")(image))
    randomise(model)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        read = read_file(tmp_path / name)
        assert [w.key for w in read.entries[1].inner.entries[1].weights] == ["td/layer/d/0", "td/layer/d/1"]
        assert_same_arrays(read, model)


def test_frozen_layer_inside_a_nested_model(tmp_path):
    layers = [
        keras.layers.Dense(4, name="a"),
        keras.layers.BatchNormalization(name="b"),
        keras.layers.Dense(4, name="c"),
    ]
    inner = keras.Sequential([keras.Input((4,)), *layers], name="inner")
    layers[0].trainable = False
    model = keras.Sequential([keras.Input((4,)), inner])
    randomise(model)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        read = read_file(tmp_path / name)
        assert_same_arrays(read, model)
        assert [entry.trainable for entry in read.entries[1].inner.entries] == [True, False, True, True]


def test_weights_with_a_configuration(tmp_path):
    model = sample()
    model.save_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    (tmp_path / "m.json").write_text(model.to_json())
    text = model.to_json()
    for config in (tmp_path / "m.json", text, json.loads(text), tmp_path / "m.keras", str(tmp_path / "m.h5")):
        assert_same_arrays(read_file(tmp_path / "m.weights.h5", config=config), model)
    assert_same_arrays(read_file(tmp_path / "m.json", weights=tmp_path / "m.weights.h5"), model)
    assert_same_arrays(read_file(tmp_path / "m.h5", config=text), model)
    with pytest.raises(Unreadable, match=r"weights only.*pass config="):
        read_file(tmp_path / "m.weights.h5")
    with pytest.raises(Unreadable, match=r"configuration only.*pass weights="):
        read_file(tmp_path / "m.json")


def test_weights_of_a_model_whose_layers_have_other_automatic_names(tmp_path):
    def make():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])

    first, second = make(), make()
    randomise(second)
    second.save_weights(tmp_path / "m.weights.h5")
    second.save(tmp_path / "m.h5")
    assert_same_arrays(read_file(tmp_path / "m.weights.h5", config=first.to_json()), second)
    assert_same_arrays(read_file(tmp_path / "m.h5", config=first.to_json()), second)


def test_sharded_weights(tmp_path):
    model = keras.Sequential([keras.Input((300,)), *[keras.layers.Dense(300) for _ in range(3)]])
    randomise(model)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.0004)
    assert len(list(tmp_path.glob("*.h5"))) > 1
    assert_same_arrays(read_file(tmp_path / "m.weights.json", config=model.to_json()), model)


def test_compiled_and_trained(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert_same_arrays(read_file(tmp_path / name), model)


def test_bfloat16_and_float16(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16"), keras.layers.Dense(3, dtype="float16")]
    )
    model.save(tmp_path / "m.keras")
    read = read_file(tmp_path / "m.keras")
    assert [array.dtype for array in read.arrays.values()] == ["bfloat16", "bfloat16", "float16", "float16"]
    bits = joined(next(iter(read.arrays.values()))).view("uint16").astype("uint32") << 16
    np.testing.assert_array_equal(bits.view("float32"), np.asarray(model.get_weights()[0]).astype("float32"))


def test_deflated_archive(tmp_path):
    model = sample()
    model.save(tmp_path / "m.keras")
    with (
        zipfile.ZipFile(tmp_path / "m.keras") as old,
        zipfile.ZipFile(tmp_path / "z.keras", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_same_arrays(read_file(tmp_path / "z.keras"), model)


def test_compressed_hdf5(tmp_path):
    import h5py

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(30, name="d")])
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        kernel = file["layers/dense/vars/0"][()]
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset(
            "0", data=kernel, chunks=(2, 7), compression="gzip", shuffle=True, fletcher32=True
        )
    assert_same_arrays(read_file(tmp_path / "m.weights.h5", config=model.to_json()), model)


def test_blocks_are_whole_multiples_and_writable(tmp_path):
    model = keras.Sequential([keras.Input((3001,)), keras.layers.Dense(3000, use_bias=False)])
    model.save(tmp_path / "m.keras")
    source = next(iter(read_file(tmp_path / "m.keras").arrays.values()))
    blocks = [(start, block.copy()) for start, block in source.blocks(multiple=7)]
    assert len(blocks) > 1
    assert all(start % 7 == 0 and block.flags.writeable for start, block in blocks)
    assert all(len(block) % 7 == 0 for _, block in blocks[:-1])
    np.testing.assert_array_equal(joined(source), model.get_weights()[0])


def test_file_that_changes_after_it_was_opened(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    path = tmp_path / "m.keras"
    model.save(path)
    source = next(iter(read_file(path).arrays.values()))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Unreadable, match=r"m\.keras: the file has changed"):
        list(source.blocks())
    path.unlink()
    with pytest.raises(Unreadable, match="no longer readable"):
        list(source.blocks())


def test_weights_of_another_model(tmp_path):
    small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")])
    large = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(5, name="b")])
    large.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(Mismatch) as caught:
        read_file(tmp_path / "m.weights.h5", config=small.to_json())
    assert [problem.place for problem in caught.value.problems] == ["b", "b"]
    assert "kernel has shape (3, 5), the configuration needs (3, 2); the numbers of classes differ" in str(caught.value)


def every_kind():
    """One layer of every kind that has weights, in a model without other purpose."""
    layers = keras.layers
    image, words, series = keras.Input((8, 9, 4)), keras.Input((5,)), keras.Input((5, 8, 9, 4))
    normalised = layers.Normalization(axis=-1)
    normalised.adapt(np.random.default_rng(0).normal(size=(3, 8, 9, 4)))
    outputs = [
        layer(image)
        for layer in (
            layers.Conv2D(3, 3, groups=1, use_bias=False),
            layers.Conv2DTranspose(3, 3),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.SeparableConv2D(5, 3),
            layers.SpectralNormalization(layers.Conv2D(3, 3)),
            layers.TimeDistributed(layers.SeparableConv1D(3, 2)),
            layers.BatchNormalization(scale=False, axis=1),
            layers.BatchNormalization(renorm=True),
            layers.LayerNormalization(axis=[1, 3]),
            layers.GroupNormalization(2),
            layers.RMSNormalization(),
            layers.PReLU(shared_axes=[1]),
            layers.EinsumDense("abcd,de->abce", output_shape=(None, None, 3), bias_axes="e"),
            layers.Dense(7, use_bias=False),
            normalised,
        )
    ]
    x = layers.Embedding(11, 8)(words)
    outputs += [
        layer(x) for layer in (layers.Conv1D(3, 2), layers.Conv1DTranspose(3, 2), layers.GRU(3, reset_after=False))
    ]
    outputs += [layers.SimpleRNN(3)(x), layers.Bidirectional(layers.GRU(3, dropout=0.5))(x)]
    outputs += [
        layers.Bidirectional(layers.RNN(layers.LSTMCell(3)), backward_layer=layers.LSTM(4, go_backwards=True))(x)
    ]
    outputs += [layers.GroupQueryAttention(4, 4, 2)(x, x), layers.MultiHeadAttention(2, 3, use_bias=False)(x, x)]
    outputs += [layers.Attention(use_scale=True, score_mode="concat")([x, x]), layers.AdditiveAttention()([x, x])]
    outputs += [layers.ConvLSTM2D(3, 2)(series), layers.Conv3D(2, 2)(series)]
    return keras.Model([image, words, series], outputs)


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_every_kind_of_layer_with_weights(tmp_path, name):
    model = every_kind()
    model.save(tmp_path / name)
    assert_same_arrays(read_file(tmp_path / name), model)


@pytest.mark.filterwarnings("ignore:Layer InputLayer")
def test_quantized_model(tmp_path):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="d")])
    model.quantize("int8")
    model.save(tmp_path / "m.keras")
    assert "quantized (int8" in read_file(tmp_path / "m.keras").entries[1].problem
