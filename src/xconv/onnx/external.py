"""Tensors that an ONNX file keeps in other files: found in its own folder and nowhere else, and read with care."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from xconv.errors import Problem, Unreadable

__all__ = ["fill", "tensors_in"]


def tensors_in(model: Any) -> Iterator[Any]:
    """Every tensor of a model: initializers and attributes, those of inner graphs and of functions included."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _in_node(node)


def _in_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _in_node(node)


def _in_node(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _in_graph(graph)


def fill(model: Any, path: Path) -> None:
    """Put the numbers that stand in other files into the model.

    Raises:
        Unreadable: a location outside the folder, a link, something that is no plain file, or sizes that do not fit;
            all of them in one error.
    """
    from onnx import TensorProto

    problems = []
    for tensor in tensors_in(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            try:
                tensor.raw_data = _bytes_of(tensor, path.parent)
            except (Unreadable, OSError) as error:
                problems.append(Problem(tensor.name, str(error), "give the folder as its writer left it"))
            else:
                tensor.data_location = TensorProto.DEFAULT
                del tensor.external_data[:]
    if problems:
        raise Unreadable(f"{path} refers to data that cannot be used", problems=problems)


def _bytes_of(tensor: Any, folder: Path) -> bytes:
    said = {entry.key: entry.value for entry in tensor.external_data}
    location, size = said.get("location", ""), _size_of(tensor)
    offset, length = _number(said, "offset", 0), _number(said, "length", size)
    if length != size:
        raise Unreadable(f"{length} bytes for a tensor of {size}")
    with _opened(_inside(folder, location), location) as file:
        available = os.fstat(file.fileno()).st_size
        if offset + length > available:
            raise Unreadable(f"bytes {offset} to {offset + length} of {location!r}, which has {available}")
        file.seek(offset)
        found: bytes = file.read(length)
    return found


def _size_of(tensor: Any) -> int:
    from onnx import helper

    if any(size < 0 for size in tensor.dims):
        raise Unreadable(f"a tensor of shape {tuple(tensor.dims)}")
    try:
        width = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"a tensor of the unknown type {tensor.data_type}") from error
    return int(prod(tensor.dims)) * width


def _number(said: dict[str, str], key: str, default: int) -> int:
    text = said.get(key, "")
    if not text:
        return default
    if not text.isascii() or not text.isdecimal():
        raise Unreadable(f"{key}={text!r} is no number of bytes")
    return int(text)


def _inside(folder: Path, location: str) -> Path:
    """The path of a location below the folder, no part of which is a link."""
    parts = PurePosixPath(location).parts
    apart = PureWindowsPath(location)
    if not parts or location.startswith("/") or ".." in parts or apart.drive or "\\" in location or "\0" in location:
        raise Unreadable(f"the location {location!r} is not a plain path inside the model's folder")
    path = folder
    for part in parts:
        path /= part
        if path.is_symlink():
            raise Unreadable(f"the location {location!r} leads through a symbolic link")
    return path


def _opened(path: Path, location: str) -> Any:
    """The file, opened without following a link, and checked once it is open."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise Unreadable(f"the location {location!r} is not a plain file with one name")
    return os.fdopen(descriptor, "rb")
