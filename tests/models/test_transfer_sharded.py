"""Checkpoints in several files: read through the file that lists them, which nobody need trust."""

from __future__ import annotations

import json
from collections.abc import Callable
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
from xconv.errors import InvalidInput, Unreadable

KINDS = {"safetensors": "model", "bin": "pytorch_model"}


def module(seed: int = 0) -> Any:
    found = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, eps=1e-3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 35, 4)
    )
    xconv.randomize(found.eval(), seed, inputs=torch.randn(2, 3, 7, 9))
    return found


def model(seed: int = 0) -> Any:
    image = layers.Input((7, 9, 3))
    x = layers.ReLU()(layers.BatchNormalization(name="bn")(layers.Conv2D(5, 3, name="conv")(image)))
    found = keras.Model(image, layers.Dense(4, name="fc")(layers.Flatten()(x)), name="net")
    xconv.randomize(found, seed)
    return found


def sharded(state: dict[str, torch.Tensor], folder: Path, kind: str, prefix: str = "") -> Path:
    """The state_dict as transformers saves it: two shards and an index."""
    names, stem = list(state), KINDS[kind]
    listed = {}
    for number, part in enumerate((names[:3], names[3:]), 1):
        file = f"{stem}-{number:05d}-of-00002.{kind}"
        tensors = {prefix + name: state[name] for name in part}
        (safetensors.torch.save_file if kind == "safetensors" else torch.save)(tensors, folder / file)
        listed |= dict.fromkeys(tensors, file)
    index = folder / f"{stem}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": listed}))
    return index


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_shards_of_torch_are_one_checkpoint(kind: str, tmp_path: Path) -> None:
    source, own, other, third = module(), module(1), model(2), model(3)
    index = sharded(source.state_dict(), tmp_path, kind)
    assert xconv.transfer(index, own).verdict == "exact"
    assert all(torch.equal(own.state_dict()[name], tensor) for name, tensor in source.state_dict().items())
    assert xconv.transfer(index, other, architecture=module(4)).verdict == "exact"
    assert xconv.verify(source, other).ok
    xconv.transfer(module(5), other).save_map(tmp_path / "map.json")
    assert xconv.apply_map(tmp_path / "map.json", index, tmp_path / "o.weights.h5").verdict == "exact"
    third.load_weights(tmp_path / "o.weights.h5")
    assert xconv.verify(source, third).ok


def test_names_of_shards_have_prefixes_too(tmp_path: Path) -> None:
    source, own = module(), module(1)
    report = xconv.transfer(sharded(source.state_dict(), tmp_path, "safetensors", "module."), own)
    assert "'module.' was taken off the names" in report.notes
    assert torch.equal(own[0].weight, source[0].weight)


def without_a_tensor(index: Path, said: dict[str, Any]) -> None:
    safetensors.torch.save_file({"0.weight": torch.ones(2)}, index.parent / said["weight_map"]["0.weight"])


def with_a_tensor_more(_: Path, said: dict[str, Any]) -> None:
    del said["weight_map"]["0.weight"]


def without_a_shard(index: Path, said: dict[str, Any]) -> None:
    (index.parent / said["weight_map"]["4.bias"]).unlink()


def outside(_: Path, said: dict[str, Any]) -> None:
    said["weight_map"]["4.bias"] = "../secret.safetensors"


def absolute(index: Path, said: dict[str, Any]) -> None:
    said["weight_map"]["4.bias"] = str(index.parent / "secret.safetensors")


def linked(index: Path, said: dict[str, Any]) -> None:
    shard = index.parent / said["weight_map"]["4.bias"]
    shard.rename(index.parent / "elsewhere")
    shard.symlink_to(index.parent / "elsewhere")


def no_map(_: Path, said: dict[str, Any]) -> None:
    said["weight_map"] = {"4.bias": ["a", "b"]}


def a_damaged_shard(index: Path, said: dict[str, Any]) -> None:
    (index.parent / said["weight_map"]["4.bias"]).write_bytes(b"PK\x03\x04 nothing")


BAD: list[tuple[Callable[[Path, dict[str, Any]], None], str]] = [
    (without_a_tensor, "lacks 0.bias, which the index says it holds"),
    (with_a_tensor_more, "holds 0.weight, which the index says it does not"),
    (without_a_shard, "is not there; fetch all shards"),
    (outside, "is not a plain file name"),
    (absolute, "is not a plain file name"),
    (linked, "is not a plain file name"),
    (no_map, "has no weight_map"),
    (a_damaged_shard, "not a whole .safetensors file"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=lambda item: getattr(item, "__name__", ""))
def test_an_index_and_shards_that_do_not_agree_are_refused(
    change: Callable[[Path, dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for secret in (tmp_path, folder):
        safetensors.torch.save_file({"4.bias": torch.ones(4)}, secret / "secret.safetensors")
    index, target = sharded(module().state_dict(), folder, "safetensors"), module(1)
    said, before = json.loads(index.read_text()), {k: v.clone() for k, v in target.state_dict().items()}
    change(index, said)
    index.write_text(json.dumps(said))
    with pytest.raises(Unreadable, match=words):
        xconv.transfer(index, target)
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


def test_a_shard_that_holds_more_than_tensors_and_an_index_to_write(tmp_path: Path) -> None:
    index = sharded(module().state_dict(), tmp_path, "bin")
    torch.save({"epoch": 3}, tmp_path / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(Unreadable, match="is no shard"):
        xconv.transfer(index, module(1))
    with pytest.raises(InvalidInput, match="is not written"):
        xconv.transfer(model(), tmp_path / "new.safetensors.index.json", architecture=module())


def test_shards_of_keras(tmp_path: Path) -> None:
    """Such files do not name their layers: the target, the architecture or config= tells them."""
    source, own, other = model(), model(1), module(2)
    path = tmp_path / "net.weights.json"
    source.save_weights(path, max_shard_size=3e-6)
    assert len(list(tmp_path.glob("*.weights.h5"))) > 1
    assert xconv.transfer(path, own).verdict == "exact"
    assert all(np.array_equal(a, b) for a, b in zip(source.get_weights(), own.get_weights(), strict=True))
    assert xconv.transfer(path, other, architecture=model(3)).verdict == "exact"
    assert xconv.verify(source, other).ok
    xconv.transfer(model(4), other).save_map(tmp_path / "map.json")
    with pytest.raises(Unreadable, match="config="):
        xconv.apply_map(tmp_path / "map.json", path, tmp_path / "o.pt")
    (tmp_path / "config.json").write_text(source.to_json())
    xconv.apply_map(tmp_path / "map.json", path, tmp_path / "o.pt", config=tmp_path / "config.json")
    other.load_state_dict(torch.load(tmp_path / "o.pt", weights_only=True))
    assert xconv.verify(source, other).ok
