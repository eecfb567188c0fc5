"""The table of what a conversion would do."""

import json
from typing import Any

import keras
import pytest
from keras import layers

import xconv
from tests.models.small_models import SMALL


@keras.saving.register_keras_serializable("tests")
class Unheard(layers.Layer):
    """A layer whose call cannot be traced."""

    def call(self, x: Any) -> Any:
        return x if float(x[0, 0]) > 0 else -x


def broken() -> Any:
    """A Lambda and an unknown layer, with layers behind them."""
    image = keras.Input((6, 7, 3), name="image")
    x = layers.Conv2D(2, 3, name="conv", kernel_regularizer="l2")(image)
    left = layers.Lambda(lambda t: t.numpy() * 2, output_shape=(4, 5, 2), name="twice")(x)
    x = layers.Add(name="sum")([left, layers.Dropout(0.5, name="drop")(x)])
    unheard = Unheard(name="unheard")
    unheard.compute_output_spec = lambda t: keras.KerasTensor(t.shape, t.dtype)
    return keras.Model(image, layers.ReLU(name="relu")(unheard(x)))


def test_a_model_that_converts() -> None:
    found = xconv.inspect(SMALL["several"]())
    rows = {row.layer: row for row in found.rows}
    assert found.ok
    assert found.permutes == ()
    assert {name for name in rows if "/" in name} == {"inner/project", "inner/bn"}
    assert rows["shared"].exactness == "exact"
    assert rows["shared"].parameters == 3 * 3 * 4 * 4 + 4
    assert rows["shared"].shape == (None, 8, 9, 4)
    assert rows["frozen"].exactness == "exact"
    assert rows["inner/bn"].exactness == "differs in training"
    assert "unbiased" in rows["inner/bn"].why
    assert found.parameters == SMALL["several"]().count_params()
    assert "0 permutes will remain" in str(found)


def test_what_cannot_be_converted_is_collected() -> None:
    found = xconv.inspect(broken())
    rows = {row.layer: row.exactness for row in found.rows}
    assert not found.ok
    assert rows == {
        "image": "exact",
        "conv": "differs in training",
        "twice": "unsupported",
        "drop": "differs in training",
        "sum": "not read",
        "unheard": "unsupported",
        "relu": "not read",
    }
    assert {problem.place for problem in found.problems} == {"twice", "unheard"}
    assert "cannot be converted:" in str(found)
    assert "the penalty is not part of a torch module" in str(found)


def test_permutes_that_the_user_demands_are_named() -> None:
    image = keras.Input((4, 6, 3))
    x = layers.Reshape((12, 6))(layers.Conv2D(3, 3, padding="same", name="conv")(image))
    found = xconv.inspect(keras.Model(image, x))
    assert found.permutes == ("conv_permute",)
    assert "1 permutes will remain: conv_permute" in str(found)


def test_it_is_plain_data_and_a_table() -> None:
    found = xconv.inspect(SMALL["sizeless"]())
    data = json.loads(json.dumps(found.to_dict()))
    assert data["counts"]["exact"] + data["counts"]["differs in training"] == len(data["layers"])
    assert data["layers"][0] == {
        "layer": "image",
        "kind": "InputLayer",
        "shape": [None, None, None, 3],
        "parameters": 0,
        "exactness": "exact",
        "why": "",
    }
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as captured:
        console.print(found)
    assert "depthwise" in captured.get()


def test_something_else_is_an_error() -> None:
    with pytest.raises(xconv.InvalidInput):
        xconv.inspect(3)
