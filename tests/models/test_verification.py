"""verify() finds and locates what is planted, and calls exact what is exact."""

import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from xconv.report.records import Verdict

SIZE = (33, 41)


def network(activation="relu", size=SIZE):
    image = keras.Input((*size, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="first")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation(activation, name="act")(x)
    x = layers.Conv2D(6, 3, padding="same", name="second")(x)
    x = layers.ReLU(negative_slope=0.25, name="leaky")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(6, name="square")(x)
    return xconv.randomize(keras.Model(image, layers.Dense(5, name="head")(x), name="small"))


@pytest.fixture
def pair():
    model = network()
    return model, xconv.keras_to_torch(model)


def test_an_exact_pair_is_exact(pair):
    report = xconv.verify(*pair, per_layer=True)
    assert report.verdict is Verdict.EXACT
    assert report.ok
    assert report.first_difference is None
    assert report.outputs[0].float64.max_rel < 1e-13
    assert [layer.layer for layer in report.layers if layer.kind == "Conv2D"] == ["first", "second"]
    assert all(layer.ok and layer.error < 1e-13 for layer in report.layers)
    assert report.sensitivity > 1e-3
    assert report.outputs[0].ratio < 10


def test_the_order_of_the_arguments_does_not_matter(pair):
    assert xconv.verify(pair[1], pair[0]).reference == "small (keras)"


def plant_epsilon(module):
    module.norm.eps = 1.01e-3
    return "norm"


def plant_padding(module):
    conv = module.second
    conv.padding = (0, 0)
    module.second = nn.Sequential(nn.ZeroPad2d((2, 0, 2, 0)), conv)
    return "second"


def plant_channels(module):
    with torch.no_grad():
        for tensor in (module.second.weight, module.second.bias):
            tensor[[0, 1]] = tensor[[1, 0]].clone()
    return "second"


def plant_transposed(module):
    with torch.no_grad():
        module.square.weight.copy_(module.square.weight.T.clone())
    return "square"


def plant_slope(module):
    module.leaky = nn.LeakyReLU(0.2500001)
    return "leaky"


def plant_wrong_bias(module):
    with torch.no_grad():
        module.first.bias[3] += 1e-6
    return "first"


PLANTS = [plant_epsilon, plant_padding, plant_channels, plant_transposed, plant_slope, plant_wrong_bias]


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_is_found_and_located(pair, plant):
    model, module = pair
    where = plant(module)
    report = xconv.verify(model, module)
    assert report.verdict is Verdict.DIFFERS
    assert not report.ok
    assert report.first_difference.layer == where
    # Fed with the reference's activations only the planted layer differs.
    assert [layer.layer for layer in report.layers if not layer.ok] == [where]
    assert where in str(report)


def test_two_plants_are_both_seen(pair):
    model, module = pair
    plant_slope(module)
    plant_epsilon(module)
    report = xconv.verify(model, module)
    assert report.first_difference.layer == "norm"
    assert [layer.layer for layer in report.layers if not layer.ok] == ["norm", "leaky"]


def test_a_difference_that_the_output_hides_is_found_per_layer(pair):
    model, module = pair
    with torch.no_grad():
        # The logits of both sides lose what comes before them.
        module.head.weight.mul_(0)
        model.get_layer("head").kernel.assign(np.zeros((6, 5)))
    plant_slope(module)
    plain = xconv.verify(model, module)
    assert plain.ok
    assert any("proves little" in note for note in plain.notes)
    assert xconv.verify(model, module, per_layer=True).first_difference.layer == "leaky"


def test_neither_model_is_changed(pair):
    model, module = pair
    module.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    xconv.verify(model, module, per_layer=True)
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert keras.config.dtype_policy().name == "float32"
    assert model.dtype_policy.name == "float32"


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (layers.Activation("gelu", name="odd"), "1/sqrt(2) of gelu"),
        (layers.LeakyReLU(0.3, name="odd"), "slope 0.3"),
        (layers.Rescaling(1 / 127.5, -0.1, name="odd"), "offset"),
        (layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.3, 0.5, 0.7], name="odd"), "mean and variance"),
        (layers.ReLU(max_value=0.3, name="odd"), "max value"),
        (layers.UpSampling2D(2, interpolation="bilinear", name="odd"), "bilinear resize in float32"),
    ],
)
def test_constants_that_tensorflow_keeps_in_float32_are_recognised(layer, what):
    image = keras.Input((9, 11, 3))
    x = layers.Flatten()(layer(image))
    model = xconv.randomize(keras.Model(image, layers.Dense(4)(x)))
    report = xconv.verify(model, xconv.keras_to_torch(model), per_layer=True)
    assert report.verdict is Verdict.CONSTANTS
    assert report.ok
    assert report.constants == (("odd", what),)
    assert report.outputs[0].float64.max_rel < 1e-10


def test_the_scale_of_attention_deep_inside_a_torch_network_is_recognised_layer_by_layer():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.after = nn.LayerNorm(160), nn.LayerNorm(160)
            self.attention = nn.MultiheadAttention(160, 2, batch_first=True)

        def forward(self, x):
            y = self.before(x)
            return self.after(x + self.attention(y, y, y, need_weights=False)[0])

    module = xconv.randomize(nn.Sequential(nn.Sequential(Block(), Block()), nn.Linear(160, 3)).eval())
    model = xconv.torch_to_keras(module, torch.zeros(2, 7, 160))
    report = xconv.verify(module, model, per_layer=True)
    assert report.verdict is Verdict.CONSTANTS
    assert dict(report.constants) == {f"0.{block}.attention": "1/sqrt(head size) of attention" for block in range(2)}
    assert all(layer.error < 1e-13 for layer in report.layers)


def test_a_wrong_layer_beside_float32_constants_is_still_found():
    model = network("gelu")
    module = xconv.keras_to_torch(model)
    where = plant_slope(module)
    report = xconv.verify(model, module)
    assert report.verdict is Verdict.DIFFERS
    assert report.first_difference.layer == where


def test_the_noise_floor_excuses_rounding_that_the_model_itself_amplifies():
    def one(x):
        for _ in range(15):
            x = 4 * x * (1 - x)
        return x

    def other(x):
        for _ in range(15):
            x = 4 * x - 4 * x * x
        return x

    inputs = np.random.default_rng(0).uniform(0.1, 0.9, (2, 50))
    report = xconv.verify(one, other, inputs)
    assert report.outputs[0].float64.max_rel > 1e-10
    assert report.noise_floor > report.outputs[0].float64.max_rel
    assert report.verdict is Verdict.EXACT


def test_a_noise_floor_that_would_excuse_anything_excuses_nothing():
    def one(x):
        for _ in range(22):
            x = 4 * x * (1 - x)
        return x

    inputs = np.random.default_rng(0).uniform(0.1, 0.9, (2, 50))
    report = xconv.verify(one, lambda x: one(x) * (1 + 2e-8), inputs)
    assert 1e-8 < report.outputs[0].float64.max_rel < report.noise_floor < 1e-6
    assert report.verdict is Verdict.INCONCLUSIVE
    assert not report.ok
    assert any("would hide a difference" in note for note in report.notes)
    assert "inconclusive" in str(report)


@pytest.fixture(scope="module")
def chaotic():
    """A pair that turns a last bit of its input into about 1e-7."""
    x = image = keras.Input((40,))
    for place in range(34):
        x = layers.Dense(40, activation="tanh", name=f"dense_{place}")(x)
    model = xconv.randomize(keras.Model(image, layers.Dense(5, name="head")(x)))
    for place in range(34):
        kernel, bias = model.get_layer(f"dense_{place}").get_weights()
        model.get_layer(f"dense_{place}").set_weights([4 * kernel, bias])
    return model, xconv.keras_to_torch(model)


def test_a_chaotic_network_is_judged_layer_by_layer(chaotic):
    report = xconv.verify(*chaotic)
    assert report.outputs[0].float64.max_rel > 1e-10
    assert report.noise_floor > 1e-8
    assert report.verdict is Verdict.EXACT
    assert all(layer.local.max_rel < 1e-13 for layer in report.layers)


def test_a_small_difference_in_a_chaotic_network_is_found(chaotic):
    model, module = chaotic
    with torch.no_grad():
        module.dense_30.bias[3] += 1e-8
    try:
        report = xconv.verify(model, module)
    finally:
        with torch.no_grad():
            module.dense_30.bias[3] -= 1e-8
    assert report.verdict is Verdict.DIFFERS
    assert report.first_difference.layer == "dense_30"


def test_a_chaotic_network_without_layers_is_inconclusive(chaotic):
    model, module = chaotic

    def function(x):
        with torch.no_grad():
            return module.double()(torch.from_numpy(x).double())

    report = xconv.verify(model, function)
    assert report.verdict is Verdict.INCONCLUSIVE


def test_a_difference_above_the_noise_floor_differs():
    report = xconv.verify(np.tanh, lambda x: np.tanh(x) * (1 + 1e-9), np.linspace(-1, 1, 8).reshape(2, 4))
    assert report.verdict is Verdict.DIFFERS
    assert report.noise_floor < 1e-14


def test_nan_on_both_sides_proves_nothing(pair):
    model, module = pair
    model.get_layer("second").bias.assign(np.full(6, np.nan))
    with torch.no_grad():
        module.second.bias.fill_(torch.nan)
    report = xconv.verify(model, module)
    assert report.verdict is Verdict.NOT_FINITE
    assert not report.ok
    assert report.first_difference.layer == "second"
    json.loads(report.to_json(), parse_constant=pytest.fail)


@pytest.mark.parametrize("size", [(32, 32), (33, 41), (40, 31)])
def test_odd_and_unequal_sizes(size):
    model = network(size=size)
    assert xconv.verify(model, xconv.keras_to_torch(model)).verdict is Verdict.EXACT


def test_open_sizes_are_filled_odd_and_unequal():
    model = network(size=(None, None))
    module = xconv.keras_to_torch(model)
    report = xconv.verify(model, module, per_layer=True)
    assert report.verdict is Verdict.EXACT
    assert report.layers[0].chained.shape == (2, 33, 40, 8)
    report = xconv.verify(model, module, per_layer=True, input_size=(20, 31), batch=3)
    assert report.layers[0].chained.shape == (3, 10, 16, 8)


def test_a_size_that_the_model_needs_is_found():
    image = keras.Input((None, None, 2))
    x = layers.Conv2D(4, 3, padding="same")(image)
    down = layers.MaxPooling2D(2)(x)
    x = layers.Concatenate()([x, layers.UpSampling2D(2)(down)])
    model = xconv.randomize(keras.Model(image, layers.Conv2D(3, 1)(x)))
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert report.ok
    assert report.outputs[0].shape[1] % 2 == 0


def test_inputs_in_either_layout(pair):
    images = np.random.default_rng(0).normal(size=(2, *SIZE, 3))
    for inputs in (images, np.moveaxis(images, -1, 1), torch.from_numpy(images), {"image": images}, [images]):
        assert xconv.verify(*pair, inputs).verdict is Verdict.EXACT


def test_inputs_that_do_not_fit_are_refused_with_the_shape_wanted(pair):
    with pytest.raises(xconv.InvalidInput, match=r"image: shape \(2, 8, 8, 4\) does not fit \(any, 33, 41, 3\)"):
        xconv.verify(*pair, np.zeros((2, 8, 8, 4)))
    with pytest.raises(xconv.InvalidInput, match="takes 1 inputs"):
        xconv.verify(*pair, [np.zeros((2, *SIZE, 3))] * 2)
    with pytest.raises(xconv.InvalidInput, match="cannot run a int"):
        xconv.verify(1, pair[1])


def test_channels_last_modules():
    model = network()
    assert xconv.verify(model, xconv.keras_to_torch(model, input_layout="channels_last")).verdict is Verdict.EXACT


def test_several_inputs_and_outputs_and_a_shared_nested_model():
    inner_in = keras.Input((7,))
    inner = keras.Model(inner_in, layers.Dense(5, activation="tanh", name="deep")(inner_in), name="inner")
    left, right = keras.Input((7,), name="left"), keras.Input((7,), name="right")
    x = layers.Concatenate(name="both")([inner(left), inner(right)])
    outputs = {"score": layers.Dense(2, name="score")(x), "mean": layers.Average(name="mean")([left, right])}
    model = xconv.randomize(keras.Model({"left": left, "right": right}, outputs))
    report = xconv.verify(model, xconv.keras_to_torch(model), per_layer=True)
    assert report.verdict is Verdict.EXACT
    assert {output.name for output in report.outputs} == {"score", "mean"}
    assert any(layer.layer.startswith("inner") for layer in report.layers)
    assert all(layer.local is not None for layer in report.layers)


def test_integer_inputs_stay_below_the_vocabulary():
    words = keras.Input((9,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(3, 4, name="table")(words))
    model = xconv.randomize(keras.Model(words, layers.Dense(2)(x)))
    assert xconv.verify(model, xconv.keras_to_torch(model)).verdict is Verdict.EXACT


def test_a_model_without_a_float64_kernel_falls_back_to_float32():
    volume = keras.Input((6, 7, 8, 2))
    x = layers.Conv3D(3, 3, padding="same", name="conv")(volume)
    x = layers.Flatten()(layers.MaxPooling3D(2, name="pool")(x))
    model = xconv.randomize(keras.Model(volume, layers.Dense(4)(x)))
    module = xconv.keras_to_torch(model)
    report = xconv.verify(model, module)
    assert report.verdict is Verdict.FLOAT32
    assert any("no float64" in note for note in report.notes)
    with torch.no_grad():
        module.conv.bias[1] += 0.01
    report = xconv.verify(model, module)
    assert report.verdict is Verdict.DIFFERS
    assert report.first_difference.layer == "conv"


def test_a_fresh_network_is_noted(pair):
    image = keras.Input((8, 9, 3))
    model = keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.BatchNormalization()(image))))
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert any("xconv.randomize" in note for note in report.notes)
    assert not any("xconv.randomize" in note for note in xconv.verify(*pair).notes)


def test_a_keras_file_an_exported_program_and_a_plain_module(pair, tmp_path):
    model, module = pair
    model.save(tmp_path / "small.keras")
    assert xconv.verify(tmp_path / "small.keras", module).verdict is Verdict.EXACT
    example = torch.randn(2, 3, *SIZE)
    exported = torch.export.export(module.eval(), (example,))
    assert xconv.verify(model, exported).verdict is Verdict.EXACT
    assert xconv.verify(module, exported).verdict is Verdict.EXACT

    class Hand(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            return self.inner(x)

    report = xconv.verify(model, Hand())
    assert report.verdict is Verdict.EXACT
    assert any("no record" in note for note in report.notes)


@pytest.mark.parametrize("name", ["small.safetensors", "small.pt2"])
def test_files_that_xconv_writes(pair, tmp_path, name):
    model, module = pair
    xconv.save(module, tmp_path / name)
    report = xconv.verify(model, tmp_path / name)
    assert report.verdict is Verdict.EXACT
    assert report.other == f"{name} (torch)"


def test_files_that_cannot_be_verified(pair, tmp_path):
    with pytest.raises(xconv.InvalidInput, match="no such file"):
        xconv.verify(pair[0], tmp_path / "missing.keras")
    (tmp_path / "model.tflite").write_bytes(b"")
    with pytest.raises(xconv.InvalidInput, match="not an extension"):
        xconv.verify(pair[0], tmp_path / "model.tflite")


def test_another_number_of_outputs_is_refused(pair):
    model, _ = pair
    with pytest.raises(xconv.Mismatch, match="2 outputs"):
        xconv.verify(model, lambda x: [x, x], np.zeros((2, *SIZE, 3)))


def test_imprecise_float32_is_told_from_another_meaning():
    def coarse(x):
        if x.dtype == np.float64:
            return np.tanh(x)
        return np.tanh((x * 1024).round() / 1024).astype(x.dtype)

    report = xconv.verify(np.tanh, coarse, np.random.default_rng(0).normal(size=(2, 64)).astype("float32"))
    assert report.verdict is Verdict.IMPRECISE
    assert report.outputs[0].float64.max_rel == 0
    assert not report.ok


def test_the_report_as_text_table_and_json(pair):
    from rich.console import Console

    model, module = pair
    plant_slope(module)
    report = xconv.verify(model, module)
    found = json.loads(report.to_json())
    assert found["verdict"] == "differs"
    assert found["first_difference"]["layer"] == "leaky"
    assert found["outputs"][0]["float64"]["shape"] == [2, 5]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report)
    assert "DIFFERS" in console.export_text()
    assert "leaky (ReLU): relative error" in str(report)


def test_two_keras_models_are_compared_layer_by_layer():
    model = network()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    assert xconv.verify(model, copy).verdict is Verdict.EXACT
    copy.get_layer("norm").epsilon = 1e-5
    report = xconv.verify(model, copy)
    assert report.verdict is Verdict.DIFFERS
    assert report.first_difference.layer == "norm"


def test_tf_keras_models():
    tf_keras = pytest.importorskip("tf_keras")
    image = tf_keras.Input((*SIZE, 3))
    x = tf_keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(image)
    x = tf_keras.layers.BatchNormalization(name="norm")(x)
    model = xconv.randomize(tf_keras.Model(image, tf_keras.layers.Dense(3)(tf_keras.layers.Flatten()(x))))
    module = xconv.keras_to_torch(model)
    assert xconv.verify(model, module, per_layer=True).verdict is Verdict.EXACT
    module.norm.eps = 2e-3
    assert xconv.verify(model, module).first_difference.layer == "norm"


def test_keras_on_the_torch_backend_is_judged_in_float32():
    script = """
import torch, xconv, keras
from keras import layers
image = keras.Input((9, 11, 3))
x = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(image))
model = xconv.randomize(keras.Model(image, layers.Dense(5)(layers.Flatten()(x))))
module = xconv.keras_to_torch(model)
report = xconv.verify(model, module)
assert str(report.verdict) == "agrees in float32", report
assert any("on the torch backend" in note for note in report.notes), report
module.conv.bias.data[1] += 0.01
report = xconv.verify(model, module)
assert report.first_difference.layer == "conv", report
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


class Gated(nn.Module):
    """The block of an EfficientNet: a depthwise convolution between two others, and a gate of all its pixels."""

    def __init__(self, width):
        super().__init__()
        wide = 2 * width
        self.up = nn.Sequential(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU())
        self.mid = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.SiLU()
        )
        self.down = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))
        squeezed = nn.Conv2d(wide, width // 4, 1), nn.SiLU(), nn.Conv2d(width // 4, wide, 1), nn.Sigmoid()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), *squeezed)

    def forward(self, x):
        y = self.mid(self.up(x))
        return x + self.down(y * self.gate(y))


class TestRandomize:
    def test_is_deterministic_and_depends_on_the_seed(self):
        one, two = network(), network()
        assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))
        other = xconv.randomize(two, seed=1).get_weights()
        assert not np.array_equal(one.get_weights()[0], other[0])

    def test_does_not_depend_on_what_else_was_built(self):
        def scaled():
            inputs = keras.Input((4,))
            layer = keras.src.applications.convnext.LayerScale(0.1, 4)
            return xconv.randomize(keras.Model(inputs, layer(inputs)))

        one, two = scaled(), scaled()
        assert one.weights[0].name != two.weights[0].name
        assert np.array_equal(one.get_weights()[0], two.get_weights()[0])

    def test_gives_every_role_its_range(self):
        model = network()
        gamma, beta, mean, variance = model.get_layer("norm").get_weights()
        assert 0.5 <= gamma.min() < gamma.max() <= 1.5
        assert 0.2 <= variance.min() < variance.max() <= 1.8
        assert 0 < np.abs(beta).max() < 1.5
        assert 0 < np.abs(mean).max() < 1.5

    def test_torch_modules(self):
        module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
        module(torch.zeros(1, 3, 7, 9))
        assert xconv.randomize(module) is module
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        assert before["1.running_var"].min() > 0.2
        assert before["1.num_batches_tracked"] == 1
        xconv.randomize(module)
        assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())

    def test_a_deep_network_stays_alive(self):
        x = image = keras.Input((16, 16, 3))
        x = layers.Conv2D(16, 3, padding="same")(x)
        for _ in range(50):
            y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(x))
            y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(layers.ReLU()(y)))
            x = layers.ReLU()(layers.Add()([x, y]))
        model = xconv.randomize(keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x))))
        logits = np.asarray(model(np.random.default_rng(0).normal(size=(2, 16, 16, 3)), training=False))
        assert 0.05 < np.abs(logits).max() < 50
        assert np.abs(logits[0] - logits[1]).max() > 1e-3

    def test_a_deep_gated_torch_network_is_calm_on_other_inputs(self):
        generator = torch.Generator().manual_seed(0)
        blocks = [Gated(64) for _ in range(40)]
        module = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=4), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 5)
        )
        xconv.randomize(module, inputs=torch.randn(2, 3, 9, 10, generator=generator)).eval().double()
        image = torch.randn(2, 3, 9, 10, generator=generator, dtype=torch.float64)
        nudge = 1 + 1e-9 * torch.randn(image.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            logits, moved = module(image), module(image * nudge)
        assert (logits - moved).abs().max() < 2e-8 * logits.abs().max()
        assert (logits[0] - logits[1]).abs().max() > 0.1 * logits.abs().max()

    def test_refuses_what_has_no_weights(self):
        with pytest.raises(xconv.InvalidInput, match="cannot randomize"):
            xconv.randomize("model.keras")
        with pytest.raises(xconv.InvalidInput, match="not built"):
            xconv.randomize(keras.Sequential([layers.Dense(3)]))
