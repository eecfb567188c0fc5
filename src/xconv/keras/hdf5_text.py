"""Text kept as attributes of HDF5 groups: names of layers and weights, versions, configurations.

libhdf5 follows a damaged attribute to a killed process, so type and size are checked before anything is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, TypeAlias

import h5py
import numpy as np

from xconv.errors import Unreadable

__all__ = ["Attributes", "read_attributes", "strings", "text_of"]

Attributes: TypeAlias = Mapping[str, "str | list[str]"]

_LISTS = "layer_names", "weight_names"
_TEXTS = {"name", "dtype", "keras_version", "backend", "model_config"}
_IN_HEAP = 16
"""Bytes that a text of free length takes in the attribute itself: a length and a place in the file's heap."""


def read_attributes(holder: Any, place: str) -> dict[str, str | list[str]]:
    """The attributes of a group or dataset that Keras gives a meaning; others are not read.

    Raises:
        Unreadable: one of them is not text, or its size contradicts its shape.
    """
    found: dict[str, str | list[str]] = {}
    for index in range(h5py.h5a.get_num_attrs(holder)):
        attribute = h5py.h5a.open(holder, index=index)
        name = attribute.name.decode("utf8", "replace")
        if name in _TEXTS or name.rstrip("0123456789") in _LISTS:
            found[name] = _read(attribute, name, place)
    return found


def strings(attributes: Attributes, name: str) -> list[str]:
    """A list of names kept as an attribute; long lists lie in `name0`, `name1`, ..."""
    if name in attributes:
        return _as_list(attributes[name])
    found, count = [], 0
    while f"{name}{count}" in attributes:
        found += _as_list(attributes[f"{name}{count}"])
        count += 1
    return found


def text_of(value: str | list[str]) -> str:
    """An attribute of one text."""
    return value if isinstance(value, str) else "".join(value[:1])


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _read(attribute: Any, name: str, place: str) -> str | list[str]:
    kind, shape = attribute.get_type(), tuple(attribute.shape)
    count = prod(shape)
    if count == 0:
        return []
    is_text = kind.get_class() == h5py.h5t.STRING
    size = (_IN_HEAP if kind.is_variable_str() else kind.get_size()) if is_text else 0
    if not is_text or len(shape) > 1 or attribute.get_storage_size() != count * size:
        raise Unreadable(
            f"the attribute {name!r} is not text of shape {shape}",
            place=place,
            remedy="the file is damaged; save or download it again",
        )
    values = np.empty(shape, attribute.dtype)
    attribute.read(values)
    texts = [item.decode("utf8", "replace") if isinstance(item, bytes) else str(item) for item in values.ravel()]
    return texts if shape else texts[0]
