"""Memory is used again only where nobody can see it: not in outputs, other branches, or gradients."""

from __future__ import annotations

import keras
import torch
from keras import layers

import xconv
from tests.comparison import assert_same
from xconv.spec import Slot, TorchCall
from xconv.torch.reuse import in_place, without_reuse


def block() -> keras.Model:
    """A residual block with a second use of one activation, and of one sum."""
    image = keras.Input((9, 8, 4))
    x = layers.ReLU(name="first")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image)))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
    total = layers.Add(name="total")([x, y])
    z = layers.ReLU(name="second")(total)
    return xconv.randomize(keras.Model(image, [z, total, layers.GlobalAveragePooling2D()(x)]))


def run(module: torch.nn.Module, given: torch.Tensor) -> list[torch.Tensor]:
    """Outputs, then gradients of the input and of every parameter, in training mode."""
    given = given.clone().requires_grad_(True)
    module.train().zero_grad()
    outputs = list(module(given))
    sum((output * output).sum() for output in outputs).backward()
    return [*outputs, given.grad, *(p.grad.clone() for p in module.parameters())]


def test_gradients_and_outputs_are_those_without_reuse() -> None:
    """The ReLU behind a batch norm and the residual sum write over; the sum that is an output is kept."""
    module = xconv.keras_to_torch(block()).double()
    plain = without_reuse(module)
    assert module.first.inplace
    assert not plain.first.inplace
    assert not module.second.inplace
    assert "+=" in module.code
    assert "+=" not in plain.code
    given = torch.randn(3, 4, 9, 8, dtype=torch.float64)
    kept = given.clone()
    for actual, expected in zip(run(module, given), run(plain, given), strict=True):
        assert_same(actual.detach().numpy(), expected.detach().numpy(), relative=1e-13)
    assert torch.equal(given, kept)


def test_only_a_plain_sum_is_written_over() -> None:
    """One with a factor (alpha) is another function."""
    slots = (Slot(0), Slot(1))
    assert in_place(TorchCall("torch.add", slots), [True, True]).target == "operator.iadd"
    scaled = TorchCall("torch.add", slots, {"alpha": 0.5})
    assert in_place(scaled, [True, True]) == scaled
    assert in_place(TorchCall("torch.mul", slots), [True, True]).target == "torch.mul"


def test_an_input_is_never_written_over() -> None:
    """An activation on the input itself, or on what a view of it gives."""
    image = keras.Input((6,))
    x = layers.ReLU()(layers.Reshape((2, 3))(image))
    module = xconv.keras_to_torch(keras.Model(image, [x, layers.ReLU()(image)]))
    given = torch.randn(2, 6)
    kept = given.clone()
    module(given)
    assert torch.equal(given, kept)


def test_layers_are_compared_as_they_are() -> None:
    """verify sees the batch norm's own values, not what the ReLU wrote over them."""
    model = block()
    report = xconv.verify(model, xconv.keras_to_torch(model), per_layer=True)
    assert report.ok, str(report)
    assert all(layer.local is None or layer.local.max_rel < 1e-10 for layer in report.layers)
