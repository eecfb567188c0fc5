"""Files of weights in exactly the layout that Keras, torchvision and timm publish theirs, in caches as they keep them.

    with published.caches(folder):
        file = published.plant(find("resnet50").published[0].file, "keras", model)
        with published.republished(file):
            xconv.zoo.load("resnet50", source="keras", framework="torch")

Nothing is downloaded: the weights are those of the given model, and the catalogue states their digest instead of that
of the file that is really published.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np

from xconv.zoo import catalogue
from xconv.zoo.fetch import cached_path
from xconv.zoo.records import File, Library, Network, Partner, Published

__all__ = ["caches", "plant", "republished", "write_hub", "write_keras", "write_torch"]

HEADER_LIMIT = 64512
"""HDF5 holds no longer attribute: Keras splits it."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# -- caches -----------------------------------------------------------------------------------------------------------


@contextmanager
def caches(folder: Path) -> Iterator[Path]:
    """Empty caches of Keras, torch.hub and the Hugging Face hub in a folder; the hub is offline."""
    homes = {"KERAS_HOME": str(folder / "keras"), "TORCH_HOME": str(folder / "torch")}
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, homes))
        try:
            constants = importlib.import_module("huggingface_hub.constants")
        except ModuleNotFoundError:
            pass
        else:
            # It reads its environment once, when it is imported.
            stack.enter_context(mock.patch.object(constants, "HF_HUB_CACHE", str(folder / "hub")))
            stack.enter_context(mock.patch.object(constants, "HF_HUB_OFFLINE", True))
        yield folder


def plant(file: File, library: Library, model: Any) -> File:
    """Write the weights of a model where the owner of `file` would have cached it; gives the file with their digest.

    Args:
        file: of the catalogue.
        library: its owner.
        model: a Keras model, or a torch module of the library.
    """
    path = cached_path(file, library)
    if file.url.startswith("https://huggingface.co/"):
        write_hub(path, model)
        return file
    path.parent.mkdir(parents=True, exist_ok=True)
    (write_keras if library == "keras" else write_torch)(path, model)
    return replace(file, digest=digest(path, file.digest)) if file.digest else file


def digest(path: Path, like: str) -> str:
    """The digest of a file, of the kind and length of another."""
    kind = "md5" if len(like) == 32 else "sha256"
    return hashlib.new(kind, path.read_bytes(), usedforsecurity=False).hexdigest()[: len(like)]


@contextmanager
def republished(*files: File) -> Iterator[None]:
    """The catalogue as if these files were published, each at its own address."""
    by_url = {file.url: file for file in files}
    with ExitStack() as stack:
        for family in catalogue.FAMILIES:
            module = importlib.import_module(f"xconv.zoo.families.{family}")
            networks = tuple(_with_files(network, by_url) for network in module.NETWORKS)
            stack.enter_context(mock.patch.object(module, "NETWORKS", networks))
        _forget()
        stack.callback(_forget)
        yield


def _forget() -> None:
    catalogue.networks.cache_clear()
    catalogue._names.cache_clear()


def _with_files(owner: Any, by_url: dict[str, File]) -> Any:
    """A network, a partner or published weights with other files."""
    match owner:
        case Network(partners=partners, published=published):
            return replace(owner, partners=_each(partners, by_url), published=_each(published, by_url))
        case Partner(published=published):
            return replace(owner, published=_each(published, by_url))
        case Published(file=file, no_top=no_top):
            found = {key: by_url.get(one.url, one) for key, one in (("file", file), ("no_top", no_top)) if one}
            return replace(owner, **found)


def _each(owners: Sequence[Any], by_url: dict[str, File]) -> tuple[Any, ...]:
    return tuple(_with_files(owner, by_url) for owner in owners)


# -- torchvision and timm ---------------------------------------------------------------------------------------------


def write_torch(path: Path, module: Any) -> None:
    """A state_dict as torchvision publishes it: an OrderedDict in torch's zip format."""
    import torch

    torch.save(OrderedDict(module.state_dict()), path)


def write_hub(folder: Path, module: Any) -> Path:
    """A repository of timm's in the cache of the hub: references, blobs named by SHA-256, and a snapshot of links.

    Args:
        folder: `models--timm--<name>` in the cache.
        module: of `timm.create_model`.
    """
    import timm

    snapshot = folder / "snapshots" / COMMIT
    timm.models.save_for_hf(module, snapshot, safe_serialization=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "blobs").mkdir()
    for path in list(snapshot.iterdir()):
        blob = folder / "blobs" / digest(path, "0" * 64)
        path.rename(blob)
        path.symlink_to(Path("../../blobs", blob.name))
    return snapshot / "model.safetensors"


# -- Keras ------------------------------------------------------------------------------------------------------------

FROM_ONE = ("inception_v3", "inception_resnet_v2", "xception", "nasnet")
"""Saved when Keras numbered the layers of a class from 1: `conv2d_1`, where it now begins with `conv2d`."""
SHORT_NAMES = {"kernel": "W_1", "bias": "b_1"}
"""What the weights of VGG are called: `block1_conv1_W_1:0`."""
TOP_LEVEL = ("efficientnetv2", "convnext")
"""Saved by a Keras that writes a group for the weights of the model itself, too."""
THIRD_WORDS = {
    "avg_pool": "AvgPool",
    "bn": "BatchNorm",
    "conv": "Conv",
    "conv_1": "Conv_1",
    "mul": "Mul",
    "pad": "pad",
    "relu": "Relu",
}


def write_keras(path: Path, model: Any, *, limit: int = HEADER_LIMIT) -> None:
    """The weights of a keras.applications model as Keras 2 saved those that are published.

    The list of layers stands at the root; a layer's group lists what trains, then the rest, as `layer/weight:0`; names
    are those of Keras 2, some with slashes. What is left out are layers without weights that it had besides.

    Args:
        path: ends in `.h5`.
        model: live, as its constructor made it.
        limit: the bytes of an attribute above which a list is split.
    """
    names = _layer_names(model)
    with h5py.File(path, "w") as file:
        _write_list(file, "layer_names", [names[layer.name] for layer in model.layers], limit)
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.9.0"
        # In order of names, so that no name is the beginning of a group that is there already.
        for layer in sorted(model.layers, key=lambda layer: names[layer.name]):
            group = file.require_group(names[layer.name])
            stored = [(_weight_name(model, layer, one, names), one) for one in _weights(layer)]
            _write_list(group, "weight_names", [name for name, _ in stored], limit)
            for name, weight in stored:
                group.create_dataset(name, data=_numbers(name, weight))
        if model.name.startswith(TOP_LEVEL):
            _write_list(file.create_group("top_level_model_weights"), "weight_names", [], limit)


def _weights(layer: Any) -> list[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _numbers(name: str, weight: Any) -> np.ndarray[Any, Any]:
    numbers = np.asarray(weight)
    return numbers.astype(np.int64) if name.endswith("/count:0") else numbers


def _weight_name(model: Any, layer: Any, weight: Any, names: dict[str, str]) -> str:
    owner, name = weight.path.split("/")[-2:]
    owner = names.get(owner, owner)
    if model.name.startswith("vgg"):
        return f"{owner}_{SHORT_NAMES[name]}:0"
    if type(layer).__name__ == "DepthwiseConv2D" and name == "kernel":
        name = "depthwise_kernel"
    if type(layer).__name__ == "LayerScale":
        name = "gamma"
    return f"{owner}/{name}:0"


def _write_list(group: Any, name: str, texts: Sequence[str], limit: int) -> None:
    """As fixed strings of bytes, split into as few even parts as fit."""
    values = np.asarray([text.encode() for text in texts])
    count = 1
    while any(part.nbytes > limit for part in np.array_split(values, count)):
        count += 1
    if count == 1:
        group.attrs[name] = values
        return
    for index, part in enumerate(np.array_split(values, count)):
        group.attrs[f"{name}{index}"] = part


def _layer_names(model: Any) -> dict[str, str]:
    """What Keras 2 called the layers of a model of Keras 3."""
    names = {layer.name: layer.name for layer in model.layers}
    for word, rename in (("MobileNetV3", _as_third), ("densenet", _as_densenet)):
        if model.name.startswith(word):
            names = {name: rename(name) for name in names}
    names |= {name: "input_1" for name in names if name.startswith("input_layer")}
    if model.name.lower().startswith(FROM_ONE):
        for word in ("conv2d", "batch_normalization"):
            numbered = [name for name in names if re.fullmatch(rf"{word}(_\d+)?", name)]
            numbered.sort(key=lambda name: int(name.removeprefix(word).strip("_") or 0))
            names |= {name: f"{word}_{number}" for number, name in enumerate(numbered, 1)}
    return names


def _as_densenet(name: str) -> str:
    return re.sub(r"^conv1_(conv|bn|relu)$", r"conv1/\1", name)


def _as_third(name: str) -> str:
    """`expanded_conv/depthwise/BatchNorm`, where Keras 3 says `expanded_conv_depthwise_bn`."""
    if found := re.fullmatch(
        r"(expanded_conv(?:_\d+)?)_(expand|depthwise|project|squeeze_excite|add)(?:_(\w+))?", name
    ):
        block, part, word = found.groups()
        part = "Add" if part == "add" else part
        return "/".join(filter(None, (block, part, THIRD_WORDS.get(word, word))))
    if found := re.fullmatch(r"conv(_[12])?(_bn)?", name):
        number, norm = found.groups(default="")
        return f"Conv{number}{'/BatchNorm' if norm else ''}"
    return "Logits" if name == "logits" else name
