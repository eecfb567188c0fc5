"""The tensors in a torch checkpoint or a `.safetensors` file, by name. Nothing in a file is executed.

The file is mapped into memory where torch can do so: numbers are read when they are used.
"""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xconv.errors import Problem, Unreadable, Unsupported
from xconv.torch.arrays import TensorSource, dtype_name
from xconv.torch.tensor_file import DAMAGED, TensorFile, readable
from xconv.transfers.state_dicts import Chosen, choose
from xconv.weights import ArraySource, Shape

__all__ = ["named_tensors", "read_safetensors", "read_torch_file"]

_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
"""How files begin that torch wrote before version 1.6: a pickled number, which only torch's own reader interprets."""
_TRUST = (
    "where you trust it, read it once with torch.load(path, weights_only=False), torch.save its state_dict() to "
    "another file, and give that"
)
_SCRIPTED = "give the file of its state_dict: torch.save(torch.jit.load(path).state_dict(), other)"
_DAMAGED = (ValueError, struct.error, zlib.error)
"""What reading damaged bytes raises besides errors of the format itself."""
_CODE = re.compile(r"GLOBAL ([\w.]+)")
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}


def read_torch_file(
    path: Path, *, names: Collection[str] = (), which: str = ""
) -> tuple[dict[str, ArraySource], Chosen]:
    """The weights in a `.pt`, `.pth` or `.bin` file, and how they were found; arguments as for `choose`.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, damaged, of another kind; one that only code can read.
        Unsupported: tensors that are quantised or sparse.
        InvalidInput: see `choose`.
    """
    readable(path)
    content = _loaded(path, _is_archive(path))
    chosen = choose(content, _is_tensor, place=str(path), names=names, which=which)
    return _sources(chosen.tensors, path), chosen


def _sources(tensors: Mapping[str, torch.Tensor], path: Path) -> dict[str, ArraySource]:
    problems = [
        Problem(name, f"is a {_kind(tensor)} tensor", "give the weights in floating point")
        for name, tensor in tensors.items()
        if _kind(tensor)
    ]
    if problems:
        raise Unsupported(f"{path} holds tensors that are no plain arrays", problems=problems)
    return {name: TensorSource(tensor) for name, tensor in tensors.items()}


def named_tensors(path: Path) -> dict[str, ArraySource]:
    """All tensors of a file that holds nothing else, by the names that stand in it: a shard.

    Raises:
        Unreadable, NotFound, Unsupported: as for a whole file; a file that holds other things.
    """
    readable(path)
    if path.suffix.lower() == ".safetensors":
        return dict(_stored(path))
    content = _loaded(path, _is_archive(path))
    if not isinstance(content, Mapping) or not all(map(_is_tensor, content.values())):
        raise Unreadable("is no shard: it holds more than tensors by name", place=str(path))
    return _sources({str(name): tensor for name, tensor in content.items()}, path)


def read_safetensors(
    path: Path, *, names: Collection[str] = (), which: str = ""
) -> tuple[dict[str, ArraySource], Chosen]:
    """The same for a `.safetensors` file, whoever wrote it.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, damaged, of another kind.
        Unsupported: element types that NumPy and torch have no common name for, such as eight-bit floats.
    """
    sources = _stored(path)
    chosen = choose(sources, _is_source, place=str(path), names=names, which=which)
    return dict(chosen.tensors), chosen


def _stored(path: Path) -> dict[str, SafetensorsArray]:
    """Every tensor of a `.safetensors` file."""
    with TensorFile.opened(path) as file:
        shapes = dict(file.shapes)
        kinds = _kinds(path)
    problems = [
        Problem(name, f"holds numbers of type {kinds[name]}", "give the weights in floating point")
        for name in shapes
        if kinds[name] not in _DTYPES
    ]
    if problems:
        raise Unsupported(f"{path} holds numbers that are not read", problems=problems)
    stamp = _stamp(path)
    return {name: SafetensorsArray(path, name, shapes[name], _DTYPES[kinds[name]], stamp) for name in shapes}


@dataclass(frozen=True, slots=True)
class SafetensorsArray:
    """A tensor in a `.safetensors` file as an `ArraySource`; the file is opened anew for each reading."""

    path: Path
    name: str
    shape: Shape
    dtype: str
    stamp: tuple[int, int]
    """The file's size and time of change when it was first opened."""

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The tensor as one block.

        Raises:
            Unreadable: the file is gone, or has changed since it was first opened.
        """
        readable(self.path)
        if _stamp(self.path) != self.stamp:
            what, remedy = "the file has changed since it was opened", "read it again"
            raise Unreadable(what, place=str(self.path), remedy=remedy)
        with TensorFile.opened(self.path) as file:
            yield from TensorSource(file.tensor(self.name)).blocks(multiple)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _kinds(path: Path) -> dict[str, str]:
    """The element types, in the words of the format."""
    from xconv.keras import json_text

    with path.open("rb") as file:
        held = json_text.load(file.read(int.from_bytes(file.read(8), "little")), str(path))
    return {name: str(entry["dtype"]) for name, entry in held.items() if name != "__metadata__"}


def _is_archive(path: Path) -> bool:
    """Whether torch wrote it as a zip archive, whole; False for the older form.

    Raises:
        Unreadable: neither of the two, or a damaged archive.
    """
    with path.open("rb") as file:
        head = file.read(len(_LEGACY))
    if head == _LEGACY:
        return False
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                damaged, members = archive.testzip(), archive.namelist()
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError, *_DAMAGED) as error:
            raise Unreadable(f"is not a whole torch archive: {error}", place=str(path), remedy=DAMAGED) from error
        if damaged:
            raise Unreadable(f"the member {damaged} is damaged (CRC-32)", place=str(path), remedy=DAMAGED)
        if any(name.endswith("/constants.pkl") for name in members) and any("/code/" in name for name in members):
            raise Unreadable("is a TorchScript program", place=str(path), remedy=_SCRIPTED)
        return True
    what = f"is no file of torch.save (it begins with {head[:8]!r})"
    raise Unreadable(what, place=str(path), remedy="give a .pt, .pth or .bin file that torch.save wrote")


def _loaded(path: Path, mapped: bool) -> Any:
    """What torch finds in the file, without running anything."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise _refused(path, error) from error
    except (AttributeError, IndexError, ImportError, AssertionError, MemoryError, OverflowError, *_DAMAGED) as error:
        what = f"torch cannot read it as weights: {error}"
        raise Unreadable(what, place=str(path), remedy=DAMAGED) from error


def _refused(path: Path, error: Exception) -> Unreadable:
    text = str(error)
    if "weights_only" in text or isinstance(error, pickle.UnpicklingError):
        names = sorted({name.rstrip(".") for name in _CODE.findall(text)})
        needs = f" ({', '.join(names[:5])})" if names else ""
        return Unreadable(
            f"holds more than tensors and plain data{needs}; reading it would run code that the file names",
            place=str(path),
            remedy=_TRUST,
        )
    what = f"torch cannot read it as weights: {text.strip().partition(chr(10))[0]}"
    return Unreadable(what, place=str(path), remedy=DAMAGED)


def _is_tensor(item: Any) -> bool:
    return isinstance(item, torch.Tensor)


def _is_source(item: Any) -> bool:
    return isinstance(item, SafetensorsArray)


def _kind(tensor: torch.Tensor) -> str:
    """What makes a tensor no plain array; '' for one that is."""
    if tensor.is_quantized:
        return "quantised"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.is_meta:
        return "meta"
    return "" if dtype_name(tensor.dtype) in _DTYPES.values() else dtype_name(tensor.dtype)
