"""The reference's tensors, computed only as far as they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from xconv.keras.walk import Key
from xconv.statistics import Array

__all__ = ["References"]


class References:
    """The tensors of the reference by key, held while they are still wanted."""

    def __init__(self, stream: Iterator[tuple[Key, Array]], wanted: Mapping[Key, int]) -> None:
        self._stream = stream
        self._wanted = Counter(wanted)
        self._held: dict[Key, Array] = {}

    def take(self, key: Key) -> Array | None:
        """The tensor, or None where the reference computes none of that name."""
        while key not in self._held:
            found = next(self._stream, None)
            if found is None:
                return None
            if self._wanted[found[0]] > 0:
                self._held[found[0]] = found[1]
        self._wanted[key] -= 1
        return self._held[key] if self._wanted[key] > 0 else self._held.pop(key)
