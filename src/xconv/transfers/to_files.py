"""Arrays by name into a file of weights, whole or not at all; the suffix says what is written."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from xconv.atomic import replacing
from xconv.errors import InvalidInput, Unwritable
from xconv.frameworks import require
from xconv.keras.numbers import array_of
from xconv.keras.saved import LONG_AGO
from xconv.transfers.templates import Template
from xconv.weights import ArraySource

__all__ = ["write_weights"]

_WEIGHTS = "model.weights.h5"


def write_weights(tensors: Mapping[str, torch.Tensor], path: str | os.PathLike[str], template: Template) -> None:
    """Write a file of weights.

    Args:
        tensors: every array of the architecture, by key, in its own dtype.
        path: `.safetensors`, `.pt`, `.pth` or `.bin` with names of a state_dict; `.weights.h5`, `.keras` or `.h5` with
            keys `layer/index`.
        template: where a Keras file keeps each array, and what else it holds.

    Raises:
        InvalidInput: another suffix, or a template without the places of the arrays.
        Unwritable, IsDirectory, NotFound: the path cannot be written to; an older file stays as it was.
    """
    where = Path(path)
    suffix = ".weights.h5" if where.name.lower().endswith(".weights.h5") else where.suffix.lower()
    plain: dict[str, Callable[[Mapping[str, torch.Tensor], Path], None]] = {
        ".safetensors": _safetensors,
        ".pt": _pickled,
        ".pth": _pickled,
        ".bin": _pickled,
    }
    placed: dict[str, Callable[[Mapping[str, torch.Tensor], Path, Template], None]] = {
        ".weights.h5": _hdf5,
        ".keras": _archive,
        ".h5": _patched,
    }
    if suffix in placed:
        _check_places(tensors, where, template)
    elif suffix not in plain:
        remedy = "use .safetensors, .pt, .pth, .weights.h5, .h5 or .keras"
        raise InvalidInput(f"the suffix {where.suffix!r} is not written", place=str(where), remedy=remedy)
    with replacing(where) as temporary:
        if suffix in placed:
            placed[suffix](tensors, temporary, template)
        else:
            plain[suffix](tensors, temporary)


def _check_places(tensors: Mapping[str, Any], path: Path, template: Template) -> None:
    lost = [key for key in tensors if key not in template.layout.places]
    if lost:
        what = f"where a Keras file keeps {lost[0]} is not known ({len(lost)} of {len(tensors)} arrays)"
        raise InvalidInput(what, place=str(path), remedy="give architecture= the model, or a file of its weights")
    if path.name.lower().endswith(".weights.h5"):
        return
    if template.file is None or template.file.suffix.lower() != path.suffix.lower():
        remedy = f"give architecture= the live model or a {path.suffix} file of it, or write .weights.h5"
        raise InvalidInput("it holds a configuration too, which is not known", place=str(path), remedy=remedy)


def _safetensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    import safetensors
    import safetensors.torch

    try:
        safetensors.torch.save_file(_apart(tensors), path, metadata={"format": "pt"})
    except safetensors.SafetensorError as error:
        raise Unwritable(f"cannot be written: {error}", place=str(path), remedy="check the free space") from error


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each with memory of its own: the format has no word for two names of one tensor."""
    held: dict[int, str] = {}
    found = {}
    for name, tensor in tensors.items():
        whole = tensor.contiguous()
        first = held.setdefault(whole.data_ptr(), name)
        found[name] = whole if first == name else whole.clone()
    return found


def _pickled(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """The state_dict as users of torch expect it."""
    whole = {
        # A view would be saved with all of the memory behind it.
        name: tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
        for name, tensor in tensors.items()
    }
    try:
        with path.open("wb") as file:
            # Into a file that is open, torch writes no name of a file.
            torch.save(whole, file)
    except RuntimeError as error:
        raise Unwritable(f"torch cannot write it: {error}", place=str(path), remedy="check the free space") from error


def _hdf5(tensors: Mapping[str, torch.Tensor], path: Path, template: Template) -> None:
    with path.open("wb+") as file:
        _tree(tensors, file, template)


def _tree(tensors: Mapping[str, torch.Tensor], file: IO[bytes], template: Template) -> None:
    """The groups of a `.weights.h5`; equal weights give equal bytes."""
    h5py = require("h5py", "", "a Keras file")
    with h5py.File(file, "w") as tree:
        for group, name in template.layout.names.items():
            held = tree.require_group(group)
            if name:
                held.attrs["name"] = name
        for key, tensor in tensors.items():
            dataset = tree.create_dataset(template.layout.places[key], data=array_of(tensor.contiguous()))
            if tensor.dtype == torch.bfloat16:
                dataset.attrs["dtype"] = "bfloat16"
        for place, source in template.others.items():
            tree.create_dataset(place, data=_whole(source))


def _whole(source: ArraySource) -> np.ndarray[Any, Any]:
    blocks = [np.array(rows) for _, rows in source.blocks()]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks).reshape(source.shape)


def _archive(tensors: Mapping[str, torch.Tensor], path: Path, template: Template) -> None:
    """A `.keras` file: the configuration of the template beside new weights."""
    with (
        tempfile.TemporaryFile(dir=path.parent) as scratch,
        zipfile.ZipFile(template.file or path) as old,
        zipfile.ZipFile(path, "w") as new,
    ):
        _tree(tensors, scratch, template)
        scratch.seek(0)
        for info in old.infolist():
            member = zipfile.ZipInfo(info.filename, LONG_AGO)
            member.external_attr = 0o600 << 16
            with new.open(member, "w", force_zip64=True) as into:
                if info.filename == _WEIGHTS:
                    shutil.copyfileobj(scratch, into, 1 << 20)
                else:
                    with old.open(info) as source:
                        shutil.copyfileobj(source, into, 1 << 20)


def _patched(tensors: Mapping[str, torch.Tensor], path: Path, template: Template) -> None:
    """A copy of the template with other numbers in its datasets."""
    h5py = require("h5py", "", "a Keras file")
    shutil.copyfile(template.file or path, path)
    with h5py.File(path, "r+") as tree:
        for key, tensor in tensors.items():
            tree[template.layout.places[key]][...] = array_of(tensor.contiguous())
