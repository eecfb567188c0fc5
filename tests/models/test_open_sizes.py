"""torch modules that count the batch, `torch.arange(len(x))`, and use it as a number or an index; calls by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import xconv
from xconv.torch.capture import arguments_of


class Counted(nn.Module):
    """The number of every sample as a number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.arange(x.shape[0], device=x.device).unsqueeze(1) * 0.5


class Own(nn.Module):
    """Of every sample the place that its own largest number names."""

    def forward(self, x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return x[torch.arange(x.shape[0]), numbers.argmax(-1)]


class Block(nn.Module):
    """The whole batch, and constants behind it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch = torch.arange(x.shape[0])[:, None, None]
        return x[batch, torch.tensor([[2], [0]]), torch.tensor([[1, 3, 0]])]


class Turned(nn.Module):
    """The batch counted along an axis that is not the first: what is indexed comes out turned."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[torch.arange(x.shape[0])[None], torch.tensor([[2], [0]])]


class Named(nn.Module):
    """Two arguments, the second of which may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor, scale: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        out = self.dense(x)
        return {"out": out if scale is None else out * scale}


class Dicts(nn.Module):
    """One argument that is a dict."""

    def forward(self, given: dict[str, torch.Tensor]) -> torch.Tensor:
        return given["a"] - given["b"]


CASES: dict[str, tuple[nn.Module, Any]] = {
    "as a number": (Counted(), torch.randn(3, 5)),
    "a place of a vector": (Own(), (torch.randn(3, 5), torch.randn(3, 5))),
    "a place of rows": (Own(), (torch.randn(3, 5, 4), torch.randn(3, 5))),
    "a place of maps": (Own(), (torch.randn(3, 5, 4, 2), torch.randn(3, 5))),
    "a block": (Block(), torch.randn(3, 4, 5)),
    "a block of rows": (Block(), torch.randn(3, 4, 5, 2)),
    "by name": (Named(), {"scale": torch.randn(3, 4), "x": torch.randn(3, 5)}),
    "one by name": (Named(), {"x": torch.randn(3, 5)}),
    "a dict": (Dicts(), {"a": torch.randn(3, 5), "b": torch.randn(3, 5)}),
}


@pytest.mark.parametrize("name", CASES)
def test_exact(name: str) -> None:
    """float64, both sides."""
    module, inputs = CASES[name]
    module = xconv.randomize(module, inputs=inputs)
    result = xconv.verify(xconv.torch_to_keras(module, inputs), module)
    assert result.ok, str(result)


def test_an_index_that_cannot_be_said() -> None:
    """Refused with a remedy, rather than read as something else."""
    with pytest.raises(xconv.Unsupported, match=r"torch\.gather"):
        xconv.torch_to_keras(Turned(), torch.randn(3, 4))


def test_arguments() -> None:
    """Names of parameters are a call by name; other keys are one argument."""
    x = torch.ones(2, 3)
    assert arguments_of(Named(), {"scale": x, "x": x})[0] == ()
    assert arguments_of(Dicts(), {"a": x}) == (({"a": x},), {})
    assert arguments_of(Named(), (x, x)) == ((x, x), {})
    with pytest.raises(xconv.InvalidInput, match="does not take"):
        xconv.torch_to_keras(Named(), {"scale": x})


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # torch's own, about its own code
@pytest.mark.parametrize("transposed", [False, True])
def test_a_decomposed_program(transposed: bool) -> None:
    """A program that torch has decomposed calls every convolution by one name."""
    middle: nn.Module = nn.ConvTranspose2d(4, 5, 3, 2, 1, 1) if transposed else nn.Conv2d(4, 6, 3, 2, 1, groups=2)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), middle, nn.GELU())
    x = torch.randn(3, 3, 9, 11)
    xconv.randomize(module.eval(), inputs=x)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    model = xconv.torch_to_keras(program.run_decompositions())
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Conv2DTranspose") == transposed
    result = xconv.verify(model, module)
    assert result.ok, str(result)
