"""ONNX: export of both frameworks, conversions through it, and onnxruntime as a witness; all loaded on first use.

>>> sorted(__all__)[:3]
['Losses', 'keras_to_onnx', 'losses']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xconv.onnx.from_keras import keras_to_onnx
    from xconv.onnx.from_torch import torch_to_onnx
    from xconv.onnx.lost import Losses, losses
    from xconv.onnx.routes import onnx_to_keras
    from xconv.onnx.to_torch import onnx_to_torch

__all__ = ["Losses", "keras_to_onnx", "losses", "onnx_to_keras", "onnx_to_torch", "torch_to_onnx"]

_HOMES = {
    "Losses": "lost",
    "keras_to_onnx": "from_keras",
    "losses": "lost",
    "onnx_to_keras": "routes",
    "onnx_to_torch": "to_torch",
    "torch_to_onnx": "from_torch",
}

# Hidden from type checkers, which would otherwise take any misspelt name for an object.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Loads a public name on first use (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"xconv.onnx.{_HOMES[name]}"), name)
