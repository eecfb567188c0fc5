"""Python's collector of unreachable cycles, held back for a while."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["paused"]


@contextmanager
def paused() -> Iterator[None]:
    """No collections inside, where they were on; also a decorator.

    A conversion makes many objects that stay, which sets off full collections, and each walks over all that the
    frameworks hold: with TensorFlow loaded a tenth to a half of a second, for a conversion that takes as long.

    >>> with paused():
    ...     gc.isenabled()
    False
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
