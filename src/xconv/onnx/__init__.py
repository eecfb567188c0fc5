"""ONNX: export of both frameworks, conversions through it, and onnxruntime as a witness; all loaded on first use.

>>> sorted(__all__)[:3]
['Losses', 'keras_to_onnx', 'losses']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconv.lazy import loader

if TYPE_CHECKING:
    from xconv.onnx.from_keras import keras_to_onnx
    from xconv.onnx.from_torch import torch_to_onnx
    from xconv.onnx.lost import Losses, losses
    from xconv.onnx.routes import onnx_to_keras
    from xconv.onnx.to_torch import onnx_to_torch

__all__ = ["Losses", "keras_to_onnx", "losses", "onnx_to_keras", "onnx_to_torch", "torch_to_onnx"]

_HOMES = {
    "Losses": "xconv.onnx.lost",
    "keras_to_onnx": "xconv.onnx.from_keras",
    "losses": "xconv.onnx.lost",
    "onnx_to_keras": "xconv.onnx.routes",
    "onnx_to_torch": "xconv.onnx.to_torch",
    "torch_to_onnx": "xconv.onnx.from_torch",
}

# Hidden from type checkers, which would otherwise take any misspelt name for an object.
if not TYPE_CHECKING:
    __getattr__ = loader(__name__, _HOMES)
