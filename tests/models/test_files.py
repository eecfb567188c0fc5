"""Saved modules: what is written is read back, damage is named, an interrupted run leaves the old file whole."""

import json
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import xconv
from tests.comparison import assert_same
from tests.models.small_models import SMALL, inputs_of
from xconv.errors import IsDirectory, NotFound
from xconv.torch import saved
from xconv.torch.record import Record


@pytest.fixture(scope="module", params=SMALL)
def case(request: pytest.FixtureRequest) -> tuple[str, Any, Any]:
    model = SMALL[request.param]()
    return request.param, model, xconv.keras_to_torch(model)


@pytest.fixture
def module() -> Any:
    return xconv.keras_to_torch(SMALL["several"]())


@pytest.fixture
def path(tmp_path: Path, module: Any) -> Path:
    xconv.save(module, tmp_path / "module.safetensors")
    return tmp_path / "module.safetensors"


def outputs(module: Any, name: str) -> list[torch.Tensor]:
    modes = module.training
    with torch.no_grad():
        found = module.eval()(*inputs_of(name, 2))
    if modes:
        module.train()
    return list(found.values()) if isinstance(found, dict) else [found]


def rewrite(path: Path, change: Any) -> None:
    """Change the header of a .safetensors file, the checksum of the record kept true."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    text = json.loads(header["__metadata__"]["xconv"])
    change(header, text)
    text["sha256"] = saved._sum(text["content"])
    header["__metadata__"]["xconv"] = json.dumps(text)
    new = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + data[8 + size :])


def test_a_module_is_read_back_whole(case: tuple[str, Any, Any], tmp_path: Path) -> None:
    name, _, module = case
    xconv.save(module, tmp_path / "m.safetensors")
    loaded: Any = xconv.load(tmp_path / "m.safetensors")
    assert str(loaded) == str(module)
    assert list(loaded.state_dict()) == list(module.state_dict())
    for key, tensor in module.state_dict().items():
        assert_same(loaded.state_dict()[key], tensor, relative=0)
    assert {k: p.requires_grad for k, p in loaded.named_parameters()} == {
        k: p.requires_grad for k, p in module.named_parameters()
    }
    assert {k: m.training for k, m in loaded.named_modules()} == {k: m.training for k, m in module.named_modules()}
    assert xconv.record(loaded) == xconv.record(module, checksums=True)
    for a, b in zip(outputs(loaded, name), outputs(module, name), strict=True):
        assert_same(a, b, relative=0)


def test_two_saves_are_the_same_bytes(path: Path) -> None:
    again = path.with_name("again.safetensors")
    xconv.save(xconv.load(path), again)
    assert again.read_bytes() == path.read_bytes()


def test_modes_ties_and_frozen_weights_are_kept(tmp_path: Path, module: Any) -> None:
    module.eval()
    module.get_submodule("relu").train()
    module.shared.weight.requires_grad_(requires_grad=False)
    xconv.save(module, tmp_path / "m.safetensors")
    loaded: Any = xconv.load(tmp_path / "m.safetensors")
    assert [part.training for part in loaded.modules()] == [part.training for part in module.modules()]
    assert not loaded.shared.weight.requires_grad
    assert type(loaded.frozen).__module__.startswith("xconv.")


def test_non_contiguous_weights_are_stored(tmp_path: Path, module: Any) -> None:
    xconv.save(module.to(memory_format=torch.channels_last), tmp_path / "m.safetensors")
    assert_same(xconv.load(tmp_path / "m.safetensors").shared.weight, module.shared.weight, relative=0)


def test_a_changed_module_is_refused(tmp_path: Path, module: Any) -> None:
    module.inner.bn.eps = 0.5
    with pytest.raises(xconv.Mismatch, match=r"changed since the conversion.*save the weights alone"):
        xconv.save(module, tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_module_without_data_is_refused(tmp_path: Path, module: Any) -> None:
    for suffix in ("safetensors", "pt"):
        with pytest.raises(xconv.InvalidInput, match="no data"):
            xconv.save(module.to("meta"), tmp_path / f"m.{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_flipped_bit_is_found_and_its_tensor_named(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    with pytest.raises(xconv.Unreadable, match=r"module.safetensors: the tensor '[\w.]+' has another SHA-256"):
        xconv.load(path)
    xconv.load(path, verify_checksums=False)


def test_a_flipped_bit_in_the_record_is_found(path: Path) -> None:
    data = path.read_bytes()
    assert data.count(b"0.001") > 0
    path.write_bytes(data.replace(b"0.001", b"0.002", 1))
    with pytest.raises(xconv.Unreadable, match="header has another SHA-256"):
        xconv.load(path)


def test_missing_left_over_and_misshapen_tensors_are_one_error(path: Path) -> None:
    def change(header: dict[str, Any], _: Any) -> None:
        header["stranger"] = header.pop("dense.bias")
        header["dense.weight"]["shape"].reverse()

    rewrite(path, change)
    with pytest.raises(xconv.Mismatch) as caught:
        xconv.load(path)
    assert [problem.place for problem in caught.value.problems] == ["dense.weight", "dense.bias", "stranger"]


@pytest.mark.parametrize("target", ["os.system", "torch.hub.load", "torch.load", "torch.from_file", "operator.call"])
def test_a_file_names_nothing_but_operations_on_tensors(path: Path, target: str) -> None:
    def change(_: Any, text: dict[str, Any]) -> None:
        said = json.dumps(text["content"]["program"])
        assert '"operator.iadd"' in said
        text["content"]["program"] = json.loads(said.replace('"operator.iadd"', f'"{target}"'))

    rewrite(path, change)
    with pytest.raises(xconv.Unsupported, match=f"{target} is no operation on tensors"):
        xconv.load(path)


@pytest.mark.parametrize("program", [None, 3, {"$Program": []}, {"$Program": ["x", 1, 2, 3]}, {"$other": 1}])
def test_a_program_that_is_none_is_an_error_of_ours(path: Path, program: Any) -> None:
    rewrite(path, lambda header, text: text["content"].update(program=program))
    with pytest.raises(xconv.Unreadable):
        xconv.load(path)


def test_a_duplicate_key_in_the_header_is_refused(path: Path) -> None:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = data[8 : 8 + size].rstrip()
    entry = json.dumps(json.loads(header)["dense.bias"])
    doubled = header[:-1] + f',"dense.bias":{entry}}}'.encode()
    path.write_bytes(struct.pack("<Q", len(doubled)) + doubled + data[8 + size :])
    with pytest.raises(xconv.Unreadable, match=r"dense\.bias.* stands twice|duplicate"):
        xconv.load(path)


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "pt2"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 9, b"\xff" * 64])
def test_garbage_is_an_error_with_the_path(tmp_path: Path, suffix: str, content: bytes, module: Any) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(content)
    with pytest.raises(xconv.Unreadable, match=f"broken.{suffix}: "):
        xconv.load(path, module if suffix == "pt" else None)


@pytest.mark.parametrize("share", [0.2, 0.7, 0.999])
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_truncated_file_is_an_error_with_the_path(tmp_path: Path, module: Any, suffix: str, share: float) -> None:
    path = tmp_path / f"short.{suffix}"
    xconv.save(module, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(xconv.Unreadable, match=f"short.{suffix}: is not a whole"):
        xconv.load(path, module if suffix == "pt" else None)


def test_missing_files_directories_and_suffixes(tmp_path: Path, module: Any) -> None:
    with pytest.raises(NotFound, match="no such file"):
        xconv.load(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError):
        xconv.load(tmp_path / "none.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(IsDirectory, match="is a directory"):
        xconv.load(tmp_path / "folder.pt", module)
    with pytest.raises(xconv.InvalidInput, match=r"'\.onnx' names no format; use \.safetensors, \.pt2 or \.pt"):
        xconv.save(module, tmp_path / "m.onnx")
    plain = tmp_path / "plain.safetensors"
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, plain)
    with pytest.raises(xconv.Unreadable, match="nothing that xconv wrote"):
        xconv.load(plain)


def test_a_state_dict_is_anybodys(tmp_path: Path, module: Any) -> None:
    path = tmp_path / "m.pt"
    xconv.save(module, path)
    other: Any = xconv.keras_to_torch(SMALL["several"]())
    other.shared.weight.data.zero_()
    other.load_state_dict(torch.load(path, weights_only=True))
    assert_same(other.shared.weight, module.shared.weight, relative=0)
    other.shared.weight.data.zero_()
    assert xconv.load(path, other) is other
    assert_same(other.shared.weight, module.shared.weight, relative=0)
    with pytest.raises(xconv.InvalidInput, match=r"holds weights and no graph; pass module="):
        xconv.load(path)
    data = bytearray(path.read_bytes())
    place = data.find(module.shared.weight.detach().numpy().tobytes())
    data[place + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(xconv.Unreadable, match="is damaged"):
        xconv.load(path, other)


def test_code_in_a_state_dict_is_not_run(tmp_path: Path, module: Any) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    torch.save({"a": Trap()}, tmp_path / "m.pt")
    with pytest.raises(xconv.Unreadable, match="cannot read it as weights"):
        xconv.load(tmp_path / "m.pt", module)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("name", ["several", "sizeless"])
def test_an_exported_program_is_read_back(name: str, tmp_path: Path) -> None:
    module: Any = xconv.keras_to_torch(SMALL[name]())
    xconv.save(module, tmp_path / "m.pt2")
    assert module.training
    loaded = xconv.load(tmp_path / "m.pt2")
    assert xconv.record(loaded).inputs == xconv.record(module).inputs
    for batch in (1, 3, 5):
        with torch.no_grad():
            found, wanted = loaded.eval()(*inputs_of(name, batch)), module.eval()(*inputs_of(name, batch))
        for key in wanted if isinstance(wanted, dict) else [...]:
            assert_same(found[key], wanted[key], relative=1e-5)


@pytest.mark.skipif(os.name == "nt", reason="limits of the size of files")
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_full_disk_leaves_the_old_file_whole(path: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"old.{suffix}"
    target.write_bytes(b"old")
    code = f"""
        import resource, signal, torch, xconv
        module = xconv.load({str(path)!r})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            xconv.save(module, {str(target)!r})
        except xconv.Unwritable as error:
            print("unwritable")
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.stdout == "unwritable\n", done.stderr
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["module.safetensors", target.name]


def test_the_record_is_text(case: tuple[str, Any, Any]) -> None:
    remembered = xconv.record(case[2], checksums=True)
    assert Record.from_json(remembered.to_json()) == remembered
    with pytest.raises(xconv.Unreadable, match="is not such a record"):
        Record.from_json("{}")


def test_the_checksums_are_those_of_the_source(case: tuple[str, Any, Any]) -> None:
    import hashlib

    _, model, module = case
    known = {}
    for layer in model._flatten_layers():
        for variable in layer.weights:
            array = np.asarray(variable.value)
            known[hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()] = variable.path
    assert {mapped.checksum for mapped in xconv.record(module, checksums=True).weights} <= known.keys()
