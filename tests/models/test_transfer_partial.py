"""Files that hold a part of a model, too much of one, or another variant of it: told, and moved as far as it goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import safetensors.torch
import torch
from keras import layers
from torch import nn

import xconv
from tests.comparison import assert_same
from xconv.errors import Mismatch
from xconv.transfers.shapes import likely, variant_by_names

SHAPE = (15, 17, 3)


def body(x: Any) -> Any:
    x = layers.ReLU(name="relu")(layers.BatchNormalization(epsilon=1e-5, name="b1")(layers.Conv2D(5, 3, name="c1")(x)))
    return layers.GlobalAveragePooling2D(name="pool")(layers.DepthwiseConv2D(3, name="dw")(x))


def keras_model(classes: int = 7, seed: int = 0, *, top: bool = True) -> Any:
    image = layers.Input(SHAPE)
    x = body(image)
    model = keras.Model(image, layers.Dense(classes, name="fc")(x) if top else x, name="small")
    xconv.randomize(model, seed)
    return model


class Torch(nn.Module):
    def __init__(self, classes: int = 7, width: int = 5, blocks: int = 1) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, width, 3), nn.BatchNorm2d(width)
        self.dw = nn.Conv2d(width, width, 3, groups=width)
        self.more = nn.Sequential(*(nn.Conv2d(width, width, 1) for _ in range(blocks - 1)))
        self.fc = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.more(self.dw(self.bn(self.conv(x)).relu())).mean((2, 3)))


def torch_model(seed: int = 0, **options: Any) -> Any:
    module = Torch(**options).eval()
    xconv.randomize(module, seed, inputs=torch.randn(2, 3, *SHAPE[:2]))
    return module


def legacy(model: Any, path: Path) -> Path:
    """Weights alone in the form of the downloads of keras.applications: layer_names at the root."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.1.6"
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{variable.name}:0".encode() for variable in layer.weights]
            group.attrs["weight_names"] = names
            for name, variable in zip(names, layer.weights, strict=True):
                group.create_dataset(name.decode(), data=np.array(variable))
    return path


def modern(model: Any, path: Path) -> Path:
    model.save_weights(path)
    return path


KERAS_FILES: dict[str, tuple[str, Callable[[Any, Path], Path]]] = {
    "legacy": ("part.h5", legacy),
    "modern": ("part.weights.h5", modern),
}


def same(model: Any, other: Any, names: tuple[str, ...]) -> bool:
    pairs = [zip(model.get_layer(n).get_weights(), other.get_layer(n).get_weights(), strict=True) for n in names]
    return all(np.array_equal(a, b) for pair in pairs for a, b in pair)


# --------------------------------------------------------------------------------------- a part of a model, from Keras


@pytest.mark.parametrize("kind", sorted(KERAS_FILES))
def test_a_file_without_the_top_into_the_model_with_it(kind: str, tmp_path: Path) -> None:
    name, write = KERAS_FILES[kind]
    source, target = keras_model(top=False), keras_model(seed=3)
    path, before = write(source, tmp_path / name), target.get_weights()
    with pytest.raises(Mismatch, match="the file lacks fc; strict=False moves what fits"):
        xconv.transfer(path, target)
    assert all(np.array_equal(a, b) for a, b in zip(before, target.get_weights(), strict=True))
    report = xconv.transfer(path, target, strict=False)
    assert report.verdict == "partial"
    assert {item.weight.key for item in report.plan.unfilled} == {"fc/0", "fc/1"}
    assert {problem.place for problem in report.problems} >= {"fc/0", "fc/1"}
    assert same(source, target, ("c1", "b1", "dw"))
    assert all(np.array_equal(a, b) for a, b in zip(before[-2:], target.get_layer("fc").get_weights(), strict=True))


@pytest.mark.parametrize("kind", sorted(KERAS_FILES))
def test_a_file_without_the_top_into_a_module_with_it(kind: str, tmp_path: Path) -> None:
    name, write = KERAS_FILES[kind]
    source, whole, module = keras_model(top=False), keras_model(seed=4), torch_model(5)
    path, before = write(source, tmp_path / name), module.fc.weight.clone()
    with pytest.raises(Mismatch):
        xconv.transfer(path, module, architecture=whole)
    assert not same(source, whole, ("c1",))
    report = xconv.transfer(path, module, architecture=whole, strict=False)
    assert not report.ok
    assert torch.equal(module.fc.weight, before)  # not what `whole` holds there
    reasons = {item.weight.key: item.reason for item in report.plan.unfilled}
    assert "has no such array" in reasons["fc.weight"]
    assert np.array_equal(module.conv.weight.detach().numpy().transpose(2, 3, 1, 0), source.get_layer("c1").kernel)
    accounted = {*report.plan.targets(), *reasons}
    assert accounted == set(module.state_dict())


@pytest.mark.parametrize("kind", sorted(KERAS_FILES))
def test_a_file_with_the_top_into_the_model_without_it(kind: str, tmp_path: Path) -> None:
    name, write = KERAS_FILES[kind]
    source, target = keras_model(), keras_model(seed=3, top=False)
    path = write(source, tmp_path / name)
    with pytest.raises(Mismatch, match="the file has fc besides"):
        xconv.transfer(path, target)
    report = xconv.transfer(path, target, strict=False)
    assert {item.weight.key for item in report.plan.left} == {"fc/0", "fc/1"}
    assert same(source, target, ("c1", "b1", "dw"))


@pytest.mark.parametrize("kind", sorted(KERAS_FILES))
def test_whole_files_of_weights_as_source_and_target(kind: str, tmp_path: Path) -> None:
    name, write = KERAS_FILES[kind]
    source, module, other = keras_model(), torch_model(5), torch_model(6)
    path = write(source, tmp_path / name)
    assert xconv.transfer(path, module, architecture=source).ok
    assert xconv.verify(source, module).ok
    xconv.transfer(other, source).save_map(tmp_path / "map.json")
    torch.save(module.state_dict(), tmp_path / "module.pt")
    into = tmp_path / f"new-{name}"
    xconv.apply_map(tmp_path / "map.json", tmp_path / "module.pt", into, architecture=path)
    fresh = keras_model(seed=9)
    assert xconv.transfer(into, fresh).ok
    assert xconv.verify(module, fresh).ok
    if kind == "legacy":
        with h5py.File(into) as file:
            assert list(file.attrs["layer_names"])[-1] in ("fc", b"fc")


def test_layers_that_are_numbered_otherwise_are_not_moved_by_name(tmp_path: Path) -> None:
    def model(first: int, count: int) -> Any:
        image = x = layers.Input(SHAPE)
        for number in range(first, first + count):
            x = layers.Conv2D(3, 3, name=f"conv2d_{number}")(x)
        return keras.Model(image, x, name="counted")

    path = modern(model(1, 4), tmp_path / "c.weights.h5")
    target = model(3, 4)
    before = target.get_weights()
    with pytest.raises(Mismatch, match=r"numbered otherwise \(conv2d_\d against conv2d_\d\)"):
        xconv.transfer(path, target, strict=False)
    assert all(np.array_equal(a, b) for a, b in zip(before, target.get_weights(), strict=True))


# --------------------------------------------------------------------------------------- and from torch


def test_a_checkpoint_without_its_head(tmp_path: Path) -> None:
    source, target, before = torch_model(), torch_model(1), torch_model(1).fc.weight.clone()
    state = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith("fc")}
    torch.save({"state_dict": state}, tmp_path / "c.pt")
    with pytest.raises(Mismatch, match="the file lacks fc"):
        xconv.transfer(tmp_path / "c.pt", target)
    report = xconv.transfer(tmp_path / "c.pt", target, strict=False)
    assert report.verdict == "partial"
    assert {item.weight.key for item in report.plan.unfilled} == {"fc.weight", "fc.bias"}
    assert torch.equal(target.dw.weight, source.dw.weight)
    assert torch.equal(target.fc.weight, before)
    model = keras_model(seed=3)
    kept = model.get_layer("fc").get_weights()
    moved = xconv.transfer(tmp_path / "c.pt", model, architecture=torch_model(7), strict=False)
    assert {item.weight.key for item in moved.plan.unfilled} == {"fc/0", "fc/1"}
    assert all(np.array_equal(a, b) for a, b in zip(kept, model.get_layer("fc").get_weights(), strict=True))
    assert np.array_equal(np.array(model.get_layer("c1").kernel).transpose(3, 2, 0, 1), source.conv.weight.detach())


def test_a_partial_checkpoint_through_a_saved_map(tmp_path: Path) -> None:
    source, model = torch_model(), keras_model()
    xconv.transfer(source, model).save_map(tmp_path / "map.json")
    state = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith("fc")}
    torch.save(state, tmp_path / "c.pt")
    into = tmp_path / "o.weights.h5"
    with pytest.raises(Mismatch, match="the file lacks fc"):
        xconv.apply_map(tmp_path / "map.json", tmp_path / "c.pt", into)
    assert not into.exists()
    report = xconv.apply_map(
        tmp_path / "map.json", tmp_path / "c.pt", into, architecture=keras_model(seed=8), strict=False
    )
    assert not report.ok
    target = keras_model(seed=2)
    assert xconv.transfer(into, target).ok
    assert same(target, keras_model(seed=8), ("fc",))
    assert np.array_equal(np.array(target.get_layer("c1").kernel).transpose(3, 2, 0, 1), source.conv.weight.detach())


def test_where_nothing_fits_nothing_is_moved(tmp_path: Path) -> None:
    torch.save({"other.weight": torch.ones(3)}, tmp_path / "c.pt")
    with pytest.raises(Mismatch, match="has no place for it"):
        xconv.transfer(tmp_path / "c.pt", torch_model(), strict=False)


# --------------------------------------------------------------------------------------- what would fit


def test_kernels_in_the_order_of_keras_and_a_transposed_dense(tmp_path: Path) -> None:
    state = torch_model().state_dict()
    state["conv.weight"] = state["conv.weight"].permute(2, 3, 1, 0).contiguous()
    state["fc.weight"] = state["fc.weight"].t().contiguous()
    safetensors.torch.save_file(state, tmp_path / "c.safetensors")
    for target, options in ((torch_model(1), {}), (keras_model(), {"architecture": torch_model(1)})):
        with pytest.raises(Mismatch) as caught:
            xconv.transfer(tmp_path / "c.safetensors", target, **options)
        said = {problem.place: problem.remedy for problem in caught.value.problems}
        assert said["conv.weight"] == "with its axes in the order (3, 2, 0, 1) it would fit"
        assert said["fc.weight"] == "with its axes in the order (1, 0) it would fit"


VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "classes": ({"classes": 10}, "fc has 10 classes or filters, 7 are needed"),
    "width": ({"width": 10}, "0.5 times as wide"),
    "depth": ({"blocks": 6}, "the file has more besides"),
}


@pytest.mark.parametrize("kind", sorted(VARIANTS))
@pytest.mark.parametrize("known", ["target", "architecture", "map"])
def test_a_checkpoint_of_another_variant_is_recognised(kind: str, known: str, tmp_path: Path) -> None:
    options, words = VARIANTS[kind]
    torch.save(torch_model(**options).state_dict(), tmp_path / "c.pt")
    source, torch_target, into = tmp_path / "c.pt", torch_model(1), tmp_path / "o.weights.h5"
    xconv.transfer(torch_model(), keras_model()).save_map(tmp_path / "map.json")
    moves: dict[str, Callable[[], Any]] = {
        "map": lambda: xconv.apply_map(tmp_path / "map.json", source, into),
        "target": lambda: xconv.transfer(source, torch_target),
        "architecture": lambda: xconv.transfer(source, keras_model(), architecture=torch_target),
    }
    with pytest.raises(Mismatch) as caught:
        moves[known]()
    assert words in caught.value.problems[0].what  # said first, before every single array


def test_the_variant_is_said_first_between_live_models() -> None:
    torchvision = pytest.importorskip("torchvision")
    small = {"num_classes": 5}
    deep = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 3, 1], **small).eval()
    flat = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], **small).eval()
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(deep, flat, input_shape=(3, 65, 79))
    assert "two variants of one architecture: the source has 16 layers of kind BatchNorm" in str(
        caught.value.problems[0]
    )
    narrow = torchvision.models.mobilenet_v2(width_mult=0.25, **small).eval()
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(narrow, torchvision.models.mobilenet_v2(width_mult=0.5, **small).eval(), input_shape=(3, 65, 79))
    assert "times as wide" in str(caught.value.problems[0])


def test_shapes_in_words() -> None:
    assert "reshaped" in likely((4, 6), (3, 8))
    assert "another architecture" in likely((4, 6), (5, 7))
    assert variant_by_names([], [], [], ["a.weight"]) == ""
    assert variant_by_names([], ["a.weight"], ["b.weight"], ["b.weight"]) == ""
    lacking = variant_by_names([], [], ["l.2.w", "l.3.w"], ["l.1.w", "l.2.w", "l.3.w"])
    assert lacking.endswith("the file lacks l.2, l.3")
    assert_same(np.array([1.0]), np.array([1.0]))
