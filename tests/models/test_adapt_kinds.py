"""adapt=True for every kind of change: torch to Keras, Keras to Keras, Keras to torch, torch to torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import keras
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from xconv.errors import Mismatch, Unsupported

SHAPE = (3, 21, 26)


def torch_side(*parts: nn.Module) -> Any:
    """The layers, and a mean over all positions."""
    module = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    xconv.randomize(module, 1, inputs=torch.randn(2, *SHAPE, dtype=torch.float64))
    return module


def keras_side(*parts: Any) -> Any:
    """The same; in float64."""
    model = keras.Sequential([layers.Input(SHAPE[1:] + SHAPE[:1]), *parts, layers.GlobalAveragePooling2D()])
    xconv.randomize(model, 2)
    return model


@pytest.fixture(autouse=True)
def float64() -> Any:
    """What is moved to Keras is not rounded."""
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


Make = Callable[[], Sequence[Any]]
CONV = {"filters": 4, "kernel_size": 3}
KINDS: dict[str, tuple[Make, Make]] = {
    "epsilon and momentum": (
        lambda: (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.GroupNorm(2, 4)),
        lambda: (layers.Conv2D(**CONV), layers.BatchNormalization(), layers.GroupNormalization(2)),
    ),
    "pads and crops": (
        lambda: (nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ZeroPad2d((-1, -2, 0, -3)), nn.Tanh()),
        lambda: (
            layers.ZeroPadding2D(1),
            layers.Conv2D(**CONV),
            layers.ReLU(),
            layers.Cropping2D(1),
            layers.Activation("tanh"),
        ),
    ),
    "dilation": (
        lambda: (nn.Conv2d(3, 4, 3, dilation=2, padding=2),),
        lambda: (layers.Conv2D(**CONV, padding="same"),),
    ),
    "stride": (
        lambda: (nn.Conv2d(3, 6, 3, 2, 1, groups=3), nn.Conv2d(6, 4, 1, 2)),
        lambda: (layers.DepthwiseConv2D(3, 1, depth_multiplier=2), layers.Conv2D(4, 1)),
    ),
    "maximum for mean": (
        lambda: (nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)),
        lambda: (layers.Conv2D(**CONV), layers.AveragePooling2D(2)),
    ),
    "mean for maximum": (
        lambda: (nn.Conv2d(3, 4, 3), nn.AvgPool2d((3, 2))),
        lambda: (layers.Conv2D(**CONV), layers.MaxPooling2D(2)),
    ),
    "window of a pool": (
        lambda: (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        lambda: (layers.Conv2D(**CONV, activation="relu"), layers.MaxPooling2D(2)),
    ),
    "a last window": (
        lambda: (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        lambda: (layers.Conv2D(**CONV, activation="relu"), layers.MaxPooling2D(3, 2)),
    ),
    "pads that count": (
        lambda: (nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 1, 1)),
        lambda: (layers.Conv2D(**CONV), layers.AveragePooling2D(3, 1, padding="same")),
    ),
    "pads that do not count": (
        lambda: (nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
        lambda: (layers.Conv2D(**CONV), layers.AveragePooling2D(3, 1)),
    ),
    "activation inside": (
        lambda: (nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 5, 3), nn.LeakyReLU(0.1)),
        lambda: (layers.Conv2D(**CONV, activation="relu"), layers.Conv2D(5, 3, activation="relu")),
    ),
    "activation layers": (
        lambda: (nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.1), nn.Conv2d(4, 5, 3), nn.ELU(0.5)),
        lambda: (layers.Conv2D(**CONV), layers.ReLU(), layers.Conv2D(5, 3), layers.ELU(1.0)),
    ),
    "nothing in its place": (
        lambda: (nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)),
        lambda: (layers.Conv2D(**CONV, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(5, 3)),
    ),
    "something put between": (
        lambda: (nn.Conv2d(3, 4, 3), nn.Softplus(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3)),
        lambda: (layers.Conv2D(**CONV), layers.Conv2D(5, 3)),
    ),
}


def exact(source: Any, target: Any) -> bool:
    both = isinstance(source, nn.Module) and isinstance(target, nn.Module)
    inputs = torch.randn(2, *SHAPE, dtype=torch.float64) if both else None
    return bool(xconv.verify(source, target, inputs=inputs).ok)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_change_four_ways(kind: str) -> None:
    in_torch, in_keras = KINDS[kind]
    module, model = torch_side(*in_torch()), keras_side(*in_keras())
    report = xconv.transfer(module, model, adapt=True)
    assert report.verdict == "exact"
    assert len({str(item) for item in report.adapted}) == len(report.adapted) > 0
    assert exact(module, report.target)

    again = xconv.transfer(report.target, keras_side(*in_keras()), adapt=True)
    assert again.verdict == "exact"
    assert exact(report.target, again.target)

    back = copy.deepcopy(module)
    assert xconv.transfer(model, back, adapt=True).verdict == "exact"
    assert exact(model, back)

    assert xconv.transfer(module, back, adapt=True, input_shape=SHAPE).verdict == "exact"
    assert exact(module, back)


@pytest.mark.parametrize(
    ("in_torch", "in_keras", "words"),
    [
        (
            lambda: (nn.Conv2d(3, 6, 3, (2, 1), 1, groups=3),),
            lambda: (layers.DepthwiseConv2D(3, depth_multiplier=2),),
            "a depthwise convolution of TensorFlow takes equal ones",
        ),
        (
            lambda: (nn.Conv2d(3, 4, 3), nn.GELU("tanh")),
            lambda: (layers.Conv2D(**CONV), layers.Activation("gelu")),
            "is no layer of Keras by itself",
        ),
        (
            lambda: (nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1)),
            lambda: (layers.Conv2D(**CONV), layers.AveragePooling2D(3, 1)),
            "no words in a keras.Sequential",
        ),
    ],
)
def test_what_keras_has_no_words_for_is_refused(in_torch: Make, in_keras: Make, words: str) -> None:
    target = keras_side(*in_keras())
    before = target.to_json()
    with pytest.raises(Mismatch, match=words):
        xconv.transfer(torch_side(*in_torch()), target, adapt=True)
    assert target.to_json() == before


class Twins(nn.Module):
    """Two pools of one tensor that compute the same: a change must reach both."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.left, self.right = nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 2, 1)
        self.after = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return torch.flatten((self.after(self.left(x)) + self.right(x)).mean((2, 3)), 1)


@pytest.mark.parametrize("back", [False, True])
def test_what_is_computed_twice_is_changed_twice(back: bool) -> None:
    image = keras.Input((*SHAPE[1:], 3))
    first = layers.Conv2D(4, 3)(image)
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)))(first)
    left, right = layers.MaxPooling2D(3, 2)(padded), layers.MaxPooling2D(3, 2)(padded)
    joined = layers.Add()([layers.Conv2D(4, 3, padding="same")(left), right])
    model = keras.Model(image, layers.GlobalAveragePooling2D()(joined))
    xconv.randomize(model, 2)
    source, target = (Twins().double().eval(), model) if back else (model, Twins().double().eval())
    if back:
        xconv.randomize(source, 3, inputs=torch.zeros(2, *SHAPE, dtype=torch.float64))
    report = xconv.transfer(source, target, adapt=True)
    assert report.verdict == "exact"
    assert exact(source, report.target)


class MaximumAndMean(nn.Module):
    """A maximum that does not see its pads, and a mean that counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.left = nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1)
        self.right = nn.AvgPool2d(3, 2, 1, count_include_pad=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return torch.flatten((self.left(x) * self.right(x)).mean((2, 3)), 1)


def test_zeros_that_two_layers_share_stay_where_one_needs_them() -> None:
    """As in NASNet: what is padded goes into both pools, and only one of them has other pads in the source."""
    image = keras.Input((*SHAPE[1:], 3))
    padded = layers.ZeroPadding2D(1, name="pad")(layers.Conv2D(4, 3)(image))
    left, right = layers.MaxPooling2D(3, 2)(padded), layers.AveragePooling2D(3, 2)(padded)
    target = keras.Model(image, layers.GlobalAveragePooling2D()(layers.Multiply()([left, right])))
    source = MaximumAndMean().double().eval()
    xconv.randomize(source, 3, inputs=torch.zeros(2, *SHAPE, dtype=torch.float64))
    report = xconv.transfer(source, target, adapt=True)
    assert report.verdict == "exact"
    assert exact(source, report.target)
    assert report.target.get_layer("pad").padding == ((1, 1), (1, 1))


def test_layers_that_do_not_fit_together_any_more_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ValueError("Inputs have incompatible shapes")

    monkeypatch.setattr("xconv.transfers.keras_clones.Remade.model", fails)
    in_torch, in_keras = KINDS["dilation"]
    target = keras_side(*in_keras())
    with pytest.raises(Unsupported, match=r"do not fit together.*incompatible shapes") as caught:
        xconv.transfer(torch_side(*in_torch()), target, adapt=True)
    assert target.name in str(caught.value)
