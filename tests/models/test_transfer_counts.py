"""How many training steps a BatchNorm of torch has seen: moved between torch models, else told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from tests.comparison import assert_same

SHAPE = (3, 7, 9)


class Network(nn.Module):
    """`named` changes every name; with momentum None the statistics are means over all steps."""

    def __init__(self, momentum: float | None = 0.1, *, named: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, eps=1e-3, momentum=momentum), nn.ReLU())
        self.fc = nn.Linear(5, 4)
        if named:
            self.layers, self.head = self._modules.pop("body"), self._modules.pop("fc")
        self.named = named

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        body, head = (self.layers, self.head) if self.named else (self.body, self.fc)
        return head(body(x).mean((2, 3)))


def trained(seed: int, steps: int, **options: Any) -> Any:
    torch.manual_seed(seed)
    module = Network(**options).double().train()
    for _ in range(steps):
        module(torch.randn(4, *SHAPE, dtype=torch.float64))
    return module.eval()


def model() -> Any:
    image = layers.Input((7, 9, 3))
    x = layers.ReLU()(layers.BatchNormalization(name="bn")(layers.Conv2D(5, 3, name="conv")(image)))
    found = keras.Model(image, layers.Dense(4, name="fc")(layers.GlobalAveragePooling2D()(x)), name="net")
    xconv.randomize(found)
    return found


def test_two_models_of_torch_train_on_alike(tmp_path: Path) -> None:
    source, target = trained(1, 5, momentum=None), trained(2, 3, momentum=None, named=True)
    report = xconv.transfer(source, target, input_shape=SHAPE)
    assert int(target.layers[1].num_batches_tracked) == 5
    assert not report.plan.left
    assert not report.plan.unfilled
    batch = torch.randn(4, *SHAPE, dtype=torch.float64)
    for module in (source, target):
        module.train()(batch)
        module.eval()
    assert_same(target.layers[1].running_mean, source.body[1].running_mean)

    report.save_map(tmp_path / "map.json")
    torch.save(trained(3, 8).state_dict(), tmp_path / "s.pt")
    replayed = xconv.apply_map(tmp_path / "map.json", tmp_path / "s.pt", tmp_path / "t.pt")
    assert replayed.verdict == "exact"
    assert int(torch.load(tmp_path / "t.pt", weights_only=True)["layers.1.num_batches_tracked"]) == 8


@pytest.mark.parametrize("way", ["aligned", "own", "map"])
def test_a_file_without_counts_fits(way: str, tmp_path: Path) -> None:
    """Files that other tools made leave them out, and torch takes that for 0."""
    state = {name: tensor for name, tensor in trained(3, 8).state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "s.pt")
    if way == "map":
        xconv.transfer(trained(1, 5), trained(2, 3, named=True), input_shape=SHAPE).save_map(tmp_path / "map.json")
        report = xconv.apply_map(tmp_path / "map.json", tmp_path / "s.pt", tmp_path / "t.pt")
        assert int(torch.load(tmp_path / "t.pt", weights_only=True)["layers.1.num_batches_tracked"]) == 0
    else:
        target = trained(2, 3, named=way == "aligned")
        given: dict[str, Any] = {"architecture": trained(4, 6), "input_shape": SHAPE} if way == "aligned" else {}
        report = xconv.transfer(tmp_path / "s.pt", target, **given)
        assert int(target.state_dict()[f"{'layers' if way == 'aligned' else 'body'}.1.num_batches_tracked"]) == 3
    assert report.verdict == "exact"
    (count,) = report.plan.unfilled
    assert count.role == "num_batches_tracked"


def test_keras_has_no_counts(tmp_path: Path) -> None:
    source, target = model(), trained(2, 3)
    report = xconv.transfer(source, target)
    (count,) = report.plan.unfilled
    assert (count.weight.key, count.reason) == ("body.1.num_batches_tracked", "a count of training steps")
    assert int(target.body[1].num_batches_tracked) == 3
    report.save_map(tmp_path / "map.json")
    source.save_weights(tmp_path / "s.weights.h5")
    files = tmp_path / "map.json", tmp_path / "s.weights.h5", tmp_path / "t.safetensors"
    assert "0 in the file" in xconv.apply_map(*files).plan.unfilled[0].reason
    found = trained(5, 6)
    xconv.transfer(tmp_path / "t.safetensors", found)
    assert int(found.body[1].num_batches_tracked) == 0
    assert xconv.apply_map(*files, architecture=trained(6, 7)).plan.unfilled[0].reason == "a count of training steps"
    xconv.transfer(tmp_path / "t.safetensors", found)
    assert int(found.body[1].num_batches_tracked) == 7
    back = xconv.transfer(target, model())
    assert [(item.weight.key, item.reason) for item in back.plan.left] == [
        ("body.1.num_batches_tracked", "a count of training steps")
    ]
