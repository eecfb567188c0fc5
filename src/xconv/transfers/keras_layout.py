"""Where a Keras file keeps each array: the groups of a `.weights.h5` name layers by class, not by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xconv.errors import Unreadable
from xconv.keras.hdf5 import Tree
from xconv.keras.hdf5_text import text_of
from xconv.keras.stored_array import StoredArray
from xconv.weights import Arrays

__all__ = ["KerasLayout"]

_PLACE = re.compile(r"[^/\0]+(/[^/\0]+)*")
_DOTS = {".", ".."}


@dataclass(frozen=True, slots=True)
class KerasLayout:
    """The dataset of every array by its key `layer/index`, and the layers' names that stand beside them."""

    places: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """By the group of a layer's variables, `layers/conv2d_1/vars`, the layer's name; tf_keras leaves names out."""

    @classmethod
    def of(cls, tree: Tree, arrays: Arrays) -> KerasLayout:
        """The layout of a file that was read."""
        places = {key: array.name for key, array in arrays.items() if isinstance(array, StoredArray)}
        said = {group: tree.attributes.get(group, {}).get("name") for group in tree.groups if group.endswith("vars")}
        return cls(places, {group: "" if name is None else text_of(name) for group, name in said.items()})

    @classmethod
    def from_words(cls, said: Any) -> KerasLayout:
        """What a map file says about it.

        Raises:
            Unreadable: places that are none, or that are given twice.
        """
        if not isinstance(said, Mapping):
            raise Unreadable("is not an object")
        found = [said.get(name, {}) for name in ("places", "names")]
        if not all(isinstance(item, Mapping) and all(map(_is_text, item.values())) for item in found):
            raise Unreadable("names and places are not texts by name")
        places, names = found
        wrong = [place for place in (*places.values(), *names) if not _is_place(place)]
        if wrong:
            raise Unreadable(f"{wrong[0][:60]!r} is no place in an HDF5 file")
        every = set(places.values())
        if len(every) < len(places):
            raise Unreadable("two arrays have one place")
        inner = {place[:end] for place in every for end, letter in enumerate(place) if letter == "/"}
        if every & (inner | names.keys()):
            raise Unreadable(f"{min(every & (inner | names.keys()))!r} is an array and a group")
        return cls(dict(places), dict(names))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_place(place: str) -> bool:
    return len(place) < 1 << 12 and bool(_PLACE.fullmatch(place)) and not _DOTS & set(place.split("/"))
