"""Room for Keras, which walks a graph by recursion: a network of a thousand layers is deeper than Python's limit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["advice", "loaded", "room_for"]

DEEPEST = 100_000
"""More than any network has; only a limit."""

ALLOWED = 900
"""How deep Keras can walk in a Python that allows 1000 calls, of which some are under way."""


def advice(steps: int) -> str:
    """What to do before Keras loads a graph that is so many steps deep; nothing where it is shallow.

    >>> advice(100)
    ''
    >>> advice(1200)
    'Keras walks it 1200 calls deep: call sys.setrecursionlimit(4600) before keras.models.load_model'
    """
    if steps <= ALLOWED:
        return ""
    limit = _limit(steps)
    return f"Keras walks it {steps} calls deep: call sys.setrecursionlimit({limit}) before keras.models.load_model"


def loaded(path: Path) -> Any:
    """A file as Keras loads it in safe mode, however deep it is."""
    import keras

    with room_for(DEEPEST):
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def _limit(steps: int) -> int:
    return 1000 + 3 * steps


@contextmanager
def room_for(steps: int) -> Iterator[None]:
    """A recursion limit for a graph of so many steps; the old one afterwards."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _limit(steps)))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
