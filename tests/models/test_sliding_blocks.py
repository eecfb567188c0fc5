"""nn.Unfold and nn.Fold beyond their laws: together, in a saved model, and what is refused."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import xconv
from xconv.api import read_torch
from xconv.errors import Mismatch, XConvError


class PutBack(nn.Module):
    """The blocks of an image, each scaled by what it is, put back and divided by how many overlap."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.blocks = nn.Unfold(kernel, stride=stride, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size, options = x.shape[-2:], {"stride": self.stride, "padding": 1}
        blocks = self.blocks(x)
        count = functional.fold(self.blocks(torch.ones_like(x)), size, self.kernel, **options)
        return functional.fold(blocks * blocks.sigmoid(), size, self.kernel, **options) / count


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2)])
def test_blocks_put_back_in_a_saved_model(kernel: int, stride: int, tmp_path: Path) -> None:
    module = PutBack(kernel, stride)
    model = xconv.torch_to_keras(module, input_shape=(3, 9, 11))
    assert xconv.verify(module, model).outputs[0].float64.max_rel < 1e-13
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    image = np.random.default_rng(0).random((3, *model.input_shape[1:]), dtype=np.float32)
    assert np.array_equal(loaded.predict(image, verbose=0), model.predict(image, verbose=0))


@pytest.mark.parametrize("kernel", [4, 16])
def test_a_large_kernel_is_few_slices(kernel: int) -> None:
    """One for each row and one for each column of the kernel."""
    graph = read_torch(nn.Sequential(nn.Unfold(kernel, stride=kernel)), input_shape=(3, 32, 48))
    assert sum(type(node.spec).__name__ == "Slicing" for node in graph.nodes) == 2 * kernel


@pytest.mark.parametrize(("shape", "said"), [((3, None, 8), "known sizes"), ((5, 6), "batch axis")])
def test_what_is_refused(shape: tuple[int | None, ...], said: str) -> None:
    with pytest.raises(Mismatch, match=rf"^0: .*{said}"):
        xconv.torch_to_keras(nn.Sequential(nn.Unfold(3)), input_shape=shape)


def test_a_size_that_is_computed_is_refused() -> None:
    with pytest.raises(XConvError, match="col2im: a size that is computed; give input_shape with all sizes"):
        xconv.torch_to_keras(PutBack(3, 1), input_shape=(3, None, 8))
