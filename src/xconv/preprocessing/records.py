"""Descriptions as JSON has them: nothing but objects, lists, texts, numbers, and back without a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from xconv.errors import InvalidInput, Problem
from xconv.kernels import Kernel
from xconv.preprocessing.frames import Frame
from xconv.preprocessing.steps import Step

__all__ = ["from_record", "to_record"]

T = TypeVar("T")
TUPLES = ("size", "crop", "first", "colour", "numbers")


def to_record(description: Any) -> dict[str, Any]:
    """The description in the kinds that JSON knows."""
    return _plain(asdict(description))  # type: ignore[no-any-return]


def from_record(kind: type[T], record: Mapping[str, Any]) -> T:
    """The description that was written so.

    Raises:
        InvalidInput: an entry is unknown, or not what it should be.
    """
    given = _entries(kind, record, "preprocessing")
    if "frame" in given:
        given["frame"] = _made(Frame, given["frame"], "frame")
    if given.get("kernel") is not None:
        given["kernel"] = _made(Kernel, given["kernel"], "kernel")
    if "steps" in given:
        if not isinstance(given["steps"], (list, tuple)):
            raise InvalidInput(f"steps is {given['steps']!r}", remedy="give a list")
        given["steps"] = tuple(_made(Step, step, f"steps[{place}]") for place, step in enumerate(given["steps"]))
    return kind(**given)


def _made(kind: type[T], record: Any, place: str) -> T:
    given = _entries(kind, record, place)
    for name in TUPLES:
        if isinstance(given.get(name), list):
            given[name] = tuple(given[name])
    try:
        return kind(**given)
    except InvalidInput as error:
        raise error.at(place) from None
    except TypeError as error:
        raise InvalidInput(f"an entry is missing or of another kind: {error}", place=place) from error


def _entries(kind: type[Any], record: Any, place: str) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        raise InvalidInput(f"{record!r} is no object of JSON", place=place)
    known = [one.name for one in fields(kind)]
    unknown = [name for name in record if name not in known]
    if unknown:
        listed = f"it has {', '.join(known)}"
        raise InvalidInput(
            "unknown entries", problems=[Problem(place, f"{name!r} is unknown", listed) for name in unknown]
        )
    return dict(record)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
