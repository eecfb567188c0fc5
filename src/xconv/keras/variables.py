"""A live Keras variable as an array that is read when it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LiveVariable"]


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
        import numpy as np

        value = self.variable.value
        if callable(value):
            value = value()
        if hasattr(value, "read_value"):
            value = value.read_value()
        if type(value).__name__ == "EagerTensor" and self.dtype != "bfloat16":
            yield 0, np.asarray(memoryview(value))
        elif hasattr(value, "detach"):
            yield 0, value.detach().cpu().numpy()
        else:
            yield 0, np.asarray(value)
