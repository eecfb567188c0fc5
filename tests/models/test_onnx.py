"""Through ONNX: export of both frameworks, both routes, what they lose, and what the packages cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from tests.comparison import assert_same
from xconv.onnx import Losses, losses

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

from xconv.onnx.runtime import OnnxSide  # noqa: E402


class Residual(nn.Module):
    """A convolutional network with names on two levels, a layer that is called twice, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.Hardswish()
        )
        self.body = nn.ModuleDict({"twice": nn.Conv2d(6, 6, 3, padding=1), "norm": nn.BatchNorm2d(6)})
        self.slope = nn.PReLU(6)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        x = x + self.slope(self.body["norm"](self.body["twice"](self.body["twice"](x))))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Sequences(nn.Module):
    """Two recurrent layers and attention over words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 6, batch_first=True)
        self.attention = nn.TransformerEncoderLayer(6, 2, 9, batch_first=True, activation="gelu")
        self.head = nn.Linear(6, 5)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        sequence, _ = self.lstm(self.words(words))
        sequence, state = self.gru(sequence)
        return self.head(self.attention(sequence).mean(1) + state[-1])


def images(*size: int) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


def residual() -> Residual:
    return xconv.randomize(Residual().eval(), 0, inputs=images(13, 17))


def small() -> Any:
    """A network of Keras with what tf2onnx and onnx2torch can both say."""
    model = keras.Sequential(
        [
            keras.Input((13, 17, 3), name="image"),
            layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(epsilon=1e-3, name="norm"),
            layers.ReLU(6.0),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(5, name="head"),
        ],
        name="small",
    )
    return xconv.randomize(model, 0)


def runs_as(exported: Any, model: Any, *arrays: np.ndarray[Any, Any]) -> None:
    """The exported model gives in onnxruntime what the Keras model gives."""
    expected = keras.tree.flatten(model(list(arrays) if len(arrays) > 1 else arrays[0], training=False))
    found = OnnxSide(exported).outputs(arrays, "float32")
    for mine, yours in zip(found, expected, strict=True):
        assert_same(mine.value, np.asarray(yours), relative=5e-6)


# ---------------------------------------------------------------------------------------------- torch


def test_torch_to_onnx_to_keras_keeps_names_and_batch_norm() -> None:
    module = residual()
    exported = xconv.torch_to_onnx(module, images(13, 17))
    assert [item.name for item in exported.graph.input] == ["image"]
    assert [item.name for item in exported.graph.output] == ["output"]
    assert {"stem.0.weight", "body.twice.weight", "body.norm.running_var"} <= {
        w.name for w in exported.graph.initializer
    }
    model = xconv.onnx_to_keras(exported)
    assert model.input_shape == (None, 13, 17, 3)
    assert xconv.verify(module, model).verdict == "exact"
    found = losses(module, model)
    assert found.batch_norms == (2, 2)
    assert found.names == (6, 6)
    assert found.random == (1, 0)
    assert found.trainable[0] == found.trainable[1]
    assert found.transposes[1] == 0
    assert sum(layer.name.startswith("body>twice") for layer in model.layers) == 1  # one layer, called twice


def test_the_route_of_torch_is_the_same_and_tells_what_it_lost() -> None:
    module = residual()
    with pytest.warns(
        xconv.XConvWarning, match="through ONNX: 2 of 2 BatchNorm layers are left, 0 of 1 layers of drop"
    ):
        model = xconv.torch_to_keras(module, input_shape=(3, None, None), route="onnx")
    assert model.input_shape == (None, None, None, 3)
    for size in (13, 17), (18, 15):
        assert xconv.verify(module, model, inputs=np.asarray(images(*size)).transpose(0, 2, 3, 1)).verdict == "exact"
    assert not module.training
    assert all(not child.training for child in module.modules())


def test_sequences_and_attention_come_through() -> None:
    words = torch.randint(0, 11, (2, 7), generator=torch.Generator().manual_seed(0))
    module = xconv.randomize(Sequences().eval(), 0, inputs=words)
    model = xconv.onnx_to_keras(xconv.torch_to_onnx(module, words))
    assert xconv.verify(module, model, inputs=words).ok
    with pytest.raises(xconv.Unsupported, match=r'knows no LSTM of opset 17 \(2 of them\).*reader="xconv"'):
        xconv.onnx_to_torch(xconv.torch_to_onnx(module, words))


def test_a_model_of_float64_stays_one() -> None:
    module = residual().double()
    exported = xconv.torch_to_onnx(module, images(13, 17).double())
    read = xconv.onnx_to_torch(exported, reader="xconv").eval()
    x = images(13, 17).double()
    assert_same(read(x), module(x))


def test_onnx_to_torch_by_both_readers() -> None:
    module, x = residual(), images(13, 17)
    exported = xconv.torch_to_onnx(module, x)
    mine = xconv.onnx_to_torch(exported, reader="xconv")
    assert xconv.verify(module, mine).verdict == "exact"
    assert losses(module, mine).names == (6, 6)
    theirs = xconv.onnx_to_torch(exported).eval()
    assert_same(theirs(x), module(x), relative=1e-5)
    assert losses(module, theirs).names == (6, 0)
    folded = xconv.onnx_to_torch(xconv.torch_to_onnx(module, x, fold_batch_norm=True)).eval()
    assert_same(folded(x), module(x), relative=1e-5)
    assert losses(module, folded).batch_norms == (2, 0)


def test_what_xconv_converted_needs_no_example() -> None:
    model = small()
    module = xconv.keras_to_torch(model)
    exported = xconv.torch_to_onnx(module)
    side = OnnxSide(exported)
    assert side.feeds()[0].shape == (None, 3, 13, 17)
    assert xconv.verify(exported, module).ok


def test_onnx2torch_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it makes is run beside onnxruntime before it is returned."""
    module, x = residual(), images(13, 17)
    exported = xconv.torch_to_onnx(module, x)
    import onnx2torch

    convert = onnx2torch.convert

    def wrong(model: Any) -> Any:
        made = convert(model)
        with torch.no_grad():
            next(made.parameters()).mul_(1.1)
        return made

    monkeypatch.setattr(onnx2torch, "convert", wrong)
    with pytest.raises(xconv.Mismatch, match="computes something else than onnxruntime: relative error"):
        xconv.onnx_to_torch(exported)
    assert xconv.onnx_to_torch(exported, check=False) is not None


def test_torchvision_of_another_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def load(name: str) -> Any:
        if name == "onnx2torch":
            raise RuntimeError("operator torchvision::nms does not exist")
        return importlib.import_module(name)

    exported = xconv.torch_to_onnx(nn.Linear(4, 3), torch.zeros(2, 4))
    monkeypatch.setattr("xconv.frameworks.import_module", load)
    told = r"onnx2torch [\d.]+ imports torchvision, which fails beside torch"
    with pytest.raises(xconv.MissingFramework, match=told):
        xconv.onnx_to_torch(exported)


def test_what_torch_onnx_cannot_say() -> None:
    class Unsaid(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.det(x) + torch.special.gammainc(x[:, 0, 0].abs(), x[:, 1, 1].abs())

    with pytest.raises(xconv.Unsupported, match=r"torch\.onnx .* cannot say Unsaid: .*not supported"):
        xconv.torch_to_onnx(Unsaid(), torch.randn(2, 3, 3))
    with pytest.raises(xconv.InvalidInput, match=r"Linear does not take example inputs of shape \(2, 5\)"):
        xconv.torch_to_onnx(nn.Linear(4, 3), torch.zeros(2, 5))
    with pytest.raises(xconv.InvalidInput, match="needs either example_inputs or input_shape"):
        xconv.torch_to_onnx(nn.Linear(4, 3))
    with pytest.raises(xconv.InvalidInput, match="a dict is not a torch module"):
        xconv.torch_to_onnx({})


def test_a_model_for_one_batch_is_refused() -> None:
    exported = xconv.torch_to_onnx(residual(), images(13, 17))
    exported.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    reshape = onnx.helper.make_node("Reshape", ["output", "sizes"], ["last"], "last")
    exported.graph.node.append(reshape)
    exported.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray([1, 5]), "sizes"))
    exported.graph.output[0].name = "last"
    with pytest.raises(xconv.Unsupported, match="image: is made for a batch of 1; export the model with an open batch"):
        xconv.onnx_to_keras(exported)


# ---------------------------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_the_route_of_keras(layout: Any) -> None:
    model = small()
    with pytest.warns(xconv.XConvWarning, match=r"through ONNX: 0 of 1 BatchNorm .*0 of 3 layers with weights keep"):
        module = xconv.keras_to_torch(model, input_layout=layout, route="onnx")
    report = xconv.verify(model, module)  # a BatchNorm that was folded in float32 is not the same in float64
    assert 0 < report.outputs[0].float64.max_rel < 1e-6
    assert report.outputs[0].verdict == "differs"
    shape = (2, 3, 13, 17) if layout == "channels_first" else (2, 13, 17, 3)
    assert module(torch.zeros(shape)).shape == (2, 5)
    assert xconv.record(module).inputs[0].name == "image"
    assert "through ONNX: 0 of 1 BatchNorm" in xconv.record(module).notes[0]


@pytest.mark.parametrize(
    "made",
    [
        lambda: layers.Conv2D(6, 3, groups=3, padding="same"),  # Keras compiles it by XLA, which tf2onnx leaves a call
        lambda: layers.Activation("gelu"),  # Erfc, which tf2onnx does not know
        lambda: layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        lambda: layers.DepthwiseConv2D(3, strides=2, padding="same"),
        lambda: layers.UpSampling2D(2, interpolation="bilinear"),
        lambda: layers.AveragePooling2D(2, padding="same"),
        lambda: layers.GroupNormalization(3),
        layers.LayerNormalization,
    ],
)
def test_keras_layers_run_in_onnxruntime_and_come_back(made: Any) -> None:
    model = xconv.randomize(keras.Sequential([keras.Input((9, 11, 3)), made(), layers.PReLU()]), 0)
    exported = xconv.keras_to_onnx(model)
    runs_as(exported, model, np.asarray(images(9, 11)).transpose(0, 2, 3, 1))
    again = xconv.onnx_to_keras(exported)
    assert again.input_shape == model.input_shape
    found = xconv.verify(model, again).outputs[0]
    assert (found.float64 or found.float32).max_rel < 1e-6


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_layers_of_keras_are_exported(kind: str) -> None:
    model = xconv.randomize(keras.Sequential([keras.Input((7, 4)), getattr(layers, kind)(5)]), 0)
    exported = xconv.keras_to_onnx(model)
    runs_as(exported, model, np.random.default_rng(0).standard_normal((2, 7, 4)).astype(np.float32))
    if kind == "LSTM":
        assert xconv.verify(model, xconv.onnx_to_keras(exported)).ok
    else:
        with pytest.raises(xconv.Unknown, match=r"operator Loop has no rule.*stays a loop in tf2onnx"):
            xconv.onnx_to_keras(exported)


def test_several_inputs_and_outputs_keep_their_names() -> None:
    left, right = keras.Input((9, 7, 3), name="left"), keras.Input((4,), name="right")
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    pooled = layers.GlobalAveragePooling2D()(shared(shared(layers.Conv2D(4, 1)(left))))
    outputs = {"one": layers.Dense(3, name="one")(layers.Add()([pooled, right])), "two": pooled}
    model = xconv.randomize(keras.Model([right, left], outputs), 0)
    exported = xconv.keras_to_onnx(model)
    assert [item.name for item in exported.graph.input] == ["right", "left"]
    assert [item.name for item in exported.graph.output] == ["one", "two"]
    assert xconv.verify(model, exported).ok
    with pytest.warns(xconv.XConvWarning, match="keep their names"):
        module = xconv.keras_to_torch(model, route="onnx")
    assert xconv.verify(model, module).ok
    assert losses(model, module).trainable[1] > losses(model, module).trainable[0]  # the shared kernel is there twice


def test_constants_that_are_no_variables_are_in_the_model() -> None:
    """TensorFlow hands them to the graph from outside, and tf2onnx takes them for inputs."""
    norm = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.2, 0.3, 0.1])
    model = xconv.randomize(keras.Sequential([keras.Input((9, 11, 3), name="image"), norm, layers.Conv2D(4, 3)]), 0)
    exported = xconv.keras_to_onnx(model)
    assert [item.name for item in exported.graph.input] == ["image"]
    runs_as(exported, model, np.asarray(images(9, 11)).transpose(0, 2, 3, 1))


OTHER_BACKEND = """
import torch
import keras
import xconv
layers = [keras.Input((9, 11, 3), name="image"), keras.layers.Conv2D(4, 3, strides=2, padding="same")]
model = keras.Sequential([*layers, keras.layers.BatchNormalization(name="norm")], name="small")
exported = xconv.keras_to_onnx(xconv.randomize(model, 0))
names = [item.name for item in (*exported.graph.input, *exported.graph.output)]
print(keras.backend.backend(), *names, xconv.verify(exported, model).verdict)
try:
    xconv.keras_to_onnx(model, input_layout="channels_first")
except xconv.Unsupported as error:
    print(error)
"""


def test_on_another_backend_keras_exports_itself() -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", OTHER_BACKEND]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, refused = done.stdout.splitlines()[-2:]
    assert said == "torch image norm agrees in float32"
    assert "leaves images as Keras has them" in refused


def test_files_go_both_ways(tmp_path: Any) -> None:
    model = small()
    model.save(tmp_path / "small.keras")
    xconv.keras_to_onnx(tmp_path / "small.keras", tmp_path / "small.onnx")
    assert xconv.verify(tmp_path / "small.onnx", model).ok
    again = xconv.onnx_to_keras(tmp_path / "small.onnx")
    assert again.name == "small"
    assert again.inputs[0].name == "image"
    with pytest.raises(xconv.Unreadable):
        xconv.keras_to_onnx(tmp_path / "small.onnx")


def test_what_the_route_of_keras_refuses() -> None:
    model = small()
    with pytest.raises(xconv.InvalidInput, match="belong to the direct route"):
        xconv.keras_to_torch(model, weights="w.h5", route="onnx")
    with pytest.raises(xconv.InvalidInput, match="give 'direct' or 'onnx'"):
        xconv.keras_to_torch(model, route="tflite")  # type: ignore[arg-type]
    with pytest.raises(xconv.InvalidInput, match="not a Keras model"):
        xconv.keras_to_onnx(nn.Linear(4, 3))
    unknown = keras.Sequential([keras.Input((3,)), layers.Lambda(keras.ops.erfinv, output_shape=(3,))])
    with pytest.raises(xconv.Unsupported, match=r"tf2onnx [\d.]+ has no ONNX operator for TensorFlow's Erfinv \(1\)"):
        xconv.keras_to_onnx(unknown)


def test_nothing_of_the_packages_is_changed() -> None:
    """The work-arounds end with the call."""
    import tensorflow as tf

    fast, numpy_names = torch.backends.mha.get_fastpath_enabled(), set(dir(np))
    eager, threads = tf.config.functions_run_eagerly(), torch.get_num_threads()
    model = keras.Sequential([keras.Input((5, 7, 4)), layers.Conv2D(6, 3, groups=2), layers.Activation("gelu")])
    xconv.keras_to_onnx(model)
    xconv.torch_to_onnx(nn.TransformerEncoderLayer(6, 2, batch_first=True), torch.zeros(2, 5, 6))
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert tf.config.functions_run_eagerly() == eager
    assert set(dir(np)) == numpy_names
    assert torch.get_num_threads() == threads


def test_losses_are_counted_from_what_is_there() -> None:
    module = residual()
    same = losses(module, module)
    assert same.nothing
    assert same == Losses((2, 2), (1, 1), (6, 6), (same.trainable[0],) * 2, (same.held[0],) * 2, (0, 0))
    module.stem[0].weight.requires_grad_(False)
    changed = losses(residual(), module)
    assert changed.trainable == (same.trainable[0], same.trainable[0] - module.stem[0].weight.numel())
    assert not changed.nothing
    assert set(changed.to_dict()) == {"batch_norms", "random", "names", "trainable", "held", "transposes"}


def test_without_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (
        lambda: xconv.keras_to_onnx(small()),
        lambda: xconv.torch_to_onnx(nn.Linear(4, 3), torch.zeros(2, 4)),
        lambda: xconv.onnx_to_torch("net.onnx"),
        lambda: xconv.onnx_to_keras("net.onnx"),
    ):
        with pytest.raises(xconv.MissingFramework, match=r'pip install "xconv\[onnx\]"'):
            call()
