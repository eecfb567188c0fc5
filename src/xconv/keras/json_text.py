"""JSON from an untrusted file: plain data, or an error that names the place.

Python's own parser keeps the last of two equal keys, takes integers of any size, and dies of deep nesting with a
RecursionError; all three are refused here. `NaN` and `Infinity`, which Keras writes, are accepted.
"""

from __future__ import annotations

import json
from typing import Any

from xconv.errors import Unreadable

__all__ = ["load"]

_DEPTH = 200
_INT64 = 2**63


def load(text: bytes | bytearray | str, place: str) -> dict[str, Any]:
    """The JSON object that `text` holds; `place` says in messages where it comes from.

    Raises:
        Unreadable: not JSON, not an object, a repeated key, an integer beyond 64 bits, nested too deeply.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_int=_bounded)
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 text ({error.reason} at byte {error.start})", place=place) from error
    except json.JSONDecodeError as error:
        raise Unreadable(
            f"is not complete JSON: {error.msg} at character {error.pos} of {len(text)}",
            place=place,
            remedy="the file is truncated or damaged; save or download it again",
        ) from error
    except RecursionError as error:
        raise _too_deep(place) from error
    except _Refused as error:
        raise Unreadable(str(error), place=place, remedy="save the model again with Keras") from error
    if not isinstance(value, dict):
        raise Unreadable(f"holds a JSON {type(value).__name__}, not an object", place=place)
    _check_depth(value, place)
    return value


class _Refused(Exception):
    """What a hook of the parser found wrong."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key {repeated!r} stands twice in one JSON object")
    return found


def _bounded(digits: str) -> int:
    if len(digits) > 20 or not -_INT64 <= int(digits) < _INT64:
        raise _Refused(f"the integer {digits[:24]}... does not fit in 64 bits")
    return int(digits)


def _check_depth(value: Any, place: str) -> None:
    level = [value]
    for _ in range(_DEPTH):
        level = [
            item
            for parent in level
            for item in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return
    raise _too_deep(place)


def _too_deep(place: str) -> Unreadable:
    return Unreadable(f"is nested more than {_DEPTH} levels deep", place=place, remedy="no Keras model needs that")
