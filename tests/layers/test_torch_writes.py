"""Writes at places that are named by number, on their way to Keras: what generated cases do not reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import xconv

INFINITY, NAN = float("inf"), float("nan")

pytestmark = pytest.mark.filterwarnings(r"ignore:index_reduce\(\) is in beta:UserWarning")


class Applied(nn.Module):
    """A function of the inputs, and of a table that is held."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.table = nn.Parameter(noise(4, 5))

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


class Table(Applied):
    """A function of the inputs and of the table."""

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors, self.table)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def places(*shape: int, limit: int = 4) -> torch.Tensor:
    return torch.randint(0, limit, shape, generator=torch.Generator().manual_seed(7))


def assert_right(module: nn.Module, *tensors: torch.Tensor) -> Any:
    """The Keras model computes the same numbers, the same at another size of the batch; it is given back."""
    model = xconv.torch_to_keras(module, tensors, input_layout="channels_first")
    for given in (tensors, tuple(torch.cat([tensor, tensor[:2]]) for tensor in tensors)):
        fed = [keras.ops.convert_to_tensor(tensor.numpy()) for tensor in given]
        returned = model(fed if len(fed) > 1 else fed[0])
        with torch.no_grad():
            wanted = module(*given)
        pairs = [(returned, wanted)] if isinstance(wanted, torch.Tensor) else list(zip(returned, wanted, strict=True))
        for got, want in pairs:
            found = keras.ops.convert_to_numpy(got)
            assert found.shape == tuple(want.shape)
            np.testing.assert_allclose(found, want.numpy(), rtol=1e-12, atol=0)
    return model


def special(*shape: int) -> torch.Tensor:
    """Noise with infinities, and with -0.0."""
    x = noise(*shape, seed=3)
    x.view(-1)[::5], x.view(-1)[1::7], x.view(-1)[2::9] = INFINITY, -INFINITY, -0.0
    return x


def holes(*shape: int) -> torch.Tensor:
    """The same with NaN."""
    x = special(*shape)
    x.view(-1)[3::4] = NAN
    return x


def written(x: torch.Tensor, key: Any, values: Any) -> torch.Tensor:
    x = x.clone()
    x[key] = values
    return x


def without_diagonal(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x.diagonal(1, dim1=1, dim2=2).zero_()
    return x


WRITES: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "scatter": (lambda x, i, s: x.scatter(1, i, s), (special(4, 6), places(4, 2), special(4, 2))),
    "scatter of more values": (lambda x, i, s: x.scatter(1, i, s), (noise(4, 6), places(4, 2), noise(4, 5))),
    "scatter_add": (lambda x, i, s: x.scatter_add(1, i, s), (special(4, 6), places(4, 1), special(4, 1))),
    "a part of the batch": (lambda x, i: x.scatter(1, i[:2], 0.5), (noise(4, 5), places(4, 3))),
    "one_hot": (lambda i: torch.zeros(i.shape[0], 5).scatter_(1, i, 1), (places(4, 1),)),
    "sums in zeros": (
        lambda x, i: x.new_zeros(x.shape[0], 6).scatter_add_(1, i, x[:, :2]),
        (special(4, 3), places(4, 2)),
    ),
    "ones in zeros": (
        lambda x, i: written(torch.zeros(x.shape[0], 6, 3, dtype=x.dtype), (torch.arange(x.shape[0]), i), x),
        (noise(4, 3), places(4)),
    ),
    "sums of groups": (
        lambda x, i: torch.zeros(5, 3, dtype=x.dtype).index_add_(0, i, x),
        (noise(4, 3), places(4)),
    ),
    "maxima of groups": (
        lambda x, i: torch.full((5, 3), -INFINITY, dtype=x.dtype).scatter_reduce_(
            0, i[:, None].expand(-1, 3), x, "amax"
        ),
        (noise(4, 3), places(4)),
    ),
    "largest": (lambda x, i, s: x.scatter_reduce(1, i, s, "amax"), (special(4, 6), places(4, 3), special(4, 3))),
    "smallest of the new": (
        lambda x, i, s: x.scatter_reduce(1, i, s, "amin", include_self=False),
        (special(4, 6), places(4, 3), special(4, 3)),
    ),
    "largest, NaN": (lambda x, i, s: x.scatter_reduce(1, i, s, "amax"), (holes(4, 6), places(4, 3), holes(4, 3))),
    "smallest of the new, NaN": (
        lambda x, i, s: x.scatter_reduce(1, i, s, "amin", include_self=False),
        (holes(4, 6), places(4, 3), holes(4, 3)),
    ),
    "means of integers": (
        lambda x, i, s: x.scatter_reduce(1, i, s, "mean"),
        (places(4, 6) - 9, places(4, 3), places(4, 3) - 4),
    ),
    "product of integers": (
        lambda x, i, s: x.scatter_reduce(1, i, s, "prod"),
        (places(4, 6) - 9, places(4, 3), places(4, 3) - 4),
    ),
    "index_add": (lambda x, s: x.index_add(1, torch.tensor([1, 3, 3]), s), (special(4, 6), special(4, 3) * 0 + 2)),
    "index_copy": (lambda x, s: x.index_copy(2, torch.tensor([4, 1]), s), (special(4, 3, 6), special(4, 3, 2))),
    "index_fill": (lambda x: x.index_fill(1, torch.tensor([-1, 3]), -INFINITY), (special(4, 6),)),
    "index_fill by a tensor": (
        lambda x: x.index_fill(1, torch.tensor([1, 3]), x.sum()),
        (noise(4, 6),),
    ),
    "a mask": (lambda x: written(x, x > 0, 0.0), (special(4, 6),)),
    "a mask of the first axes": (
        lambda x, m, y: written(x, m > 0, y[0]),
        (special(4, 3, 5), noise(4, 3), special(4, 5)),
    ),
    "a mask of steps": (lambda x, m: written(x, (slice(None), m[0] > 0), 2.0), (special(4, 3, 5), noise(4, 3))),
    "a constant mask": (
        lambda x: written(x, torch.tensor([True, False, True])[None].expand(x.shape[0], 3), NAN),
        (special(4, 3, 5),),
    ),
    "an empty mask": (lambda x: written(x, (slice(None), torch.tensor([False, False, False])), 1.0), (noise(4, 3),)),
    "truth values": (lambda x, i: written(x > 0, (torch.arange(x.shape[0]), i), True), (noise(4, 5), places(4))),
    "known truth values": (lambda x: written(x > 0, (slice(None), [1, 3]), True), (noise(4, 5),)),
    "every sample and constants": (
        lambda x, y: written(x, (torch.arange(x.shape[0])[:, None], torch.tensor([3, 0])), y),
        (noise(4, 5), noise(4, 2)),
    ),
    "every sample and one": (lambda x, y: written(x, (torch.arange(x.shape[0]), 2), y), (noise(4, 5), noise(4))),
    "two tensors, apart": (
        lambda x, i, j: written(x, (i[0], slice(None), j[0]), 0.5),
        (noise(4, 3, 5), places(4, 2), places(4, 2)),
    ),
    "two tensors and values, apart": (
        lambda x, i, j, y: written(x, (i[0], slice(None), j[0]), y[0]),
        (noise(4, 3, 5), places(4, 2), places(4, 2), noise(4, 3)),
    ),
    "a tensor and a constant": (
        lambda x, i: written(x, (slice(None), i[0], torch.tensor([2, 0])), 0.5),
        (noise(4, 4, 5), places(4, 2)),
    ),
    "samples, from the back": (lambda x, i: x.index_put((i - 4,), x[:1, :1] * 0 + 1), (noise(4, 5), places(4))),
    "the first places along an axis": (
        lambda x, y: written(x, (slice(None), y[:, 0].long().abs() % 3), y[:, :1]),
        (noise(4, 5), noise(4, 2)),
    ),
    "masked_scatter": (
        lambda x, s: x.masked_scatter(x > 0, s),
        (special(4, 6), special(4, 8)),
    ),
    "every second place": (
        lambda x, y: written(x, (slice(None), slice(1, None, 2)), y),
        (special(4, 6), special(4, 3)),
    ),
    "part of a view": (lambda x: written(x, (slice(None), slice(0, None, 2), slice(1, 3)), 1.5), (noise(4, 5, 6),)),
    "a diagonal": (without_diagonal, (special(4, 5, 6),)),
    "added in place": (lambda x, y: written(x, (slice(None), [0, 2]), x[:, [0, 2]] + y), (noise(4, 5), noise(4, 2))),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written_is_exact(name: str) -> None:
    function, tensors = WRITES[name]
    assert_right(Applied(function), *tensors)


def test_rows_of_a_parameter() -> None:
    """What is written into is held; it has no batch."""
    assert_right(Table(lambda i, y, table: table.index_add(0, i[:2], y[:2])), places(4), noise(4, 5))


POOLS: dict[str, Any] = {
    "kept": {"kernel_size": 2},
    "padded": {"kernel_size": 3, "stride": 2, "padding": 1},
    "over the end": {"kernel_size": (3, 2), "stride": 2, "ceil_mode": True},
    "of one row": {"kernel_size": (1, 3), "stride": (1, 2)},
    "of one pixel": {"kernel_size": 1},
}


@pytest.mark.parametrize("name", POOLS)
def test_places_of_a_pools_maxima(name: str) -> None:
    """The first of equal ones; a window of nothing but -inf has its first pixel, and none of the pad."""
    config = POOLS[name]

    def pooled(x: torch.Tensor) -> Any:
        return functional.max_pool2d(x, return_indices=True, **config)

    assert_right(Applied(pooled), torch.round(noise(4, 2, 7, 6)))
    only = Applied(lambda x: pooled(x)[1])  # TensorFlow's maximum of -inf alone is the lowest number there is
    assert_right(only, torch.full((4, 2, 7, 6), -INFINITY, dtype=torch.float64))
    assert_right(only, special(4, 2, 7, 6))


def test_a_network_of_pools_and_unpools(tmp_path: Path) -> None:
    """As SegNet has them; proved by verify, saved and loaded."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
            self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

        def forward(self, x: torch.Tensor) -> Any:
            x = self.first(x)
            pooled, index = self.pool(x)
            return self.last(self.unpool(pooled.sigmoid(), index, output_size=x.shape[2:]))

    module = xconv.randomize(Net(), 0)
    model = xconv.torch_to_keras(module, torch.randn(2, 3, 9, 8))
    assert xconv.verify(module, model).ok
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = np.random.default_rng(0).normal(size=(3, 9, 8, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


def test_infinities_are_saved(tmp_path: Path) -> None:
    function = WRITES["smallest of the new"]
    model = assert_right(Applied(function[0]), *function[1])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    fed = [tensor.numpy() for tensor in function[1]]
    np.testing.assert_array_equal(np.asarray(loaded(fed)), np.asarray(model(fed)))


REFUSED: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...], str]] = {
    "products along the batch": (
        lambda x, i: x.scatter_reduce(0, i, x, "prod"),
        (noise(4, 3), places(4, 3)),
        "products along an axis of open size",
    ),
    "a mask among others": (
        lambda x, i: written(x, (i[:, 0] > 1, i[0]), 0.5),
        (noise(4, 3), places(4, 1, limit=3)),
        "a computed mask among other indices.*torch.where",
    ),
    "what a mask picks": (lambda x: x[x > 0].sum(), (noise(4, 3),), "as many results as a computed mask says"),
    "rows that a mask picks": (lambda x: x[:, x[0] > 0], (noise(4, 3),), "as many results as a computed mask says"),
    "nonzero": (lambda x: x.nonzero().sum(0), (noise(4, 3),), "as many results as the values say"),
    "unique": (lambda x: x.unique().sum(), (noise(4, 3),), "as many results as the values say"),
    "masked_select": (lambda x: x.masked_select(x > 0).sum(), (noise(4, 3),), "as many results as the values say"),
    "bincount": (lambda i: i.bincount(minlength=9).sum(), (places(4),), "F.one_hot"),
    "histc": (lambda x: x.histc(5, -1, 1), (noise(4, 3),), "bounds of the bins"),
    "nonzero_static": (lambda x: x.nonzero_static(size=2), (noise(4, 3),), "choose by torch.where"),
    "put": (lambda x, i: x.put(i, x[:, 0]), (noise(4, 3), places(4)), "Tensor.scatter"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_fixed_shape_or_place_is_refused_with_its_reason(name: str) -> None:
    function, tensors, reason = REFUSED[name]
    with pytest.raises(xconv.XConvError, match=reason):
        xconv.torch_to_keras(Applied(function), tensors)
