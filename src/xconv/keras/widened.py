"""Float32 that the code of Keras layers asks for, in float64: `ops.cast(x, "float32")`, `Softmax(dtype="float32")`.

A copy of a model in float64 keeps such islands, in which rounding hides what is to be judged. Inside `widened` a tensor
in float64 stays what it is, and what is counted along an input's axis is in float64. Numbers that a layer's code makes
without its inputs are those of float32, as everywhere in a model of float32.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from xconv.keras.walk import all_layers

__all__ = ["widened"]

SINGLE = "float32"
DOUBLE = "float64"


@contextmanager
def widened(model: Any, sizes: Collection[int], found: set[str]) -> Iterator[None]:
    """Inside, the live Keras 3 model, whose policies are of float64, has no float32 in its layers' code.

    Args:
        model: A copy that nobody else uses: the policies of its inner layers change.
        sizes: What its inputs have along open axes: what is counted up to one of them is in float64.
        found: Here is written what was met.
    """
    import keras

    for layer in all_layers(model):
        policy = getattr(layer, "dtype_policy", None)
        if policy is not None and policy.name == SINGLE:
            layer.dtype_policy = DOUBLE
            found.add(f"dtype of {type(layer).__name__}")
    places = (keras.ops, sys.modules["keras.src.ops"])
    ours = {"cast": _cast(keras.ops.cast, found), "arange": _arange(keras.ops.arange, sizes, found)}
    old = {(place, name): getattr(place, name) for place in places for name in ours}
    try:
        for place, name in old:
            setattr(place, name, ours[name])
        yield
    finally:
        for (place, name), function in old.items():
            setattr(place, name, function)


def _cast(own: Any, found: set[str]) -> Any:
    def cast(x: Any, dtype: Any) -> Any:
        if isinstance(x, (int, float)) and dtype in (SINGLE, DOUBLE):
            rounded = float(np.float32(x))
            return rounded if dtype == SINGLE else own(rounded, dtype)  # a number fits tensors of either kind
        if dtype == SINGLE and _dtype(x) == DOUBLE:
            found.add("cast")
            return own(x, DOUBLE)
        return own(x, dtype)

    return cast


def _arange(own: Any, sizes: Collection[int], found: set[str]) -> Any:
    def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
        first, last = (0, start) if stop is None else (start, stop)
        if dtype == SINGLE and first == 0 and step in (None, 1) and last in sizes:
            found.add("arange")
            return own(0, last, 1, dtype=DOUBLE)
        return own(start, stop, step, dtype=dtype)

    return arange


def _dtype(x: Any) -> str:
    dtype = getattr(x, "dtype", "")
    return str(getattr(dtype, "name", dtype))
