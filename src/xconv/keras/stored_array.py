"""An array that lies in a file, read in blocks when it is needed: an `ArraySource` that holds no numbers.

A contiguous dataset is read straight from the file's bytes, without HDF5; the file is not mapped into memory, so a file
that shrinks meanwhile is an error and not a killed process.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xconv.errors import Unreadable
from xconv.keras.zip_window import Window
from xconv.scratch import BLOCK, scratch
from xconv.weights import Shape, without_leading_ones

__all__ = ["Storage", "StoredArray", "hdf5_errors"]


@contextmanager
def hdf5_errors(place: str) -> Iterator[None]:
    """Turns what h5py raises for a damaged file into Unreadable, with HDF5's own words."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(
            f"HDF5 cannot read it: {error.args[-1] if error.args else error}",
            place=place,
            remedy="the file is truncated or damaged; save or download it again",
        ) from error


@dataclass(frozen=True, slots=True)
class Storage:
    """Where an HDF5 file lies: a file, a part of a file, or memory. Opened anew for each reading."""

    path: Path
    start: int
    size: int
    stamp: tuple[int, int]
    """The file's size and time of change in nanoseconds when it was first opened."""
    content: bytes | bytearray | None = None

    @classmethod
    def of(cls, path: Path) -> Storage:
        """A whole file."""
        status = path.stat()
        return cls(path, 0, status.st_size, (status.st_size, status.st_mtime_ns))

    @contextmanager
    def descriptor(self) -> Iterator[int]:
        """The file, open for reading.

        Raises:
            Unreadable: it is gone, or has changed since it was first opened.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise Unreadable(
                f"the file is no longer readable: {error.strerror}",
                place=str(self.path),
                remedy="keep it in place until the conversion is done",
            ) from error
        try:
            status = os.fstat(descriptor)
            if (status.st_size, status.st_mtime_ns) != self.stamp:
                raise Unreadable(
                    "the file has changed since it was opened", place=str(self.path), remedy="read the model again"
                )
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def hdf5(self) -> Iterator[h5py.File]:
        """The HDF5 file, open for reading."""
        if self.content is not None:
            with hdf5_errors(str(self.path)), h5py.File(io.BytesIO(self.content), "r") as file:
                yield file
            return
        with self.descriptor() as descriptor:
            window = Window(descriptor, self.start, self.size)
            with hdf5_errors(str(self.path)), h5py.File(window, "r") as file:
                yield file

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill `view` with the bytes from `offset` on."""
        if self.content is not None:
            view[:] = self.content[offset : offset + len(view)]
            return
        with self.descriptor() as descriptor:
            window = Window(descriptor, self.start, self.size)
            window.seek(offset)
            while len(view):
                count = window.readinto(view)
                if count == 0:
                    raise Unreadable(
                        f"ends {len(view)} bytes too early", place=str(self.path), remedy="save or download it again"
                    )
                view = view[count:]


@dataclass(frozen=True, slots=True)
class StoredArray:
    """A dataset of an HDF5 file as an `ArraySource`; `offset` is where its bytes lie, None where they are chunked."""

    storage: Storage
    name: str
    shape: Shape
    dtype: str
    stored: np.dtype[Any]
    offset: int | None

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Pairs of (first row, rows), about 4 MiB each; rows are valid until the next block is asked for."""
        if not self.shape or not prod(self.shape):
            yield 0, self._rows(0, self.shape)
            return
        count, *inner = without_leading_ones(self.shape)
        row_bytes = self.stored.itemsize * prod(inner)
        step = max(1, BLOCK // (row_bytes * multiple)) * multiple
        for start in range(0, count, step):
            yield start, self._rows(start, (min(step, count - start), *inner))

    def _rows(self, start: int, shape: Shape) -> np.ndarray[Any, Any]:
        if self.offset is None or not prod(shape):
            return self._read_through_hdf5(start, shape)
        inner = prod(shape[1:]) * self.stored.itemsize
        content = scratch(prod(shape) * self.stored.itemsize)
        self.storage.read_into(content.data, self.offset + start * inner)
        rows = content.view(self.stored).reshape(shape)
        return rows if self.stored.isnative else rows.astype(self.stored.newbyteorder("="))

    def _read_through_hdf5(self, start: int, shape: Shape) -> np.ndarray[Any, Any]:
        native = self.stored.newbyteorder("=")
        if not prod(shape):
            return np.empty(shape, native)
        with self.storage.hdf5() as file:
            dataset = file[self.name]
            ones = (0,) * (len(self.shape) - len(shape))
            rows = dataset[(*ones, slice(start, start + shape[0]))] if shape else dataset[()]
        return np.array(rows, dtype=native)
