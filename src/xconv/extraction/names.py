"""How a layer of a model is named: `conv1`, `outer/inner` in nested models, `relu:2` for the third call of a layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal, TypeAlias, get_args

from xconv.errors import InvalidInput, Problem

__all__ = ["DataFormat", "Pooling", "checked", "listed", "split_call", "unknown"]

Pooling: TypeAlias = Literal["avg", "max"]
DataFormat: TypeAlias = Literal["channels_first", "channels_last"]


def split_call(name: str) -> tuple[str, int | None]:
    """A name and the call that it asks for; None where it asks for none.

    >>> split_call("layer1.0.relu:2"), split_call("conv1")
    (('layer1.0.relu', 2), ('conv1', None))
    """
    layer, colon, call = name.rpartition(":")
    return (layer, int(call)) if colon and call.isdigit() else (name, None)


def unknown(name: str, known: Iterable[str], model: str) -> Problem:
    """What is wrong with a name that is none, and which names are like it."""
    near = get_close_matches(name, list(dict.fromkeys(known)), 3, 0.5)
    return Problem(name, f"{model} has no layer of this name", f"did you mean {', '.join(near)}?" if near else "")


def listed(layers: str | Sequence[str]) -> tuple[str, ...]:
    """The names that are asked for, one or several.

    Raises:
        InvalidInput: something else, or none.
    """
    names = (layers,) if isinstance(layers, str) or not isinstance(layers, Iterable) else tuple(layers)
    if not names or not all(map(_is_name, names)):
        raise InvalidInput(f"layers={layers!r}", remedy="give the name of a layer, or a list of names")
    return names


def _is_name(item: object) -> bool:
    return isinstance(item, str) and bool(item)


def checked(pooling: str | None, data_format: str | None) -> None:
    """Refuses what is no way of pooling and no order of axes.

    Raises:
        InvalidInput: all that is wrong.
    """
    problems = [
        Problem("", f"{name}={value!r}", f"give {', '.join(map(repr, get_args(known)))} or None")
        for name, value, known in (("pooling", pooling, Pooling), ("data_format", data_format, DataFormat))
        if value is not None and value not in get_args(known)
    ]
    if problems:
        raise InvalidInput("arguments that cannot be used", problems=problems)
