"""Operators on elements: arithmetic, activations, comparisons, casts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch.nn import functional

from xconv.errors import Unsupported
from xconv.onnx.call import Call

__all__ = ["ELEMENTWISE", "torch_type"]


SELU = 1.6732632423543772, 1.0507009873554805
"""Its alpha and its scale."""


def torch_type(code: int) -> torch.dtype:
    """The dtype that a number of ONNX's means."""
    from onnx import helper

    name = helper.tensor_dtype_to_np_dtype(code).name
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise Unsupported(f"the type {name}", remedy="export the model in float32")
    return found


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Call], torch.Tensor]:
    return lambda call: function(call.tensor(0))


def _binary(function: Callable[[Any, Any], torch.Tensor]) -> Callable[[Call], torch.Tensor]:
    def run(call: Call) -> torch.Tensor:
        first, second = _operands(call)
        return function(first, second)

    return run


def _operands(call: Call) -> tuple[Any, Any]:
    """Both inputs; of a tensor and a constant of one element, the constant as a number."""
    ranks = [value.ndim for value in call.inputs[:2]]
    first, second = call.operand(0, ranks[1]), call.operand(1, ranks[0])
    if not isinstance(first, torch.Tensor) and not isinstance(second, torch.Tensor):
        first = call.tensor(0)
    return first, second


def _folded(function: Callable[[Any, Any], torch.Tensor]) -> Callable[[Call], torch.Tensor]:
    """An operator of any number of inputs."""
    return lambda call: reduce(function, [call.tensor(place) for place in range(len(call.inputs))])


def _divide(first: Any, second: Any) -> torch.Tensor:
    """The quotient; whole numbers are cut off towards zero."""
    whole = all(not item.is_floating_point() for item in (first, second) if isinstance(item, torch.Tensor))
    if whole and not any(isinstance(item, float) for item in (first, second)):
        return torch.div(first, second, rounding_mode="trunc")
    if isinstance(second, torch.Tensor) and not isinstance(first, torch.Tensor):
        return second.reciprocal() if first == 1 else torch.div(torch.as_tensor(first, dtype=second.dtype), second)
    return torch.div(first, second)


def _subtract(first: Any, second: Any) -> torch.Tensor:
    if isinstance(second, torch.Tensor) and not isinstance(first, torch.Tensor):
        return torch.rsub(second, first)
    return torch.sub(first, second)


def _both_ways(function: Callable[[Any, Any], torch.Tensor]) -> Callable[[Any, Any], torch.Tensor]:
    """A function that does not mind the order, with the tensor first."""
    return lambda a, b: function(a, b) if isinstance(a, torch.Tensor) else function(b, a)


def _modulo(call: Call) -> torch.Tensor:
    first, second = _operands(call)
    return torch.fmod(first, second) if call.get("fmod", 0) else torch.remainder(first, second)


def _clip(call: Call) -> torch.Tensor:
    low = call.number(1, call.get("min"))
    high = call.number(2, call.get("max"))
    limits = [
        None if item is not None and abs(item) >= torch.finfo(torch.float32).max else item for item in (low, high)
    ]
    value = call.tensor(0)
    if limits == [0, 6]:
        return functional.relu6(value)
    if limits == [0, None]:
        return functional.relu(value)
    return value if limits == [None, None] else torch.clamp(value, *limits)


def _hard_sigmoid(call: Call) -> torch.Tensor:
    alpha, beta = call.get("alpha", 0.2), call.get("beta", 0.5)
    if (alpha, beta) == (1 / 6, 0.5):
        return functional.hardsigmoid(call.tensor(0))
    return torch.clamp(call.tensor(0) * alpha + beta, 0.0, 1.0)


def _gelu(call: Call) -> torch.Tensor:
    approximate = call.get("approximate", b"none")
    return functional.gelu(call.tensor(0), approximate=approximate.decode())


def _selu(call: Call) -> torch.Tensor:
    alpha, gamma = float(call.get("alpha", SELU[0])), float(call.get("gamma", SELU[1]))
    if math.isclose(alpha, SELU[0], rel_tol=1e-6) and math.isclose(gamma, SELU[1], rel_tol=1e-6):
        return functional.selu(call.tensor(0))
    return functional.elu(call.tensor(0), alpha) * gamma


def _softmax(function: Callable[..., torch.Tensor]) -> Callable[[Call], torch.Tensor]:
    def run(call: Call) -> torch.Tensor:
        value = call.tensor(0)
        axis = call.get("axis", 1 if call.opset < 13 else -1)
        if call.opset < 13 and axis % value.dim() != value.dim() - 1:
            what = f"{call.kind} over several axes, as operator sets before 13 mean it"
            raise Unsupported(what, remedy="export the model with opset 13 or later")
        found: torch.Tensor = function(value, dim=axis)
        return found

    return run


def _prelu(call: Call) -> torch.Tensor:
    """PReLU; a slope for every channel, which ONNX gives the rank of the image, is torch's vector."""
    value, slope = call.tensor(0), call.tensor(1)
    per_channel = value.dim() > 1 and slope.dim() in (value.dim() - 1, value.dim())
    lead = slope.dim() - value.dim() + 1
    if slope.numel() == 1 or (per_channel and slope.shape[lead] == slope.numel() == value.shape[1]):
        return functional.prelu(value, slope.reshape(-1))
    return torch.where(value >= 0, value, value * slope)


def _cast(call: Call) -> torch.Tensor:
    """A cast; between types of whole numbers, and of floats, it changes nothing that the network computes."""
    call.get("saturate")
    target, value = torch_type(call.get("to")), call.tensor(0)
    if target.is_floating_point and value.is_floating_point():
        if target.itemsize < 4:
            raise Unsupported(f"a cast to {target}", remedy="export the model in float32")
        return value
    return value.to(target)


def _cast_like(call: Call) -> torch.Tensor:
    call.get("saturate")
    value, other = call.tensor(0), call.tensor(1)
    return value if value.is_floating_point() and other.is_floating_point() else value.to(other.dtype)


def _where(call: Call) -> torch.Tensor:
    rank = max(value.ndim for value in call.inputs)
    a, b = (call.operand(place, rank) for place in (1, 2))
    if not isinstance(a, torch.Tensor) and not isinstance(b, torch.Tensor):
        a = call.tensor(1)
    return torch.where(call.tensor(0), a, b)


def _power(call: Call) -> torch.Tensor:
    first, second = call.tensor(0), call.operand(1, call.inputs[0].ndim)
    if second == 0.5 if not isinstance(second, torch.Tensor) else False:
        return torch.sqrt(first)
    return torch.pow(first, second)


def _dropout(call: Call) -> Any:
    call.get("seed"), call.get("ratio")
    if call.has(2) and bool(call.number(2)):
        raise Unsupported("a Dropout that is active", remedy="export the model in inference mode")
    return call.tensor(0)


_FUNCTIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **{name: getattr(torch, name.lower()) for name in ("Abs", "Neg", "Exp", "Log", "Sqrt", "Floor", "Ceil", "Sign")},
    **{name: getattr(torch, name.lower()) for name in ("Sin", "Cos", "Tan", "Erf", "Tanh", "Sigmoid", "Reciprocal")},
    **{name: getattr(torch, name.lower()) for name in ("Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh")},
    "Atanh": torch.atanh,
    "Round": torch.round,
    "Not": torch.logical_not,
    "Identity": lambda value: value,
    "Relu": functional.relu,
    "Softplus": functional.softplus,
    "Softsign": functional.softsign,
    "HardSwish": functional.hardswish,
    "Mish": functional.mish,
}

ELEMENTWISE: Mapping[str, Callable[[Call], Any]] = {
    **{name: _unary(function) for name, function in _FUNCTIONS.items()},
    "Add": _binary(_both_ways(torch.add)),
    "Sub": _binary(_subtract),
    "Mul": _binary(_both_ways(torch.mul)),
    "Div": _binary(_divide),
    "Mod": _modulo,
    "Pow": _power,
    "Sum": _folded(torch.add),
    "Mean": lambda call: _folded(torch.add)(call) / len(call.inputs),
    "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum),
    "And": _binary(torch.logical_and),
    "Or": _binary(torch.logical_or),
    "Equal": _binary(_both_ways(torch.eq)),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "Where": _where,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Clip": _clip,
    "LeakyRelu": lambda call: functional.leaky_relu(call.tensor(0), call.get("alpha", 0.01)),
    "Elu": lambda call: functional.elu(call.tensor(0), call.get("alpha", 1.0)),
    "Celu": lambda call: functional.celu(call.tensor(0), call.get("alpha", 1.0)),
    "Selu": _selu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "ThresholdedRelu": lambda call: functional.threshold(call.tensor(0), call.get("alpha", 1.0), 0.0),
    "Softmax": _softmax(torch.softmax),
    "LogSoftmax": _softmax(torch.log_softmax),
    "PRelu": _prelu,
    "Dropout": _dropout,
}
