"""There and back: the same layers, names, configs that matter, and weights bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from tests.models.small_models import SMALL

NO_MEANING = {"dtype", "seed", "build_config"}
"""Entries of a config that the numbers do not depend on; initialisers and regularisers too."""


def network_of(model: Any) -> dict[str, Any]:
    """Every layer and operation by name, those of nested models too."""
    found: dict[str, Any] = {}
    for item in (*model._flatten_layers(), *model.operations):
        if item is not model and not isinstance(item, keras.Model):
            found.setdefault(item.name, item)
    return found


def config_of(layer: Any) -> dict[str, Any]:
    """What matters in a config, said in one way: lists as tuples, the last axis as such, no pads of 1x1 kernels."""
    config = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in layer.get_config().items()
        if key not in NO_MEANING and not key.endswith(("initializer", "regularizer", "constraint"))
    }
    if isinstance(config.get("axis"), (int, tuple)):
        taken = layer.input[0] if isinstance(layer.input, list) else layer.input
        config["axis"] = tuple(axis % len(taken.shape) for axis in np.atleast_1d(config["axis"]))
    kernel = config.get("kernel_size")
    if kernel is not None and set(kernel) == {1}:
        config.pop("padding")
    return config


def assert_same_network(model: Any, again: Any) -> None:
    before, after = network_of(model), network_of(again)
    assert set(before) == set(after)
    for name, layer in before.items():
        assert type(after[name]) is type(layer), name
        if isinstance(layer, layers.Layer):
            assert config_of(after[name]) == config_of(layer), name
            pairs = list(zip(layer.get_weights(), after[name].get_weights(), strict=True))
            assert all(np.array_equal(a, b) for a, b in pairs), name
    assert [tuple(item.shape) for item in again.inputs] == [tuple(item.shape) for item in model.inputs]


def separable() -> Any:
    """Fused activations, separable and depthwise convolutions, uneven and even pads, a clipped ReLU, open sizes."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.ZeroPadding2D(2, name="pad")(image)
    x = layers.Conv2D(6, 5, strides=2, activation="relu", name="first")(x)
    x = layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2, activation="gelu", name="separable")(x)
    x = layers.SeparableConv2D(8, 3, use_bias=False, name="bare")(x)
    x = layers.ReLU(6.0, name="six")(x)
    x = layers.MaxPooling2D(3, strides=2, name="max")(layers.ZeroPadding2D(1, name="around")(x))
    x = layers.Activation("relu", name="act")(layers.BatchNormalization(name="bn")(x))
    x = layers.Add(name="sum")([x, layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)])
    x = layers.Dropout(0.3, name="drop")(layers.GlobalAveragePooling2D(name="mean")(x))
    return xconv.randomize(keras.Model(image, layers.Dense(4, activation="softmax", name="head")(x), name="mixed"))


def flattened() -> Any:
    """A Dense behind a Flatten, a rescaling, and a Normalization."""
    image = keras.Input((9, 8, 3), name="image")
    x = layers.Normalization(name="normal")(layers.Rescaling(0.5, -1.0, name="scale")(image))
    x = layers.Flatten(name="flat")(layers.Conv2D(4, 3, padding="same", strides=2, name="conv")(x))
    return xconv.randomize(keras.Model(image, layers.Dense(3, activation="tanh", name="dense")(x), name="flattened"))


KERAS: dict[str, Any] = {"separable": separable, "flattened": flattened, "sizeless": SMALL["sizeless"]}


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("name", KERAS)
def test_keras_to_torch_to_keras(name: str, layout: Any) -> None:
    model = KERAS[name]()
    again = xconv.torch_to_keras(xconv.keras_to_torch(model, input_layout=layout))
    assert again.name == model.name
    assert_same_network(model, again)
    assert not [item for item in again.operations if type(item).__name__ in ("Permute", "Transpose")]


def test_a_saved_module_comes_back_too(tmp_path: Path) -> None:
    model = flattened()
    xconv.save(xconv.keras_to_torch(model), tmp_path / "m.safetensors")
    assert_same_network(model, xconv.torch_to_keras(tmp_path / "m.safetensors"))


def test_trained_weights_go_back() -> None:
    module = xconv.keras_to_torch(flattened())
    with torch.no_grad():
        module.conv.bias.add_(1)
    again = xconv.torch_to_keras(module)
    assert np.array_equal(again.get_layer("conv").bias.numpy(), module.conv.bias.detach().numpy())
    assert xconv.verify(module, again).ok


class Block(nn.Module):
    """A residual block whose ReLU is called twice and writes in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


def small() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU6(), nn.MaxPool2d(3, 2, 1))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 4))
    return nn.Sequential(stem, Block(8), Block(8), head)


def assert_same_state(module: nn.Module, again: nn.Module) -> None:
    before, after = module.state_dict(), again.state_dict()
    assert set(before) == set(after)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items() if "num_batches" not in name)


def torch_networks() -> dict[str, Any]:
    import torchvision

    models = torchvision.models
    return {
        "small": small,
        "resnet18": lambda: models.resnet18(num_classes=5),
        "mobilenet_v2": lambda: models.mobilenet_v2(num_classes=5),
        "efficientnet_b0": lambda: models.efficientnet_b0(num_classes=5),
    }


@pytest.mark.parametrize("name", ["small", "resnet18", "mobilenet_v2", "efficientnet_b0"])
def test_torch_to_keras_to_torch(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    module = xconv.randomize(torch_networks()[name]()).eval()
    model = xconv.torch_to_keras(module, input_shape=(3, 33, 41))
    model.save(tmp_path / "m.keras")
    images = torch.randn(2, 3, 33, 41, generator=torch.Generator().manual_seed(0))
    for source in (model, tmp_path / "m.keras"):
        again = xconv.keras_to_torch(source).eval()
        assert_same_state(module, again)
        with torch.no_grad():
            assert torch.allclose(again(images), module(images), rtol=1e-4, atol=1e-4)


def test_a_level_of_a_name_may_hold_a_layer_too() -> None:
    image = keras.Input((6, 7, 3), name="image")
    inner = layers.Conv2D(4, 1, name="stem>conv")(image)
    x = layers.Conv2D(4, 1, name="stem>conv>weight")(layers.Conv2D(4, 1, name="stem")(inner))
    model = xconv.randomize(keras.Model(image, x, name="levels"))
    module = xconv.keras_to_torch(model)
    assert isinstance(module.get_submodule("stem.conv"), nn.Conv2d)
    assert isinstance(module.stem, nn.Conv2d)
    assert xconv.verify(model, module).ok
    assert_same_network(model, xconv.torch_to_keras(module))
