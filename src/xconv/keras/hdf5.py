"""A walk through an untrusted HDF5 file: hard links and plain numbers only, nothing outside it, bounded sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import h5py
import numpy as np

from xconv.errors import Problem, Unreadable
from xconv.keras.hdf5_text import Attributes, read_attributes, strings, text_of
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
    attributes: dict[str, Attributes] = field(default_factory=dict)


def read_tree(storage: Storage, limits: Limits, place: str, skip: Sequence[str] = ()) -> Tree:
    """Everything that the file holds, checked, no numbers read. Top-level groups named in `skip` are left out.

    Raises:
        Unreadable: truncated or damaged, links, foreign storage, unknown filters, sizes that cannot be true.
    """
    walk = _Walk(storage, place)
    with storage.hdf5() as file:
        walk.links(file.id, {*skip})
        walk.open(file.id)
    walk.check_total(limits)
    if walk.problems:
        raise Unreadable("the file holds what no Keras file needs", problems=walk.problems[:20])
    return walk.tree


@dataclass(slots=True)
class _Walk:
    storage: Storage
    place: str
    tree: Tree = field(default_factory=lambda: Tree(groups={"": []}))
    problems: list[Problem] = field(default_factory=list)
    types: list[tuple[Any, np.dtype[Any], bool]] = field(default_factory=list)
    """The element types met so far, what they are in NumPy, and whether the file's bytes are NumPy's."""

    def refuse(self, path: str, what: str) -> None:
        self.problems.append(Problem(f"{self.place}/{path}", what, _DISTRUST))

    def links(self, root: Any, skip: set[str]) -> None:
        """Note every name in the file under its group; one call of HDF5, which meets no group twice."""
        groups, found = self.tree.groups, 0

        def note(name: bytes, info: Any) -> bool | None:
            nonlocal found
            found += 1
            path = name.decode("utf8", "surrogateescape")
            group, _, last = path.rpartition("/")
            if (path if not group else path.partition("/")[0]) in skip:
                return None
            groups.setdefault(group, []).append(last)
            if info.type != h5py.h5l.TYPE_HARD:
                what = _LINKS.get(info.type, "user-defined link")
                self.refuse(path, f"is a {what}; only what lies in the file is read")
            return True if found > _OBJECTS or path.count("/") > _DEPTH else None

        if root.links.visit(note, info=True):
            raise Unreadable("holds too many or too deep groups", place=self.place, remedy=_DISTRUST)

    def open(self, root: Any) -> None:
        """Open every object that was noted, through its group."""
        refused = {problem.place for problem in self.problems}
        for group, names in list(self.tree.groups.items()):
            opened = root if not group else h5py.h5g.open(root, group.encode("utf8", "surrogateescape"))
            if _tells(group):
                self.note_attributes(opened, group)
            for name in names:
                path = f"{group}/{name}" if group else name
                if path not in self.tree.groups and f"{self.place}/{path}" not in refused:
                    self.leaf(h5py.h5o.open(opened, name.encode("utf8", "surrogateescape")), path)

    def leaf(self, item: Any, path: str) -> None:
        if isinstance(item, h5py.h5d.DatasetID):
            self.dataset(item, path)
        elif isinstance(item, h5py.h5g.GroupID):
            self.tree.groups[path] = []
            if not path.endswith("/vars"):
                self.note_attributes(item, path)
        else:
            self.refuse(path, "is a committed type, which no Keras file holds")

    def note_attributes(self, group: Any, path: str) -> None:
        found = read_attributes(group, f"{self.place}/{path}")
        if found:
            self.tree.attributes[path] = found

    def dataset(self, dataset: Any, path: str) -> None:
        plan = dataset.get_create_plist()
        kind = dataset.get_type()
        what = _storage_problem(plan) or _type_problem(kind)
        if what:
            self.refuse(path, what)
            return
        shape, (stored, plain) = tuple(dataset.shape), self.element(dataset, kind)
        label = stored.name
        if stored.kind == "V":
            label = "bfloat16" if stored.itemsize == 2 and _says_bfloat16(dataset, self.place) else ""
        if label != "bfloat16" and label not in _NUMBERS:
            legacy = " (bfloat16 in a .h5, which Keras cannot read: save a .keras)" if stored.str == "|V2" else ""
            self.refuse(path, f"holds elements of type {stored}, not numbers{legacy}")
            return
        size, held = prod(shape) * stored.itemsize, dataset.get_storage_size()
        layout = plan.get_layout()
        if held == 0 < size or (layout != h5py.h5d.CHUNKED and held != prod(shape) * kind.get_size()):
            self.refuse(path, f"declares shape {shape}, which is {size} bytes, but stores {held}")
            return
        offset = dataset.get_offset() if layout == h5py.h5d.CONTIGUOUS and plain else None
        self.tree.datasets[path] = StoredArray(self.storage, path, shape, label, stored, offset)

    def element(self, dataset: Any, kind: Any) -> tuple[np.dtype[Any], bool]:
        """The NumPy type of the elements, and whether the bytes in the file are the elements as NumPy has them."""
        for known, stored, plain in self.types:
            if kind.equal(known):
                return stored, plain
        stored = dataset.dtype
        plain = bool(kind.equal(h5py.h5t.py_create(stored)))
        self.types.append((kind, stored, plain))
        return stored, plain

    def check_total(self, limits: Limits) -> None:
        total = sum(prod(array.shape) * array.stored.itemsize for array in self.tree.datasets.values())
        if total > limits.free_bytes and total > self.storage.size * limits.inflation:
            self.refuse("", f"declares {total} bytes of weights in a file of {self.storage.size}")


def _tells(group: str) -> bool:
    """Whether the group's attributes are of use; in a `.weights.h5` they are the names beside the variables."""
    return group.endswith("/vars") or group.partition("/")[0] not in ("layers", "_layer_checkpoint_dependencies")


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


def _says_bfloat16(dataset: Any, place: str) -> bool:
    return read_attributes(dataset, place).get("dtype") == "bfloat16"
