"""`.keras` files written without Keras: Keras loads them in safe mode, and they are what a live model is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from torch import nn
from torch.nn import functional

import xconv
import xconv.keras
from xconv.api import for_keras, read_torch
from xconv.errors import IsDirectory, Mismatch, NotFound, Unsupported, Unwritable
from xconv.keras.archive import read_file
from xconv.keras.build import build
from xconv.keras.saved import write_file
from xconv.keras.write import records_of


class Branches(nn.Module):
    """Branches of layers of one shape, a layer that is called twice, a free weight, dropout, several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.again, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.shift, self.drop, self.head = nn.Parameter(torch.randn(1, 4, 1, 1)), nn.Dropout(0.5), nn.Linear(4, 4)

    def forward(self, image: torch.Tensor, row: torch.Tensor) -> dict[str, Any]:
        long = self.again(self.again(self.right(image)))
        mixed = functional.max_pool2d(self.norm(self.left(image)) + self.shift + long, 3, 2, 1)
        pooled = functional.adaptive_avg_pool2d(functional.leaky_relu(mixed, 0.2), 1).flatten(1)
        return {"b": self.head(self.drop(self.head(pooled))), "a": [pooled, self.head(row)]}


def residual() -> nn.Module:
    """Residual blocks with names of several levels."""
    torchvision = pytest.importorskip("torchvision")
    block = torchvision.models.resnet.BasicBlock
    return torchvision.models.ResNet(block, [2, 2, 2, 2], num_classes=7)  # type: ignore[no-any-return]


def plain() -> nn.Module:
    """A convolution, a flatten and a Dense: weights in another order."""
    return nn.Sequential(nn.Conv2d(3, 4, (3, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 7, 5))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "branches": (Branches, ((3, 9, 8), (4,))),
    "residual": (residual, ((3, 33, 35),)),
    "plain": (plain, ((3, 9, 8),)),
}


def made(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Any]:
    """A seeded network in inference mode and its resolved graph."""
    torch.manual_seed(0)
    network, shapes = NETWORKS[name]
    module = network().to(dtype).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)  # type: ignore[union-attr,operator]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr,operator]
    return module, for_keras(read_torch(module, tuple(torch.randn(2, *shape, dtype=dtype) for shape in shapes)))


def fed(name: str) -> list[np.ndarray[Any, Any]]:
    """Noise, channels-last."""
    numbers = np.random.default_rng(1)
    return [numbers.normal(size=(3, *shape[1:], shape[0])).astype("float32") for shape in NETWORKS[name][1]]


def called(model: Any, inputs: list[np.ndarray[Any, Any]]) -> Any:
    """What a Keras model returns."""
    return model(inputs if len(inputs) > 1 else inputs[0])


def as_numpy(structure: Any) -> list[np.ndarray[Any, Any]]:
    return [ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(structure)]


def assert_same(found: Any, wanted: Any) -> None:
    """The same layers in the same order, with the same weights to the bit, frozen alike."""
    assert [op.name for op in found.operations] == [op.name for op in wanted.operations]
    assert [layer.trainable for layer in found.layers] == [layer.trainable for layer in wanted.layers]
    assert [weight.path for weight in found.weights] == [weight.path for weight in wanted.weights]
    for one, other in zip(found.weights, wanted.weights, strict=True):
        assert (one.dtype, one.trainable) == (other.dtype, other.trainable)
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other), err_msg=one.path)


@pytest.mark.parametrize("name", NETWORKS)
def test_keras_loads_what_the_live_model_is(name: str, tmp_path: Path) -> None:
    module, graph = made(name)
    frozen = next(module.parameters())
    frozen.requires_grad_(requires_grad=False)
    write_file(graph, tmp_path / "m.keras")
    live, loaded = build(records_of(graph)), keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    assert_same(loaded, live)
    inputs = fed(name)
    for one, other in zip(as_numpy(called(loaded, inputs)), as_numpy(called(live, inputs)), strict=True):
        np.testing.assert_array_equal(one, other)
    keras.tree.assert_same_structure(called(loaded, inputs), called(live, inputs))
    loaded.save(tmp_path / "again.keras")
    assert_same(keras.saving.load_model(tmp_path / "again.keras"), live)


@pytest.mark.parametrize("name", ["branches", "residual"])
def test_the_file_is_read_back_and_is_the_module(name: str, tmp_path: Path) -> None:
    module, graph = made(name)
    write_file(graph, tmp_path / "m.keras")
    back = xconv.keras_to_torch(tmp_path / "m.keras", input_layout="channels_last").eval()
    inputs = [torch.from_numpy(array) for array in fed(name)]
    first = [tensor.movedim(-1, 1) for tensor in inputs]
    with torch.no_grad():
        wanted, found = module(*first), back(*inputs)
    pairs = zip(keras.tree.flatten(found), keras.tree.flatten(wanted), strict=True)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs)


def test_the_torch_backend_loads_it(tmp_path: Path) -> None:
    _, graph = made("branches")
    write_file(graph, tmp_path / "m.keras")
    live, inputs = build(records_of(graph)), fed("branches")
    np.savez(tmp_path / "in.npz", *inputs)
    code = (
        "import sys, torch, keras, numpy as np; folder = sys.argv[1];"
        "model = keras.saving.load_model(folder + '/m.keras', safe_mode=True);"
        "given = [array for array in np.load(folder + '/in.npz').values()];"
        "found = [tensor.detach().numpy() for tensor in keras.tree.flatten(model(given))];"
        "np.savez(folder + '/out.npz', *found); assert 'tensorflow' not in sys.modules"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment, timeout=120)
    for one, other in zip(np.load(tmp_path / "out.npz").values(), as_numpy(live(inputs)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_live_models_are_built_on_the_torch_backend_without_tensorflow() -> None:
    code = (
        "import sys, torch, xconv; torch.manual_seed(0);"
        "module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(168, 5)).eval();"
        "model = xconv.torch_to_keras(module, input_shape=(3, 9, 8)); image = torch.randn(2, 3, 9, 8);"
        "difference = (model(image.permute(0, 2, 3, 1)) - module(image)).abs().max().item();"
        "assert difference < 1e-5 and 'tensorflow' not in sys.modules, difference"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "KERAS_BACKEND": "torch"}, timeout=120)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes(dtype: torch.dtype, tmp_path: Path) -> None:
    module, graph = made("plain", dtype)
    write_file(graph, tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert_same(loaded, build(records_of(graph)))
    assert {weight.dtype for weight in loaded.weights} == {str(dtype).removeprefix("torch.")}
    bias = np.asarray(ops.convert_to_numpy(loaded.weights[-1]), "float64")
    np.testing.assert_array_equal(bias, list(module.parameters())[-1].detach().double().numpy())


def several() -> Any:
    """Layers that keep layers, and operations with every kind of argument."""
    steps, ids = keras.Input((7, 5), name="a>b"), keras.Input((3,), dtype="int32", name="ids")
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.1), name="both>0")(steps)
    x = layers.MultiHeadAttention(2, 3, dropout=0.1)(x, x)
    x = layers.RNN([layers.GRUCell(3), layers.GRUCell(2), layers.LSTMCell(2)], return_sequences=True)(x)
    x = layers.GroupQueryAttention(4, 4, 2)(x, x)
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d")(x)
    x = layers.TimeDistributed(layers.Dense(3))(x)
    x = layers.GRU(3)(layers.BatchNormalization()(layers.Conv1D(4, 2, padding="causal")(x))[:, ::2, ...])
    x = ops.concatenate([ops.where(x > 0, x, -np.inf), ops.exp(x)], axis=-1)
    y = layers.LayerNormalization()(layers.PReLU(shared_axes=[1])(layers.Embedding(5, 4)(ids)))
    z = ops.cast(ids, "float32")[..., None, :2]
    shared = layers.Dense(2, name="shared")
    return keras.Model({"a>b": steps, "ids": ids}, {"z": [x, y], "k": shared(shared(z)), "other": layers.Dense(2)(z)})


def test_records_from_a_file_of_keras_are_written_again(tmp_path: Path) -> None:
    keras.utils.clear_session()
    model = several()
    numbers = np.random.default_rng(0)
    model.set_weights([numbers.normal(size=weight.shape).astype("float32") for weight in model.get_weights()])
    model.save(tmp_path / "keras.keras")
    records = read_file(tmp_path / "keras.keras")
    write_file(records, tmp_path / "ours.keras")
    loaded = keras.saving.load_model(tmp_path / "ours.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    inputs = {"a>b": numbers.normal(size=(2, 7, 5)).astype("float32"), "ids": numbers.integers(0, 5, (2, 3))}
    for again in (loaded, build(records)):
        for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(as_numpy(again(inputs)), as_numpy(model(inputs)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_members_are_stored_as_keras_stores_them(tmp_path: Path) -> None:
    _, graph = made("plain")
    write_file(graph, tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        config = json.loads(archive.read("config.json"))
    assert config["class_name"] == "Functional"


def test_the_same_model_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    code = (
        "import sys, torch, xconv.keras; from xconv.api import read_torch; torch.manual_seed(0);"
        "module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.BatchNorm2d(4)).eval();"
        "xconv.keras.write_file(read_torch(module, input_shape=(3, 9, 8)), sys.argv[1]);"
        "assert not {'keras', 'tensorflow'} & sys.modules.keys()"
    )
    files = [tmp_path / "a.keras", tmp_path / "b.keras"]
    for file in files:
        subprocess.run([sys.executable, "-c", code, str(file)], check=True, timeout=120)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_importing_the_keras_side_loads_nothing() -> None:
    code = (
        "import sys, xconv.keras; xconv.keras.__dir__; print({'torch', 'keras', 'numpy', 'h5py'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"
    with pytest.raises(AttributeError):
        _ = xconv.keras.write_fil


def test_paths_that_cannot_be_written_to(tmp_path: Path) -> None:
    _, graph = made("plain")
    with pytest.raises(IsDirectory):
        write_file(graph, tmp_path)
    with pytest.raises(NotFound, match="nowhere"):
        write_file(graph, tmp_path / "nowhere" / "m.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="limits of a process")
@pytest.mark.parametrize("limit", [1000, 9000])
def test_a_full_disk_leaves_the_old_file_whole(limit: int, tmp_path: Path) -> None:
    import resource

    _, graph = made("branches")
    (tmp_path / "m.keras").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(Unwritable, match="cannot be written"):
            write_file(graph, tmp_path / "m.keras")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m.keras", b"old")]


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    from dataclasses import replace

    _, graph = made("plain")
    records = records_of(graph)
    entries = {entry.name: entry for entry in records.entries}
    wrong = replace(entries["3"], weights=entries["3"].weights[:1])
    turned = replace(entries["0"], weights=(entries["0"].weights[0].transpose((3, 2, 0, 1)), entries["0"].weights[1]))
    entries |= {"3": wrong, "0": turned}
    with pytest.raises(Mismatch) as caught:
        write_file(replace(records, entries=tuple(entries.values())), tmp_path / "m.keras")
    assert "Dense needs 2 weights (kernel, bias), it has 1" in str(caught.value)
    assert "0: kernel has shape" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_nested_models_are_refused_by_name(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)], name="inner")
    outer = keras.Input((4,))
    keras.Model(outer, inner(outer)).save(tmp_path / "nested.keras")
    with pytest.raises(Unsupported, match="inner: a nested Sequential"):
        write_file(read_file(tmp_path / "nested.keras"), tmp_path / "m.keras")


def test_a_live_model_that_was_filled_without_copies_trains() -> None:
    _, graph = made("plain")
    model = build(records_of(graph))
    before = [weight.copy() for weight in model.get_weights()]
    model.compile("sgd", "mse")
    model.fit(fed("plain")[0], np.ones((3, 5), "float32"), verbose=0)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any((one != other).any() for one, other in zip(before, after, strict=True))
