"""Whether a file is the one that its owner published."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

from xconv.errors import Unreadable
from xconv.keras.checkpoint import arrays_of
from xconv.torch.tensor_file import TensorFile, readable
from xconv.zoo.records import File

__all__ = ["check", "check_blob"]

MD5_LENGTH = 32
SHA256 = re.compile(r"[0-9a-f]{64}")


def check(file: File, path: Path, place: Path) -> None:
    """Compare the file at `path` with its published digest; where there is none, with the number of its weights.

    Args:
        file: what is published.
        path: what is at hand.
        place: where it is, or is going to be: what an error names.

    Raises:
        Unreadable: it is another file, or a part.
        IsDirectory, NotFound: there is no file.
    """
    if path.is_dir():
        readable(path)
    if file.digest:
        kind, found = _digest(file, path)
        if not found.startswith(file.digest.lower()):
            what = f"its {kind} is {found[: len(file.digest)]}, and of {file.url} it is {file.digest}"
            raise _other(what, file, place)
    elif file.numbers:
        _check_numbers(file, path, place)


def check_blob(path: Path) -> None:
    """Check a safetensors file of the hub's cache: that it is whole, and the SHA-256 that its blob is named by.

    Raises:
        Unreadable: it is another file, or a part.
    """
    remedy = f"delete the folder {path.parents[2]} and fetch it again"
    try:
        with TensorFile.opened(path):
            pass
    except Unreadable as error:
        raise Unreadable(error.problems[0].what, place=str(path), remedy=remedy) from error
    name = path.resolve().name
    if SHA256.fullmatch(name):
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != name:
            raise Unreadable(f"its SHA-256 is {found}, and on the hub it is {name}", place=str(path), remedy=remedy)


def _digest(file: File, path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as content:
            if len(file.digest) == MD5_LENGTH:
                return "MD5", hashlib.file_digest(content, _md5).hexdigest()
            return "SHA-256", hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}", place=str(path)) from error


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _check_numbers(file: File, path: Path, place: Path) -> None:
    """An HDF5 file states its own length, so a part of one is refused; its weights must be as many as the network's."""
    try:
        arrays = arrays_of(path)
    except Unreadable as error:
        raise _other(f"it is no whole HDF5 file of weights: {error.problems[0].what}", file, place) from error
    found = sum(math.prod(array.shape) for array in arrays.values())
    if found != file.numbers:
        raise _other(f"it holds {found:,} numbers, and {file.url} {file.numbers:,}", file, place)


def _other(what: str, file: File, place: Path) -> Unreadable:
    remedy = f"delete {place}, if it is there, and try again; or download {file.url} by hand to it"
    return Unreadable(f"is not the file that its owner published: {what}", place=str(place), remedy=remedy)
