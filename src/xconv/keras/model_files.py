"""What one file contributes to a model: a configuration, a tree of weights, or both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xconv.errors import Unreadable, Unsupported
from xconv.keras import json_text
from xconv.keras.file_kinds import HDF5, JSON, KERAS_DIRECTORY, ZIP, kind_of, refuse
from xconv.keras.hdf5 import Tree, read_tree
from xconv.keras.hdf5_text import Attributes, text_of
from xconv.keras.stored_array import Storage
from xconv.keras.zip_window import Archive, Limits

__all__ = ["Contents", "Opening"]

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_SKIPPED = "optimizer", "optimizer_weights", "metrics"
_MODERN = "layers", "_layer_checkpoint_dependencies", "vars"


@dataclass(slots=True)
class Contents:
    """What was found in a file; `base` is the group that lists the layers of a whole-model .h5, None in other files."""

    place: str
    config: Mapping[str, Any] | None = None
    tree: Tree | None = None
    base: str | None = None
    version: str = ""
    checks: list[Callable[[], None]] = field(default_factory=list)
    """What is still to be checked when the model has been read: a checksum that is being computed meanwhile."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How files are opened; `stack` closes them again."""

    stack: ExitStack
    limits: Limits
    verify_crc: bool

    def read(self, path: Path, with_weights: bool = True) -> Contents:
        """The contents of a .keras, .h5, .weights.h5 or .json file, or of an unzipped .keras directory.

        Raises:
            Unreadable: missing, damaged, unsafe, or of another format, whose loader is named.
        """
        kind, remedy = kind_of(path)
        readers = {ZIP: self._archive, KERAS_DIRECTORY: self._directory, HDF5: self._hdf5, JSON: self._json}
        if kind not in readers:
            raise refuse(path, kind, remedy)
        return readers[kind](path, with_weights)

    def _archive(self, path: Path, with_weights: bool) -> Contents:
        archive = self.stack.enter_context(Archive.opened(path, self.limits))
        found = Contents(str(path))
        found.config = json_text.load(archive.read(_CONFIG, self.limits.config_bytes), f"{path}/{_CONFIG}")
        if _METADATA in archive.members:
            metadata = json_text.load(archive.read(_METADATA, self.limits.config_bytes), f"{path}/{_METADATA}")
            found.version = str(metadata.get("keras_version", ""))
        if not with_weights:
            return found
        if "model.weights.npz" in archive.members and _WEIGHTS not in archive.members:
            raise Unsupported(
                "keeps its weights as pickled arrays (model.weights.npz), which are not safe to read",
                place=str(path),
                remedy="save it with weights in HDF5, which is what model.save does",
            )
        storage = self._member(archive, found)
        try:
            found.tree = self._tree(storage, f"{path}/{_WEIGHTS}")
        except Unreadable:
            for check in found.checks:
                check()
            raise
        return found

    def _member(self, archive: Archive, found: Contents) -> Storage:
        """Where the weights lie: in the file itself, or inflated in memory."""
        info, limits = archive.find(_WEIGHTS), self.limits
        status = os.fstat(archive.descriptor)
        stamp = status.st_size, status.st_mtime_ns
        if info.compress_type:
            limit = max(limits.free_bytes, limits.inflation * info.compress_size)
            content = archive.read(_WEIGHTS, limit)
            return Storage(archive.path, 0, len(content), stamp, content)
        if self.verify_crc:
            worker = self.stack.enter_context(ThreadPoolExecutor(1))
            crc = worker.submit(archive.stored_crc, info)
            found.checks.append(lambda: archive.check(info, crc.result()))
        return Storage(archive.path, archive.start(info), info.file_size, stamp)

    def _directory(self, path: Path, with_weights: bool) -> Contents:
        found = Contents(str(path), self._config(path / _CONFIG))
        if (path / _METADATA).is_file():
            found.version = str(self._config(path / _METADATA).get("keras_version", ""))
        if with_weights:
            weights = path / _WEIGHTS
            kind, remedy = kind_of(weights)
            if kind != HDF5:
                raise refuse(weights, kind, remedy, "a .weights.h5 file")
            found.tree = self._tree(Storage.of(weights), str(weights))
        return found

    def _config(self, path: Path) -> dict[str, Any]:
        size = path.stat().st_size
        if size > self.limits.config_bytes:
            raise Unreadable(f"is {size} bytes; at most {self.limits.config_bytes} are read", place=str(path))
        return json_text.load(path.read_bytes(), str(path))

    def _tree(self, storage: Storage, place: str) -> Tree:
        return read_tree(storage, self.limits, place, _SKIPPED)

    def _hdf5(self, path: Path, with_weights: bool) -> Contents:
        storage = Storage.of(path)
        tree = self._tree(storage, str(path))
        found = Contents(str(path), tree=tree)
        root = tree.attributes.get("", {})
        within = tree.attributes.get("model_weights", {})
        found.version = text_of(root.get("keras_version", within.get("keras_version", "")))
        if "model_config" in root:
            text = text_of(root["model_config"])
            if len(text) > self.limits.config_bytes:
                raise Unreadable(f"its configuration has {len(text)} characters", place=str(path))
            found.config = json_text.load(text, f"{path}/model_config")
        lists = [name for name in ("model_weights", "") if _lists_layers(tree.attributes.get(name, {}))]
        if lists:
            found.base = lists[0]
            _refuse_other_backend(tree.attributes[found.base], str(path))
        elif not any(name in tree.groups for name in _MODERN):
            held = ", ".join(sorted(tree.groups[""])[:8]) or "nothing"
            raise Unreadable(
                f"is an HDF5 file, but not of Keras: it holds {held}",
                place=str(path),
                remedy="give a file that Keras saved",
            )
        return found

    def _json(self, path: Path, with_weights: bool) -> Contents:
        value = self._config(path)
        if "weight_map" in value:
            return Contents(str(path), tree=self._shards(path, value["weight_map"]))
        return Contents(str(path), value)

    def _shards(self, path: Path, listed: Any) -> Tree:
        """The trees of all shards as one."""
        if not isinstance(listed, Mapping):
            raise Unreadable("its weight_map is not an object", place=str(path))
        values = [files if isinstance(files, list) else [files] for files in listed.values()]
        whole = Tree()
        for name in sorted({str(file) for files in values for file in files}):
            shard = path.parent / name
            if Path(name).name != name or "\\" in name or name in ("", ".", "..") or shard.is_symlink():
                raise Unreadable(f"lists the shard {name!r}, which is not a plain file name", place=str(path))
            kind, remedy = kind_of(shard)
            if kind != HDF5:
                raise refuse(shard, kind, remedy, "a .weights.h5 shard")
            tree = self._tree(Storage.of(shard), str(shard))
            twice = sorted(whole.datasets.keys() & tree.datasets.keys())
            if twice:
                raise Unreadable(f"{twice[0]} is in two shards", place=str(shard))
            whole.datasets.update(tree.datasets)
            whole.attributes.update(tree.attributes)
            for group, children in tree.groups.items():
                whole.groups[group] = sorted({*whole.groups.get(group, ()), *children})
        return whole


def _lists_layers(attributes: Attributes) -> bool:
    return "layer_names" in attributes or "layer_names0" in attributes


def _refuse_other_backend(attributes: Attributes, place: str) -> None:
    backend = text_of(attributes.get("backend", "tensorflow"))
    if backend not in ("tensorflow", "torch", "jax", "numpy", "openvino"):
        raise Unsupported(
            f"was saved with the backend {backend!r}, which keeps its kernels in another order",
            place=place,
            remedy="load it in Keras 2 with that backend, convert the kernels, and save it again",
        )
