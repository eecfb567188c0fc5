"""What is computed while the network is read: sizes and constants, in NumPy; open sizes are torch's symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from xconv.onnx.call import Call, is_host

__all__ = ["SHAPES", "on_host"]

SMALL = 4096
"""Larger constants are left to torch, so that a trained weight is not taken for one."""


def on_host(call: Call) -> Any:
    """The result as an array, or None where the call needs the numbers of the network's input."""
    if call.kind in SHAPES:
        return SHAPES[call.kind](call)
    given = [value for value in call.inputs if value is not None]
    if not given or call.kind not in HOST or not all(is_host(value) and value.size <= SMALL for value in given):
        return None
    return _wrapped(HOST[call.kind](call))


def _wrapped(result: Any) -> np.ndarray[Any, Any] | None:
    """A result as an array; NumPy gives what a lone array of objects holds."""
    if isinstance(result, np.ndarray):
        known = result.dtype == object and all(isinstance(item, int) for item in result.reshape(-1))
        return result.astype(np.int64) if known else result
    if result is None:
        return None
    if isinstance(result, np.generic):
        return np.asarray(result)
    found = np.empty((), dtype=object)
    found[()] = result
    return found


def _array(items: Any) -> np.ndarray[Any, Any]:
    """Sizes as an array: of whole numbers where all are known."""
    known = all(isinstance(item, int) for item in items)
    found = np.empty(len(items), dtype=np.int64 if known else object)
    found[:] = items
    return found


def _shape(call: Call) -> np.ndarray[Any, Any]:
    sizes = list(call.inputs[0].shape)
    return _array(sizes[slice(call.get("start", 0), call.get("end"))])


def _size(call: Call) -> np.ndarray[Any, Any]:
    whole = reduce(lambda a, b: a * b, call.inputs[0].shape, 1)
    return _array([whole]).reshape(())


def _gather(call: Call) -> Any:
    return np.take(call.inputs[0], call.inputs[1].astype(np.int64), axis=call.get("axis", 0))


def _slice(call: Call) -> np.ndarray[Any, Any] | None:
    if call.opset < 10:
        return None
    value = call.inputs[0]
    starts, ends = call.sizes(1), call.sizes(2)
    axes = call.sizes(3) if call.has(3) else list(range(len(starts)))
    steps = call.sizes(4) if call.has(4) else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        stop = None if step < 0 and end <= -(2**31) else end
        value = value[(slice(None),) * (axis % value.ndim) + (slice(start, stop, step),)]
    return np.asarray(value)


def _cast(call: Call) -> Any:
    """A cast. What is made of sizes is a number of Python's in the network's text, hence in float64."""
    from onnx import helper

    call.get("saturate")
    kind, value = helper.tensor_dtype_to_np_dtype(call.get("to")), call.inputs[0]
    if value.dtype == object or (kind.kind == "f" and value.dtype == np.float64):
        return value
    return value.astype(np.float64 if kind.kind == "f" and value.dtype.kind in "iu" else kind)


def _divide(call: Call) -> Any:
    first, second = call.inputs
    if all(value.dtype.kind in "iuO" for value in call.inputs):
        return first // second  # sizes are not negative
    return np.divide(first, second)


def _squeeze(call: Call) -> Any:
    axes = call.axes(1)
    return np.squeeze(call.inputs[0], axis=tuple(axes) if axes is not None else None)


def _unsqueeze(call: Call) -> Any:
    axes = call.axes(1) or []
    return np.expand_dims(call.inputs[0], tuple(axes))


def _reshape(call: Call) -> Any:
    sizes, value = call.sizes(1), call.inputs[0]
    call.get("allowzero")
    return value.reshape([value.shape[i] if n == 0 else n for i, n in enumerate(sizes)])


def _filled(call: Call) -> Any:
    """A constant of a known size; one of an open size is torch's."""
    sizes = call.sizes(0)
    value = call.get("value")
    if not all(isinstance(size, int) for size in sizes) or np.prod(sizes, dtype=np.int64) > SMALL:
        return None
    return np.full(sizes, 0.0 if value is None else value.reshape(-1)[0], np.float32 if value is None else value.dtype)


def _reduction(function: Callable[..., Any]) -> Callable[[Call], Any]:
    def run(call: Call) -> Any:
        axes = call.axes(1)
        call.get("noop_with_empty_axes")
        keep = bool(call.get("keepdims", 1))
        return function(call.inputs[0], axis=tuple(axes) if axes else None, keepdims=keep)

    return run


def _expand(call: Call) -> Any:
    sizes = call.sizes(1)
    if not all(isinstance(size, int) for size in sizes):
        return None
    value = call.inputs[0]
    return np.array(np.broadcast_to(value, np.broadcast_shapes(value.shape, tuple(sizes))))


def _range(call: Call) -> Any:
    limits = [value.reshape(-1)[0] for value in call.inputs]
    if any(value.dtype == object for value in call.inputs):
        return None
    return np.arange(*limits, dtype=call.inputs[0].dtype)


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Call], Any]:
    return lambda call: function(*call.inputs)


SHAPES: Mapping[str, Callable[[Call], Any]] = {"Shape": _shape, "Size": _size}

HOST: Mapping[str, Callable[[Call], Any]] = {
    "Identity": lambda call: call.inputs[0],
    "Cast": _cast,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": lambda call: np.concatenate(call.inputs, axis=call.get("axis")),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Transpose": lambda call: np.transpose(call.inputs[0], call.get("perm")),
    "Expand": _expand,
    "Range": _range,
    "ConstantOfShape": _filled,
    "Add": _binary(lambda a, b: a + b),
    "Sub": _binary(lambda a, b: a - b),
    "Mul": _binary(lambda a, b: a * b),
    "Div": _divide,
    "Mod": _binary(lambda a, b: a % b),
    "Neg": lambda call: -call.inputs[0],
    "Sqrt": lambda call: np.sqrt(call.inputs[0]),
    "Max": _binary(np.maximum),
    "Min": _binary(np.minimum),
    "Floor": lambda call: np.floor(call.inputs[0]),
    "Ceil": lambda call: np.ceil(call.inputs[0]),
    "Equal": _binary(lambda a, b: a == b),
    "Less": _binary(lambda a, b: a < b),
    "Greater": _binary(lambda a, b: a > b),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Not": lambda call: np.logical_not(call.inputs[0]),
    "Where": lambda call: np.where(*call.inputs),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
}
