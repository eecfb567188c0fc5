"""The Keras side: read live models and files, write models and files.

>>> import xconv.keras
>>> "write_file" in dir(xconv.keras)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xconv.keras.saved import write_file

__all__ = ["write_file"]

# Hidden from type checkers, which would otherwise take any misspelt name for an object.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Loads a public name on first use (PEP 562) and keeps it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from xconv.keras.saved import write_file

        globals()[name] = write_file
        return write_file


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
