"""Where a torch network says float32 itself, verify reads both sides alike, says so, and still finds what is wrong."""

import keras
import numpy as np
import pytest
import torch
from torch import nn

import xconv
from xconv.report.records import Verdict
from xconv.torch.widened import Reading, Widened, as_array


class Softened(nn.Module):
    """A softmax in float32, as many a vision network has it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, x):
        y = self.first(x)
        return self.second(y.float().softmax(-1).to(y.dtype) * 8)


class Mixed(nn.Module):
    """A product of float32 and of the weights' own precision: it cannot run in float64 at all."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(6, 5))

    def forward(self, x):
        return torch.tanh(x.float() @ self.matrix)


class Waves(nn.Module):
    """Places as waves: made of a buffer in float32, and in float64 in a module in float64."""

    def __init__(self):
        super().__init__()
        self.register_buffer("frequencies", 1 / 100.0 ** (torch.arange(6) / 6))
        self.last = nn.Linear(6, 5)

    def forward(self, x):
        places = torch.arange(x.shape[1], dtype=torch.float32)
        return self.last(x * torch.outer(places + 7, self.frequencies).cos())


class Standardised(nn.Conv2d):
    """A convolution whose kernel is made of its weight."""

    def forward(self, x):
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5)
        return nn.functional.conv2d(x, weight, self.bias)


class PerExample(nn.Module):
    """Places of every example, counted in float32, next to frequencies that no example changes."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x):
        places = torch.ones(x.shape[:2]).cumsum(1, dtype=torch.float32) / (x.shape[1] + 1e-6)
        waves = (places[:, :, None] * 10 ** (torch.arange(6).to(torch.float32) / 6)).sin()
        return self.last(self.first(x) + waves)


class Rotary(nn.Module):
    """Whole places for every example, which become waves in float32."""

    def __init__(self):
        super().__init__()
        self.register_buffer("frequencies", 1 / 100.0 ** (torch.arange(6) / 6))
        self.last = nn.Linear(6, 5)

    def forward(self, x):
        places = torch.arange(1, 5).expand(x.shape[0], -1)
        waves = (places[:, :, None].float() * self.frequencies.float()).cos()
        return self.last(x * waves.to(x.dtype))


CASES = [
    (Softened, (2, 6), Reading.INPUTS_AND_WEIGHTS, True),
    (Mixed, (2, 6), Reading.INPUTS_AND_WEIGHTS, True),
    (Waves, (2, 4, 6), Reading.INPUTS_AND_WEIGHTS, True),
    (PerExample, (2, 4, 6), Reading.INPUTS_AND_WEIGHTS, True),
    (Rotary, (2, 4, 6), Reading.WHOLE, True),
    (lambda: Standardised(3, 4, 3), (2, 3, 8, 9), Reading.INPUTS, False),
]


@pytest.mark.parametrize(("make", "shape", "reading", "named"), CASES)
def test_float32_in_the_text_is_read_alike_and_said(make, shape, reading, named):
    module = xconv.randomize(nn.Sequential(make()).eval())
    model = xconv.torch_to_keras(module, torch.zeros(shape))
    report = xconv.verify(module, model, per_layer=True)
    assert report.verdict is Verdict.EXACT, str(report)
    assert report.outputs[0].float64.max_rel < 1e-13
    assert all(layer.error < 1e-13 for layer in report.layers)
    note = next(note for note in report.notes if str(reading) in note)
    assert ("asks for float32 in 0" in note) == named


@pytest.mark.parametrize(("make", "shape", "reading", "named"), CASES)
def test_a_small_difference_beside_it_is_still_found(make, shape, reading, named):
    module = xconv.randomize(nn.Sequential(make()).eval())
    model = xconv.torch_to_keras(module, torch.zeros(shape))
    with torch.no_grad():
        next(module.parameters()).view(-1)[1] += 3e-7
    report = xconv.verify(module, model)
    assert not report.ok, (reading, named)


def test_an_exported_program():
    module = xconv.randomize(PerExample().eval())
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (torch.zeros(2, 4, 6),), dynamic_shapes=({0: batch},))
    report = xconv.verify(program, xconv.torch_to_keras(program))
    assert report.verdict is Verdict.EXACT
    assert any("asks for float32" in note for note in report.notes)


def test_a_cast_in_keras():
    x = vector = keras.Input((6,))
    x = keras.layers.Dense(8, name="first")(x)
    x = keras.ops.softmax(keras.ops.cast(x, "float32"))
    model = xconv.randomize(keras.Model(vector, keras.layers.Dense(5, name="last")(x)))
    module = xconv.keras_to_torch(model)
    assert xconv.verify(model, module, per_layer=True).verdict is Verdict.EXACT
    with torch.no_grad():
        module.last.bias[1] += 1e-6
    assert xconv.verify(model, module).first_difference.layer == "last"


def test_a_bilinear_resize_that_keras_holds_as_weights_is_not_imitated():
    class Resized(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = nn.functional.gelu(self.first(x))
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = nn.functional.interpolate(x, size=(9, 11), mode="bilinear")
            return self.last(nn.functional.interpolate(x, scale_factor=2, mode="bilinear"))

    module = xconv.randomize(Resized().eval())
    report = xconv.verify(module, xconv.torch_to_keras(module, torch.zeros(2, 3, 9, 10)))
    assert report.verdict is Verdict.CONSTANTS
    assert report.outputs[0].float64.max_rel < 1e-9


def test_what_is_written_in_place_and_whole_numbers():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 6)

        def forward(self, ids):
            found = torch.zeros(*ids.shape, 6)
            found[:, 1:] = self.table(ids)[:, :-1]
            return found.mul_(0.1).float().exp()

    module = xconv.randomize(Written())
    ids = torch.arange(6).reshape(2, 3)
    widened = Widened(Reading.INPUTS)
    with torch.no_grad(), widened:
        result = module(*widened.inputs([ids]))
        assert result.dtype is torch.float32
        numbers = as_array(result)
    rows = module.table.weight.detach().double().numpy()[ids.numpy()]
    expected = np.exp(0.1 * np.concatenate([np.zeros((2, 1, 6)), rows[:, :-1]], 1))
    assert numbers.dtype == np.float64
    assert np.abs(numbers - expected).max() < 1e-15
