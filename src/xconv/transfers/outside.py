"""What one model has at its very ends and the other has not, as a line of code to run outside that other one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xconv.comparison.case import numbers
from xconv.comparison.opened import Opened
from xconv.graph import Node
from xconv.layers.activation import Activation
from xconv.layers.rescale import Normalization, Rescaling
from xconv.layers.softmax import Softmax

__all__ = ["line_outside"]


def line_outside(here: Opened, there: Opened, node: Node) -> str:
    """The line that does outside `there` what a node does inside `here`; empty where it takes more than a line."""
    spec, torch = node.spec, there.framework == "torch"
    if isinstance(spec, Rescaling):
        return f"x = x * {_numbers(spec.scale, torch=torch)} + {_numbers(spec.offset, torch=torch)}"
    if isinstance(spec, Normalization) and not spec.invert and spec.keep == (1,):
        mean, variance = (_statistic(here, node, role) for role in ("mean", "variance"))
        deviation = [max(number**0.5, 1e-7) for number in variance]
        return f"x = (x - {_numbers(mean, torch=torch)}) / {_numbers(deviation, torch=torch)}"
    if isinstance(spec, Softmax):
        name = "log_softmax" if spec.log else "softmax"
        return f"y = torch.{name}(y, {spec.axis})" if torch else f"y = keras.ops.{name}(y, {spec.axis})"
    if isinstance(spec, Activation) and spec.name == "sigmoid":
        return f"y = {'torch' if torch else 'keras.ops'}.sigmoid(y)"
    return ""


def _statistic(here: Opened, node: Node, role: str) -> list[float]:
    said: Any = getattr(node.spec, role)
    if said is None:
        said = numbers(here.graph.arrays, node.weights[role]).reshape(-1)
    return [float(number) for number in said]


def _numbers(said: Any, *, torch: bool) -> str:
    """One number, or one for each channel in the place where the framework has the channels."""
    if not isinstance(said, Sequence):
        return f"{float(said)!r}"
    listed = f"[{', '.join(repr(float(number)) for number in said)}]"
    return f"torch.tensor({listed}).view(-1, 1, 1)" if torch else f"np.array({listed})"
