"""verify, inspect, randomize and record on torch sources beside Keras models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import xconv
from tests.models.small_models import SMALL
from tests.models.test_round_trips import Block, small
from xconv.keras.names import torch_path
from xconv.torch.record import Record, checksum


class Named(nn.Module):
    """Two inputs and two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(3, 4, 3), nn.Linear(5, 4)

    def forward(self, image: torch.Tensor, features: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.conv(image)
        return {"out": out, "aux": out.mean((2, 3)) + self.dense(features)}


class Functions(nn.Module):
    """Constants that TensorFlow keeps in float32, in functions and modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.act(self.conv(x)))


CASES: dict[str, tuple[Any, Any]] = {
    "image": (small, (3, 19, 23)),
    "sequence": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Conv1d(4, 6, 2)), (3, 17)),
    "volume": (lambda: nn.Sequential(nn.Conv3d(3, 4, 2), nn.ReLU(), nn.MaxPool3d(2)), (3, 7, 8, 9)),
    "features": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), (7, 3)),
    "named": (Named, [(3, 7, 8), (5,)]),
}


def converted(name: str) -> tuple[nn.Module, Any]:
    make, shape = CASES[name]
    module = xconv.randomize(make())
    return module, xconv.torch_to_keras(module, input_shape=shape)


@pytest.mark.parametrize("name", CASES)
def test_verify_in_either_order_and_from_files(name: str, tmp_path: Path) -> None:
    module, model = converted(name)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    for pair in ((module, model), (model, module), (module, again), (again, module), (module, tmp_path / "m.keras")):
        report = xconv.verify(*pair)
        assert report.ok, str(report)
        assert report.reference.endswith("(keras)")


@pytest.mark.parametrize("name", ["image", "named"])
def test_programs_and_their_files(name: str, tmp_path: Path) -> None:
    module, model = converted(name)
    shapes = CASES[name][1] if isinstance(CASES[name][1], list) else [CASES[name][1]]
    program = torch.export.export(module.eval(), tuple(torch.randn(3, *shape) for shape in shapes))
    torch.export.save(program, tmp_path / "m.pt2")
    model.save(tmp_path / "m.keras")
    for pair in ((program, model), (tmp_path / "m.pt2", tmp_path / "m.keras"), (tmp_path / "m.keras", program)):
        assert xconv.verify(*pair, per_layer=True).ok


def test_an_output_is_matched_by_its_name_and_layout() -> None:
    module, model = converted("named")
    report = xconv.verify(module, model)
    assert {output.name: output.shape[1:] for output in report.outputs} == {"out": (5, 6, 4), "aux": (4,)}


def test_channels_first_at_the_door() -> None:
    module = xconv.randomize(small())
    model = xconv.torch_to_keras(module, input_shape=(3, 19, 23), input_layout="channels_first")
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    assert model.input_shape == (None, 3, 19, 23)
    assert xconv.verify(module, model).ok
    assert xconv.verify(module, again).ok


@pytest.mark.parametrize("loaded", [False, True])
def test_the_first_layer_that_differs_is_named(tmp_path: Path, loaded: bool) -> None:
    module, model = converted("image")
    if loaded:
        model.save(tmp_path / "m.keras")
        model = keras.models.load_model(tmp_path / "m.keras")
    assert len(xconv.verify(module, model, per_layer=True).layers) > 10
    with torch.no_grad():
        module[2].bn1.bias[3] += 1e-4
    report = xconv.verify(module, model)
    assert not report.ok
    assert report.first_difference.layer == "2>bn1"
    assert report.first_difference.node == "2.bn1"
    assert [row.layer for row in report.layers if not row.ok] == ["2>bn1"]


def test_constants_of_tensorflow_in_a_plain_module() -> None:
    module = xconv.randomize(Functions())
    report = xconv.verify(module, xconv.torch_to_keras(module, input_shape=(3, 9, 8)))
    assert report.ok
    assert "act" in dict(report.constants)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.RNN])
def test_the_sum_of_two_biases_is_rounded_once(kind: type[nn.RNNBase]) -> None:
    module = xconv.randomize(nn.Sequential(kind(4, 5, 2, batch_first=True, bidirectional=True)))
    model = xconv.torch_to_keras(module, input_shape=(6, 4))
    report = xconv.verify(module, model)
    assert report.ok, str(report)
    assert dict(report.constants) == {"0": "the sum of two biases"}
    assert report.outputs[0].float64.max_rel < 1e-13
    with torch.no_grad():
        module[0].bias_hh_l1[3] += 1e-6
    assert not xconv.verify(module, model).ok


class Resized(nn.Module):
    """A bilinear resize as a function between layers, which TensorFlow computes in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) * 1.7
        return self.last(functional.interpolate(x, scale_factor=2.0, mode="bilinear"))


def test_a_function_in_float32_between_layers_is_no_difference() -> None:
    module = xconv.randomize(Resized())
    report = xconv.verify(module, xconv.torch_to_keras(module, input_shape=(3, 19, 18)), per_layer=True)
    assert report.ok, str(report)
    assert {row.layer: row.local is None for row in report.layers} == {"first": False, "last": True}


class Turning(nn.LayerNorm):
    """A layer over the channels that turns its result back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Angles(nn.Module):
    """Two results, of which the last to be computed is not the first to be returned."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.cos(), x.sin()


class Crossing(nn.Module):
    """A resize whose result two layers take, a layer that turns its result, and one with two results."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.angles = nn.Conv2d(3, 4, 3), Turning(4), Angles()
        self.left, self.right = nn.Conv2d(4, 5, 1), nn.Conv2d(4, 5, 1)
        self.left.weight = nn.Parameter(torch.empty(4, 5, 1, 1).transpose(0, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cos, sin = self.angles(self.norm(self.first(x)))
        wide = functional.interpolate(cos - 2 * sin, scale_factor=2.0, mode="bilinear")
        return self.left(wide) * self.right(wide * 1.3)


def test_layers_are_compared_with_what_their_modules_return() -> None:
    module = xconv.randomize(Crossing())
    report = xconv.verify(module, xconv.torch_to_keras(module, input_shape=(3, 9, 8)), per_layer=True)
    assert report.ok, str(report)
    assert {row.layer: row.local is None for row in report.layers} == {
        "first": False,
        "norm": False,
        "left": True,
        "right": True,
    }


class Gain(nn.Module):
    """A parameter that does not lie in memory as it is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randn(5, 4).T)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain


def test_a_parameter_in_another_order_of_memory() -> None:
    module = Gain()
    assert xconv.verify(module, xconv.torch_to_keras(module, input_shape=(4, 5))).ok


def test_the_record_maps_both_ways(tmp_path: Path) -> None:
    module, model = converted("image")
    found = xconv.record(model, checksums=True)
    state = module.state_dict()
    for mapped in found.weights:
        layer, _, place = mapped.name.rpartition("/")
        variable = model.get_layer(layer).weights[int(place)].numpy()
        tensor = state[mapped.weight.key]
        assert np.array_equal(mapped.weight.apply(tensor.numpy()), variable)
        assert mapped.checksum == checksum(tensor)
        assert mapped.layer == torch_path(layer)
    learned = {mapped.weight.key for mapped in found.weights} | set(found.unused)
    assert learned == set(state)
    assert (found.inputs[0].shape, found.inputs[0].order) == ((None, 3, 19, 23), (0, 2, 3, 1))
    assert found.places["1>relu_1"].layer == "1.relu"
    assert found.places["1>relu_1"].call == 1
    assert Record.from_json(found.to_json()) == found
    model.save(tmp_path / "m.keras")
    with pytest.raises(xconv.InvalidInput):
        xconv.record(keras.models.load_model(tmp_path / "m.keras"))


class Strange(nn.Module):
    """Two operators that nothing in Keras says, between layers that convert."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.block = nn.Conv2d(3, 4, 3, padding=1), Block(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.special.airy_ai(self.block(self.conv(x)))
        return torch.special.bessel_j0(x)


def test_inspect_lists_what_cannot_be_converted() -> None:
    found = xconv.inspect(Strange(), input_shape=(3, 6, 7))
    rows = {row.layer: row for row in found.rows}
    assert not found.ok
    unsupported = {name for name, row in rows.items() if row.exactness == "unsupported"}
    assert unsupported >= {"special_airy_ai", "special_bessel_j0"}
    assert rows["conv"].exactness == "exact"
    assert rows["block.bn1"].exactness == "differs in training"
    assert rows["conv"].parameters == 4 * 3 * 9 + 4


def test_inspect_tells_what_each_layer_becomes(tmp_path: Path) -> None:
    module, _ = converted("image")
    found = xconv.inspect(module, input_shape=(3, 19, 23))
    rows = {row.layer: row for row in found.rows}
    assert found.ok
    assert found.permutes == ()
    assert rows["1.conv1"].becomes == ("Conv2D",)
    assert rows["0.1"].becomes == ("ReLU",)
    assert "1.relu (call 1)" in rows
    assert json.loads(json.dumps(found.to_dict()))["layers"][1]["becomes"]
    program = torch.export.export(module.eval(), (torch.randn(2, 3, 19, 23),))
    torch.export.save(program, tmp_path / "m.pt2")
    assert len(xconv.inspect(tmp_path / "m.pt2").rows) == len(found.rows)
    assert "0 permutes will remain" in str(found)


def test_randomize_leaves_tables_alone() -> None:
    module = nn.BatchNorm1d(3)
    module.register_buffer("mask", torch.zeros(3))
    xconv.randomize(module)
    assert not module.mask.any()
    assert not (module.running_var == 1).all()


def test_named_inputs_in_another_order_than_the_file_has_them(tmp_path: Path) -> None:
    model = SMALL["several"]()
    model.save(tmp_path / "m.keras")
    module = xconv.keras_to_torch(tmp_path / "m.keras")
    xconv.save(module, tmp_path / "m.safetensors")
    assert xconv.verify(tmp_path / "m.keras", tmp_path / "m.safetensors").ok
    del module.meta["xconv"]
    assert xconv.verify(module, model).ok
