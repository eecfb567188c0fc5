"""A torch network as plain data: calls in order, each with its arguments and weights; JSON in, JSON out.

The writer makes a `Program` from a graph, `build` makes the module from a `Program` and the numbers. A saved file
holds the same record, so that loading is building again.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from xconv.errors import Mismatch, Unreadable, Unsupported
from xconv.spec import Slot, TorchCall
from xconv.weights import Weight

__all__ = ["Program", "Result", "Step", "decode", "encode", "resolve_target"]

ROOTS = ("torch.", "xconv.torch.modules.", "operator.")
"""Where targets may live: a saved file can name nothing else."""


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


def resolve_target(target: str) -> Any:
    """The function or class that a target names.

    Raises:
        Unsupported: a name outside torch and xconv's own modules; nothing else is ever imported.
        Mismatch: this version of torch has no such name.
    """
    if not target.startswith(ROOTS):
        return _registered_class(target)
    module_name, _, name = target.rpartition(".")
    module = importlib.import_module(module_name)
    if not hasattr(module, name) or name.startswith("_"):
        raise Mismatch(f"torch {torch.__version__} has no {target}", remedy="update torch or xconv")
    return getattr(module, name)


def _registered_class(target: str) -> Any:
    """A user's own module class, if it was registered in this process."""
    from xconv.registry import module_class

    found = module_class(target)
    if found is None:
        raise Unsupported(
            f"{target} is neither torch's, nor xconv's, nor registered",
            remedy="call xconv.register_module on the class before loading",
        )
    return found


def encode(item: Any) -> Any:
    """Plain data for JSON; what JSON has no word for becomes a one-entry object with a `$` key.

    >>> encode((1, slice(None, 2), Slot(0)))
    {'$tuple': [1, {'$slice': [None, 2, None]}, {'$slot': 0}]}
    """
    match item:
        case bool() | int() | str() | None:
            return item
        case float():
            return item if item - item == 0 else {"$float": str(item)}
        case tuple():
            return {"$tuple": [encode(part) for part in item]}
        case list():
            return [encode(part) for part in item]
        case slice():
            return {"$slice": [encode(part) for part in (item.start, item.stop, item.step)]}
        case Slot():
            return {"$slot": item.index}
        case Result():
            return {"$result": [item.step, item.index]}
        case Weight():
            return {"$weight": encode(asdict(item))}
        case TorchCall() | Step() | Program():
            fields = {key: getattr(item, key) for key in type(item).__slots__}
            return {f"${type(item).__name__}": encode(fields)}
        case Mapping():
            return {str(key): encode(part) for key, part in item.items()}
    if item is Ellipsis:
        return {"$ellipsis": True}
    if isinstance(item, torch.dtype):
        return {"$dtype": str(item).removeprefix("torch.")}
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


def _decode_marked(kind: str, value: Any) -> Any:
    """One object with a `$` key."""
    match kind:
        case "$tuple":
            return tuple(decode(part) for part in value)
        case "$slice":
            return slice(*map(decode, value))
        case "$slot":
            return Slot(int(value))
        case "$result":
            return Result(*value)
        case "$float":
            return float(value)
        case "$ellipsis":
            return Ellipsis
        case "$dtype" if isinstance(getattr(torch, str(value), None), torch.dtype):
            return getattr(torch, value)
        case "$weight" | "$TorchCall" | "$Step" | "$Program":
            classes = {"$weight": Weight, "$TorchCall": TorchCall, "$Step": Step, "$Program": Program}
            fields = decode(value)
            if isinstance(fields, dict) and set(fields) <= set(classes[kind].__slots__):
                return classes[kind](**fields)
    raise Unreadable(f"the record of the module holds {kind!r}, which xconv does not write")
