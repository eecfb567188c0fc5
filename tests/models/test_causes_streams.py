"""Causes along a residual stream: biases that later normalisations make up for, strides at either end of a stage."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import xconv
from xconv.diagnosis.records import Diagnosis
from xconv.diagnosis.run import diagnose

SHAPE = (3, 24, 28)


class Block(nn.Module):
    """Norm, activation, two convolutions, and the stream that they are added to."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, bias: bool, steps_last: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(inputs, 6, 1, bias=False)
        self.conv2 = nn.Conv2d(6, outputs, 3, stride, 1, bias=bias)
        steps = 1 if steps_last else stride
        self.shortcut = nn.Conv2d(inputs, outputs, 1, steps, bias=bias) if inputs != outputs else None
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum."""
        y = torch.relu(self.norm1(x))
        if self.shortcut is not None:
            x = self.shortcut(y)
        elif self.stride > 1:
            x = functional.max_pool2d(x, 1, self.stride)
        return x + self.conv2(torch.relu(self.norm2(self.conv1(y))))  # type: ignore[no-any-return]


class Stream(nn.Module):
    """ResNetV2 in small: a stem, blocks with a norm in front, a norm at the end; `steps_last` strides as Keras does."""

    def __init__(self, *, bias: bool, steps_last: bool = False, zeros: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=bias)
        self.pad = nn.ZeroPad2d(1) if zeros else nn.Identity()
        self.pool = nn.MaxPool2d(3, 2, 0 if zeros else 1)
        strides = (1, 2, 1, 1) if steps_last else (1, 1, 2, 1)
        sizes = ((8, 10), (10, 10), (10, 12), (12, 12))
        self.blocks = nn.Sequential(
            *(
                Block(*size, stride, bias=bias, steps_last=steps_last)
                for size, stride in zip(sizes, strides, strict=True)
            )
        )
        self.norm, self.fc = nn.BatchNorm2d(12), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.blocks(self.pool(self.pad(self.stem(x))))
        return self.fc(torch.relu(self.norm(x)).mean((2, 3)))  # type: ignore[no-any-return]


def live(**options: Any) -> Any:
    """A network with random weights and statistics."""
    noise = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    return xconv.randomize(Stream(**options), 0, inputs=noise).eval().double()


def moved(source: Any, **options: Any) -> Any:
    """Another network with the weights of this one, as far as they go."""
    target = Stream(**options).eval().double()
    return xconv.transfer(source, target, strict=False, input_shape=SHAPE).target


def told(found: Diagnosis) -> dict[str, list[str]]:
    """The places of `b`, else of `a`, that each cause names."""
    assert found.left <= 1e-10, str(found)
    return {finding.cause: [place.b or place.a for place in finding.places] for finding in found.findings}


def test_biases_that_later_means_make_up_for_are_no_difference() -> None:
    biased = live(bias=True)
    plain = moved(biased, bias=False)
    for pair in ((biased, plain), (plain, biased)):
        found = diagnose(*pair, input_shape=SHAPE)
        assert found.agree
        assert found.findings == (), str(found)


def test_the_biases_of_a_stream_whose_last_mean_does_not_make_up_for_them() -> None:
    biased = live(bias=True)
    plain = moved(biased, bias=False)
    plain.norm.running_mean.copy_(biased.norm.running_mean)
    found = told(diagnose(biased, plain, input_shape=SHAPE))
    # The last normalisation takes what the last stage adds; what comes before that is made up for.
    assert sorted(found["bias"]) == ["blocks.2.conv2", "blocks.2.shortcut", "blocks.3.conv2"]
    assert found["weights"] == ["blocks.3.norm1"]
    assert len(found) == 2


def test_a_bias_in_front_of_a_pool_with_zeros_around_it_has_no_home() -> None:
    biased = live(bias=True, zeros=True)
    found = told(diagnose(biased, moved(biased, bias=False), input_shape=SHAPE))
    assert found == {"bias": ["stem"], "pooling": ["pool", "pad"]}


@pytest.mark.parametrize("bias", [False, True])
def test_strides_at_the_end_of_a_stage_with_the_shortcut_that_steps(bias: bool) -> None:
    last = live(bias=bias, steps_last=True)
    first = moved(last, bias=False)
    for pair in ((last, first), (first, last)):
        diagnosis = diagnose(*pair, input_shape=SHAPE)
        found = told(diagnosis)
        assert list(found) == ["stride"], str(diagnosis)
        assert {"blocks.1.conv2", "blocks.2.conv2", "blocks.2.shortcut"} < set(found["stride"])
        assert len(found["stride"]) == 4
        assert "other layers of the same blocks" in diagnosis.findings[0].text
