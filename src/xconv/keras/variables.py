"""What a live Keras model holds, as arrays that are read when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LiveConstant", "LiveVariable"]


@dataclass(frozen=True, slots=True)
class LiveVariable:
    """A Keras variable as an `ArraySource`, read without a copy where the backend allows."""

    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The variable's shape."""
        return tuple(self.variable.shape)

    @property
    def dtype(self) -> str:
        """The variable's dtype."""
        return str(getattr(self.variable.dtype, "name", self.variable.dtype))

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The whole array as one block."""
        value = self.variable.value
        if callable(value):
            value = value()
        if hasattr(value, "read_value"):
            value = value.read_value()
        yield 0, _read(value, self.dtype)


@dataclass(frozen=True, slots=True)
class LiveConstant:
    """A tensor of the backend that a traced call computed of constants, as an `ArraySource`."""

    tensor: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> str:
        """The tensor's dtype."""
        return str(getattr(self.tensor.dtype, "name", self.tensor.dtype)).removeprefix("torch.")

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The whole array as one block."""
        yield 0, _read(self.tensor, self.dtype)


def _read(value: Any, dtype: str) -> np.ndarray[Any, Any]:
    """The numbers of a backend's tensor, without a copy where that is possible."""
    import numpy as np

    if type(value).__name__ == "EagerTensor" and dtype not in ("bfloat16", "bool"):
        return np.asarray(memoryview(value))
    found: np.ndarray[Any, Any] = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    return found
