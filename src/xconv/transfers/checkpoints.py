"""A checkpoint file, of either framework, as arrays by name: what a transfer reads without building a model."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xconv.errors import InvalidInput
from xconv.keras.checkpoint import arrays_of
from xconv.keras.file_kinds import kind_of
from xconv.weights import Arrays

__all__ = ["INDEX", "KERAS_SUFFIXES", "TORCH_SUFFIXES", "Checkpoint", "framework_of", "open_checkpoint"]

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5", ".json")
"""Of files that hold Keras weights; `.json` lists the shards of a checkpoint."""
TORCH_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
"""Of files that hold a state_dict; `.tar` ends the name that trainers give a torch file, `best.pth.tar`."""
INDEX = ".index.json"
"""How the index of a torch checkpoint in several files ends: `model.safetensors.index.json`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The arrays in a file; their numbers are read when they are used.

    Keys are `layer/index` for Keras, where index counts the layer's variables, and names in the state_dict for torch.
    """

    place: str
    framework: str
    """'keras' or 'torch'."""
    arrays: Arrays
    notes: tuple[str, ...] = ()
    """How the weights were found: which entry, which prefix was taken off."""
    left: tuple[str, ...] = ()
    """Entries that hold no weights, or that were not chosen."""


def framework_of(path: str | os.PathLike[str]) -> str:
    """The framework whose weights a file of this name holds, by its suffix.

    Raises:
        InvalidInput: another suffix.

    >>> framework_of("net.weights.h5"), framework_of("net.pth")
    ('keras', 'torch')
    """
    suffix = Path(path).suffix.lower()
    if str(path).lower().endswith(INDEX):
        return "torch"
    if suffix in KERAS_SUFFIXES:
        return "keras"
    if suffix in TORCH_SUFFIXES:
        return "torch"
    remedy = "use .keras, .h5, .weights.h5, .safetensors, .pt, .pth or .bin"
    raise InvalidInput(f"the suffix {suffix!r} names no file of weights", place=str(path), remedy=remedy)


def open_checkpoint(
    path: str | os.PathLike[str], *, config: Any = None, names: Collection[str] = (), which: str = ""
) -> Checkpoint:
    """The arrays in a file of weights, whose suffix names its framework. Nothing in it is executed.

    Args:
        path: `.keras`, `.h5`, `.weights.h5`, `.safetensors`, `.pt`, `.pth`, `.bin`, `.ckpt`, `.pth.tar`; of one in
            several files the `.weights.json`, `.safetensors.index.json` or `.bin.index.json` that lists them.
        config: for Keras, what the weights belong to: a live model, or a configuration (a path, a mapping or JSON). It
            is needed where a file does not name its layers, and checks every count and shape.
        names: the names that are looked for, as far as they are known; they tell which prefix to take off, and the
            layers of older Keras files.
        which: for torch files with several sets of weights: 'ema', or the entry or prefix to take.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, damaged, of another kind, unsafe.
        Mismatch: weights that do not fit `config`.
        InvalidInput: another suffix; several sets of weights and no word which.
    """
    where = Path(path)
    if framework_of(where) == "keras":
        if which:
            raise InvalidInput("which= is for torch files", place=str(where), remedy="leave it out")
        kind_of(where)
        return Checkpoint(str(where), "keras", arrays_of(where, _config(config), tuple(names)))
    from xconv.transfers.sharded import read_index
    from xconv.transfers.torch_checkpoint import read_safetensors, read_torch_file

    if where.name.lower().endswith(INDEX):
        read = read_index
    else:
        read = read_safetensors if where.suffix.lower() == ".safetensors" else read_torch_file
    arrays, chosen = read(where, names=names, which=which)
    return Checkpoint(str(where), "torch", arrays, chosen.notes, chosen.left)


def _config(config: Any) -> Any:
    """A live Keras model as its configuration."""
    from xconv.keras.keras2 import is_keras2_model
    from xconv.keras.live import is_keras_model

    return config.to_json() if is_keras_model(config) or is_keras2_model(config) else config
