"""Laws 2 and 3 over generated calls that read pictures where the network says, and over order statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import xconv
from tests.layers.test_torch_generated import check, one_for_each
from tests.layers.torch_reference import Case, assert_same_answers, convert
from xconv.errors import Mismatch
from xconv.spec import Slot, TorchExample

few = settings(max_examples=10)
sizes = st.integers(1, 4)


@st.composite
def samplings(draw: Any) -> TorchExample:
    """Pictures and volumes of any size, read at as many places as any."""
    rank = draw(st.integers(2, 3))
    picture = tuple(draw(sizes) for _ in range(rank))
    places = tuple(draw(sizes) for _ in range(rank))
    options = {
        "mode": draw(st.sampled_from(["bilinear", "nearest", *["bicubic"][: 3 - rank]])),
        "padding_mode": draw(st.sampled_from(["zeros", "border", "reflection"])),
        "align_corners": draw(st.booleans()),
    }
    shapes = ((draw(sizes), *picture), (*places, rank))
    return TorchExample("torch.nn.functional.grid_sample", shapes, kwargs=options)


@few
@given(samplings())
def test_sampling(example: TorchExample) -> None:
    check(example)


class Transformer(nn.Module):
    """A spatial transformer: an affine map that the network computes, and the picture behind it."""

    def __init__(self, rank: int, *, corners: bool, padding: str) -> None:
        super().__init__()
        kind = nn.Conv2d if rank == 2 else nn.Conv3d
        self.conv, self.after = kind(2, 3, 3, padding=1), kind(2, 2, 1)
        self.maps = nn.Linear(3, rank * (rank + 1))
        self.rank, self.corners, self.padding = rank, corners, padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.conv(x).relu().flatten(2).mean(2)
        theta = self.maps(features).view(-1, self.rank, self.rank + 1)
        grid = functional.affine_grid(theta, x.size(), align_corners=self.corners)
        return self.after(functional.grid_sample(x, grid, padding_mode=self.padding, align_corners=self.corners))


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior has changed:UserWarning")
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(("shape", "padding"), [((2, 5, 6), "zeros"), ((2, 3, 4, 5), "border"), ((2, 1, 5), "border")])
def test_spatial_transformers(shape: tuple[int, ...], padding: str, corners: bool) -> None:
    """The size in the program is that of the input, its batch open; gradients reach what computes the map."""
    module = xconv.randomize(Transformer(len(shape) - 1, corners=corners, padding=padding), 0)
    case = Case("transformer", module.double(), (shape,), trains=True, float64=True, values="normal")
    assert_same_answers(case, convert(case.captured, "float64"), training=True)
    model = xconv.torch_to_keras(module.float(), input_shape=shape)
    report = xconv.verify(module, model)
    assert report.ok, str(report)


class Tutorial(nn.Module):
    """The spatial transformer of torch's tutorial in small: `view`, and a map that begins as the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.localization = nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True))
        self.fc_loc = nn.Sequential(nn.Linear(3 * 4 * 5, 8), nn.ReLU(inplace=True), nn.Linear(8, 6))
        self.fc_loc[2].weight.data.zero_()
        self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        theta = self.fc_loc(self.localization(x).view(-1, 60)).view(-1, 2, 3)
        grid = functional.affine_grid(theta, x.size(), align_corners=False)
        return self.conv(functional.grid_sample(x, grid, align_corners=False))


def test_the_transformer_of_the_tutorial() -> None:
    """There and back."""
    module = Tutorial()
    model = xconv.torch_to_keras(module, input_shape=(2, 10, 12))
    for other in (module, xconv.keras_to_torch(model)):
        report = xconv.verify(other, model)
        assert report.ok, str(report)


def test_constant_grids_and_maps_are_expanded() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.grid = nn.Parameter(torch.rand(1, 3, 4, 2, generator=torch.Generator().manual_seed(0)) - 0.5)
            self.register_buffer("theta", torch.tensor([[[0.8, 0.1, 0.2], [-0.1, 0.9, 0.1]]]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            theta = self.theta.expand(x.shape[0], -1, -1)
            x = functional.grid_sample(
                x, functional.affine_grid(theta, x.size(), align_corners=False), align_corners=True
            )
            return functional.grid_sample(x, self.grid.expand(x.shape[0], -1, -1, -1), align_corners=False)

    report = xconv.verify(Net(), xconv.torch_to_keras(Net(), input_shape=(2, 5, 6)))
    assert report.ok, str(report)


def test_a_grid_without_sizes_is_refused() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
            return functional.grid_sample(x, grid, align_corners=False)

    with pytest.raises(Mismatch, match=r"must have known sizes.*input shape"):
        xconv.torch_to_keras(Net(), input_shape=((2, None, 4), (3, 2, 2)))


@st.composite
def ranks(draw: Any) -> TorchExample:
    """Numbers at one rank, and running ones; NaN among them where which of them is meant does not matter."""
    shape, axis = draw(one_for_each(draw(st.integers(1, 3)), st.integers(2, 9))), draw(st.integers(-1, 1))
    name = draw(st.sampled_from(["median", "nanmedian", "kthvalue", "cummax", "cummin", "logcumsumexp"]))
    axis = axis or -1
    values = draw(st.sampled_from(["normal", "holes"])) if name not in ("kthvalue", "logcumsumexp") else "normal"
    args: tuple[Any, ...] = (Slot(0), axis)
    if name == "kthvalue":
        args = (Slot(0), draw(st.integers(1, shape[axis if axis < 0 else 0])), axis)
    if "cum" not in name:
        args = (*args, draw(st.booleans()))
    if name.endswith("median") and draw(st.booleans()):
        args = (Slot(0),)
    return TorchExample(f"torch.{name}", (shape,), args=args, values=values)


@few
@given(ranks())
def test_ranks(example: TorchExample) -> None:
    check(example)


@st.composite
def signs_and_exponents(draw: Any) -> TorchExample:
    """Shapes that broadcast against each other, behind the batch."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    other = tuple(1 if draw(st.booleans()) else size for size in shape)
    values = draw(st.sampled_from(["normal", "normal integers", "holes normal"]))
    return TorchExample(f"torch.{draw(st.sampled_from(['copysign', 'ldexp']))}", (shape, other), values=values)


@few
@given(signs_and_exponents())
def test_signs_and_exponents(example: TorchExample) -> None:
    check(example)
