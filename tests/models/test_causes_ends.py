"""Ends of classifiers (probabilities, logits, twice), maps resized inside, dilation, biases: each planted and named."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import xconv
from xconv.diagnosis.records import Finding
from xconv.diagnosis.run import diagnose

SHAPE = (3, 20, 23)


class Net(nn.Module):
    """Two convolutions with a resize between them, a head, and what stands behind it."""

    def __init__(
        self,
        *ends: nn.Module,
        resize: Callable[[torch.Tensor], torch.Tensor] | None = None,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 8, 3, padding=1, dilation=dilation), nn.ReLU()
        self.second, self.fc, self.ends = nn.Conv2d(8, 6, 3, bias=bias), nn.Linear(6, 5), nn.ModuleList(ends)
        self.resize = resize

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Whatever the ends make of the logits."""
        x = self.act(self.conv(x))
        x = self.fc(self.second(x if self.resize is None else self.resize(x)).mean((2, 3)))
        for end in self.ends:
            x = end(x)
        return x


def resized(**options: Any) -> Net:
    return Net(resize=partial(functional.interpolate, **options))


def only_finding(a: Net, b: Net) -> Finding:
    """The one finding between two that have the weights of the first, which explains everything."""
    xconv.randomize(a, 0, inputs=torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1)))
    xconv.randomize(b, 5, inputs=torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1)))
    b.load_state_dict({**b.state_dict(), **{k: v for k, v in a.state_dict().items() if k in b.state_dict()}})
    found = diagnose(a.eval(), b.eval(), input_shape=SHAPE)
    (finding,) = found.findings
    assert found.error > 1e-6
    assert found.explained
    return finding


SOFT, SIGMOID = partial(nn.Softmax, -1), nn.Sigmoid
ENDS: dict[str, tuple[list[Any], list[Any], str, str]] = {
    "not at all": ([SOFT], [], "a returns probabilities, b logits", "torch.softmax(b(x), -1)"),
    "logits wanted": ([], [SOFT], "b returns probabilities, a logits", "model.ends[0] = torch.nn.Identity()"),
    "twice": ([SOFT], [SOFT, SOFT], "a softmax applied twice, in a once", "model.ends[1] = torch.nn.Identity()"),
    "once too few": ([SOFT, SOFT], [SOFT], "a softmax applied twice, in b once", "torch.softmax(b(x), -1)"),
    "sigmoid twice": ([SIGMOID], [SIGMOID, SIGMOID], "a sigmoid applied twice", "model.ends[1] = torch.nn.Identity()"),
    "sigmoid missing": ([SIGMOID], [], "a returns probabilities, b logits", "torch.sigmoid(b(x))"),
    "another function": (
        [SOFT],
        [SIGMOID],
        "a softmax makes of the logits, b what a sigmoid",
        "torch.nn.Softmax(dim=1)",
    ),
    "logarithm": ([SOFT], [partial(nn.LogSoftmax, -1)], "log False against log True", "torch.nn.Softmax(dim=1)"),
    "over the batch": ([SOFT], [partial(nn.Softmax, 0)], "axis 1 against axis 0", "torch.nn.Softmax(dim=1)"),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_is_made_of_the_logits(name: str) -> None:
    ours, theirs, words, remedy = ENDS[name]
    finding = only_finding(Net(*(make() for make in ours)), Net(*(make() for make in theirs)))
    assert finding.cause == "softmax"
    assert words in finding.text
    assert remedy in finding.remedy


RESIZED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "antialias": ({"size": (10, 12), "mode": "bilinear", "antialias": True}, {"size": (10, 12), "mode": "bilinear"}),
    "bicubic": ({"size": (10, 12), "mode": "bicubic"}, {"size": (10, 12), "mode": "bilinear"}),
    "half pixel": (
        {"scale_factor": 2, "mode": "bilinear"},
        {"scale_factor": 2, "mode": "bilinear", "align_corners": True},
    ),
    "nearest": ({"scale_factor": 2, "mode": "bilinear"}, {"scale_factor": 2, "mode": "nearest"}),
}


@pytest.mark.parametrize("name", RESIZED)
def test_maps_that_are_resized_otherwise(name: str) -> None:
    ours, theirs = RESIZED[name]
    assert only_finding(resized(**ours), resized(**theirs)).cause == "resizing"


@pytest.mark.parametrize("ours", [False, True])
def test_a_bias_that_one_side_lacks(ours: bool) -> None:
    finding = only_finding(Net(bias=ours), Net(bias=not ours))
    assert finding.cause == "bias"
    assert finding.places[0].b == "second"
    assert finding.remedy == ("build model.second with bias=True, and load a's" if ours else "model.second.bias = None")


def test_another_dilation_with_the_same_pads() -> None:
    a, b = Net(), Net(dilation=2)
    xconv.randomize(a, 0, inputs=torch.randn(4, *SHAPE))
    b.load_state_dict(a.state_dict())
    found = diagnose(a.eval(), b.eval(), input_shape=SHAPE)
    assert found.findings[0].cause == "stride"
    assert found.findings[0].remedy == "model.conv.dilation = (1, 1)"
    assert found.explained
