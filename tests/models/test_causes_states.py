"""Causes that lie in the state of a model: its mode, chance, and the precision in which it computes."""

from __future__ import annotations

import copy
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
from xconv.errors import Unsupported

SHAPE = (3, 13, 10)


class Net(nn.Module):
    """A convolution, a normalisation, a dropout and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()
        self.second = nn.Conv2d(16, 16, 3)
        self.drop, self.fc = nn.Dropout(0.4), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.second(self.act(self.norm(self.conv(x))))
        return self.fc(self.drop(x.mean((2, 3))))  # type: ignore[no-any-return]


@functools.cache
def pair() -> tuple[Any, Any]:
    """A Keras model and the torch module that it was made of."""
    torch.manual_seed(2)
    module = Net().eval()
    xconv.randomize(module, 0, inputs=torch.randn(4, *SHAPE))
    return xconv.torch_to_keras(module, input_shape=SHAPE), module


def changed(change: Callable[[nn.Module], Any]) -> Any:
    """A copy of the module, changed."""
    made = copy.deepcopy(pair()[1])
    change(made)
    return made


def same_function(found: Diagnosis) -> list[str]:
    """The causes, of two that are the same function but not as they are."""
    assert found.agree, found
    assert found.departs, found
    assert "not as they are" in found.verdict
    return [finding.cause for finding in found.findings]


@pytest.mark.parametrize(
    ("path", "word"), [("norm", "norm"), ("drop", "drop"), ("", "norm")], ids=["norm", "dropout", "everything"]
)
def test_training_mode_is_named_with_its_layers(path: str, word: str) -> None:
    found = diagnose(pair()[0], changed(lambda net: net.get_submodule(path).train()))
    assert same_function(found) == ["mode"]
    finding = found.findings[0]
    assert any(place.b.startswith(word) for place in finding.places)
    assert finding.alone is not None
    assert finding.alone > 1e-3
    assert finding.remedy == "model.eval()"


def test_a_dropout_that_is_always_active_is_chance() -> None:
    class Always(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(x, 0.4, training=True)

    found = diagnose(pair()[0], changed(lambda net: setattr(net, "drop", Always())))
    assert "randomness" in [finding.cause for finding in found.findings], found


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("layer", ["augmentation", "dropout"])
def test_what_is_random_in_a_keras_model_that_is_called_in_training(layer: str, side: str) -> None:
    image = keras.Input((13, 10, 3))
    x = layers.RandomFlip(seed=3)(image, training=True) if layer == "augmentation" else image
    x = layers.Conv2D(6, 3, name="conv")(x)
    x = layers.Dropout(0.3, seed=1)(x, training=True) if layer == "dropout" else x
    model = xconv.randomize(keras.Model(image, layers.Dense(4, name="fc")(layers.Flatten()(x))), 0)
    plain_image = keras.Input((13, 10, 3))
    y = layers.Dense(4, name="fc")(layers.Flatten()(layers.Conv2D(6, 3, name="conv")(plain_image)))
    plain = keras.Model(plain_image, y)
    plain.set_weights(model.get_weights()[: len(plain.weights)])
    states = [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables]
    found = diagnose(model, plain) if side == "a" else diagnose(plain, model)
    finding = next(finding for finding in found.findings if finding.cause == "randomness")
    assert any("flip" in name or "dropout" in name for place in finding.places for name in (place.a, place.b))
    for variable, state in zip(model.variables, states, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), state)  # the seeds too are as they were


def test_the_record_of_a_conversion_tells_of_augmentation() -> None:
    model = keras.Sequential([keras.Input((13, 10, 3)), layers.RandomFlip(), layers.Conv2D(4, 3)])
    notes = xconv.record(xconv.keras_to_torch(model)).notes
    assert any("RandomFlip changes the pictures at random" in note for note in notes)


LOW: dict[str, Callable[[nn.Module], Any]] = {"float16": nn.Module.half, "bfloat16": nn.Module.bfloat16}


@pytest.mark.parametrize("name", LOW)
def test_a_module_that_computes_in_low_precision(name: str) -> None:
    found = diagnose(pair()[0], changed(LOW[name]))
    assert {finding.cause for finding in found.findings} == {"dtype"}
    texts = " ".join(finding.text for finding in found.findings)
    assert name in texts, texts


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_mixed_policy_is_named_with_the_error_that_it_explains(policy: str) -> None:
    def model(dtype: str) -> Any:
        image = keras.Input((13, 10, 3))
        x = layers.Conv2D(12, 3, activation="relu", dtype=dtype)(image)
        x = layers.Conv2D(12, 3, activation="relu", dtype=dtype)(x)
        return keras.Model(image, layers.Dense(5, dtype=dtype)(layers.GlobalAveragePooling2D(dtype=dtype)(x)))

    a = xconv.randomize(model("float32"), 0)
    b = model(policy)
    b.set_weights(a.get_weights())
    found = diagnose(a, b)
    assert same_function(found) == ["dtype"]
    assert policy in found.findings[0].text or "float16" in found.findings[0].text
    assert found.findings[0].alone == pytest.approx(found.as_given, rel=0.5)


def test_autocast_inside_a_module_is_refused_with_a_remedy() -> None:
    class Autocast(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.net(x).float()

    with pytest.raises(Unsupported, match="convert the module without autocast"):
        diagnose(pair()[0], Autocast(copy.deepcopy(pair()[1])))


def test_float32_alone_is_no_finding() -> None:
    found = diagnose(*pair())
    assert found.findings == ()
    assert found.as_given is not None
    assert 0 <= found.as_given < 1e-4
    assert np.isfinite(found.error)
