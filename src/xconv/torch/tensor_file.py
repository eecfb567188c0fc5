"""Tensors and one text in a `.safetensors` file, read with care: duplicate keys, sizes and checksums are checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from xconv.errors import IsDirectory, NotFound, Unreadable, Unwritable, XConvError
from xconv.keras import json_text

__all__ = ["TensorFile", "readable", "write_tensors"]

KEY = "xconv"
DAMAGED = "the file is truncated or damaged; save or download it again"


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], text: str) -> None:
    """Write contiguous tensors and a text; equal content gives equal bytes.

    Raises:
        Unwritable: the disk is full, or the folder read-only.
    """
    try:
        # One metadata key only: safetensors writes several in random order.
        safetensors.torch.save_file(dict(tensors), path, metadata={KEY: text})
    except safetensors.SafetensorError as error:
        raise Unwritable(f"cannot be written: {error}", place=str(path), remedy="check the free space") from error


def readable(path: Path) -> None:
    """Check that there is a file, and that it is not empty.

    Raises:
        NotFound, IsDirectory, Unreadable: what is wrong with it.
    """
    if path.is_dir():
        raise IsDirectory("is a directory", place=str(path), remedy="give the path of the file inside it")
    if not path.exists():
        raise NotFound("there is no such file", place=str(path), remedy="check the path")
    if path.stat().st_size == 0:
        raise Unreadable("is an empty file", place=str(path), remedy="save or download it again")


class TensorFile:
    """An open `.safetensors` file: `text` is what xconv wrote into it, `shapes` those of its tensors."""

    def __init__(self, path: Path, file: Any) -> None:
        self._file = file
        held = json_text.load(_header(path), str(path))
        metadata = held.pop("__metadata__", {})
        self.text: str | None = metadata.get(KEY) if isinstance(metadata, dict) else None
        self.shapes: dict[str, tuple[int, ...]] = {name: tuple(entry["shape"]) for name, entry in held.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor, in memory of its own: the file may be replaced later."""
        tensor: torch.Tensor = self._file.get_tensor(name).clone()
        return tensor

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[TensorFile]:
        """The file, open for reading.

        Raises:
            Unreadable: missing, truncated, damaged, or not a `.safetensors` file.
        """
        readable(path)
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                yield cls(path, file)
        except (safetensors.SafetensorError, OSError) as error:
            if isinstance(error, XConvError):
                raise
            raise Unreadable(f"is not a whole .safetensors file: {error}", place=str(path), remedy=DAMAGED) from error


def _header(path: Path) -> bytes:
    """The JSON header, whose size safetensors has checked."""
    with path.open("rb") as file:
        return file.read(int.from_bytes(file.read(8), "little"))
