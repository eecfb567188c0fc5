"""torch to Keras: weights that are computed from parameters, bags with padding, what draws numbers, layers refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

import xconv
from tests.comparison import assert_same
from tests.layers.test_torch_generated import check
from xconv.errors import Unknown, Unsupported
from xconv.spec import TorchExample


def same(module: nn.Module, model: Any) -> None:
    report = xconv.verify(module, model)
    assert report.ok, str(report)


class Exponential(nn.Module):
    """A parametrization by an operator that no rule reads."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return torch.matrix_exp(weight) + torch.lgamma(weight.abs() + 1)


# ---------------------------------------------------------------------------------------------- computed weights


@pytest.mark.parametrize("way", ["householder", "cayley", "matrix_exp"])
@pytest.mark.parametrize("layer", ["linear", "conv"])
def test_orthogonal_weights(way: str, layer: str) -> None:
    """The weight is held as computed, whatever computes it, and the report says so."""
    made: nn.Module = nn.Linear(4, 3) if layer == "linear" else nn.Conv2d(2, 3, 3)
    module = nn.Sequential(parametrizations.orthogonal(made, orthogonal_map=way), nn.ReLU())
    shape = (4,) if layer == "linear" else (2, 5, 6)
    model = xconv.torch_to_keras(module, input_shape=shape)
    same(module, model)
    assert len(model.layers) == 3
    assert any("held as computed, and trains by itself" in note for note in xconv.record(model).notes)


def test_an_unknown_operator_on_parameters() -> None:
    module = nn.Linear(3, 3)
    parametrize.register_parametrization(module, "weight", Exponential())
    same(module, xconv.torch_to_keras(module, input_shape=(3,)))


def test_several_results_of_parameters() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values, places = torch.mode(self.weight, 1)
            return x @ self.weight + values.sum() + places.sum()

    same(Net(), xconv.torch_to_keras(Net(), input_shape=(4,)))


def test_an_unknown_operator_on_an_input_is_refused() -> None:
    """Also where parameters take part."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.lgamma(x + self.weight)

    with pytest.raises(Unknown, match=r"lgamma has no rule; Keras has no gamma function"):
        xconv.torch_to_keras(Net(), input_shape=(3,))


@pytest.mark.parametrize("kind", ["of a parameter", "of a size"])
def test_random_numbers_are_no_weights(kind: str) -> None:
    """They are drawn anew at every call: none of them is held."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + (torch.randn_like(self.weight) if kind == "of a parameter" else torch.rand(3))

    with pytest.raises(Unsupported, match=r"draws random numbers at every call, in inference too; draw them outside"):
        xconv.torch_to_keras(Net(), input_shape=(3,))


@pytest.mark.parametrize("name", ["mT", "mH"])
def test_a_transposed_weight_trains(name: str) -> None:
    """It is the parameter itself in another order."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.linear(x, getattr(self.weight, name))

    model = xconv.torch_to_keras(Net(), input_shape=(5,))
    same(Net(), model)
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense"]


# ---------------------------------------------------------------------------------------------- bags with padding


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_with_padding(mode: str) -> None:
    """Rows at padding_idx are left out; gradients too."""
    config = {"num_embeddings": 7, "embedding_dim": 3, "mode": mode, "padding_idx": 2}
    check(TorchExample("torch.nn.EmbeddingBag", ((5,),), config, values="integers"))


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_of_padding_alone(mode: str) -> None:
    """They give zeros."""
    bags = nn.EmbeddingBag(7, 3, mode=mode, padding_idx=2)
    bags.weight.data = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))  # the row of padding too
    ids = torch.tensor([[2, 2, 2], [2, 5, 0], [1, 1, 6], [2, 2, 4]])
    model = xconv.torch_to_keras(bags, ids)
    assert_same(keras.ops.convert_to_numpy(model(ids.numpy())), bags(ids), relative=1e-6)
    assert not np.any(keras.ops.convert_to_numpy(model(ids.numpy()))[0])


def test_weighted_bags_with_padding() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bags = nn.EmbeddingBag(7, 3, mode="sum", padding_idx=1)

        def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            return self.bags(ids, per_sample_weights=weights)

    module = xconv.randomize(Weighted(), 0)
    ids, weights = torch.arange(12).reshape(3, 4) % 7, torch.arange(12.0).reshape(3, 4)
    model = xconv.torch_to_keras(module, (ids, weights))
    got = keras.ops.convert_to_numpy(model([ids.numpy(), weights.numpy()]))
    assert_same(got, module(ids, weights), relative=1e-6)


# ---------------------------------------------------------------------------------------------- refused layers


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.CrossMapLRN2d(3), (4, 5, 6), r"1: torch.export cannot say it.*; use LocalResponseNorm"),
        (nn.FractionalMaxPool2d(2, output_size=3), (2, 5, 6), r"1: it draws other regions.*; use AdaptiveMaxPool2d"),
        (
            nn.FractionalMaxPool3d(2, output_size=2),
            (2, 5, 6, 4),
            r"1: it draws other regions.*; use AdaptiveMaxPool3d",
        ),
        (nn.RNNBase("LSTM", 4, 3), (5, 4), r"1: it is the base .*; use LSTM, GRU or RNN"),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, nn.Module) else "",
)
def test_layers_refused_with_their_reason(layer: nn.Module, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        xconv.torch_to_keras(nn.Sequential(nn.Identity(), layer), input_shape=shape)
    assert "forward" not in vars(layer)


def test_the_legacy_norm_and_the_other_one() -> None:
    """They are one where the first channel, which the legacy code keeps in every later sum, is nothing."""
    x = torch.randn(3, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    legacy, plain = nn.CrossMapLRN2d(3, 0.3, 0.6, 1.5), nn.LocalResponseNorm(3, 0.3, 0.6, 1.5)
    assert_same(plain(x)[:, :2], legacy(x)[:, :2], relative=1e-6)
    assert not torch.allclose(plain(x), legacy(x))
    x[:, 0] = 0
    assert_same(plain(x), legacy(x), relative=1e-6)
    same(plain, xconv.torch_to_keras(plain, input_shape=(6, 5, 4)))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("lgamma", "Keras has no gamma function"),
        ("digamma", "Keras has no gamma function"),
        ("special.i1", "has i0 alone"),
        ("matrix_exp", "exponential of a matrix"),
        ("mode", "which of equal numbers it names is not defined"),
        ("linalg.eigvalsh", "signs no definition settles.*use torch.linalg.svdvals"),
        ("linalg.eigh", "signs no definition settles.*use torch.linalg.svdvals"),
        ("special.ndtri", "torch.erfinv"),
    ],
)
def test_functions_refused_with_their_remedy(function: str, words: str) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            found = torch
            for name in function.split("."):
                found = getattr(found, name)
            result = found(x)  # type: ignore[operator]
            return result if isinstance(result, torch.Tensor) else result[0]

    with pytest.raises(Unsupported, match=words):
        xconv.torch_to_keras(Net(), input_shape=(3, 3))
