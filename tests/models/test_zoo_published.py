"""The files that the tests write are laid out as those that Keras, torchvision and timm publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from keras.src.legacy.saving.legacy_h5_format import load_attributes_from_hdf5_group as listed

import xconv
from tests.published import caches, plant, republished, write_keras
from xconv.errors import Unreadable
from xconv.keras.checkpoint import arrays_of
from xconv.zoo.catalogue import find, partner_of
from xconv.zoo.fetch import fetch
from xconv.zoo.filling import fill_keras
from xconv.zoo.records import Network

Layout = list[tuple[str, list[tuple[str, tuple[int, ...], str]]]]


def made(library: Any, network: Network, *, top: bool = True) -> Any:
    """The network in Keras or tf_keras."""
    shape = (network.smallest, network.smallest, 3)
    library.backend.clear_session()
    builder = getattr(library.applications, network.keras)
    return builder(weights=None, include_top=top, input_shape=shape, **network.variant)


def layout(path: Path) -> Layout:
    """Each layer that has weights, and of each its name, shape and type."""
    with h5py.File(path) as file:
        found = []
        for layer in listed(file, "layer_names"):
            group = file[layer]
            found.append(
                (layer, [(name, group[name].shape, str(group[name].dtype)) for name in listed(group, "weight_names")])
            )
        return [(layer, weights) for layer, weights in found if weights]


def varied(model: Any) -> Any:
    """Every weight with numbers of its own."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.uniform(1, 9, weight.shape).astype(weight.dtype))
    return model


def same(loaded: Any, wanted: Any) -> None:
    """Bit for bit."""
    for one, other in zip(loaded.weights, wanted.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "top"), [("mobilenet_v3_small", False), ("efficientnet_b0", True)])
def test_a_keras_file_is_what_keras_2_saves(tmp_path: Path, name: str, top: bool) -> None:
    """Layers, names with and without slashes, order, shapes and types; both generations of Keras load it."""
    tf_keras = pytest.importorskip("tf_keras")
    network = find(name)
    theirs = made(tf_keras, network, top=top)
    model = varied(made(keras, network, top=top))
    theirs.save_weights(tmp_path / "theirs.h5")
    write_keras(tmp_path / "ours.h5", model)
    assert layout(tmp_path / "ours.h5") == layout(tmp_path / "theirs.h5")
    theirs.load_weights(tmp_path / "ours.h5")
    again = made(keras, network, top=top)
    again.load_weights(tmp_path / "ours.h5")
    same(again, model)


def test_older_files_number_layers_from_one(tmp_path: Path) -> None:
    """A model of Keras 3 calls its first convolution `conv2d`, and loads by order."""
    model = varied(made(keras, find("xception"), top=False))
    write_keras(tmp_path / "xception.h5", model)
    names = [name for name, _ in layout(tmp_path / "xception.h5")]
    assert [name for name in names if name.startswith("conv2d")] == ["conv2d_1", "conv2d_2", "conv2d_3", "conv2d_4"]
    again = made(keras, find("xception"), top=False)
    again.load_weights(tmp_path / "xception.h5")
    same(again, model)


def test_long_lists_are_split_and_read(tmp_path: Path) -> None:
    """HDF5 holds no attribute of more than 64 KiB."""
    model = varied(made(keras, find("mobilenet_025"), top=False))
    write_keras(tmp_path / "split.h5", model, limit=1000)
    write_keras(tmp_path / "whole.h5", model)
    with h5py.File(tmp_path / "split.h5") as file:
        assert sorted(file.attrs) == ["backend", "keras_version", "layer_names0", "layer_names1"]
    assert layout(tmp_path / "split.h5") == layout(tmp_path / "whole.h5")
    again = made(keras, find("mobilenet_025"), top=False)
    again.load_weights(tmp_path / "split.h5")
    same(again, model)
    found = arrays_of(tmp_path / "split.h5")
    assert sum(int(np.prod(array.shape)) for array in found.values()) == model.count_params()


def test_vgg_and_convnext_have_names_of_their_own(tmp_path: Path) -> None:
    model = made(keras, find("vgg16"), top=False)
    write_keras(tmp_path / "vgg16.h5", model)
    assert layout(tmp_path / "vgg16.h5")[0] == (
        "block1_conv1",
        [("block1_conv1_W_1:0", (3, 3, 3, 64), "float32"), ("block1_conv1_b_1:0", (64,), "float32")],
    )
    model = made(keras, find("convnext_tiny"), top=False)
    write_keras(tmp_path / "convnext.h5", model)
    found = dict(layout(tmp_path / "convnext.h5"))
    assert [name for name, _, _ in found["convnext_tiny_stem"]] == [
        "convnext_tiny_stem_conv/kernel:0",
        "convnext_tiny_stem_conv/bias:0",
        "convnext_tiny_stem_layernorm/gamma:0",
        "convnext_tiny_stem_layernorm/beta:0",
    ]
    assert found["convnext_tiny_stage_0_block_1_layer_scale"] == [
        ("convnext_tiny_stage_0_block_1_layer_scale/gamma:0", (96,), "float32")
    ]
    with h5py.File(tmp_path / "convnext.h5") as file:
        assert "top_level_model_weights" in file


def test_layers_that_keras_numbers_are_found_by_their_order(tmp_path: Path) -> None:
    """The last norm of a ConvNeXt without its top has no name of its own, and the scaling before it no weights."""
    model = xconv.randomize(made(keras, find("convnext_tiny"), top=False))
    write_keras(tmp_path / "convnext.h5", model)
    keras.layers.LayerNormalization()
    again = keras.applications.ConvNeXtTiny(weights=None, include_top=False, input_shape=(32, 32, 3))
    assert again.layers[-1].name != model.layers[-1].name
    fill_keras(again, tmp_path / "convnext.h5")
    same(again, model)


def test_a_planted_file_is_fetched_and_loaded_by_its_owner(tmp_path: Path) -> None:
    """With the digest of what was planted, for as long as the block lasts."""
    torchvision = pytest.importorskip("torchvision")
    network = find("mobilenet_v3_small")
    partner = partner_of(network, "torchvision")
    model = varied(made(keras, network))
    module = torchvision.models.get_model(partner.name, weights=None)
    with caches(tmp_path):
        file = plant(network.published[0].file, "keras", model)
        own = plant(partner.published[0].file, "torchvision", module)
        with pytest.raises(Unreadable, match="is not the file that its owner published"):
            fetch(network.published[0].file, "keras")
        with republished(file, own):
            stated = find("MobileNetV3Small").published[0]
            assert stated.file.digest == file.digest != network.published[0].file.digest
            assert stated.no_top == network.published[0].no_top
            path = fetch(stated.file, "keras")
            own_path = fetch(partner_of(find("mobilenet_v3_small"), "torchvision").published[0].file, "torchvision")
            loaded = torchvision.models.get_model(partner.name, weights="IMAGENET1K_V1")
        assert find("mobilenet_v3_small") == network
    again = made(keras, network)
    again.load_weights(path)
    same(again, model)
    kept = torch.load(own_path, weights_only=True)
    assert type(kept).__name__ == "OrderedDict"
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, kept[key])
        assert torch.equal(value, module.state_dict()[key])
