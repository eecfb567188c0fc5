"""Working memory that is used again and again while a model is read, and given back after it.

Fresh memory costs more than the copy into it, because every page is cleared first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BLOCK", "scratch", "working_memory"]

BLOCK = 4 << 20
"""How many bytes of an array are read at a time."""


class _Pool(threading.local):
    """The memory of one thread."""

    def __init__(self) -> None:
        self.depth = 0
        self.memory: np.ndarray[Any, Any] | None = None


_pool = _Pool()


@contextmanager
def working_memory() -> Iterator[None]:
    """Inside, `scratch` gives the same memory again; it is freed at the end of the outermost."""
    _pool.depth += 1
    try:
        yield
    finally:
        _pool.depth -= 1
        if not _pool.depth:
            _pool.memory = None


def scratch(count: int) -> np.ndarray[Any, Any]:
    """`count` bytes; inside `working_memory` the next call gives the same memory."""
    import numpy as np

    memory = _pool.memory
    if memory is None or len(memory) < count:
        memory = np.empty(max(count, BLOCK), np.uint8)
        if _pool.depth:
            _pool.memory = memory
    return memory[:count]
