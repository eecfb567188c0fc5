"""Files that are replaced whole or not at all: a temporary name in the same folder, synced, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xconv.errors import IsDirectory, NotFound, Unwritable, XConvError

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary file beside `path` to write to, and puts it in the place of `path` when the block ends.

    If the block raises, Ctrl-C included, the old file stays as it was and nothing is left behind. The new file has
    the mode that the umask gives; a symbolic link stays one, its target is replaced. Every byte is on the disk before
    the name changes, and the name before the block is left.

    Raises:
        IsDirectory: `path` is a directory.
        NotFound: its folder does not exist.
        Unwritable: the disk is full, or the folder is read-only.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/notes.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     os.listdir(folder)
    ['notes.txt']
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsDirectory("is a directory", place=str(path), remedy="give the name of a file in it")
    if not target.parent.is_dir():
        raise NotFound(f"the folder {target.parent} does not exist", place=str(path), remedy="make it first")
    temporary = target.with_name(f".{target.name[:200]}.tmp-{os.getpid()}-{os.urandom(4).hex()}{target.suffix}")
    try:
        mode = _create(temporary)
        yield temporary
        _sync(temporary, mode)
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        if isinstance(error, XConvError):
            raise
        raise Unwritable(
            f"cannot be written: {error.strerror or error}",
            place=str(path),
            remedy="check the free space and the permissions of the folder; a file that was there is unchanged",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _create(path: Path) -> int:
    """Make the file, and return the mode that the umask gave it."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)


def _sync(path: Path, mode: int) -> None:
    """Bring the file to the disk; whoever wrote it may have replaced it by one of another mode."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        if os.fstat(descriptor).st_mode & 0o777 != mode:
            path.chmod(mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk; Windows has no way to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
