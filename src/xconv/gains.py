"""How large to draw each layer's kernel, from the graph, so that a deep random network stays alive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["NORM_GAIN", "Part", "gains", "keras_gains"]

NORM_GAIN = math.sqrt((13 / 12) * math.log(9) / 1.6)
"""The mean gain of a normalisation by drawn statistics: E[gamma^2] for U(.5, 1.5) times E[1/v] for U(.2, 1.8)."""

GATE_GAIN = 1.5
"""Makes up for a sigmoid gate, mostly: 1 / sqrt(E[sigmoid(x)^2]) is 1.8 where its input is small, less elsewhere."""

SMOOTH = {
    "silu": 1.68,
    "swish": 1.68,
    "hard_silu": 1.68,
    "hard_swish": 1.68,
    "gelu": 1.53,
    "sigmoid": 1.0,
    "linear": 1.0,
}
"""1 / sqrt(E[f(x)^2]) for x ~ N(0, 1); sqrt(2) for everything like ReLU."""

ACTIVATIONS = frozenset(
    {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Relu", "Relu6", "Silu", "Gelu", "HardSilu", "HardSwish"}
)
PASSING = frozenset(
    {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "StochasticDepth", "Identity", "ZeroPadding2D", "LayerScale"}
)


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a graph, reduced to what matters for the size of activations.

    `role` is one of 'weight', 'norm', 'activation', 'gate' (a product), 'add', 'pass' and 'other'; `inputs` and
    `outputs` name tensors. `gain` makes up for what a nonlinearity, the part itself or one inside a weight layer,
    takes from the size of a normal variable.
    """

    name: str
    role: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    gain: float = 1.0


def gains(parts: Sequence[Part]) -> dict[str, float]:
    """For every weight layer, the deviation of its kernel in units of 1 / sqrt(fan_in).

    What the nonlinearity behind it takes, sqrt(2) for ReLU (He), and a gate in front of it; divided by the mean gain of
    a normalisation that follows; and by the root of the number of additions where the layer ends a residual branch, so
    that the sum over all blocks grows by a constant factor however deep the network is.

    >>> gains([Part("fc", "weight", (0,), (1,)), Part("relu", "activation", (1,), (2,), 1.4)])["fc"]
    1.4
    """
    consumers: dict[int, list[Part]] = {}
    for part in parts:
        for name in part.inputs:
            consumers.setdefault(name, []).append(part)
    producers = {name: part for part in parts for name in part.outputs}
    additions = max(1, sum(part.role == "add" for part in parts))
    result = {part.name: _gain(part, consumers) for part in parts if part.role == "weight"}
    for part in parts:
        if part.name in result and any(producers[n].role == "gate" for n in part.inputs if n in producers):
            result[part.name] *= GATE_GAIN
    for part in parts:
        if part.role == "add":
            ends = [_branch_end(name, producers, consumers) for name in part.inputs]
            named = [end for end in ends if end is not None]
            for end in named[1:] if len(named) == len(ends) else named:
                result[end] /= math.sqrt(additions)
    return result


def _gain(part: Part, consumers: Mapping[int, list[Part]]) -> float:
    gain, name = part.gain, part.outputs[0]
    while len(consumers.get(name, ())) == 1:
        following = consumers[name][0]
        if following.role == "norm":
            gain /= NORM_GAIN
        elif following.role != "pass":
            break
        name = following.outputs[0]
    return gain * max(
        (following.gain for following in consumers.get(name, ()) if following.role == "activation"), default=1
    )


def _branch_end(name: int, producers: Mapping[int, Part], consumers: Mapping[int, list[Part]]) -> str | None:
    """The weight layer that the branch into an addition ends with; None for an identity."""
    while len(consumers.get(name, ())) == 1 and name in producers:
        part = producers[name]
        if part.role == "weight":
            return part.name
        if part.role not in ("norm", "pass", "activation"):
            return None
        name = part.inputs[0]
    return None


def keras_gains(model: Any) -> dict[int, float]:
    """`gains` of every weight layer of a live Keras model, by the `id` of the layer, nested models included."""
    from xconv.keras.walk import all_layers, graph_of

    result: dict[int, float] = {}
    for owner in all_layers(model):
        graph = graph_of(owner)
        if graph is not None:
            layers, parts = _keras_parts(graph)
            result.update({id(layers[name]): gain for name, gain in gains(parts).items() if name in layers})
    return result


def _keras_parts(graph: Any) -> tuple[dict[str, Any], list[Part]]:
    from xconv.keras.walk import steps

    layers: dict[str, Any] = {}
    parts = []
    for step in steps(graph):
        layers[step.operation.name] = step.operation
        role = _keras_role(step.operation)
        gain = _nonlinearity(step.operation) if role in ("weight", "activation") else 1.0
        parts.append(Part(step.operation.name, role, step.inputs, step.outputs, gain))
    return layers, parts


def _keras_role(operation: Any) -> str:
    kind = type(operation).__name__
    roles: Iterator[tuple[bool, str]] = iter(
        (
            (kind == "BatchNormalization", "norm"),
            (kind == "Add", "add"),
            (kind == "Multiply", "gate"),
            (kind in ACTIVATIONS, "activation"),
            (kind in PASSING, "pass"),
            (any(len(v.shape) > 1 for v in getattr(operation, "weights", ())), "weight"),
        )
    )
    return next((role for holds, role in roles if holds), "other")


def _nonlinearity(operation: Any) -> float:
    kind = type(operation).__name__
    default = kind.lower() if kind in ACTIVATIONS else "linear"
    return SMOOTH.get(getattr(getattr(operation, "activation", None), "__name__", default), math.sqrt(2))
