"""Functions of torch that came out wrong, or as an error that was none of xconv's, on their way to Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import xconv


class Applied(nn.Module):
    """A function of the inputs, and of tensors that are held."""

    def __init__(self, function: Callable[..., Any], *held: torch.Tensor) -> None:
        super().__init__()
        self.function = function
        for place, tensor in enumerate(held):
            self.register_buffer(f"held{place}", tensor)

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors, *self.buffers())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_right(function: Callable[..., Any], batches: tuple[int, ...], *shapes: tuple[int, ...], **held: Any) -> None:
    """The Keras model of a function computes the same at every size of the batch."""
    module = Applied(function, *held.get("held", ()))
    example = tuple(noise(4, *shape) for shape in shapes)
    model = xconv.torch_to_keras(module, example, input_layout="channels_first")
    for batch in batches:
        tensors = [noise(batch, *shape, seed=place) for place, shape in enumerate(shapes)]
        fed = [keras.ops.convert_to_tensor(tensor.numpy()) for tensor in tensors]
        found = keras.ops.convert_to_numpy(model(fed if len(fed) > 1 else fed[0]))
        wanted = module(*tensors).numpy()
        assert found.shape == wanted.shape, batch
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


ADDED: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[tuple[int, ...], ...]]] = {
    "as many channels as places": (lambda x, b: x + b[:, None], (2, 5), ((5, 5),)),
    "as many samples as features": (lambda x: x + x.mean(1, keepdim=True), (2, 5), ((5,),)),
    "as many samples as steps": (lambda x, b: x + x.sum((1, 2), keepdim=True), (2, 5, 6), ((6, 5),)),
    "an outer sum of one sample": (lambda x, y: x + y, (1, 4), ((1, 5), (5, 1))),
}


@pytest.mark.parametrize("name", ADDED)
def test_a_sum_is_along_the_axes_that_it_is_of(name: str) -> None:
    """Keras on TensorFlow takes the second term for a bias of the last axis, or of axis 1, wherever the size fits."""
    function, batches, shapes = ADDED[name]
    needs = function.__code__.co_argcount - len(shapes)
    assert_right(function, batches, *shapes, held=[noise(5, seed=9)] * needs)


@pytest.mark.parametrize("shape", [(5, 5), (5, 1, 5), (5, 4)])
def test_batch_norm_by_the_statistics_of_the_batch(shape: tuple[int, ...]) -> None:
    def normed(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(x, None, None, weight, bias, training=True, eps=0.5)

    assert_right(normed, (2, 5), shape, held=[noise(5, seed=1), noise(5, seed=2)])


def test_a_batch_that_is_split_into_groups() -> None:
    assert_right(lambda x: x.view(-1, 2, 3).mean(1), (2, 6), (3,))
    assert_right(lambda x: x.reshape(x.shape[0] // 2, 2, 3) * 2, (2, 6), (3,))


def test_a_rank_among_the_samples() -> None:
    assert_right(lambda x: torch.kthvalue(x, 2, 0)[0], (3, 5), ())
    assert_right(lambda x: torch.kthvalue(x, 3, 0)[0], (3, 5), (4,))


def test_the_logarithm_of_a_determinant() -> None:
    """Of matrices that are not positive definite: NaN where the determinant is negative."""
    assert_right(torch.logdet, (7,), (3, 3))
    assert_right(torch.logdet, (2,), (2, 4, 4))


REFUSED: dict[str, tuple[Callable[..., Any], tuple[int, ...], list[torch.Tensor], str]] = {
    "max_pool2d": (lambda x: functional.max_pool2d(x, 2, ceil_mode=True), (6, 7), [], "give it a batch axis"),
    "avg_pool1d": (lambda x: functional.avg_pool1d(x, 2), (6,), [], "give it a batch axis"),
    "adaptive_avg_pool2d": (lambda x: functional.adaptive_avg_pool2d(x, 2), (6, 7), [], "give it a batch axis"),
    "adaptive_max_pool3d": (lambda x: functional.adaptive_max_pool3d(x, 2), (6, 7, 5), [], "give it a batch axis"),
    "qr": (torch.linalg.qr, (5,), [], "give them a batch in front"),
    "svdvals": (torch.linalg.svdvals, (5,), [], "give them a batch in front"),
    "no index": (lambda x, index: x[:, index], (5,), [torch.zeros(0, dtype=torch.long)], "names no place"),
    "no number": (torch.cdist, (5,), [noise(0, 5)], "without a number"),
    "groups": (
        lambda x, k: functional.conv1d(x, k * x.mean(), groups=2),
        (4, 9),
        [noise(4, 2, 3)],
        "split the channels",
    ),
    "eig": (lambda x: torch.linalg.eig(x)[0].real, (3, 3), [], "linalg_eig has no rule"),
    "complex": (torch.complex, (3, 5), [noise(3, 5)], "it returns complex numbers"),
    "checked": (lambda x: torch.linalg.lu_factor(x)[0], (3, 3), [], "has no rule"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_has_a_reason(name: str) -> None:
    function, shape, held, reason = REFUSED[name]
    with pytest.raises(xconv.XConvError, match=reason):
        xconv.torch_to_keras(Applied(function, *held), noise(4, *shape))


def test_sparse_tensors_are_refused() -> None:
    held = Applied(lambda x, sparse: x @ sparse.to_dense(), noise(3, 3).to_sparse())
    with pytest.raises(xconv.Unsupported, match="held0: it is sparse"):
        xconv.torch_to_keras(held, noise(4, 3))
    with pytest.raises(xconv.InvalidInput, match="example input 0 is sparse"):
        xconv.torch_to_keras(Applied(torch.relu), noise(4, 3).to_sparse())


def test_a_dropout_that_acts_in_inference_is_told_of() -> None:
    for function in (functional.dropout, functional.alpha_dropout, functional.dropout1d):
        model = xconv.torch_to_keras(Applied(lambda x, f=function: f(x, 0.3, training=True)), noise(4, 3, 5))
        assert any("in inference too (training=True)" in note for note in xconv.record(model).notes), function


def test_constants_of_tensorflow_are_known() -> None:
    for function, shapes in ((torch.logaddexp2, ((3,), (3,))), (functional.rrelu, ((7,),))):
        module = Applied(function)
        example = tuple(noise(4, *shape, seed=place) for place, shape in enumerate(shapes))
        report = xconv.verify(module, xconv.torch_to_keras(module, example))
        assert report.ok, report
        assert "of logaddexp2" in str(report) or "slope" in str(report), report


DEPENDING: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "even batches": lambda x: x * 2 if x.shape[0] % 2 == 0 else x,
    "large batches": lambda x: x * 2 if x.shape[0] > 4 else x,
    "one batch": lambda x: x + 1 if x.shape[0] == 5 else x * 3,
    "a large one": lambda x: x + 1 if x.shape[0] == 32 else x * 3,
}


@pytest.mark.parametrize("name", DEPENDING)
def test_a_condition_on_the_batch_is_refused(name: str) -> None:
    """torch.export follows the example without a word."""
    with pytest.raises(xconv.Unsupported, match="depends on the size of the batch"):
        xconv.torch_to_keras(Applied(DEPENDING[name]), noise(4, 3))


def test_a_condition_on_batches_of_several_sizes_is_refused() -> None:
    def either(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * 2 if y.shape[0] % 2 == 0 else x

    with pytest.raises(xconv.Unsupported, match="depends on the size of the batch"):
        xconv.torch_to_keras(Applied(either), (noise(4, 3), noise(2, 3)))


def test_a_decomposition_that_depends_on_the_batch_is_none() -> None:
    """Of an even batch torch writes it without the zeros that fill up odd ones."""
    with pytest.raises(xconv.Unknown, match="_chunk_cat has no rule"):
        xconv.torch_to_keras(Applied(lambda x: torch.ops.aten._chunk_cat([x], 0, 2)), noise(4, 3))


def test_batches_that_torch_refuses_are_no_condition() -> None:
    assert_right(lambda x: x.view(-1, 4, 3).sum(1), (4, 8), (3,))
    assert_right(lambda x: x.view(4, -1, 3).sum(0), (4, 8), (3,))
    assert_right(lambda x: x[:4] * 2, (2, 3, 5), (3,))
    assert_right(lambda x: x / x.shape[0], (2, 5), (3,))
