"""A torch network as plain data: calls in order, each with its arguments and weights; JSON in, JSON out.

The writer makes a `Program` from a graph, `build` makes the module from a `Program` and the numbers. A saved file
holds the same record, so that loading is building again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from xconv.errors import Unreadable, Unsupported
from xconv.keras import json_text
from xconv.spec import Slot, TorchCall
from xconv.torch.record import MappedWeight, Place, Port, Record, Source
from xconv.weights import Weight

__all__ = ["Program", "Result", "Step", "decode", "decode_as", "encode"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a step or an input gives; `index` picks one of several tensors."""

    step: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One call on the results in `inputs`; `path` is the module path of what it owns."""

    name: str
    path: str
    call: TorchCall
    inputs: tuple[Result, ...] = ()
    trainable: bool = True


@dataclass(frozen=True, slots=True)
class Program:
    """A network: argument names, steps in order, and the structure of `Result`s that it returns."""

    name: str
    inputs: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: Any


T = TypeVar("T")

RECORDS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (MappedWeight, Place, Port, Program, Record, Result, Slot, Source, Step, TorchCall, Weight)
}
"""What a file may hold besides plain data."""


def encode(item: Any) -> Any:
    """Plain data for JSON; what JSON has no word for becomes a one-entry object with a `$` key.

    >>> encode((1, slice(None, 2), Slot(0)))
    {'$tuple': [1, {'$slice': [None, 2, None]}, {'$Slot': [0]}]}
    """
    if isinstance(item, (bool, int, str)) or item is None:
        return item
    if isinstance(item, list):
        return [encode(part) for part in item]
    if isinstance(item, Mapping) and all(isinstance(key, str) and not key.startswith("$") for key in item):
        return {key: encode(part) for key, part in item.items()}
    if isinstance(item, float) and item - item == 0:
        return item
    mark, value = _marked(item)
    return {f"${mark}": value}


def _marked(item: Any) -> tuple[str, Any]:
    """The key and content of the object that stands for what JSON has no word for."""
    if isinstance(item, tuple):
        return "tuple", [encode(part) for part in item]
    if isinstance(item, slice):
        return "slice", [encode(part) for part in (item.start, item.stop, item.step)]
    if isinstance(item, Mapping):
        return "dict", [[encode(key), encode(part)] for key, part in item.items()]
    if RECORDS.get(type(item).__name__) is type(item):
        return type(item).__name__, [encode(getattr(item, field)) for field in type(item).__slots__]
    if isinstance(item, (float, torch.dtype)):
        return ("float" if isinstance(item, float) else "dtype"), str(item).removeprefix("torch.")
    if item is Ellipsis:
        return "ellipsis", True
    raise Unsupported(f"a value of type {type(item).__name__} cannot be written to a file")


def decode(item: Any) -> Any:
    """What `encode` was given.

    Raises:
        Unreadable: not something that `encode` writes.
    """
    if isinstance(item, list):
        return [decode(part) for part in item]
    if not isinstance(item, dict):
        return item
    if len(item) == 1 and next(iter(item)).startswith("$"):
        ((kind, value),) = item.items()
        return _decode_marked(kind, value)
    return {key: decode(part) for key, part in item.items()}


def decode_as(cls: type[T], text: str, mark: str, key: str, place: str = "") -> T:
    """The record of class `cls` under `key` of a JSON object that holds format 1 under `mark`.

    Raises:
        Unreadable: not such an object, or a record of another class.
    """
    held = json_text.load(text, place)
    if held.get(mark) != 1:
        what = f"is not such a record: it has {mark}={held.get(mark)!r}, this version reads 1"
        raise Unreadable(what, place=place, remedy="update xconv")
    found = decode(held.get(key))
    if not isinstance(found, cls):
        raise Unreadable(f"holds a {type(found).__name__}, not a {cls.__name__}", place=place)
    return found


def _decode_marked(kind: str, value: Any) -> Any:
    """One object with a `$` key."""
    match kind, value:
        case "$tuple", list():
            return tuple(decode(part) for part in value)
        case "$slice", [start, stop, step]:
            return slice(decode(start), decode(stop), decode(step))
        case "$dict", list():
            return {decode(key): decode(part) for key, part in value}
        case "$float", "inf" | "-inf" | "nan":
            return float(value)
        case "$ellipsis", True:
            return Ellipsis
        case "$dtype", str() if isinstance(getattr(torch, value, None), torch.dtype):
            return getattr(torch, value)
        case str(), list() if kind[1:] in RECORDS and len(value) == len(RECORDS[kind[1:]].__slots__):
            return RECORDS[kind[1:]](*map(decode, value))
    raise Unreadable(f"the record of the module holds {kind!r}, which xconv does not write")
