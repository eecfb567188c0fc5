"""Checkpoint folders that timm loads, and the command `xconv zoo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import pytest
import safetensors.torch
import timm
import torch

import xconv
from xconv.cli import run
from xconv.errors import InvalidInput, IsDirectory, Mismatch, NotFound, Unsupported
from xconv.zoo import folders, load, origin, save_folder
from xconv.zoo.writing import write

SHAPE = (64, 96, 3)


def stock(name: str, **options: Any) -> torch.nn.Module:
    """A class of timm with live weights of keras.applications."""
    return load(name, weights=None, seed=1, destination="stock", library="timm", input_shape=SHAPE, **options)


@pytest.fixture(scope="module")
def mobile() -> torch.nn.Module:
    return stock("mobilenet_v2", alpha=0.35, geometry="unchanged", classes=11)


def same(folder: Path, module: torch.nn.Module) -> None:
    """timm's own loader gives equal outputs."""
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), module(images))


def test_timm_builds_the_same_network_from_the_folder(mobile: torch.nn.Module, tmp_path: Path) -> None:
    save_folder(mobile, tmp_path / "mobile")
    same(tmp_path / "mobile", mobile)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "README.md",
        "config.json",
        "mobile",
        "model.safetensors",
    ]
    config = json.loads((tmp_path / "mobile/config.json").read_text())
    assert (config["architecture"], config["num_classes"]) == ("mobilenetv2_035", 11)
    assert config["model_args"] == {"pad_type": "same", "bn_eps": 0.001}
    described = config["pretrained_cfg"]
    assert described["input_size"] == [3, 64, 96]
    assert (described["mean"], described["std"]) == ([0.5] * 3, [0.5] * 3)
    assert (described["first_conv"], described["classifier"]) == ("conv_stem", "classifier")
    card = (tmp_path / "mobile/README.md").read_text()
    assert "library_name: timm" in card
    assert "pad_type='same'" in card


def test_an_older_folder_is_replaced_whole_or_stays(
    mobile: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mobile"
    save_folder(mobile, folder)
    before = (folder / "model.safetensors").read_bytes()

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "card", fails)
        with pytest.raises(xconv.Unwritable, match="No space left"):
            save_folder(mobile, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mobile"]
    save_folder(mobile, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mobile"]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(IsDirectory, match="other files"):
        save_folder(mobile, folder)
    with pytest.raises(NotFound):
        save_folder(mobile, tmp_path / "missing" / "mobile")


def test_another_function_is_not_written(
    mobile: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where config.json lacks what its class needs, timm builds something else, and nothing is left."""
    monkeypatch.setattr(folders, "_options", lambda found: {})
    with pytest.raises(Mismatch, match="computes something else"):
        save_folder(mobile, tmp_path / "mobile")
    assert not list(tmp_path.iterdir())


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("resnet50", {"include_top": True}, "settings of its class were changed.*stride"),
    ("mobilenet_v2", {"alpha": 0.35, "geometry": "unchanged", "include_top": False}, "without its top"),
    (
        "mobilenet_v2",
        {"alpha": 0.35, "library": "torchvision", "geometry": "rotated"},
        r"a class of torchvision(.|\n)*turned by 180 degrees",
    ),
]


@pytest.mark.parametrize(("name", "options", "said"), REFUSED)
def test_what_timm_cannot_build_is_refused(name: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    module = load(
        name, **{"weights": None, "destination": "stock", "library": "timm", "input_shape": (32, 32, 3), **options}
    )
    with pytest.raises(Unsupported, match=said):
        save_folder(module, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_a_converted_network_and_a_stranger_have_no_folder(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="library='timm'"):
        save_folder(load("mobilenet_025", weights=None, input_shape=(32, 32, 3)), tmp_path / "folder")
    with pytest.raises(InvalidInput, match="not loaded by the zoo"):
        save_folder(timm.create_model("mobilenetv1_100"), tmp_path / "folder")


def test_bgr_is_written_for_rgb() -> None:
    """timm has no word for BGR: the first kernels are turned round."""
    module = load("resnet50", weights=None, seed=1, destination="stock", library="timm", source="timm", classes=3)
    found = origin(module)
    values = {name: getattr(found, name) for name in found.__slots__} | {
        "pixels": type(found.pixels)((2, 1, 0), found.pixels.scaling)
    }
    state = folders._state(module, type(found)(**values))
    assert torch.equal(state["conv1.weight"], module.state_dict()["conv1.weight"][:, [2, 1, 0]])
    assert torch.equal(folders._state(module, found)["conv1.weight"], module.state_dict()["conv1.weight"])


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_by_their_suffix(mobile: torch.nn.Module, tmp_path: Path) -> None:
    write(mobile, tmp_path / "m.pth")
    write(mobile, tmp_path / "m.safetensors")
    state = torch.load(tmp_path / "m.pth", weights_only=True)
    again = safetensors.torch.load_file(tmp_path / "m.safetensors")
    for name, tensor in mobile.state_dict().items():
        assert torch.equal(tensor, state[name])
        assert torch.equal(tensor, again[name])
    with pytest.raises(InvalidInput, match="suffix"):
        write(mobile, tmp_path / "m.onnx")
    model = load("mobilenet_025", framework="keras", weights=None, input_shape=(32, 32, 3))
    write(model, tmp_path / "m.keras")
    write(model, tmp_path / "m.weights.h5")
    assert keras.models.load_model(tmp_path / "m.keras").count_params() == model.count_params()
    model.load_weights(tmp_path / "m.weights.h5")
    assert len(list(tmp_path.iterdir())) == 4


# -- the command ------------------------------------------------------------------------------------------------------


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["zoo", "list", "resnet50_v2"]) == 0
    assert "resnetv2_50" in capsys.readouterr().out
    assert run(["zoo", "list", "vgg16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"][0]["exact"] == "as it stands"
    assert run(["zoo", "list", "resnet51"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_load_writes_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["zoo", "load", "mobilenet_v2", "--alpha", "0.35", "--weights", "random", "--seed", "3"]
    common += ["--input-shape", "64,96,3"]
    assert run([*common, "-o", str(tmp_path / "m.safetensors"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["network"], told["framework"], told["weights"]) == ("mobilenet_v2_035", "torch", "random")
    module = xconv.load(tmp_path / "m.safetensors").eval()
    wanted = load("mobilenet_v2", alpha=0.35, weights=None, seed=3, input_shape=SHAPE)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(module(images), wanted(images))
    folder = ["--destination", "stock", "--library", "timm", "--geometry", "unchanged", "--logits"]
    assert run([*common, *folder, "-o", str(tmp_path / "folder")]) == 0
    assert "timm's mobilenetv2_035, unchanged; exact" in capsys.readouterr().out
    assert (tmp_path / "folder/config.json").exists()


def test_load_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["-o", str(tmp_path / "m.safetensors")]
    assert run(["zoo", "load", "resnet50", "--source", "jax", *target]) == 2
    assert "'jax' is none" in capsys.readouterr().err
    assert run(["zoo", "load", "resnet50", "--input-shape", "wide", *target]) == 2
    assert run(["zoo", "load", "resnet50", "--weights", str(tmp_path / "missing.h5"), *target]) == 2
    assert not list(tmp_path.iterdir())
