"""A transfer that fails leaves its target as it was; numbers that no trained network holds are told by layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import safetensors.torch
import torch
from keras import layers
from torch import nn

import xconv
from xconv.errors import Mismatch, Unwritable, XConvError

resource = pytest.importorskip("resource")
SHAPE = (9, 11, 3)


def model(seed: int = 0) -> Any:
    image = layers.Input(SHAPE)
    x = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5, name="bn")(layers.Conv2D(40, 3, name="conv")(image)))
    found = keras.Model(image, layers.Dense(4, name="fc")(layers.GlobalAveragePooling2D()(x)), name="net")
    xconv.randomize(found, seed)
    return found


class Torch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 40, 3), nn.BatchNorm2d(40), nn.Linear(40, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.bn(self.conv(x)).relu().mean((2, 3)))


@contextmanager
def full_disk(room: int = 600) -> Iterator[None]:
    """No file can grow beyond this many bytes, which fails as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["t.pt", "t.safetensors", "t.weights.h5", "t.keras", "t.h5"])
def test_a_full_disk_leaves_the_older_file(name: str, tmp_path: Path) -> None:
    target = tmp_path / "out" / name
    target.parent.mkdir()
    in_torch = name.endswith(("pt", "safetensors"))
    source, owner = (model(), Torch()) if in_torch else (Torch().eval(), model(1))
    if in_torch:
        target.write_bytes(b"old")
        given: Any = owner
    else:  # a file of the architecture, so that nothing else is written
        (owner.save_weights if "weights" in name else owner.save)(target)
        owner.save(tmp_path / "owner.keras")
        given = target if name != "t.weights.h5" else tmp_path / "owner.keras"
    before = target.read_bytes()
    with full_disk(), pytest.raises(Unwritable) as caught:
        xconv.transfer(source, target, architecture=given)
    assert isinstance(caught.value, OSError)
    assert target.read_bytes() == before
    assert [item.name for item in target.parent.iterdir()] == [name]
    assert xconv.transfer(source, target, architecture=given).ok


def test_a_full_disk_while_a_map_is_saved_or_replayed(tmp_path: Path) -> None:
    report = xconv.transfer(model(), Torch())
    with full_disk(), pytest.raises(Unwritable):
        report.save_map(tmp_path / "map.json")
    assert not list(tmp_path.iterdir())
    report.save_map(tmp_path / "map.json")
    model(2).save_weights(tmp_path / "s.weights.h5")
    with full_disk(), pytest.raises(Unwritable):
        xconv.apply_map(tmp_path / "map.json", tmp_path / "s.weights.h5", tmp_path / "t.pt")
    assert not (tmp_path / "t.pt").exists()


def test_a_folder_that_is_not_there_or_a_name_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken.pt").mkdir()
    for target in (tmp_path / "no" / "t.pt", tmp_path / "taken.pt"):
        with pytest.raises(XConvError):
            xconv.transfer(model(), target, architecture=Torch())
    assert [item.name for item in tmp_path.iterdir()] == ["taken.pt"]
    assert not list((tmp_path / "taken.pt").iterdir())


@pytest.mark.parametrize("way", ["aligned", "by names"])
def test_a_keras_variable_that_refuses_puts_all_back(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = model(1), model(2)
    source.save(tmp_path / "s.keras")
    before = target.get_weights()
    written: list[str] = []
    plain = keras.Variable.assign

    def assign(variable: Any, value: Any) -> Any:
        written.append(variable.path)
        if len(written) == 5:
            raise RuntimeError("lost its device")
        return plain(variable, value)

    monkeypatch.setattr(keras.Variable, "assign", assign)
    with pytest.raises(RuntimeError, match="lost its device"):
        xconv.transfer(source if way == "aligned" else tmp_path / "s.keras", target)
    assert all(np.array_equal(a, b) for a, b in zip(before, target.get_weights(), strict=True))


CASTS: dict[str, tuple[Any, float, str, str]] = {
    "float32 to float16": (torch.float32, 1e6, "float16", "are beyond float16; they are infinite now"),
    "float64 to float32": (torch.float64, 1e200, "float32", "are beyond float32; they are infinite now"),
    "float64 to bfloat16": (torch.float64, 1e39, "bfloat16", "are beyond bfloat16; they are infinite now"),
}


@pytest.mark.parametrize(
    ("cast", "into"), [*((cast, "torch") for cast in sorted(CASTS)), ("float64 to float32", "keras")]
)
def test_overflow_in_a_cast_is_told_by_layer_and_count(cast: str, into: str) -> None:
    dtype, large, name, words = CASTS[cast]
    source = Torch().eval().to(dtype)
    with torch.no_grad():
        source.fc.weight[1, :3] = large
        source.fc.bias[0] = torch.nan
        source.conv.weight[0, 0, 0, :2] = -torch.inf
    if into == "torch":
        target: Any = Torch().to(getattr(torch, name))
    else:
        target = model()
    report = xconv.transfer(source, target, input_shape=(3, 9, 11) if into == "torch" else None)
    said = [str(item) for item in report.findings]
    assert f"fc kernel: 3 of 160 numbers {words}" in said
    assert "fc bias: 1 NaN among 4 numbers" in said
    assert "conv kernel: 2 infinite among 1080 numbers" in said
    assert not report.ok
    assert report.verdict == "partial"
    assert name == "float32" or report.rounded[name][0] > 3
    assert all(text in str(report) for text in said)


def test_numbers_for_a_keras_model_in_half_precision_are_rounded_and_told() -> None:
    keras.config.set_dtype_policy("float16")
    target = model()
    keras.config.set_dtype_policy("float32")
    source = Torch().eval()
    report = xconv.transfer(source, target)
    assert report.verdict == "exact"
    assert "to float16, by at most" in str(report)
    kernel = target.layers[-1].get_weights()[0]
    assert kernel.dtype == np.float16
    assert np.array_equal(kernel, source.fc.weight.detach().numpy().T.astype(np.float16))


def test_numbers_of_a_file_are_told_too(tmp_path: Path) -> None:
    state = Torch().state_dict()
    state["fc.weight"][2, 1] = torch.inf
    safetensors.torch.save_file(state, tmp_path / "s.safetensors")
    for target, options in ((Torch(), {}), (model(), {"architecture": Torch()})):
        report = xconv.transfer(tmp_path / "s.safetensors", target, **options)
        assert [item.what for item in report.findings] == ["1 infinite among 160 numbers"]


def test_a_refusal_before_anything_is_worked_out_touches_nothing() -> None:
    source, target = nn.Sequential(nn.Conv2d(3, 40, 3, 2), nn.AdaptiveAvgPool2d(1)).eval(), model()
    before = target.get_weights()
    with pytest.raises(Mismatch):
        xconv.transfer(source, target)
    assert all(np.array_equal(a, b) for a, b in zip(before, target.get_weights(), strict=True))
