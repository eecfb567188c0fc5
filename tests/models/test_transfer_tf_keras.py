"""Models of tf_keras as source and as target of a transfer, live and as files, also against Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import xconv
from xconv.errors import Unsupported

tf_keras = pytest.importorskip("tf_keras")
SHAPE = (13, 17, 3)


def network(library: Any, *, bias: bool = False, epsilon: float = 1e-3, seed: int = 1) -> Any:
    """'Same' windows of stride 2 on odd maps, a BatchNorm, a depthwise kernel, a recurrent head."""
    steps = library.layers
    image = steps.Input(SHAPE)
    x = steps.Conv2D(6, 3, strides=2, padding="same", use_bias=bias, name="conv")(image)
    x = steps.ReLU(name="relu")(steps.BatchNormalization(epsilon=epsilon, name="bn")(x))
    x = steps.DepthwiseConv2D(3, name="deep")(x)
    x = steps.Dense(5, name="fc")(steps.GlobalAveragePooling2D(name="pool")(x))
    model = library.Model(image, x, name="net")
    xconv.randomize(model, seed)
    if bias:  # their difference, which a BatchNorm behind no bias gets, is a float32 then
        for layer, place in (("conv", 1), ("bn", 2)):
            variable = model.get_layer(layer).weights[place]
            variable.assign(np.round(variable.numpy() * 256) / 256)
    return model


class Torch(nn.Module):
    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6, eps=epsilon)
        self.deep, self.fc = nn.Conv2d(6, 6, 3, groups=6), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.deep(self.bn(self.conv(x)).relu()).mean((2, 3)))


def module(seed: int = 2, epsilon: float = 1e-3) -> nn.Module:
    found = Torch(epsilon).eval()
    xconv.randomize(found, seed, inputs=torch.randn(2, 3, *SHAPE[:2]))
    return found


PAIRS = {
    "tf_keras to keras": (lambda: network(tf_keras, bias=True), lambda: network(keras, seed=3)),
    "keras to tf_keras": (lambda: network(keras, bias=True), lambda: network(tf_keras, seed=3)),
    "tf_keras to tf_keras": (lambda: network(tf_keras), lambda: network(tf_keras, seed=3)),
    "tf_keras to torch": (lambda: network(tf_keras, bias=True), module),
    "torch to tf_keras": (module, lambda: network(tf_keras, seed=3)),
}


@pytest.mark.parametrize("pair", sorted(PAIRS))
def test_live_models_both_ways(pair: str) -> None:
    make, other = PAIRS[pair]
    source, target = make(), other()
    report = xconv.transfer(source, target)
    assert report.verdict == "exact"
    assert report.target is target
    assert xconv.verify(source, target).ok


def recurrent(library: Any, seed: int) -> Any:
    steps = library.layers
    sequence = steps.Input((7, 5))
    x = steps.Bidirectional(steps.LSTM(4, return_sequences=True))(sequence)
    model = library.Model(sequence, steps.Dense(2)(steps.GRU(3)(x)))
    xconv.randomize(model, seed)
    return model


@pytest.mark.parametrize("back", [False, True])
def test_gates_between_tf_keras_and_keras(back: bool) -> None:
    libraries = (keras, tf_keras) if back else (tf_keras, keras)
    source, target = (recurrent(library, seed) for seed, library in enumerate(libraries))
    assert xconv.transfer(source, target).ok
    assert xconv.verify(source, target).ok


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_files_that_tf_keras_wrote(name: str, tmp_path: Path) -> None:
    source = network(tf_keras)
    (source.save_weights if "weights" in name else source.save)(tmp_path / name)
    owner = {"architecture": network(tf_keras, seed=5)} if "weights" in name else {}
    for target in (module(), network(keras, seed=3)):
        assert xconv.transfer(tmp_path / name, target, **owner).ok
        assert xconv.verify(source, target).ok
    own = network(tf_keras, seed=4)
    assert xconv.transfer(tmp_path / name, own).ok
    assert xconv.verify(source, own).ok


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_files_that_tf_keras_reads(name: str, tmp_path: Path) -> None:
    source, target = module(), network(tf_keras, seed=3)
    xconv.transfer(source, tmp_path / name, architecture=target)
    if "weights" in name:
        target.load_weights(tmp_path / name)
    else:
        target = tf_keras.models.load_model(tmp_path / name, compile=False)
    assert xconv.verify(source, target).ok


def test_a_map_for_tf_keras_is_replayed_into_a_file_that_it_reads(tmp_path: Path) -> None:
    source, target = module(), network(tf_keras, seed=3)
    xconv.transfer(source, target).save_map(tmp_path / "map.json")
    other = module(8)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    xconv.apply_map(tmp_path / "map.json", tmp_path / "other.pt", tmp_path / "o.weights.h5")
    target.load_weights(tmp_path / "o.weights.h5")
    assert xconv.verify(other, target).ok


def test_adapt_takes_tf_keras_as_source_and_refuses_it_as_target() -> None:
    source, target = network(tf_keras, epsilon=1e-5), module()
    report = xconv.transfer(source, target, adapt=True)
    assert report.ok
    assert any(item.place == "bn" for item in report.adapted)
    assert xconv.verify(source, target).ok
    model = network(tf_keras, epsilon=1e-5)
    before = model.get_weights()
    with pytest.raises(Unsupported, match="a model of tf_keras"):
        xconv.transfer(module(), model, adapt=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
