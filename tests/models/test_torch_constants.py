"""Constants of torch modules in the place of tensors, on their way to Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import xconv
from xconv import axes
from xconv.errors import Unsupported


class OneNumber(nn.Module):
    """A buffer of one number in the place of a tensor."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("number", torch.tensor(1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, self.number)


ONE_NUMBER: dict[str, Callable[..., torch.Tensor]] = {
    "quantile": lambda x, number: torch.quantile(x, 0.3, dim=1),
    "nanquantile": lambda x, number: torch.nanquantile(x, 0.4, dim=1, keepdim=True),
    "several quantiles": lambda x, number: torch.quantile(x, x.new_tensor([0.1, 0.7]), dim=1),
    "expand": lambda x, number: number.expand(x.shape[0], 2) + x[:, :2],
    "view": lambda x, number: number.reshape(1, 1).expand(x.shape[0], 1) * x,
    "lerp from": lambda x, number: torch.lerp(number, x, 0.3),
    "lerp to": lambda x, number: torch.lerp(x, number, x),
    "addcmul": lambda x, number: torch.addcmul(number, x, x),
    "addcdiv": lambda x, number: torch.addcdiv(x, number, x),
    "cat": lambda x, number: torch.cat([x, number.expand(x.shape[0], 1)], 1),
    "masked_fill": lambda x, number: number.expand(x.shape[0], 7).masked_fill(x > 0, 2.0),
}


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_a_constant_of_one_number_is_a_tensor(name: str) -> None:
    """Spread over a batch that is open, or in the place of a tensor that a rule wires by its position."""
    module = OneNumber(ONE_NUMBER[name]).double()
    model = xconv.torch_to_keras(module, torch.randn(3, 7, dtype=torch.float64))
    x = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, wanted = np.asarray(model(x.numpy())), module(x).numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-14 * np.abs(wanted).max()


def test_weights_without_a_number_are_refused() -> None:
    """A projection to no features at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch has nothing to draw
        module = nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 3))
    with pytest.raises(xconv.XConvError, match="without a number"):
        xconv.torch_to_keras(xconv.randomize(module, 0), torch.randn(2, 4))


BY_SIZE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "divided": lambda x: x.sum(1) / x.shape[0],
    "by all": lambda x: x / x.numel(),
    "fraction": lambda x: x * (x.shape[0] / 7) + x * (x.shape[0] // 2) - (2 * x.shape[0] + 1),
    "root": lambda x: x / x.shape[0] ** 0.5,
    "power": lambda x: x.abs() ** x.shape[0],
    "from": lambda x: x.shape[0] - x,
    "compared": lambda x: (x > x.shape[0] - 4).double() * x,
    "chosen": lambda x: x.masked_fill(x > 0, x.shape[0]),
    "of an image": lambda x: nn.functional.conv2d(x[:, :4].reshape(-1, 1, 2, 2), x.new_ones(3, 1, 1, 1)) / x.shape[0],
}


@pytest.mark.parametrize("name", BY_SIZE)
def test_the_size_of_the_batch_is_a_number(name: str) -> None:
    """The network counts it, whatever it is."""
    module = OneNumber(lambda x, number: BY_SIZE[name](x)).double()
    model = xconv.torch_to_keras(module, torch.randn(3, 7, dtype=torch.float64))
    for count in (2, 5):
        x = torch.randn(count, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        wanted = module(x)
        wanted = wanted.permute(axes.channels_last(4)) if wanted.dim() == 4 else wanted
        assert np.abs(np.asarray(model(x.numpy())) - wanted.numpy()).max() <= 1e-14 * wanted.abs().max()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: torch.clamp(x, max=x.shape[0]), "clamp with max = .*known only at run time"),
        (lambda x: x[: x.shape[0] - 1], "slice with end = .*known only at run time"),
        (lambda x: torch.add(x, x, alpha=x.shape[0]), "add with alpha"),
        (lambda x: torch.topk(x, x.shape[0])[0], "topk with k"),
        (lambda x: torch.full_like(x, x.shape[0]) + x, "full_like of numbers that are known only at run time"),
        (lambda x: x * (x.shape[0] ** 2 + x.shape[0]), "the number .* known only at run time"),
    ],
)
def test_the_size_of_the_batch_is_refused_where_no_rule_counts_it(
    function: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    """As an option that a record holds it would count as left out."""
    with pytest.raises(Unsupported, match=said):
        xconv.torch_to_keras(OneNumber(lambda x, number: function(x)), torch.randn(3, 7))
