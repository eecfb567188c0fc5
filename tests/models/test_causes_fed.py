"""What the two models are fed: scaling, channel order, layout, size; and what a model makes up for itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from xconv.diagnosis.records import Diagnosis
from xconv.diagnosis.run import diagnose
from xconv.errors import InvalidInput
from xconv.statistics import Array

SHAPE = (3, 20, 23)
IMAGENET = np.array([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1)
MEAN, STD = (np.array(three).reshape(1, 3, 1, 1) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


class Net(nn.Module):
    """Two convolutions and a head; `inside` is done to the images first."""

    def __init__(self, inside: Callable[[torch.Tensor], torch.Tensor] | None = None) -> None:
        super().__init__()
        self.inside = inside
        self.conv, self.act, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, 3)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = x if self.inside is None else self.inside(x)
        return self.fc(self.act(self.second(self.act(self.conv(x)))).mean((2, 3)))  # type: ignore[no-any-return]


@functools.cache
def base() -> nn.Module:
    """The network with live weights."""
    torch.manual_seed(0)
    made = Net()
    xconv.randomize(made, 0, inputs=torch.randn(4, *SHAPE))
    return made.eval()


def like(inside: Callable[[torch.Tensor], torch.Tensor] | None = None, *, flipped: bool = False) -> nn.Module:
    """Another with the same weights, the first kernel's channels reversed where `flipped`."""
    made = Net(inside).eval()
    made.load_state_dict(base().state_dict())
    if flipped:
        made.conv.weight.data = made.conv.weight.data.flip(1)
    return made


def flip(x: torch.Tensor) -> torch.Tensor:
    return x.flip(1)


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x / 127.5 - 1


def images(*shape: int) -> Array:
    """Pixels from 0 to 255."""
    return np.random.default_rng(5).uniform(0, 255, (2, *(shape or SHAPE)))


def fed(theirs: Array, module: nn.Module | None = None, first: nn.Module | None = None) -> Diagnosis:
    """The diagnosis of two networks of which the second is fed something else."""
    return diagnose(first or base(), module or like(), images(), inputs_b=theirs, input_shape=SHAPE)


def causes(found: Diagnosis) -> list[str]:
    return sorted(finding.cause for finding in found.findings)


FED: dict[str, tuple[Callable[[Array], Array], list[str], str]] = {
    "tf": (lambda x: x / 127.5 - 1, ["scaling"], "x / 127.5 - 1"),
    "unit": (lambda x: x / 255, ["scaling"], "x / 255"),
    "torch": (lambda x: (x / 255 - MEAN) / STD, ["scaling"], "by channel"),
    "caffe": (lambda x: x[:, ::-1] - IMAGENET, ["channel_order", "scaling"], "by channel"),
    "BGR": (lambda x: x[:, ::-1], ["channel_order"], "BGR against RGB"),
    "sides": (lambda x: np.swapaxes(x, 2, 3).reshape(x.shape), ["resize"], "no change of layout"),
    "other pixels": (lambda x: np.roll(x, 1, 3), ["resize"], "no change of layout"),
    "view": (lambda x: np.moveaxis(x, 1, -1).reshape(x.shape), ["input_layout"], "reshaped, not permuted"),
}


@pytest.mark.parametrize("name", FED)
def test_what_b_is_fed(name: str) -> None:
    change, wanted, words = FED[name]
    found = fed(np.ascontiguousarray(change(images())))
    assert causes(found) == wanted, found
    assert found.explained
    assert words in " ".join(finding.text for finding in found.findings)
    assert all(finding.remedy for finding in found.findings)


def test_channels_last_read_as_channels_first_where_every_size_agrees() -> None:
    square = images(3, 3, 3)

    def net() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()

    found = diagnose(net(), net(), square, inputs_b=np.moveaxis(square, 1, -1).copy(), input_shape=(3, 3, 3))
    assert causes(found) == ["input_layout"], found
    assert found.explained
    assert "permute" in found.findings[0].remedy


def test_scaled_in_the_model_and_before_it_counts_twice() -> None:
    inside = like(scaled)
    found = fed(images() / 127.5 - 1, like(scaled), inside)
    assert causes(found) == ["scaling"]
    assert found.findings[0].places[0].b_says == "x / 127.5 - 1"
    twice = diagnose(inside, like(lambda x: scaled(scaled(x))), images(), input_shape=SHAPE)
    assert causes(twice) == ["scaling"], twice
    assert "once more" in twice.findings[0].text or "scales its input" in twice.findings[0].text
    assert twice.explained


@pytest.mark.parametrize(
    ("module", "theirs", "first"),
    [
        (like(flipped=True), lambda x: x[:, ::-1], None),
        (like(flip), lambda x: x[:, ::-1], None),
        (like(flip, flipped=True), lambda x: x, None),
        (like(), lambda x: x / 127.5 - 1, like(scaled)),
    ],
    ids=["images and kernel", "images and model", "model and kernel", "scaled outside"],
)
def test_what_makes_up_for_each_other_is_no_finding(
    module: nn.Module, theirs: Callable[[Array], Array], first: nn.Module | None
) -> None:
    found = fed(np.ascontiguousarray(theirs(images())), module, first)
    assert found.agree
    assert found.findings == (), found


def test_one_reversal_too_many_is_told_once() -> None:
    found = fed(np.ascontiguousarray(images()[:, ::-1]), like(flip, flipped=True))
    assert causes(found) == ["channel_order"]
    assert found.explained
    assert found.findings[0].after == pytest.approx(0, abs=1e-12)


def test_what_makes_up_for_each_other_leaves_other_causes_alone() -> None:
    found = fed(np.ascontiguousarray(images()[:, ::-1] / 127.5 - 1), like(flipped=True))
    assert causes(found) == ["scaling"]
    assert found.explained


def scaler(scale: float, *shape: int) -> Any:
    """A Keras model that scales what it is given and does nothing else."""
    return keras.Sequential([keras.Input(shape), layers.Rescaling(scale)])


def test_keras_models_of_nothing_but_preprocessing_are_compared_as_such() -> None:
    found = diagnose(scaler(1 / 255, 13, 10, 3), scaler(1 / 127.5, 13, 10, 3))
    assert "takes a uint8 array" in found.a
    assert causes(found) == ["scaling"]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_pair_with_one_real_model_is_compared_as_models(swapped: bool) -> None:
    net = keras.Sequential([keras.Input((7,)), layers.Rescaling(1 / 127.5), layers.Dense(7, name="fc")], name="net")
    pair = [net, scaler(1 / 127.5, 7)]
    found = diagnose(*reversed(pair)) if swapped else diagnose(*pair)
    assert "net (keras)" in (found.a, found.b)
    assert any("fc" in (place.a, place.b) for finding in found.findings for place in finding.places), found
    assert found.explained


@pytest.mark.parametrize("preprocessing", [lambda picture: picture / 255, "keras.applications.resnet50 at 224"])
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_model_against_a_preprocessing_is_refused(preprocessing: Any, side: str) -> None:
    pair = (preprocessing, base()) if side == "a" else (base(), preprocessing)
    with pytest.raises(InvalidInput, match="is a preprocessing") as caught:
        diagnose(*pair, input_shape=SHAPE)
    assert "inputs_b" in str(caught.value)
