"""Heads that are said in other words: a Flatten and a Dense against a convolution as large as its map (timm's VGG)."""

from __future__ import annotations

import keras
import pytest
import torch
from torch import nn

import xconv
from xconv.errors import Mismatch


def dense_head(size: tuple[int, int] = (9, 11)) -> keras.Model:
    image = keras.Input((*size, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    x = keras.layers.Dense(6, activation="relu")(keras.layers.Flatten()(x))
    model = keras.Model(image, keras.layers.Dense(5)(keras.layers.Dense(7, activation="relu")(x)))
    return xconv.randomize(model)


class ConvolutionalHead(nn.Module):
    def __init__(self, window: tuple[int, int] = (4, 5)) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, stride=2)
        self.first = nn.Conv2d(4, 6, window)
        self.second = nn.Conv2d(6, 7, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(7, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(torch.relu(self.features(x))))
        return self.last(self.pool(torch.relu(self.second(x))).flatten(1))


def test_a_dense_head_into_a_convolution_as_large_as_its_map() -> None:
    model, module = dense_head(), ConvolutionalHead().eval().double()
    assert xconv.transfer(model, module).ok
    report = xconv.verify(model, module)
    assert report.ok, str(report)
    assert tuple(module.first.weight.shape) == (6, 4, 4, 5)


def test_and_back() -> None:
    module = ConvolutionalHead()
    xconv.randomize(module, 1, inputs=torch.randn(4, 3, 9, 11))
    model = dense_head()
    assert xconv.transfer(module.eval(), model).ok
    assert xconv.verify(module, model).ok


def test_a_window_smaller_than_the_map_is_another_function() -> None:
    with pytest.raises(Mismatch):
        xconv.transfer(dense_head(), ConvolutionalHead((3, 5)).eval())


def test_diagnose_says_nothing_of_two_words_for_one_head() -> None:
    model, module = dense_head(), ConvolutionalHead().eval().double()
    xconv.transfer(model, module)
    found = xconv.diagnose(model, module)
    assert not found.findings, str(found)
