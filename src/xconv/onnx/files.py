"""ONNX models in memory and in files: opened with care, checked, and written whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from xconv.atomic import replacing
from xconv.errors import InvalidInput, IsDirectory, NotFound, Problem, Unreadable, Unsupported
from xconv.frameworks import require
from xconv.onnx.external import fill, tensors_in

__all__ = ["foreign_operators", "is_onnx", "open_model", "opset_of", "save_model"]

LARGEST = 2**31 - 1
"""What one protobuf message can hold; larger models keep their tensors in other files."""
LEAST = (1, 21)
"""Before this version of onnx, external data could name files anywhere (CVE-2026-34446 and its like)."""


def is_onnx(source: Any) -> bool:
    """Whether it is an ONNX model, or the path of one.

    >>> is_onnx("net.onnx"), is_onnx("net.keras")
    (True, False)
    """
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source).lower().endswith(".onnx")
    return type(source).__name__ == "ModelProto" and type(source).__module__.partition(".")[0] == "onnx"


def open_model(source: Any) -> tuple[Any, str]:
    """A checked ONNX model with all its tensors, and a name for it. A model in memory is copied where it is changed.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, empty, damaged, not valid, or external data that is not safe.
        InvalidInput: no ONNX model.
        MissingFramework: onnx is not installed, or too old to be safe.
    """
    onnx = _onnx()
    if isinstance(source, onnx.ModelProto):
        model, name = source, source.graph.name or "model"
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        model, name = _read(path), path.stem
        fill(model, path)
    else:
        what = f"a {type(source).__name__} is not an ONNX model"
        raise InvalidInput(what, remedy="give an onnx.ModelProto or the path of an .onnx file")
    _check(model, name if model is source else str(source))
    return _inlined(model), name


def _onnx() -> Any:
    onnx = require("onnx", "onnx", "an ONNX model")
    version = tuple(int(part) for part in onnx.__version__.split(".")[:2])
    if version < LEAST:
        what = f"onnx {onnx.__version__} follows links in a model's external data"
        raise Unsupported(what, remedy='pip install "onnx>=1.21"')
    return onnx


def _read(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if path.is_dir():
        raise IsDirectory("is a directory", place=str(path), remedy="give the path of the .onnx file inside it")
    if not path.is_file():
        raise NotFound("there is no such file", place=str(path), remedy="check the path")
    size = path.stat().st_size
    if not size or size > LARGEST:
        what = f"is a file of {size:,} bytes, which no ONNX file can be"
        raise Unreadable(what if size else "is an empty file", place=str(path), remedy="save or download it again")
    try:
        return onnx.load_model(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        what = f"is not an ONNX file, or damaged: {_first_line(error)}"
        raise Unreadable(what, place=str(path), remedy="save or download it again") from error


def _check(model: Any, place: str) -> None:
    """What a model must have, and what onnx's own checker asks for.

    Raises:
        Unreadable: it is not a valid model.
    """
    import onnx

    if not model.ir_version or not model.opset_import or not model.graph.output:
        what = "is not an ONNX model: it names no version, no operator set or no output"
        raise Unreadable(what, place=place, remedy="save or download it again")
    problems = [problem for tensor in tensors_in(model) if (problem := _misfit(tensor))]
    if problems:
        raise Unreadable(f"{place} holds tensors that are damaged", problems=problems)
    if model.ByteSize() > LARGEST or foreign_operators(model):
        return  # the checker cannot look at the one; the other is refused by name, which says more
    try:
        onnx.checker.check_model(_with_shapes(model))
    except (onnx.checker.ValidationError, ValueError) as error:
        what = f"is not a valid ONNX model: {_first_line(error)}"
        raise Unreadable(what, place=place, remedy="save or download it again") from error


def _with_shapes(model: Any) -> Any:
    """The model, or a copy where an output states no shape: the checker asks for one, and nobody else does."""
    if all(item.type.tensor_type.HasField("shape") for item in model.graph.output):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for item in copy.graph.output:
        item.type.tensor_type.shape.SetInParent()
    return copy


def _misfit(tensor: Any) -> Problem | None:
    """A tensor whose bytes are not as many as its shape asks for."""
    from onnx import TensorProto, helper

    if not tensor.HasField("raw_data") or tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return None
    if tensor.data_type > TensorProto.BFLOAT16:
        return None  # types of less than a byte, which only quantised models have
    wanted = prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if len(tensor.raw_data) == wanted and min(tensor.dims, default=0) >= 0:
        return None
    what = f"{len(tensor.raw_data):,} bytes for a shape of {tuple(tensor.dims)}, which needs {wanted:,}"
    return Problem(tensor.name, what, "save or download it again")


def _inlined(model: Any) -> Any:
    """The model without functions of its own."""
    if not model.functions:
        return model
    from onnx import inliner

    return inliner.inline_local_functions(model)


def opset_of(model: Any) -> int:
    """The version of ONNX's own operators that the model is written in."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def foreign_operators(model: Any) -> Counter[str]:
    """The operators that are not ONNX's own, such as those of TensorFlow that a converter left in, by number."""
    from onnx import defs

    own, opset = {(function.domain, function.name) for function in model.functions}, opset_of(model)
    found: Counter[str] = Counter()
    for node in model.graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        known = not domain and defs.has(node.op_type, opset)
        if not known and (node.domain, node.op_type) not in own:
            found[f"{domain}.{node.op_type}" if domain else node.op_type] += 1
    return found


def save_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model; an interrupted run leaves a file that was there as it was.

    Raises:
        InvalidInput: another suffix than `.onnx`.
        Unsupported: it is larger than one file can be.
        Unwritable, IsDirectory, NotFound: the path cannot be written to.
    """
    if not is_onnx(path):
        raise InvalidInput("an ONNX model is written to an .onnx file", place=str(path), remedy="name it so")
    if (size := model.ByteSize()) > LARGEST:
        what = f"the model has {size:,} bytes, and one ONNX file holds at most {LARGEST:,}"
        raise Unsupported(what, place=str(path), remedy="write it with onnx.save_model(save_as_external_data=True)")
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
