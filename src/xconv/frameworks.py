"""Loads a framework when it is needed, or says which `pip install` line mends its absence."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from xconv.errors import MissingFramework

__all__ = ["before_tensorflow", "require"]

BRING_TENSORFLOW = frozenset({"keras", "tensorflow", "tf2onnx", "tf_keras"})
"""Packages whose import loads TensorFlow (Keras: with its default backend)."""


def require(package: str, extra: str, why: str) -> ModuleType:
    """The imported package.

    Args:
        package: What to import, dots allowed.
        extra: The extra of xconv that installs it; empty where it is a dependency of its own name.
        why: What needs it; the message begins with it.

    Raises:
        MissingFramework: it is not installed. An installed package that fails to import raises its own error.

    >>> require("json", "", "reading a config").__name__
    'json'
    >>> require("no_such_package", "zoo", "a list")
    Traceback (most recent call last):
    xconv.errors.MissingFramework: a list needs no_such_package, which is not installed; pip install "xconv[zoo]"
    """
    top = package.partition(".")[0]
    if top in BRING_TENSORFLOW:
        before_tensorflow()
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != top:
            raise
        line = f'pip install "xconv[{extra}]"' if extra else f"pip install {top}"
        raise MissingFramework(f"{why} needs {top}, which is not installed", remedy=line) from error


def before_tensorflow() -> None:
    """Imports torch, where it is installed and TensorFlow is not loaded yet.

    Where both load in one process torch must come first: the other order can crash the process. Call this before any
    import that may load TensorFlow in a process that will use torch; `require` does.
    """
    if {"tensorflow", "torch"} & sys.modules.keys():
        return
    try:
        import_module("torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
