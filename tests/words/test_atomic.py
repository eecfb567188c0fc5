"""Files that are replaced whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from xconv.atomic import replacing
from xconv.errors import IsDirectory, NotFound, Unwritable, XConvError


def write(path: Path, text: str, error: BaseException | None = None) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)
        if error:
            raise error


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_new_content_takes_the_old_ones_place(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write(path, "old")
    write(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["model.bin"]


@pytest.mark.parametrize("error", [ValueError("a fault"), KeyboardInterrupt(), SystemExit(2)])
def test_a_failure_leaves_the_old_file_whole_and_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "model.bin"
    path.write_text("old")
    with pytest.raises(type(error)):
        write(path, "half of the n", error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.bin"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_file_has_the_mode_of_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "model.bin") as temporary:
            other = tmp_path / "other"
            other.write_text("a writer that replaces the file, as safetensors does")
            other.chmod(0o600)
            other.replace(temporary)
    finally:
        os.umask(before)
    assert (tmp_path / "model.bin").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "model.bin"
    link.symlink_to(tmp_path / "folder" / "real.bin")
    write(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "folder" / "real.bin").read_text() == "new"


def test_the_file_is_synced_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), rename(self, to))[1])
    write(tmp_path / "model.bin", "new")
    assert order == ["sync", "rename", "sync"]


def test_a_directory_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(IsDirectory, match=r"is a directory; give the name of a file in it"):
        write(tmp_path, "new")
    with pytest.raises(NotFound, match=r"the folder .*nowhere does not exist; make it first"):
        write(tmp_path / "nowhere" / "model.bin", "new")
    assert names(tmp_path) == []


def test_a_full_disk_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_text("old")
    with pytest.raises(Unwritable, match="No space left on device") as caught, replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert isinstance(caught.value, XConvError)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.bin"]


def test_a_read_only_folder_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Made up, because the superuser may write anywhere.
    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Unwritable, match="Read-only file system"):
        write(tmp_path / "model.bin", "new")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupted_process_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_text("old")
    code = f"""
        import time
        from xconv.atomic import replacing
        with replacing({str(path)!r}) as temporary:
            temporary.write_text("half of the n")
            print("ready", flush=True)
            time.sleep(60)
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    process.stdout.close()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.bin"]
