"""Which kind of model file this is, by its first bytes; and which loader reads the kinds that are not Keras'."""

from __future__ import annotations

import stat
from pathlib import Path

from xconv.errors import IsDirectory, NotFound, Unreadable

__all__ = ["HDF5", "JSON", "KERAS_DIRECTORY", "ZIP", "kind_of", "refuse"]

ZIP = "zip archive"
HDF5 = "HDF5 file"
JSON = "JSON file"
KERAS_DIRECTORY = "unzipped .keras directory"

_TORCH = "read it with torch.load(..., weights_only=True) and give xconv the nn.Module"
_TENSORFLOW = "load it in tf_keras and give xconv the live model, or save it there as .keras"
_MAGIC = (
    (b"PK\x03\x04", ZIP, ""),
    (b"PK\x05\x06", "empty zip archive", "save the model again"),
    (b"\x89HDF\r\n\x1a\n", HDF5, ""),
    (b"\x1f\x8b", "gzip file", "unpack it first"),
    (b"\xfd7zXZ", "xz file", "unpack it first"),
    (b"BZh", "bzip2 file", "unpack it first"),
    (b"\x93NUMPY", "NumPy array", "give the model file, not an array"),
    (b"version https://git-lfs", "Git LFS pointer", "run `git lfs pull` to fetch the file itself"),
    (b"<", "HTML or XML page", "the download returned a web page; fetch the file again"),
    *((b"\x80" + bytes([protocol]), "pickle, such as an old torch .pt file", _TORCH) for protocol in range(2, 6)),
)
_DIRECTORIES = (
    ("saved_model.pb", "TensorFlow SavedModel directory", _TENSORFLOW),
    ("checkpoint", "TensorFlow checkpoint directory", _TENSORFLOW),
    ("_CHECKPOINT_METADATA", "Orbax checkpoint directory", "load it in Keras and save it as .keras"),
    ("model.safetensors", "Hugging Face model directory", "load it with its own library and give xconv the nn.Module"),
)


def kind_of(path: Path) -> tuple[str, str]:
    """The kind of file that `path` is, and the loader to use where it is none of Keras' ('' where it is).

    Raises:
        NotFound: there is nothing there.
        Unreadable: an empty file, a device, a file that may not be read.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return _kind_of_directory(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("is not a regular file", place=str(path), remedy="give the path of a model file")
        if status.st_size == 0:
            raise Unreadable("is an empty file", place=str(path), remedy="save or download it again")
        with path.open("rb") as file:
            head = file.read(512)
            file.seek(max(0, status.st_size - 8))
            tail = file.read(8)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound("there is no such file", place=str(path), remedy=_nearby(path)) from error
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}", place=str(path)) from error
    return _kind_of_bytes(head, tail, status.st_size, path)


def refuse(path: Path, kind: str, remedy: str, wanted: str = "a .keras or .h5 file") -> Unreadable:
    """The error for a file of another kind than is needed here."""
    family = IsDirectory if path.is_dir() else Unreadable
    return family(f"is a {kind}, not {wanted}", place=str(path), remedy=remedy or f"give {wanted}")


def _kind_of_directory(path: Path) -> tuple[str, str]:
    names = {item.name for item in path.iterdir()}
    if "config.json" in names and any(name.startswith("model.weights") for name in names):
        return KERAS_DIRECTORY, ""
    for marker, kind, remedy in _DIRECTORIES:
        if marker in names:
            return kind, remedy
    return "directory", "give the path of the model file inside it"


def _kind_of_bytes(head: bytes, tail: bytes, size: int, path: Path) -> tuple[str, str]:
    for magic, kind, remedy in _MAGIC:
        if head.startswith(magic):
            return kind, remedy
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header < size:
        return "safetensors file", "give xconv the nn.Module that these weights belong to"
    if head.lstrip()[:1] == b"{":
        return JSON, ""
    if head[4:8] == b"TFL3":
        return "TensorFlow Lite file", "give the Keras model that it was made from"
    if head[257:262] == b"ustar":
        return "tar archive", "unpack it first"
    if tail == bytes.fromhex("57fb808b247547db") or ".data-0000" in path.name:
        return "TensorFlow checkpoint", _TENSORFLOW
    if path.suffix == ".onnx" or (head[:1] == b"\x08" and b"onnx" in head.lower() + path.name.lower().encode()):
        return "ONNX file", "use xconv.onnx_to_torch or xconv.onnx_to_keras"
    return f"file of an unknown kind (it begins with {head[:8]!r})", "it may be damaged; save or download it again"


def _nearby(path: Path) -> str:
    """Files of the same name with another suffix, which is what is usually meant."""
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either"
    found = sorted(other.name for other in path.parent.iterdir() if other.stem == path.stem)[:5]
    return f"in the same folder there is {', '.join(found)}" if found else "check the path"
