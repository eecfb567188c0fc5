"""Weights of one model into another existing model: a plan found by alignment, carried out whole or not at all."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Package(ModuleType):
    """A package that can be called as the function of its name: loading a package puts it in that function's place."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`xconv.transfer(source, target, ...)`."""
        from xconv.api import transfer

        return transfer(*args, **kwargs)


sys.modules[__name__].__class__ = _Package
