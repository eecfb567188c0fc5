"""A walk through an untrusted HDF5 file: hard links only, plain numbers only, nothing outside the file, bounded sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import h5py
import numpy as np

from xconv.errors import Problem, Unreadable
from xconv.keras.stored_array import Storage, StoredArray
from xconv.keras.zip_window import Limits

__all__ = ["Tree", "read_tree", "strings", "text_of"]

_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
_LINKS = {h5py.h5l.TYPE_SOFT: "soft link", h5py.h5l.TYPE_EXTERNAL: "link to another file"}
_NUMBERS = {
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64", "bool"),
}
_DEPTH = 64
_OBJECTS = 500_000
_DISTRUST = "do not trust this file; save the model again with Keras"


@dataclass(slots=True)
class Tree:
    """The groups and datasets of a file by their paths; `attributes` holds those of each group that were asked for."""

    datasets: dict[str, StoredArray] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    attributes: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def read_tree(
    storage: Storage, limits: Limits, place: str, skip: Sequence[str] = (), only: Callable[[str], bool] | None = None
) -> Tree:
    """Everything that the file holds, checked, no numbers read. Top-level groups named in `skip` are left out.

    `only` tells for a path whether the group's attributes are wanted; by default all are.

    Raises:
        Unreadable: truncated or damaged, links, foreign storage, unknown filters, sizes that cannot be true.
    """
    with storage.hdf5() as file:
        walk = _Walk(storage, place, set(skip), only or (lambda path: True))
        walk.group(file.id, "", 0)
    walk.check_total(limits)
    if walk.problems:
        raise Unreadable("the file holds what no Keras file needs", problems=walk.problems[:20])
    return walk.tree


def strings(attributes: Mapping[str, Any], name: str) -> list[str]:
    """A list of names kept as an attribute; long lists lie in `name0`, `name1`, ..."""
    if name in attributes:
        parts = [attributes[name]]
    else:
        parts, count = [], 0
        while f"{name}{count}" in attributes:
            parts.append(attributes[f"{name}{count}"])
            count += 1
    return [text_of(item) for part in parts for item in np.atleast_1d(np.asarray(part)).tolist()]


def text_of(value: Any) -> str:
    """An attribute as text."""
    return value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)


@dataclass(slots=True)
class _Walk:
    storage: Storage
    place: str
    skip: set[str]
    wanted: Callable[[str], bool]
    tree: Tree = field(default_factory=Tree)
    problems: list[Problem] = field(default_factory=list)
    objects: int = 0
    native: dict[str, Any] = field(default_factory=dict)

    def refuse(self, path: str, what: str) -> None:
        self.problems.append(Problem(f"{self.place}/{path}", what, _DISTRUST))

    def group(self, group: Any, path: str, depth: int) -> None:
        names = [name.decode("utf8", "surrogateescape") for name in group]
        self.objects += len(names)
        if depth > _DEPTH or self.objects > _OBJECTS:
            raise Unreadable("holds too many or too deep groups, perhaps a cycle", place=f"{self.place}/{path}")
        self.tree.groups[path] = names
        if self.wanted(path) and h5py.h5a.get_num_attrs(group):
            self.tree.attributes[path] = dict(h5py.Group(group).attrs)
        for name in names:
            if depth or name not in self.skip:
                self.child(group, name, f"{path}/{name}" if path else name, depth)

    def child(self, group: Any, name: str, path: str, depth: int) -> None:
        key = name.encode("utf8", "surrogateescape")
        kind = group.links.get_info(key).type
        if kind != h5py.h5l.TYPE_HARD:
            self.refuse(path, f"is a {_LINKS.get(kind, 'user-defined link')}; only what lies in the file is read")
            return
        item = h5py.h5o.open(group, key)
        if isinstance(item, h5py.h5g.GroupID):
            self.group(item, path, depth + 1)
        elif isinstance(item, h5py.h5d.DatasetID):
            self.dataset(item, path)
        else:
            self.refuse(path, "is a committed type, which no Keras file holds")

    def dataset(self, dataset: Any, path: str) -> None:
        plan = dataset.get_create_plist()
        kind = dataset.get_type()
        what = _storage_problem(plan) or _type_problem(kind)
        if what:
            self.refuse(path, what)
            return
        shape, stored = tuple(dataset.shape), dataset.dtype
        label = stored.name
        if stored.kind == "V":
            label = "bfloat16" if stored.itemsize == 2 and _says_bfloat16(dataset) else ""
        if label != "bfloat16" and label not in _NUMBERS:
            self.refuse(path, f"holds elements of type {stored}, not numbers")
            return
        size, held = prod(shape) * stored.itemsize, dataset.get_storage_size()
        chunked = plan.get_layout() == h5py.h5d.CHUNKED
        if held == 0 < size or (not chunked and held != prod(shape) * kind.get_size()):
            self.refuse(path, f"declares shape {shape}, which is {size} bytes, but stores {held}")
            return
        offset = dataset.get_offset() if plan.get_layout() == h5py.h5d.CONTIGUOUS and self.plain(kind, stored) else None
        self.tree.datasets[path] = StoredArray(self.storage, path, shape, label, stored, offset)

    def plain(self, kind: Any, stored: np.dtype[Any]) -> bool:
        """Whether the bytes in the file are the elements as NumPy has them."""
        if stored.str not in self.native:
            self.native[stored.str] = h5py.h5t.py_create(stored)
        return bool(kind.equal(self.native[stored.str]))

    def check_total(self, limits: Limits) -> None:
        total = sum(prod(array.shape) * array.stored.itemsize for array in self.tree.datasets.values())
        if total > limits.free_bytes and total > self.storage.size * limits.inflation:
            self.refuse("", f"declares {total} bytes of weights in a file of {self.storage.size}")


def _storage_problem(plan: Any) -> str:
    if plan.get_layout() == h5py.h5d.VIRTUAL:
        return "is a virtual dataset, whose numbers lie elsewhere"
    if plan.get_external_count():
        return f"has external storage in {plan.get_external(0)[0]!r}; only what lies in the file is read"
    for index in range(plan.get_nfilters()):
        code, _, _, name = plan.get_filter(index)
        if code not in _FILTERS:
            return f"is packed with filter {code} {name!r}; only gzip, shuffle and fletcher32 are read"
    return ""


def _type_problem(kind: Any) -> str:
    if kind.committed():
        return "has a committed type, which no Keras file holds"
    if kind.get_class() not in (h5py.h5t.FLOAT, h5py.h5t.INTEGER, h5py.h5t.ENUM, h5py.h5t.OPAQUE):
        return "holds strings, references or records, not numbers"
    return ""


def _says_bfloat16(dataset: Any) -> bool:
    attributes = h5py.Dataset(dataset).attrs
    return "dtype" in attributes and text_of(attributes["dtype"]) == "bfloat16"
