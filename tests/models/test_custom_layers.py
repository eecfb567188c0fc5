"""Lambdas, custom layers and subclassed models: opened by tracing, or taught in either direction."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers, ops
from torch import nn

import xconv
from xconv.errors import Unsupported
from xconv.layers.activation import Activation
from xconv.layers.custom import Custom
from xconv.spec import KerasLayer, Op

RNG = np.random.default_rng(11)


def exact(model: Any, *, inputs: Any = None) -> Any:
    """The module of a model, proven in float64."""
    xconv.randomize(model)
    module = xconv.keras_to_torch(model)
    report = xconv.verify(model, module, inputs)
    assert report.ok, report
    assert all(output.float64 is not None and output.float64.max_rel < 1e-10 for output in report.outputs)
    return module


# ---------------------------------------------------------------- Lambda


def with_lambda(function: Any, count: int = 1, **settings: Any) -> Any:
    inputs = [keras.Input((5, 4), name=f"input_{place}") for place in range(count)]
    given = inputs if count > 1 else inputs[0]
    return keras.Model(given, layers.Dense(3)(layers.Lambda(function, name="code", **settings)(given)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.tanh(x) * 2 + 1,
        lambda x: x[:, ::2] / 3,
        lambda x: ops.concatenate([x, ops.flip(x, 1)], -1),
        lambda x: x - ops.mean(x, axis=1, keepdims=True),
        lambda x: x * np.arange(4, dtype="float32") + np.float32(0.5),
    ],
    ids=["operations", "operators", "several calls", "a mean", "an array"],
)
def test_a_live_lambda_is_opened(function: Any) -> None:
    exact(with_lambda(function))


def test_a_lambda_with_arguments() -> None:
    exact(with_lambda(lambda x, scale, shift: ops.relu(x * scale) + shift, arguments={"scale": 2.5, "shift": -0.5}))


def test_a_lambda_of_two_inputs() -> None:
    exact(with_lambda(lambda pair: pair[0] * pair[1] - ops.sigmoid(pair[0]), 2))


def test_two_lambdas_with_closures_keep_theirs() -> None:
    x = keras.Input((4,))
    parts = [layers.Lambda(lambda v, k=k: v**k, name=f"power{k}")(x) for k in (2, 3)]
    exact(keras.Model(x, layers.Dense(2)(layers.Subtract()(parts))))


@pytest.mark.parametrize("function", [tf.nn.relu, lambda x: tf.reduce_sum(x, -1, keepdims=True) * x])
def test_a_lambda_of_tensorflow_is_refused_by_name(function: Any) -> None:
    with pytest.raises(Unsupported, match=r"code.*Lambda.*keras\.ops"):
        xconv.keras_to_torch(with_lambda(function, output_shape=(5, 4)))


def test_a_lambda_that_draws_numbers_is_refused() -> None:
    with pytest.raises(Unsupported, match="code"):
        xconv.keras_to_torch(with_lambda(lambda x: x + keras.random.normal((4,)) + ops.mean(x) * 0))


def test_the_file_of_a_lambda_is_refused_with_the_remedy(tmp_path: Any) -> None:
    model = with_lambda(lambda x: x * 2)
    model.save(tmp_path / "model.keras")
    with pytest.raises(Unsupported, match=r"code.*never run.*live model"):
        xconv.keras_to_torch(tmp_path / "model.keras")


# ---------------------------------------------------------------- opened by tracing


class Block(layers.Layer):
    """Layers made in build, one of them called twice; a dropout that is told the mode."""

    def build(self, shape: Any) -> None:
        self.shared = layers.Dense(shape[-1], name="shared")
        self.norm = layers.LayerNormalization(name="norm")
        self.drop = layers.Dropout(0.5)
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")
        self.shared.build(shape)
        self.norm.build(shape)

    def call(self, x: Any, training: Any = None) -> Any:
        inner = self.shared(ops.gelu(self.shared(x)))
        return x + self.drop(self.norm(inner), training=training) * self.scale


class Mixer(layers.Layer):
    """Takes a dict, keeps a custom layer, and returns two tensors."""

    def build(self, shapes: Any) -> None:
        self.block = Block(name="block")
        self.block.build(shapes["left"])

    def call(self, given: Any) -> Any:
        left = self.block(given["left"])
        return left * given["right"], left - given["right"]


def test_layers_made_in_build_and_called_twice() -> None:
    x = keras.Input((7, 6))
    module = exact(keras.Model(x, layers.Dense(2)(Block(name="block")(x))))
    assert sum("shared" in name for name in module.state_dict()) == 2


def test_a_layer_of_a_dict_with_two_outputs() -> None:
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    total, rest = Mixer(name="mixer")({"left": left, "right": right})
    exact(keras.Model([left, right], [layers.Dense(2)(total), rest]))


class Network(keras.Model):
    """Subclassed, nested, with a layer in a list."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.first = layers.Dense(width, activation="relu")
        self.blocks = [Block(name="a"), Block(name="b")]
        self.last = layers.Dense(3)

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.last(x) + ops.mean(x, axis=-1, keepdims=True)


def test_a_subclassed_model_is_judged_in_float64() -> None:
    model = Network()
    model(np.zeros((1, 5), "float32"))
    module = exact(model, inputs=RNG.normal(size=(3, 5)).astype("float32"))
    data = torch.randn(4, 5)
    assert not torch.equal(module.train()(data), module.train()(data))
    assert torch.equal(module.eval()(data), module.eval()(data))


class Tied(layers.Layer):
    """Computes with the kernel of another layer."""

    def __init__(self, other: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self.borrowed = [other]

    def call(self, x: Any) -> Any:
        return ops.einsum("bj,ij->bi", x, self.borrowed[0].kernel)


def test_a_weight_that_two_layers_use_is_one_parameter() -> None:
    x = keras.Input((5,))
    encode = layers.Dense(3, use_bias=False, name="encode")
    model = keras.Model(x, Tied(encode, name="decode")(ops.tanh(encode(x))))
    xconv.randomize(model)
    module = xconv.keras_to_torch(model).eval()
    assert len({id(p) for p in module.parameters()}) == 1
    data = RNG.normal(size=(4, 5)).astype("float32")
    np.testing.assert_allclose(module(torch.tensor(data)).detach(), np.asarray(model(data)), rtol=1e-5, atol=1e-6)
    module(torch.tensor(data)).sum().backward()


# ---------------------------------------------------------------- taught, both ways


@keras.saving.register_keras_serializable("tests")
class Gain(layers.Layer):
    """x @ weight, to a power, and an offset."""

    def __init__(self, power: int = 1, **settings: Any) -> None:
        super().__init__(**settings)
        self.power = power

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(shape=(shape[-1], 3), name="weight")
        self.offset = self.add_weight(shape=(3,), name="offset")

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.weight) ** self.power + self.offset

    def get_config(self) -> Any:
        return {**super().get_config(), "power": self.power}


class TorchGain(nn.Module):
    """The same in torch; what it does is not to be seen in the graph."""

    def __init__(self, size: int, power: int = 1) -> None:
        super().__init__()
        self.power = power
        self.weight = nn.Parameter(torch.randn(3, size))
        self.offset = nn.Parameter(torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ self.weight.T) ** self.power + self.offset


TARGET = f"{TorchGain.__module__}.{TorchGain.__qualname__}"


def meaning(power: int, size: int, shape: Any) -> Custom:
    return Custom(
        keras="tests>Gain",
        torch=TARGET,
        keras_config=(("power", power),),
        torch_config=(("size", size), ("power", power)),
        turned=(("weight", (1, 0)),),
        outputs=((*shape[:-1], 3),),
    )


@pytest.fixture
def taught() -> Iterator[None]:
    @xconv.register("tests>Gain")
    def from_keras(layer: KerasLayer) -> Op:
        weight, offset = layer.weights
        (shape,) = layer.inputs
        return Op(meaning(layer["power"], shape[-1], shape), {"weight": weight.transpose((1, 0)), "offset": offset})

    @xconv.register_torch(TorchGain)
    def from_torch(call: Any) -> Op:
        (shape,) = call.inputs
        return Op(meaning(call.module.power, shape[-1], shape), call.weights)

    yield
    xconv.unregister("tests>Gain")
    xconv.unregister(TorchGain)


@pytest.mark.usefixtures("taught")
def test_a_pair_of_classes_goes_both_ways(tmp_path: Any) -> None:
    x = keras.Input((5,))
    model = keras.Model(x, layers.Dense(2)(Gain(2, name="gain")(layers.Dense(4)(x))))
    module = exact(model)
    assert type(module.gain) is TorchGain
    back = xconv.torch_to_keras(module)
    assert [type(layer).__name__ for layer in back.layers] == ["InputLayer", "Dense", "Gain", "Dense"]
    assert back.layers[2].power == 2
    assert xconv.verify(back, module).ok
    back.save(tmp_path / "back.keras")
    again = keras.models.load_model(tmp_path / "back.keras")
    assert xconv.verify(again, module).ok
    xconv.save(module, tmp_path / "module.safetensors")
    assert type(xconv.load(tmp_path / "module.safetensors").gain) is TorchGain


@pytest.mark.usefixtures("taught")
def test_a_torch_module_is_kept_whole() -> None:
    module = nn.Sequential(nn.Linear(5, 4), TorchGain(4, 3), nn.ReLU()).eval()
    model = xconv.torch_to_keras(module, torch.randn(2, 5))
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense", "Gain", "ReLU"]
    assert xconv.verify(model, module).ok


def test_without_a_rule_it_is_traced_through() -> None:
    module = nn.Sequential(nn.Linear(5, 4), TorchGain(4, 3)).eval()
    model = xconv.torch_to_keras(module, torch.randn(2, 5))
    assert "Gain" not in {type(layer).__name__ for layer in model.layers}
    assert xconv.verify(model, module).ok


def test_a_torch_class_may_mean_layers_of_keras() -> None:
    class Squashed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = 0.25

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x > 0, x, x * self.slope)

    @xconv.register_torch(Squashed)
    def rule(call: Any) -> Op:
        return Op(Activation("leaky_relu", (("negative_slope", call.module.slope),)))

    try:
        module = nn.Sequential(nn.Conv2d(3, 4, 3), Squashed()).eval()
        model = xconv.torch_to_keras(module, torch.randn(2, 3, 7, 6))
        assert type(model.layers[-1]).__name__ == "LeakyReLU"
        assert xconv.verify(model, module).ok
    finally:
        xconv.unregister(Squashed)


@keras.saving.register_keras_serializable("tests")
class Leaky(layers.Layer):
    def __init__(self, slope: float = 0.1, **settings: Any) -> None:
        super().__init__(**settings)
        self.slope = slope

    def call(self, x: Any) -> Any:
        return ops.where(x > 0, x, x * self.slope)

    def get_config(self) -> Any:
        return {**super().get_config(), "slope": self.slope}


def test_a_rule_can_say_the_way_back_to_its_own_class() -> None:
    def back(written: KerasLayer) -> KerasLayer:
        config = {"slope": written["negative_slope"]}
        return KerasLayer("tests>Leaky", config, written.weights, written.inputs, written.args)

    @xconv.register("Leaky", back=back)
    def rule(layer: KerasLayer) -> Op:
        return Op(Activation("leaky_relu", (("negative_slope", layer["slope"]),)))

    try:
        x = keras.Input((6, 5, 3))
        model = keras.Model(x, Leaky(0.25, name="leaky")(layers.Conv2D(4, 3)(x)))
        module = exact(model)
        assert type(module.leaky) is nn.LeakyReLU
        returned = xconv.torch_to_keras(module)
        assert (type(returned.layers[-1]), returned.layers[-1].slope) == (Leaky, 0.25)
        assert xconv.verify(returned, model).ok
    finally:
        xconv.unregister("Leaky")


def test_what_is_not_registered_cannot_be_forgotten() -> None:
    with pytest.raises(xconv.InvalidInput, match="no rule"):
        xconv.unregister(TorchGain)


@pytest.mark.usefixtures("taught")
def test_a_module_kept_whole_takes_tensors_in_their_places() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = TorchGain(5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gain(x=x)

    with pytest.raises(Unsupported, match="more than tensors"):
        xconv.torch_to_keras(Outer().eval(), torch.randn(2, 5))
