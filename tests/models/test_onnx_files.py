"""ONNX files that are damaged, unsafe or not ONNX at all; and what is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import xconv
from tests.comparison import assert_same

onnx = pytest.importorskip("onnx")

from xconv.onnx.files import open_model, save_model  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Any:
    """A Dense layer whose weights can stand elsewhere."""
    kernel = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    node = onnx.helper.make_node("MatMul", ["x", "kernel"], ["y"], "dense")
    x, y = (onnx.helper.make_tensor_value_info(name, 1, ["batch", n]) for name, n in (("x", 5), ("y", 3)))
    graph = onnx.helper.make_graph([node], "dense", [x], [y], [onnx.numpy_helper.from_array(kernel, "kernel")])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


def external(model: Any, path: Path, **entries: object) -> Path:
    """The model with its kernel in `weights.bin` beside it, and these entries changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kernel = copy.graph.initializer[0]
    content = kernel.raw_data
    (path.parent / "weights.bin").write_bytes(b"head" + content)
    kernel.ClearField("raw_data")
    kernel.data_location = onnx.TensorProto.EXTERNAL
    said = {"location": "weights.bin", "offset": 4, "length": len(content)} | entries
    for key, value in said.items():
        kernel.external_data.add(key=key, value=str(value))
    path.write_bytes(copy.SerializeToString())
    return path


def weights(model: Any) -> np.ndarray[Any, Any]:
    return np.asarray(onnx.numpy_helper.to_array(model.graph.initializer[0]))


def test_tensors_in_another_file_are_read(model: Any, tmp_path: Path) -> None:
    found, name = open_model(external(model, tmp_path / "net.onnx"))
    assert name == "net"
    assert_same(weights(found), weights(model), relative=0)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "inner.bin").write_bytes(b"head" + model.graph.initializer[0].raw_data)
    found, _ = open_model(external(model, tmp_path / "net.onnx", location="part/inner.bin"))
    assert_same(weights(found), weights(model), relative=0)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "../weights.bin"}, "not a plain path inside the model's folder"),
        ({"location": "part/../../weights.bin"}, "not a plain path inside the model's folder"),
        ({"location": "/etc/passwd"}, "not a plain path inside the model's folder"),
        ({"location": "C:\\weights.bin"}, "not a plain path inside the model's folder"),
        ({"location": ""}, "not a plain path inside the model's folder"),
        ({"location": "link.bin"}, "leads through a symbolic link"),
        ({"location": "folder/weights.bin"}, "leads through a symbolic link"),
        ({"location": "twice.bin"}, "not a plain file with one name"),
        ({"location": "pipe"}, "not a plain file with one name"),
        ({"location": "part"}, "not a plain file with one name"),
        ({"location": "missing.bin"}, "No such file"),
        ({"offset": 8}, "bytes 8 to 68 of 'weights.bin', which has 64"),
        ({"offset": -4}, "no number of bytes"),
        ({"length": 2**40}, "1099511627776 bytes for a tensor of 60"),
    ],
    ids=lambda item: str(item)[:40],
)
def test_other_files_are_not_read(model: Any, tmp_path: Path, entries: dict[str, Any], words: str) -> None:
    inside = tmp_path / "models"
    inside.mkdir()
    (inside / "part").mkdir()
    content = b"head" + model.graph.initializer[0].raw_data
    for path in (tmp_path / "weights.bin", inside / "once.bin"):
        path.write_bytes(content)
    (inside / "link.bin").symlink_to(tmp_path / "weights.bin")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "twice.bin").hardlink_to(inside / "once.bin")
    os.mkfifo(inside / "pipe")
    with pytest.raises(xconv.Unreadable, match=words.replace("\\", "\\\\")) as caught:
        open_model(external(model, inside / "net.onnx", **entries))
    assert [problem.place for problem in caught.value.problems] == ["kernel"]


def test_a_shape_that_is_larger_than_its_bytes_is_refused(model: Any) -> None:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.initializer[0].dims[:] = [2**40, 3]
    with pytest.raises(xconv.Unreadable, match=r"kernel: 60 bytes for a shape of \(1099511627776, 3\)"):
        open_model(copy)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is an empty file"),
        (b"\x08\x08\x12", "not an ONNX file, or damaged"),
        (b"not a protobuf at all", "not an ONNX file, or damaged"),
        (b"\x08\x0a", "names no version, no operator set or no output"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    for read in (open_model, xconv.onnx_to_torch, xconv.onnx_to_keras):
        with pytest.raises(xconv.Unreadable, match=words) as caught:
            read(path)
        assert "net.onnx" in str(caught.value)


def test_truncated_and_contradictory_models(model: Any, tmp_path: Path) -> None:
    whole = model.SerializeToString()
    for part in (len(whole) // 2, len(whole) - 3):
        (tmp_path / "net.onnx").write_bytes(whole[:part])
        with pytest.raises(xconv.Unreadable):
            open_model(tmp_path / "net.onnx")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.node[0].input[0] = "nowhere"
    with pytest.raises(xconv.Unreadable, match="not a valid ONNX model"):
        open_model(copy)


def test_what_is_no_model(model: Any, tmp_path: Path) -> None:
    with pytest.raises(xconv.errors.NotFound, match="there is no such file"):
        open_model(tmp_path / "none.onnx")
    with pytest.raises(xconv.errors.IsDirectory):
        open_model(tmp_path)
    with pytest.raises(xconv.InvalidInput, match="a dict is not an ONNX model"):
        open_model({})
    with pytest.raises(xconv.InvalidInput, match=r"is written to an \.onnx file"):
        save_model(model, tmp_path / "net.pt")


def test_a_model_that_is_written_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")
    with pytest.raises(xconv.InvalidInput):
        xconv.torch_to_onnx(nn.Linear(4, 3), torch.zeros(2, 5), path)
    assert path.read_bytes() == b"before"
    written = xconv.torch_to_onnx(nn.Linear(4, 3), torch.zeros(2, 4), path)
    assert onnx.load(path) == written
    assert [item.name for item in tmp_path.iterdir()] == ["net.onnx"]


def test_a_keras_reader_names_the_functions_for_onnx(model: Any, tmp_path: Path) -> None:
    save_model(model, tmp_path / "net.onnx")
    with pytest.raises(xconv.Unreadable, match=r"ONNX file.*xconv\.onnx_to_torch"):
        xconv.keras_to_torch(tmp_path / "net.onnx")


def test_functions_of_a_model_are_opened(model: Any) -> None:
    """What newer exporters write: an operator that the model defines itself."""
    function = onnx.helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [onnx.helper.make_node("Add", ["a", "a"], ["b"])],
        [onnx.helper.make_opsetid("", 17)],
    )
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.node[0].output[0] = "inner"
    copy.graph.node.append(onnx.helper.make_node("Twice", ["inner"], ["y"], domain="own"))
    copy.opset_import.append(onnx.helper.make_opsetid("own", 1))
    copy.functions.append(function)
    module = xconv.onnx_to_torch(copy, reader="xconv")
    x = torch.randn(4, 5)
    assert_same(module(x), 2 * x @ torch.tensor(weights(model)), relative=1e-6)
