"""Weights that come from files and go to files: checkpoints of both frameworks, saved maps, the command."""

import argparse
import json
import subprocess
import sys
import warnings
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
from xconv.cli import run
from xconv.errors import InvalidInput, Mismatch, Unreadable, Unsupported, XConvError
from xconv.transfers.checkpoints import open_checkpoint
from xconv.transfers.evaluate import taken_tensor
from xconv.transfers.map_file import load_map
from xconv.weights import Weight

SIZE = (19, 23)


def keras_model(classes: int = 7) -> keras.Model:
    """A small network with random weights and statistics: a bias in front of a BatchNorm, a depthwise kernel."""
    image = keras.Input((*SIZE, 3))
    x = layers.Conv2D(5, 3, name="c1")(image)
    x = layers.BatchNormalization(epsilon=1e-5, name="b1")(x)
    x = layers.DepthwiseConv2D(3, name="dw", use_bias=False)(layers.ReLU(name="relu")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Dropout(0.2, name="drop")(x))
    model = keras.Model(image, layers.Dense(classes, name="fc")(x), name="small")
    xconv.randomize(model)
    for name, index in (("c1", 1), ("b1", 2)):
        # Their difference, which a BatchNorm behind no bias gets, is a float32 then.
        variable = model.get_layer(name).weights[index]
        variable.assign(np.round(np.array(variable) * 256) / 256)
    return model


class Torch(nn.Module):
    """The same network as somebody else wrote it."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, bias=False)
        self.bn = nn.BatchNorm2d(5)
        self.dw = nn.Conv2d(5, 5, 3, groups=5, bias=False)
        self.fc = nn.Linear(5, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dw(torch.relu(self.bn(self.conv(x))))
        return self.fc(x.mean((2, 3)))


def torch_model(seed: int = 0) -> Torch:
    module = Torch()
    xconv.randomize(module, seed, inputs=torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(seed)))
    return module.eval()


def state_in(path: Path) -> dict[str, torch.Tensor]:
    """A state_dict file as its users read it."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return torch.load(path, weights_only=True)


def loaded(path: Path) -> Any:
    """The model that a file was written for, filled by its own framework."""
    if path.suffix in (".safetensors", ".pt", ".pth"):
        module = Torch()
        module.load_state_dict(state_in(path))
        return module.eval()
    if path.name.endswith(".weights.h5"):
        model = keras_model()
        model.load_weights(path)
        return model
    return keras.models.load_model(path, compile=False)


def written(model: Any, path: Path) -> Path:
    """A file of a model, saved by its own framework."""
    if isinstance(model, nn.Module):
        save = safetensors.torch.save_file if path.suffix == ".safetensors" else torch.save
        save(model.state_dict(), path)
    else:
        (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


def exact(a: Any, b: Any) -> bool:
    return bool(xconv.verify(a, b).ok)


@pytest.fixture(scope="module")
def map_to_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "small.map.json"
    xconv.transfer(keras_model(), torch_model()).save_map(path)
    return path


@pytest.fixture(scope="module")
def map_to_keras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "back.map.json"
    xconv.transfer(torch_model(), keras_model()).save_map(path)
    return path


def arrays_in(path: Path, **options: Any) -> dict[str, torch.Tensor]:
    found = open_checkpoint(path, **options)
    return {
        key: taken_tensor(Weight.of(key, tuple(array.shape), array.dtype), found.arrays)
        for key, array in found.arrays.items()
    }


# ---------------------------------------------------------------- checkpoints


def wrapped(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in state.items()}


ADAM = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
TRAINERS: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], Any], list[str], list[str]]] = {
    "plain": (lambda plain, ema: plain, [], []),
    "parallel": (lambda plain, ema: wrapped("module.", plain), ["'module.' was taken off"], []),
    "compiled": (lambda plain, ema: wrapped("_orig_mod.", plain), ["'_orig_mod.' was taken out"], []),
    "lightning": (
        lambda plain, ema: {"epoch": 3, "state_dict": wrapped("model.", plain), "optimizer_states": [ADAM]},
        ["entry 'state_dict'", "'model.' was taken off"],
        ["epoch", "optimizer_states"],
    ),
    "compiled part": (
        lambda plain, ema: {"model": {f"module.{name.replace('.', '._orig_mod.', 1)}": t for name, t in plain.items()}},
        ["entry 'model'", "'_orig_mod.' was taken out", "'module.' was taken off"],
        [],
    ),
    "timm": (
        lambda plain, ema: {"state_dict": plain, "state_dict_ema": ema, "optimizer": ADAM, "args": None},
        ["entry 'state_dict'", "which='ema' takes them"],
        ["state_dict_ema", "optimizer", "args"],
    ),
    "shadow": (
        lambda plain, ema: {"net": plain, "ema": {"decay": 0.9, "shadow": ema}},
        ["entry 'net'", "which='ema' takes them"],
        ["ema"],
    ),
    "averaged model": (
        lambda plain, ema: {"n_averaged": torch.tensor(4), **wrapped("module.", plain)},
        ["'module.' was taken off"],
        ["n_averaged"],
    ),
    "counters": (lambda plain, ema: {"epoch": torch.tensor(3), "weights": plain}, ["entry 'weights'"], ["epoch"]),
    "one unusual entry": (lambda plain, ema: {"generator": plain}, ["entry 'generator'"], []),
}


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_weights_in_what_a_trainer_saved(trainer: str, known: bool, tmp_path: Path) -> None:
    plain, ema = torch_model(1).state_dict(), torch_model(2).state_dict()
    made, notes, left = TRAINERS[trainer]
    torch.save(made(plain, ema), tmp_path / "c.pth")
    names = tuple(plain) if known else ()
    found = open_checkpoint(tmp_path / "c.pth", names=names)
    arrays = arrays_in(tmp_path / "c.pth", names=names)
    assert set(arrays) == set(plain)
    assert all(torch.equal(arrays[name], plain[name]) for name in plain)
    assert all(any(words in note for note in found.notes) for words in notes)
    assert set(found.left) == set(left)
    if any("ema" in note for note in notes):
        averaged = arrays_in(tmp_path / "c.pth", names=names, which="ema")
        assert all(torch.equal(averaged[name], ema[name]) for name in ema)


def test_a_prefix_that_only_the_modules_names_tell(tmp_path: Path) -> None:
    query, key = torch_model(1).state_dict(), torch_model(2).state_dict()
    both = {**wrapped("module.encoder_q.", query), **wrapped("module.encoder_k.", key), "module.queue": torch.ones(3)}
    torch.save({"state_dict": both}, tmp_path / "moco.pth")
    names = tuple(query)
    found = open_checkpoint(tmp_path / "moco.pth", names=names)
    assert set(found.arrays) == set(names)
    assert "'module.encoder_q.' was taken off the names" in found.notes
    assert "state_dict.module.queue" in found.left
    asked = arrays_in(tmp_path / "moco.pth", names=names, which="module.encoder_k.")
    assert torch.equal(asked["fc.weight"], key["fc.weight"])
    assert "encoder_q.fc.weight" in open_checkpoint(tmp_path / "moco.pth").arrays


def test_a_prefix_that_belongs_to_the_module_stays(tmp_path: Path) -> None:
    state = wrapped("model.", torch_model().state_dict())
    torch.save(state, tmp_path / "c.pth")
    assert set(open_checkpoint(tmp_path / "c.pth", names=tuple(state)).arrays) == set(state)


def test_two_sets_and_no_word_which(tmp_path: Path) -> None:
    state = torch_model().state_dict()
    torch.save({"generator": state, "discriminator": state}, tmp_path / "gan.pth")
    with pytest.raises(InvalidInput, match="holds several sets") as caught:
        open_checkpoint(tmp_path / "gan.pth")
    assert [problem.remedy for problem in caught.value.problems] == [
        "say which='generator'",
        "say which='discriminator'",
    ]
    assert open_checkpoint(tmp_path / "gan.pth", which="discriminator").left == ("generator",)
    with pytest.raises(InvalidInput, match="no set of weights named 'ema'"):
        open_checkpoint(tmp_path / "gan.pth", which="ema")


def test_files_of_before_torch_1_6_are_read(tmp_path: Path) -> None:
    state = torch_model().state_dict()
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    arrays = arrays_in(tmp_path / "old.pth")
    assert all(torch.equal(arrays[name], state[name]) for name in state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["c.safetensors", "c.bin"])
def test_every_precision_is_read_bit_for_bit(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {"w": torch.randn(3, 5).to(dtype), "n": torch.tensor(7), "e": torch.zeros(0, 4).to(dtype)}
    if name.endswith("bin"):
        torch.save(tensors, tmp_path / name)
    else:
        safetensors.torch.save_file(tensors, tmp_path / name, metadata={"format": "pt", "by": "somebody"})
    arrays = arrays_in(tmp_path / name)
    assert {key: value.dtype for key, value in arrays.items()} == {"w": dtype, "n": torch.int64, "e": dtype}
    assert torch.equal(arrays["w"], tensors["w"])


def bad_torch_files(folder: Path) -> dict[str, tuple[Path, type[Exception], str]]:
    state = torch_model().state_dict()
    whole = written(torch_model(), folder / "whole.pt").read_bytes()
    numbers = torch.load(folder / "whole.pt", weights_only=True)["conv.weight"].numpy().tobytes()
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=1)}, folder / "args.pt")
    torch.save(torch_model(), folder / "module.pt")
    torch.save([1, 2], folder / "list.pt")
    torch.save({"optimizer": ADAM}, folder / "optimizer.pt")
    torch.save({"w": torch.eye(3).to_sparse()}, folder / "sparse.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), folder / "script.pt")
    safetensors.torch.save_file({"w": torch.ones(2).to(torch.float8_e4m3fn)}, folder / "f8.safetensors")
    for name, content in (
        ("cut.pt", whole[: len(whole) // 2]),
        ("flipped.pt", whole.replace(numbers, bytes([numbers[0] ^ 1]) + numbers[1:])),
        ("empty.pt", b""),
        ("text.pt", b"these are no weights"),
        ("pickle.pt", b"\x80\x04K\x01."),
        ("cut.safetensors", (folder / "f8.safetensors").read_bytes()[:20]),
    ):
        (folder / name).write_bytes(content)
    said = {
        "args.pt": (Unreadable, r"argparse.Namespace.*would run code.*weights_only=False"),
        "module.pt": (Unreadable, "would run code"),
        "list.pt": (Unreadable, "no tensors by name, but a list"),
        "optimizer.pt": (Unreadable, "no tensors by name, but a dict of optimizer"),
        "sparse.pt": (Unsupported, "w: is a sparse tensor"),
        "script.pt": (Unreadable, "is a TorchScript program"),
        "f8.safetensors": (Unsupported, "holds numbers of type F8_E4M3"),
        "cut.pt": (Unreadable, "not a whole torch archive"),
        "flipped.pt": (Unreadable, "damaged"),
        "empty.pt": (Unreadable, "is an empty file"),
        "text.pt": (Unreadable, "no file of torch.save"),
        "pickle.pt": (Unreadable, "no file of torch.save"),
        "cut.safetensors": (Unreadable, "not a whole .safetensors file"),
        "none.pt": (Unreadable, "no such file"),
        "net.onnx": (InvalidInput, "names no file of weights"),
    }
    return {name: (folder / name, *rest) for name, rest in said.items()}


def test_files_that_are_refused(tmp_path: Path) -> None:
    for path, family, words in bad_torch_files(tmp_path).values():
        with pytest.raises(family, match=words):
            open_checkpoint(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["c.pt", "old.pth", "c.safetensors"])
def test_damaged_checkpoints_never_raise_anything_else(name: str, tmp_path: Path) -> None:
    state = nn.Linear(4, 3).state_dict()
    if name.endswith("safetensors"):
        safetensors.torch.save_file(state, tmp_path / name)
    else:
        torch.save({"state_dict": state}, tmp_path / name, _use_new_zipfile_serialization=name == "c.pt")
    whole, generator, refused = (tmp_path / name).read_bytes(), np.random.default_rng(1), 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in generator.integers(0, min(len(whole), 1200), 3):
            damaged[place] = generator.integers(0, 256)
        (tmp_path / name).write_bytes(damaged[: generator.integers(1, len(whole))] if refused % 5 == 0 else damaged)
        try:
            arrays_in(tmp_path / name)
        except XConvError:
            refused += 1
    assert refused > 150


def test_a_torch_file_is_not_executed(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({"state_dict": torch_model().state_dict(), "hook": Attack()}, tmp_path / "c.pt")
    with pytest.raises(Unreadable, match="would run code"):
        open_checkpoint(tmp_path / "c.pt")
    assert not (tmp_path / "touched").exists()


def test_a_safetensors_file_that_changes_before_it_is_read(tmp_path: Path) -> None:
    path = written(torch_model(), tmp_path / "c.safetensors")
    found = open_checkpoint(path)
    safetensors.torch.save_file({"other": torch.ones(3)}, path)
    with pytest.raises(Unreadable, match="has changed since"):
        list(found.arrays["fc.weight"].blocks())


# ---------------------------------------------------------------- transfer from and to files


@pytest.mark.parametrize("name", ["s.weights.h5", "s.keras", "s.h5"])
def test_a_keras_file_into_a_live_module(name: str, tmp_path: Path) -> None:
    owner, source, target = keras_model(), keras_model(), torch_model()
    path = written(source, tmp_path / name)
    before = [weight.copy() for weight in owner.get_weights()]
    report = xconv.transfer(path, target, architecture=owner if "weights" in name else None)
    assert report.verdict == "exact"
    assert exact(source, target)
    assert all(np.array_equal(a, b) for a, b in zip(before, owner.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["s.safetensors", "s.pt", "s.pth"])
def test_a_torch_file_into_a_live_keras_model(name: str, tmp_path: Path) -> None:
    owner, source, target = torch_model(1), torch_model(2), keras_model()
    before = {key: tensor.clone() for key, tensor in owner.state_dict().items()}
    assert xconv.transfer(written(source, tmp_path / name), target, architecture=owner).verdict == "exact"
    assert exact(source, target)
    assert all(torch.equal(before[key], tensor) for key, tensor in owner.state_dict().items())


def test_a_file_of_the_targets_own_architecture_needs_no_other(tmp_path: Path) -> None:
    module, model = torch_model(3), keras_model()
    torch.save({"state_dict": wrapped("module.", module.state_dict())}, tmp_path / "c.pth")
    target = torch_model(4)
    report = xconv.transfer(tmp_path / "c.pth", target)
    assert all(torch.equal(tensor, target.state_dict()[key]) for key, tensor in module.state_dict().items())
    assert report.verdict == "exact"
    assert "'module.' was taken off the names" in report.notes
    other = keras_model()
    xconv.transfer(written(model, tmp_path / "k.weights.h5"), other)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["t.safetensors", "t.pt", "t.pth", "t.weights.h5", "t.keras", "t.h5"])
def test_a_file_of_the_targets_weights_is_written(name: str, tmp_path: Path) -> None:
    torch_side = name.split(".")[1] in ("safetensors", "pt", "pth")
    source, owner = (keras_model(), torch_model()) if torch_side else (torch_model(), keras_model())
    weights = owner.state_dict() if torch_side else dict(enumerate(owner.get_weights()))
    before = {key: np.array(value) for key, value in weights.items()}
    report = xconv.transfer(source, tmp_path / name, architecture=owner)
    assert report.verdict == "exact"
    assert exact(source, loaded(tmp_path / name))
    after = owner.state_dict() if torch_side else dict(enumerate(owner.get_weights()))
    assert all(np.array_equal(before[key], np.array(after[key])) for key in before)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    module, model = torch_model(), keras_model()
    for name, source, owner in (
        ("t.safetensors", model, module),
        ("t.pt", model, module),
        ("t.weights.h5", module, model),
    ):
        xconv.transfer(source, tmp_path / name, architecture=owner)
        first = (tmp_path / name).read_bytes()
        xconv.transfer(source, tmp_path / name, architecture=owner)
        assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_from_file_to_file_with_both_architectures(kind: str, tmp_path: Path) -> None:
    source = torch_model(5)
    path = written(source, tmp_path / "c.pth")
    owner = written(keras_model(), tmp_path / f"owner.{kind}")
    xconv.transfer(path, tmp_path / "t.weights.h5", architecture=(torch_model(1), owner))
    assert exact(source, loaded(tmp_path / "t.weights.h5"))


def test_a_wider_file_is_not_rounded_on_its_way(tmp_path: Path) -> None:
    source = torch_model(1).double()
    with torch.no_grad():
        source.fc.weight.add_(1e-12)
    path, target = written(source, tmp_path / "c.pt"), torch_model(2).double()
    xconv.transfer(path, target, architecture=torch_model(3), input_shape=(3, *SIZE))
    assert torch.equal(target.fc.weight, source.fc.weight)


def test_what_does_not_fit_is_listed_and_nothing_is_written(tmp_path: Path) -> None:
    target = tmp_path / "t.pt"
    target.write_bytes(b"old")
    torch.save({"fc.weight": torch.ones(4, 5), "more": torch.ones(2)}, tmp_path / "c.pt")
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(tmp_path / "c.pt", keras_model(), architecture=torch_model())
    said = {problem.place: problem.what for problem in caught.value.problems}
    assert said["fc.weight"] == "has shape (4, 5), (7, 5) is needed"
    assert said["more"] == "shape (2,), and the architecture has no place for it"
    assert said["conv.weight"] == "missing; shape (5, 3, 3, 3) is needed"
    assert "bn.num_batches_tracked" not in said
    with pytest.raises(Mismatch):
        xconv.transfer(keras_model(classes=6), target, architecture=torch_model())
    assert target.read_bytes() == b"old"
    for source, into, options, words in (
        (tmp_path / "c.pt", keras_model(), {}, "holds weights and no model"),
        (keras_model(), target, {}, "of an unknown model"),
        (keras_model(), target, {"architecture": keras_model()}, "the architecture is a keras model"),
        (keras_model(), target, {"architecture": torch_model(), "adapt": True}, "the target is a file"),
        (keras_model(), torch_model(), {"architecture": torch_model()}, "architecture= is for files"),
        (keras_model(), torch_model(), {"which": "ema"}, "which= is for a torch file"),
    ):
        with pytest.raises(InvalidInput, match=words):
            xconv.transfer(source, into, **options)
    assert target.read_bytes() == b"old"


# ---------------------------------------------------------------- saved maps


def test_a_map_is_read_by_people(map_to_torch: Path) -> None:
    lines = map_to_torch.read_text().splitlines()
    mean = next(line for line in lines if '"to": "bn.running_mean"' in line)
    assert '{"take": "b1/2", "stored": [5]}, {"take": "c1/1", "stored": [5]}], "factor": -1.0}' in mean
    assert "less the bias of c1" in mean
    assert sum('"to": ' in line for line in lines) == 8


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("name", ["s.weights.h5", "s.keras", "s.h5"])
def test_a_map_is_replayed_on_another_checkpoint(name: str, suffix: str, map_to_torch: Path, tmp_path: Path) -> None:
    source = keras_model()
    source.set_weights([weight + 0.125 for weight in source.get_weights()])
    path, target = written(source, tmp_path / name), tmp_path / f"t.{suffix}"
    report = xconv.apply_map(map_to_torch, path, target)
    assert report.verdict == "exact"
    assert exact(source, loaded(target))


def test_a_map_back_to_keras(map_to_keras: Path, tmp_path: Path) -> None:
    source = torch_model(7)
    torch.save({"state_dict": wrapped("module.", source.state_dict())}, tmp_path / "c.pth")
    report = xconv.apply_map(map_to_keras, tmp_path / "c.pth", tmp_path / "t.weights.h5")
    assert exact(source, loaded(tmp_path / "t.weights.h5"))
    assert "'module.' was taken off the names" in report.notes
    for name in ("t.keras", "t.h5"):
        with pytest.raises(InvalidInput, match="a configuration too"):
            xconv.apply_map(map_to_keras, tmp_path / "c.pth", tmp_path / name)
        owner = written(keras_model(), tmp_path / f"owner{Path(name).suffix}")
        xconv.apply_map(map_to_keras, tmp_path / "c.pth", tmp_path / name, architecture=owner)
        assert exact(source, loaded(tmp_path / name))


def test_a_replay_needs_neither_keras_nor_tensorflow(map_to_torch: Path, map_to_keras: Path, tmp_path: Path) -> None:
    written(keras_model(), tmp_path / "s.weights.h5")
    written(torch_model(), tmp_path / "s.pt")
    code = (
        "import sys, xconv; a, b, folder = sys.argv[1:];"
        "xconv.apply_map(a, f'{folder}/s.weights.h5', f'{folder}/t.pt');"
        "xconv.apply_map(b, f'{folder}/s.pt', f'{folder}/t.weights.h5');"
        "print(sorted({'keras', 'tensorflow', 'tf_keras'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, str(map_to_torch), str(map_to_keras), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n"


def test_a_checkpoint_that_does_not_fit_the_map(map_to_keras: Path, tmp_path: Path) -> None:
    state = torch_model().state_dict()
    del state["bn.bias"]
    state["fc.weight"] = torch.ones(7, 6)
    state["more"] = torch.ones(2)
    torch.save(state, tmp_path / "c.pt")
    target = tmp_path / "t.weights.h5"
    target.write_bytes(b"old")
    with pytest.raises(Mismatch) as caught:
        xconv.apply_map(map_to_keras, tmp_path / "c.pt", target)
    assert {problem.place for problem in caught.value.problems} == {"bn.bias", "fc.weight", "more"}
    assert target.read_bytes() == b"old"
    state = {**torch_model().state_dict(), "more": torch.ones(2)}
    torch.save(state, tmp_path / "c.pt")
    report = xconv.apply_map(map_to_keras, tmp_path / "c.pt", target, strict=False)
    assert [problem.place for problem in report.problems] == ["more"]
    assert exact(torch_model(), loaded(target))
    with pytest.raises(InvalidInput, match="leads from torch weights"):
        xconv.apply_map(map_to_keras, written(keras_model(), tmp_path / "k.keras"), target)


def test_what_no_trained_network_holds_is_told(map_to_keras: Path, tmp_path: Path) -> None:
    module = torch_model().double()
    with torch.no_grad():
        module.fc.bias[2] = float("nan")
        module.fc.weight[0, 0] = 1e300
    path = written(module, tmp_path / "c.pt")
    report = xconv.apply_map(map_to_keras, path, tmp_path / "t.weights.h5")
    said = "\n".join(map(str, report.findings))
    assert "fc bias: 1 NaN among 7 numbers" in said
    assert "fc kernel: 1 of 35 numbers are beyond float32; they are infinite now" in said
    assert not report.ok


def test_tied_weights_are_written_under_every_name(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.tanh(self.first(x)))

    source, target, other = Tied().eval(), Tied().eval(), Tied().eval()
    report = xconv.transfer(source, target, input_shape=(6,))
    report.save_map(tmp_path / "m.json")
    state = other.state_dict()
    torch.save(state, tmp_path / "c.pt")
    xconv.apply_map(tmp_path / "m.json", tmp_path / "c.pt", tmp_path / "t.safetensors")
    found = state_in(tmp_path / "t.safetensors")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)
    torch.save({key: tensor for key, tensor in state.items() if key != "second.weight"}, tmp_path / "c.pt")
    xconv.apply_map(tmp_path / "m.json", tmp_path / "c.pt", tmp_path / "t.pt")
    assert torch.equal(state_in(tmp_path / "t.pt")["second.weight"], state["first.weight"])
    torch.save({**state, "second.weight": state["second.weight"] + 1}, tmp_path / "c.pt")
    with pytest.raises(Mismatch, match="is one array with"):
        xconv.apply_map(tmp_path / "m.json", tmp_path / "c.pt", tmp_path / "t.pt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(xconv_map=2), "is a map of version 2"),
        (lambda m: m.pop("xconv_map"), "is no map of xconv"),
        (lambda m: m.update(more=1), "entry 'more' is unknown"),
        (lambda m: m.update(weights={}), "weights: is not a list"),
        (lambda m: m["source"].update(framework="jax"), "does not say its framework"),
        (lambda m: m["weights"][0].update(stored=[5, 3, 3, 4]), "makes .* is needed"),
        (lambda m: m["weights"][0].update(stored=[-1]), "not a list of at most"),
        (lambda m: m["weights"][0].update(stored=[2**39, 2**39]), "too large"),
        (lambda m: m["weights"][0].update(code="import os"), "entry 'code' is unknown"),
        (lambda m: m["weights"][0]["from"].update(order=[0, 0, 1, 2]), "is no order of 4 axes"),
        (lambda m: m["weights"][0].update({"from": {"eval": "1"}}), "a formula has one of"),
        (lambda m: m["weights"][0].update({"from": None}), "a formula is an object"),
        (lambda m: m["weights"][0].update(dtype=["float32"]), "not a text"),
        (lambda m: m["weights"][0].update(dtype="object"), "which no array has"),
        (lambda m: m["weights"][3]["from"].update(factor=float("nan")), "not a finite number"),
        (lambda m: m["weights"][0].update(rows=[4, 9]), "rows"),
        (lambda m: m.update(shared={"target": {"a": 3}}), "is not names by name"),
        (lambda m: m.update(layout={"places": {"a": "../x"}}), "is no place"),
        (lambda m: m.update(layout={"places": {"a": "x/y", "b": "x"}}), "an array and a group"),
    ],
)
def test_a_hostile_map_is_refused(change: Callable[[Any], Any], words: str, map_to_torch: Path, tmp_path: Path) -> None:
    said = json.loads(map_to_torch.read_text())
    change(said)
    (tmp_path / "m.json").write_text(json.dumps(said))
    with pytest.raises(Unreadable, match=words):
        load_map(tmp_path / "m.json")


def test_a_map_that_would_fill_the_memory(map_to_torch: Path, tmp_path: Path) -> None:
    said = json.loads(map_to_torch.read_text())
    huge = {"fill": 0.0, "shape": [2**33]}
    said["weights"].append({"to": "x", "stored": [1], "from": {"part": huge, "rows": [0, 1]}})
    (tmp_path / "m.json").write_text(json.dumps(said))
    source = written(keras_model(), tmp_path / "s.weights.h5")
    with pytest.raises(InvalidInput, match="the map makes"):
        xconv.apply_map(tmp_path / "m.json", source, tmp_path / "t.pt")


def test_damaged_maps_never_raise_anything_else(map_to_torch: Path, tmp_path: Path) -> None:
    whole = map_to_torch.read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "m.json"
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), generator.integers(1, 4)):
            damaged[place] = generator.integers(32, 127)
        path.write_bytes(bytes(damaged[: generator.integers(1, len(whole))] if generator.random() < 0.2 else damaged))
        try:
            load_map(path)
        except Unreadable:
            refused += 1
    assert refused > 200


# ---------------------------------------------------------------- the command


def test_the_command_moves_weights_and_saves_the_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, module = keras_model(), torch_model()
    a, program = written(source, tmp_path / "a.keras"), tmp_path / "b.pt2"
    free = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(module, (torch.randn(2, 3, *SIZE),), dynamic_shapes=free), program)
    out, saved = tmp_path / "out.safetensors", tmp_path / "m.json"
    assert run(["transfer", str(a), str(program), "-o", str(out), "--save-map", str(saved), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["output"], said["verdict"]) == (str(out), "exact")
    assert exact(source, loaded(out))
    other = keras_model()
    other.set_weights([weight * 1.25 for weight in other.get_weights()])
    b, again = written(other, tmp_path / "b.weights.h5"), tmp_path / "again.pt"
    assert run(["transfer", str(b), str(again), "--map", str(saved)]) == 0
    assert "small -> " in capsys.readouterr().out
    assert exact(other, loaded(again))


def test_the_command_in_place_and_with_an_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = keras_model(), keras_model()
    second.set_weights([weight * 0.75 for weight in second.get_weights()])
    a, b = written(first, tmp_path / "a.keras"), written(second, tmp_path / "b.keras")
    weights = written(second, tmp_path / "b.weights.h5")
    assert run(["transfer", str(weights), str(a), "--architecture", str(b), "-q"]) == 0
    assert exact(second, keras.models.load_model(a))
    for arguments, code, words in (
        ([str(weights), str(a)], 2, "holds weights and no model"),
        ([str(b), str(tmp_path / "x.pt2")], 2, "cannot be given other weights in place"),
        ([str(b), str(tmp_path / "none.keras")], 2, "there is no such file"),
        ([str(b), str(a), "-o", str(tmp_path / "o.onnx")], 2, "names no file of weights"),
        ([str(b), str(a), "-o", str(tmp_path / "o.keras"), "--adapt"], 2, "adapt=True changes a live model"),
        ([str(b), str(a), "--map", str(weights), "--rotate"], 2, "--map follows what was planned before"),
    ):
        assert run(["transfer", *arguments]) == code
        assert words in capsys.readouterr().err


def test_keras_weights_that_keras_wrote_long_ago(map_to_torch: Path, tmp_path: Path) -> None:
    """A weights-only file of keras.applications: layers by name at the root, no configuration."""
    source, path = keras_model(), tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in source.layers]
        for layer in source.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{variable.name}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights, strict=True):
                group[name] = variable.numpy()
    xconv.apply_map(map_to_torch, path, tmp_path / "t.pt")
    assert exact(source, loaded(tmp_path / "t.pt"))
    target = torch_model(3)
    assert xconv.transfer(path, target, architecture=keras_model()).verdict == "exact"
    assert exact(source, target)


# ---------------------------------------------------------------- networks that people have


def old_layout(model: keras.Model, path: Path) -> Path:
    """A file as keras.applications offers them: weights alone, layers by name at the root."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{variable.name}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights, strict=True):
                group[name] = variable.numpy()
    return path


def test_resnet50_of_keras_applications_into_a_file_for_torchvision(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    options = {"weights": None, "input_shape": (65, 79, 3), "classes": 11, "classifier_activation": None}
    source = keras.applications.ResNet50(**options)
    xconv.randomize(source)
    path, old = tmp_path / "source.weights.h5", old_layout(source, tmp_path / "source.h5")
    source.save_weights(path)
    stock, target = torchvision.models.resnet50(num_classes=11).eval(), tmp_path / "t.pth"
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(path, target, architecture=(source, stock), inference_only=True)
    strides = [problem for problem in caught.value.problems if problem.what.startswith("stride")]
    assert [problem.place.rpartition(" ")[2] for problem in strides] == [
        f"layer{stage}.0.conv{number}" for stage in (2, 3, 4) for number in (1, 2)
    ]
    assert not target.exists()
    for stage in (stock.layer2, stock.layer3, stock.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    report = xconv.transfer(path, target, architecture=(source, stock), inference_only=True)
    assert report.verdict == "exact in inference"
    state = torch.load(target, weights_only=True)
    assert state.keys() == stock.state_dict().keys()
    stock.load_state_dict(state)
    # The folds were rounded to float32 in the file, 53 means and variances of it.
    image = np.random.default_rng(0).uniform(-1, 1, (2, 65, 79, 3)).astype("float32")
    with torch.no_grad():
        made = stock(torch.from_numpy(image).permute(0, 3, 1, 2)).numpy()
    wanted = source.predict(image, verbose=0)
    assert np.abs(made - wanted).max() < 1e-4 * np.abs(wanted).max()
    report.save_map(tmp_path / "m.json")
    for weights in (path, old):
        replayed = xconv.apply_map(tmp_path / "m.json", weights, tmp_path / "again.pth")
        assert replayed.verdict == "exact in inference"
        again = torch.load(tmp_path / "again.pth", weights_only=True)
        assert all(torch.equal(again[key], state[key]) for key in again)
        assert again.keys() == state.keys()


def test_a_vgg_of_keras_applications_moves_bit_for_bit(tmp_path: Path) -> None:
    """No folds: the Dense behind the feature map is in another order, and every number is there."""
    source = keras.applications.VGG16(weights=None, input_shape=(32, 64, 3), include_top=False)
    x = layers.Dense(13, name="fc1")(layers.Flatten(name="flatten")(source.output))
    whole = keras.Model(source.input, x, name="vgg")
    torchvision = pytest.importorskip("torchvision")
    features = torchvision.models.vgg16().features
    target = nn.Sequential(features, nn.Flatten(), nn.Linear(1024, 13)).eval()
    path = old_layout(whole, tmp_path / "vgg.h5")
    xconv.transfer(path, tmp_path / "t.safetensors", architecture=(whole, target))
    target.load_state_dict(state_in(tmp_path / "t.safetensors"))
    assert exact(whole, target)
