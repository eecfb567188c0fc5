"""onnxruntime as a third opinion: which of two sides is off; and the command on ONNX files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from xconv.cli import run

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")


@pytest.fixture(scope="module")
def model() -> Any:
    """A small network with live statistics."""
    small = keras.Sequential(
        [
            keras.Input((13, 17, 3), name="image"),
            layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(epsilon=1e-3, name="norm"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name="head"),
        ],
        name="small",
    )
    return xconv.randomize(small, 0)


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as files of both frameworks."""
    path = tmp_path_factory.mktemp("files")
    model.save(path / "small.keras")
    xconv.save(xconv.keras_to_torch(model), path / "small.pt2")
    return path


def test_it_agrees_with_both_where_both_are_right(model: Any) -> None:
    report = xconv.verify(model, xconv.keras_to_torch(model), witness="onnxruntime")
    assert report.verdict == "exact"
    witness = report.witness
    assert witness is not None
    assert witness.off == ""
    assert len(witness.testimonies) == 1
    assert witness.testimonies[0].agrees_with_reference
    assert witness.testimonies[0].agrees_with_other
    assert "it agrees with both" in str(report)
    assert json.loads(report.to_json())["witness"]["off"] == ""
    assert xconv.verify(model, xconv.keras_to_torch(model)).witness is None


@pytest.mark.parametrize("mistake", ["weight", "epsilon", "statistic"])
def test_a_mistake_in_the_other_side_is_found_there(model: Any, mistake: str) -> None:
    module = xconv.keras_to_torch(model)
    with torch.no_grad():
        if mistake == "weight":
            module.stem.weight[0, 0, 1, 1] += 0.01
        elif mistake == "epsilon":
            module.norm.eps = 2e-3
        else:
            module.norm.running_mean[2] *= 1.01
    report = xconv.verify(model, module, witness="onnxruntime")
    assert report.verdict == "differs"
    witness = report.witness
    assert witness is not None
    assert witness.off == "other"
    mine, yours = witness.testimonies
    assert (mine.agrees_with_reference, mine.agrees_with_other) == (True, False)
    assert (yours.agrees_with_reference, yours.agrees_with_other) == (False, True)
    assert mine.other.max_rel > 100 * mine.reference.max_rel
    assert "small (torch) is off" in witness.text
    assert "the networks themselves differ" in witness.text


class OffWhenRun(layers.Layer):
    """Computes something else when it is run than its graph says."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return x + 1e-3 if tf.executing_eagerly() else x


def test_a_reference_that_does_not_run_as_its_graph_says_is_found() -> None:
    model = xconv.randomize(keras.Sequential([keras.Input((6,)), layers.Dense(4), OffWhenRun()]), 0)
    linear = nn.Linear(6, 4)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(np.asarray(model.layers[0].kernel).T))
        linear.bias.copy_(torch.tensor(np.asarray(model.layers[0].bias)))
    witness = xconv.verify(model, linear, witness="onnxruntime").witness
    assert witness is not None
    assert witness.off == "reference"
    assert witness.testimonies[0].precision == "float64"  # onnxruntime has these operators in float64
    assert witness.testimonies[0].other.max_rel < 1e-12
    assert "it agrees with Linear (torch); " in witness.text


class OffInTorch(nn.Module):
    """Computes something else when it is run than what torch.onnx sees."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) if torch.onnx.is_in_onnx_export() else self.linear(x) * 1.01


def test_a_side_that_does_not_run_as_its_own_export() -> None:
    off, right = OffInTorch(), nn.Linear(6, 4)
    right.load_state_dict(off.linear.state_dict())
    x = torch.randn(3, 6)
    witness = xconv.verify(right, off, inputs=x, witness="onnxruntime").witness
    assert witness is not None
    assert witness.off == "other"
    assert "OffInTorch (torch) does not run as its graph says" in witness.text
    witness = xconv.verify(off, right, inputs=x, witness="onnxruntime").witness
    assert witness is not None
    assert witness.off == "reference"


def test_a_side_that_cannot_be_exported_leaves_the_other(model: Any) -> None:
    def function(image: Any) -> Any:
        return model(image, training=False)

    witness = xconv.verify(model, function, witness="onnxruntime").witness
    assert witness is not None
    assert witness.testimonies[0].exported == "small"
    with pytest.raises(xconv.InvalidInput, match="neither side can be exported") as caught:
        xconv.verify(function, function, inputs=np.zeros((1, 13, 17, 3), np.float32), witness="onnxruntime")
    assert len(caught.value.problems) == 2
    with pytest.raises(xconv.InvalidInput, match="witness='tflite'; give one of onnxruntime"):
        xconv.verify(model, function, witness="tflite")


def test_an_onnx_model_is_a_side(model: Any, tmp_path: Path) -> None:
    exported = xconv.keras_to_onnx(model, tmp_path / "small.onnx")
    module = xconv.keras_to_torch(model)
    for other in (model, module):
        report = xconv.verify(exported, other)
        assert report.verdict == "agrees in float32", str(report)
    assert xconv.verify(xconv.torch_to_onnx(module), model).ok  # channels-first beside channels-last
    assert xconv.verify(tmp_path / "small.onnx", model).other == "small.onnx (onnx)"
    with torch.no_grad():
        module.stem.weight[0, 0, 1, 1] += 0.01
    assert xconv.verify(exported, module).verdict == "differs"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("small.keras", "a.onnx"),
        ("small.pt2", "b.onnx"),
        ("b.onnx", "b.keras"),
        ("b.onnx", "b.pt2"),
        ("a.onnx", "a.pt"),
    ],
)
def test_the_command_converts_from_and_to_onnx(folder: Path, source: str, target: str) -> None:
    for made, origin in (("a.onnx", "small.keras"), ("b.onnx", "small.pt2")):
        if source == made and not (folder / made).exists():
            assert run(["convert", str(folder / origin), "-o", str(folder / made), "--quiet"]) == 0
    assert run(["convert", str(folder / source), "-o", str(folder / target), "--verify", "--quiet"]) == 0
    if not target.endswith(".pt"):
        assert run(["verify", str(folder / "small.keras"), str(folder / target), "--quiet"]) == 0


@pytest.mark.filterwarnings("default::xconv.errors.XConvWarning")
def test_the_command_goes_through_onnx(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(folder / "small.keras"), "-o", str(folder / "r.pt"), "--route", "onnx", "--json"]) == 0
    said = capsys.readouterr()
    assert "warning: through ONNX: 0 of 1 BatchNorm layers are left" in said.err
    assert "through ONNX" in json.loads(said.out)["notes"][0]
    assert (
        run(["convert", str(folder / "small.pt2"), "-o", str(folder / "r.keras"), "--route", "onnx", "--verify"]) == 0
    )
    assert "verified: exact" in capsys.readouterr().out
    assert run(["verify", str(folder / "small.pt2"), str(folder / "r.keras"), "--witness", "onnxruntime"]) == 0
    assert "it agrees with both" in capsys.readouterr().out


def test_the_command_refuses_what_is_no_conversion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty.onnx").write_bytes(b"")
    for source, target, words in (
        ("empty.onnx", "x.onnx", "are both ONNX"),
        ("empty.onnx", "x.keras", "is an empty file"),
        ("none.onnx", "x.pt2", "there is no such file"),
        ("small.pt2", "nowhere/x.onnx", "does not exist"),
    ):
        assert run(["convert", str(folder / source), "-o", str(folder / target)]) == 2
        assert words in capsys.readouterr().err
        assert not (folder / target).exists()
