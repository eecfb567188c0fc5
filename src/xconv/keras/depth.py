"""Room for Keras, which walks a graph by recursion: a network of a thousand layers is deeper than Python's limit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["room_for"]


@contextmanager
def room_for(steps: int) -> Iterator[None]:
    """A recursion limit for a graph of so many steps; the old one afterwards."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 1000 + 3 * steps))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
