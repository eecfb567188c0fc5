"""Values in a Keras config as Python values: slices, arrays, tuples, dtype names. Nothing is imported or executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from xconv.errors import Unreadable
from xconv.spec import Shape

__all__ = ["decode", "decode_config", "fields", "read_shape", "special", "walk"]

_ELEMENTS = 2**40
_INERT = ("initializer", "regularizer", "constraint")
_SPECIAL = frozenset(
    {"__slice__", "__ellipsis__", "__numpy__", "__tensor__", "__tuple__", "__bytes__", "__keras_tensor__"}
)


def special(value: Any) -> str:
    """The class name of a serialized object such as a slice or an array; '' for anything else."""
    if isinstance(value, dict):
        name = value.get("class_name")
        if isinstance(name, str) and name in _SPECIAL:
            return name
        if value.get("type") == "ndarray" and "value" in value:
            return "__numpy__"
    return ""


def fields(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `config` of a serialized object, which must be an object itself."""
    config = value.get("config", {})
    if not isinstance(config, Mapping):
        raise Unreadable(f"the config of {value.get('class_name')!r} is not an object", remedy="save the model again")
    return config


def decode(value: Any) -> Any:
    """A value with every serialized slice, ellipsis, array, tuple and bytes in it made real.

    Raises:
        Unreadable: an array whose values and dtype disagree.
    """
    name = special(value)
    if name:
        return _DECODERS[name](value)
    if isinstance(value, Mapping):
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, tuple):
        return tuple(decode(item) for item in value)
    return value


def decode_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's config with its values made real; policies and functions become their names."""
    return {key: value if key.endswith(_INERT) else _plain(decode(value)) for key, value in config.items()}


def read_shape(value: Any) -> Shape:
    """A shape from a file: None or sizes from 0 on, at most 32 axes, of a bounded product.

    Raises:
        Unreadable: anything else.
    """
    value = decode(value)
    if not isinstance(value, (list, tuple)) or len(value) > 32:
        raise Unreadable(f"{value!r} is not a shape", remedy="save the model again")
    for size in value:
        if size is not None and (type(size) is not int or size < 0):
            raise Unreadable(f"{value!r} is not a shape: each size is null or a whole number", remedy="save it again")
    if prod(size or 1 for size in value) > _ELEMENTS:
        raise Unreadable(f"the shape {tuple(value)} has more elements than any machine holds")
    return tuple(value)


def walk(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object inside `value`, itself included."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from walk(item)


def _plain(value: Any) -> Any:
    """Zero-rank arrays as numbers; dtype policies and functions as their names."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    if not isinstance(value, Mapping):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind in ("DTypePolicy", "Policy") and isinstance(config, Mapping) and isinstance(config.get("name"), str):
        return config["name"]
    if kind == "function" and isinstance(config, str):
        return config
    return value


def _array(value: Mapping[str, Any]) -> Any:
    config = value if "class_name" not in value else fields(value)
    dtype = config.get("dtype")
    try:
        array = np.array(config.get("value"), dtype="float32" if dtype == "bfloat16" else dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unreadable(f"an inline array of dtype {dtype!r} cannot be read: {error}") from error
    if array.dtype.kind not in "biuf":
        raise Unreadable(f"an inline array holds {array.dtype}, not numbers", remedy="save the model again")
    return array


def _slice(value: Mapping[str, Any]) -> slice:
    config = fields(value)
    ends = [decode(config.get(key)) for key in ("start", "stop", "step")]
    if any(end is not None and type(end) is not int for end in ends):
        raise Unreadable(f"a slice has ends {ends!r}, not whole numbers")
    return slice(*ends)


def _tuple(value: Mapping[str, Any]) -> tuple[Any, ...]:
    items = value.get("items", fields(value).get("value", ()))
    return tuple(decode(item) for item in items)


def _bytes(value: Mapping[str, Any]) -> bytes:
    return str(fields(value).get("value", "")).encode()


def _tensor_out_of_place(_: Mapping[str, Any]) -> Any:
    raise Unreadable("a config holds a tensor, which only the arguments of a call may do")


_DECODERS = {
    "__slice__": _slice,
    "__ellipsis__": lambda _: Ellipsis,
    "__numpy__": _array,
    "__tensor__": _array,
    "__tuple__": _tuple,
    "__bytes__": _bytes,
    "__keras_tensor__": _tensor_out_of_place,
}
