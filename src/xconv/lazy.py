"""Names of a package that are loaded on first use (PEP 562), so that importing the package imports nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["loader"]


def loader(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package; `homes` says in which module each name lives.

    A name is kept once it is loaded. The home of a submodule is the submodule itself.

    >>> load = loader("xconv", {"find": "xconv.zoo.catalogue", "zoo": "xconv.zoo"})
    >>> load("zoo").__name__, load("find").__module__
    ('xconv.zoo', 'xconv.zoo.catalogue')
    >>> load("fnid")
    Traceback (most recent call last):
    AttributeError: module 'xconv' has no attribute 'fnid'
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name])
        value = module if homes[name] == f"{package}.{name}" else getattr(module, name)
        vars(sys.modules[package])[name] = value
        return value

    return load
