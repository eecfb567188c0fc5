"""A layer's config in Keras 2's words, said in those of Keras 3; configs of Keras 3 pass unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["current"]

_WITHOUT_EFFECT = {
    "time_major": False,
    "implementation": None,
    "ragged": None,
    "virtual_batch_size": None,
    "softmax_robust_masking": False,
    "input_length": None,
    "fused": None,
    "interpolation_method": None,
    "key_shape": None,
    "query_shape": None,
    "value_shape": None,
    "batch_input_shape": None,
    "layout": None,
    "experimental_autocast": None,
    "jit_compile": None,
    "sparse": False,
}
_ALWAYS_DROPPED = {"implementation", "ragged", "key_shape", "query_shape", "value_shape", "fused", "batch_input_shape"}
_RENAMED = {
    ("InputLayer", "batch_input_shape"): "batch_shape",
    ("LeakyReLU", "alpha"): "negative_slope",
    ("Dropout", "keep_prob"): "rate",
}
_GROUPS = {"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"}
_GROUPS_ONE = _GROUPS | {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"}


def current(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with renamed keys renamed, and dropped what Keras 3 no longer has and what had no effect.

    >>> current("LeakyReLU", {"name": "act", "alpha": 0.3})
    {'name': 'act', 'negative_slope': 0.3}
    """
    said = {_RENAMED.get((kind, key), key): value for key, value in config.items()}
    if kind in _GROUPS_ONE and (kind in _GROUPS or said.get("groups") == 1):
        said.pop("groups", None)
    axis = said.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, (list, tuple)) and len(axis) == 1:
        said["axis"] = axis[0]
    if kind == "InputLayer":
        return said
    return {key: value for key, value in said.items() if not _no_effect(key, value)}


def _no_effect(key: str, value: Any) -> bool:
    return key in _ALWAYS_DROPPED or (key in _WITHOUT_EFFECT and value == _WITHOUT_EFFECT[key])
