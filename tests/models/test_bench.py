"""`xconv bench`: a model file converted, verified, timed and optimised; what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import xconv
from xconv import cli

QUICKLY = ("--no-compile", "--no-keep-memory", "--rounds", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with its batch open, and one that is made for a batch of 2."""
    place = tmp_path_factory.mktemp("bench")
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module = xconv.randomize(module, 0, inputs=torch.randn(4, 3, 17, 21)).eval()
    image = torch.randn(2, 3, 17, 21)
    batch = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(module, (image,), dynamic_shapes=batch), place / "open.pt2")
    torch.export.save(torch.export.export(module, (image,)), place / "two.pt2")
    xconv.save(xconv.keras_to_torch(xconv.torch_to_keras(module, image)), place / "own.safetensors")
    xconv.torch_to_keras(module, image).save(place / "model.keras")
    return place


@pytest.mark.parametrize("name", ["open.pt2", "own.safetensors", "model.keras"])
def test_every_file_is_converted_verified_and_optimised(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.run(["bench", str(folder / name), "--batch", "1", "--batch", "3", "--json", *QUICKLY]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "exact"
    assert list(found["batches"]) == ["1", "3"]
    assert "(3, 3, 17, 21)" in found["batches"]["3"]["setting"]
    assert found["batches"]["1"]["steps"][0]["name"] == "fold"
    assert found["batches"]["1"]["after_ms"] > 0


def test_the_report_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", str(folder / "open.pt2"), "--no-verify", *QUICKLY]) == 0
    said = capsys.readouterr().out
    assert "not verified, as asked for" in said
    assert "batch 1: " in said
    assert "fold: 1 normalisations folded" in said


def test_a_batch_that_the_program_does_not_take_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", str(folder / "two.pt2"), "--batch", "1", *QUICKLY]) == cli.BAD_INPUT
    assert "takes a batch of 2" in capsys.readouterr().err


def test_bad_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", str(folder / "open.pt2"), "--batch", "0", *QUICKLY]) == cli.BAD_INPUT
    assert "--batch 0" in capsys.readouterr().err
    assert cli.run(["bench", str(folder / "none.keras"), *QUICKLY]) == cli.BAD_INPUT


def test_what_differs_is_not_timed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = xconv.verify(folder / "open.pt2", xconv.randomize(nn.Sequential(nn.Conv2d(3, 8, 17), nn.Flatten()), 1))
    monkeypatch.setattr(xconv, "verify", lambda *_: other)
    assert not other.ok
    assert cli.run(["bench", str(folder / "open.pt2"), "--json", *QUICKLY]) == 1
    assert json.loads(capsys.readouterr().out)["batches"] == {}
