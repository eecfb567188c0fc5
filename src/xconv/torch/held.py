"""Tensors of a program that depend on no input: weights, constants, and what is filled with one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xconv import axes
from xconv.errors import Mismatch
from xconv.spec import Shape
from xconv.weights import Weight

__all__ = ["FACTORIES", "FILLS", "REARRANGED", "RESHAPES", "Filled", "Held", "rearranged"]


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor that the network holds: a parameter (`learned`), a buffer or a constant."""

    weight: Weight
    learned: bool
    trains: bool
    """Whether training changes it: a parameter that is not frozen."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """A tensor of one number, whose size is known only at run time."""

    shape: Shape
    number: float
    dtype: str
    sizes: tuple[Any, ...]
    """The shape with the expression of every open size."""


FILLS = frozenset(
    {"add", "div", "eq", "fill", "ge", "gt", "le", "logical_not", "lt", "mul", "ne", "neg", "sub", "zero"}
)
"""Operators that give one number everywhere where their operands are one number everywhere."""

RESHAPES = frozenset({"_to_copy", "broadcast_to", "expand", "expand_as", "select", "slice", "to", "type_as"})
"""Operators that change neither the number that fills a tensor nor anything else but its sizes and dtype."""


FACTORIES: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "arange": lambda given: None,
    "empty_like": lambda given: 0.0,
    "full": lambda given: given["fill_value"],
    "full_like": lambda given: given["fill_value"],
    "new_empty": lambda given: 0.0,
    "new_full": lambda given: given["fill_value"],
    "new_ones": lambda given: 1.0,
    "new_zeros": lambda given: 0.0,
    "ones": lambda given: 1.0,
    "ones_like": lambda given: 1.0,
    "zeros": lambda given: 0.0,
    "zeros_like": lambda given: 0.0,
}
"""Operators whose result depends on the size of their input at most, with the number that fills it, if it is one."""

REARRANGED = frozenset(
    {"flatten", "movedim", "permute", "reshape", "squeeze", "swapaxes", "t", "transpose", "unflatten", "unsqueeze"}
    | {"view", "_unsafe_view", "numpy_T"}
)
"""Operators that only rearrange."""


def rearranged(weight: Weight, name: str, arguments: Mapping[str, Any], shape: Shape) -> Weight | None:
    """The weight after such an operator; None where a weight cannot say it."""
    rank = len(weight.shape)
    try:
        match name:
            case "permute":
                return weight.transpose(tuple(axes.normal(axis, rank) for axis in arguments["dims"]))
            case "transpose" | "swapaxes":
                first, second = (axes.normal(arguments[key], rank) for key in _pair(arguments))
                swap = {first: second, second: first}
                return weight.transpose(tuple(swap.get(axis, axis) for axis in range(rank)))
            case "t" | "numpy_T":
                return weight.transpose(tuple(reversed(range(rank))))
            case "movedim":
                return None
        return weight.reshape(tuple(size for size in shape if size is not None))
    except Mismatch:
        return None


def _pair(arguments: Mapping[str, Any]) -> tuple[str, str]:
    return ("dim0", "dim1") if "dim0" in arguments else ("axis0", "axis1")
