"""Translates networks between Keras and PyTorch exactly, and proves it.

Importing xconv loads no framework: every name below is loaded on first use.

>>> import xconv
>>> "keras_to_torch" in dir(xconv)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconv.lazy import loader

if TYPE_CHECKING:
    from xconv import onnx, preprocessing, zoo
    from xconv.api import inspect, keras_to_torch, load, load_weights, save, torch_to_keras, transfer
    from xconv.diagnosis.run import diagnose
    from xconv.errors import (
        InvalidInput,
        Mismatch,
        MissingFramework,
        Unknown,
        Unreadable,
        Unsupported,
        Unwritable,
        XConvError,
        XConvWarning,
    )
    from xconv.extraction.counterparts import counterpart, same_features
    from xconv.extraction.features import features
    from xconv.extraction.lengths import feature_length
    from xconv.onnx.from_keras import keras_to_onnx
    from xconv.onnx.from_torch import torch_to_onnx
    from xconv.onnx.routes import onnx_to_keras
    from xconv.onnx.to_torch import onnx_to_torch
    from xconv.optimization.allocator import keep_memory
    from xconv.optimization.run import optimize
    from xconv.preprocessing.splitting import split_preprocessing
    from xconv.randomization import randomize
    from xconv.registry import register, register_module, register_torch, unregister
    from xconv.torch.mapping import export_weights
    from xconv.torch.record import record
    from xconv.torch.values import weights_report
    from xconv.transfers.replay import apply_map
    from xconv.verification import verify

__all__ = [
    "InvalidInput",
    "Mismatch",
    "MissingFramework",
    "Unknown",
    "Unreadable",
    "Unsupported",
    "Unwritable",
    "XConvError",
    "XConvWarning",
    "__version__",
    "apply_map",
    "counterpart",
    "diagnose",
    "export_weights",
    "feature_length",
    "features",
    "inspect",
    "keep_memory",
    "keras_to_onnx",
    "keras_to_torch",
    "load",
    "load_weights",
    "onnx",
    "onnx_to_keras",
    "onnx_to_torch",
    "optimize",
    "preprocessing",
    "randomize",
    "record",
    "register",
    "register_module",
    "register_torch",
    "same_features",
    "save",
    "split_preprocessing",
    "torch_to_keras",
    "torch_to_onnx",
    "transfer",
    "unregister",
    "verify",
    "weights_report",
    "zoo",
]

__version__ = "0.1.0"

_HOMES = {
    "InvalidInput": "xconv.errors",
    "Mismatch": "xconv.errors",
    "MissingFramework": "xconv.errors",
    "Unknown": "xconv.errors",
    "Unreadable": "xconv.errors",
    "Unsupported": "xconv.errors",
    "Unwritable": "xconv.errors",
    "XConvError": "xconv.errors",
    "XConvWarning": "xconv.errors",
    "apply_map": "xconv.transfers.replay",
    "counterpart": "xconv.extraction.counterparts",
    "diagnose": "xconv.diagnosis.run",
    "export_weights": "xconv.torch.mapping",
    "feature_length": "xconv.extraction.lengths",
    "features": "xconv.extraction.features",
    "inspect": "xconv.api",
    "keep_memory": "xconv.optimization.allocator",
    "keras_to_onnx": "xconv.onnx.from_keras",
    "keras_to_torch": "xconv.api",
    "load": "xconv.api",
    "load_weights": "xconv.api",
    "onnx": "xconv.onnx",
    "onnx_to_keras": "xconv.onnx.routes",
    "onnx_to_torch": "xconv.onnx.to_torch",
    "optimize": "xconv.optimization.run",
    "preprocessing": "xconv.preprocessing",
    "randomize": "xconv.randomization",
    "record": "xconv.torch.record",
    "register": "xconv.registry",
    "register_module": "xconv.registry",
    "register_torch": "xconv.registry",
    "unregister": "xconv.registry",
    "same_features": "xconv.extraction.counterparts",
    "save": "xconv.api",
    "split_preprocessing": "xconv.preprocessing.splitting",
    "torch_to_keras": "xconv.api",
    "torch_to_onnx": "xconv.onnx.from_torch",
    "transfer": "xconv.api",
    "verify": "xconv.verification",
    "weights_report": "xconv.torch.values",
    "zoo": "xconv.zoo",
}

# Hidden from type checkers, which would otherwise take any misspelt name for an object.
if not TYPE_CHECKING:
    __getattr__ = loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
