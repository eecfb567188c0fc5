"""Sizes known only at run time in the place of numbers: the network counts them, `x / x.shape[0]`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeGuard

import torch
from torch import fx

from xconv.errors import Unsupported
from xconv.graph import Value
from xconv.layers.elementwise import Elementwise
from xconv.layers.reduce import Reduce
from xconv.layers.unary import Cast
from xconv.spec import Slot, Spec
from xconv.torch.arrays import dtype_name
from xconv.torch.reading.draft import Draft
from xconv.torch.reading.fillings import Fillings

__all__ = ["OpenNumbers", "is_open"]

FUNCTIONS = {
    "Add": "add",
    "FloatPow": "power",
    "FloatTrueDiv": "divide",
    "FloorDiv": "floor_divide",
    "IntTrueDiv": "divide",
    "Mul": "multiply",
    "Pow": "power",
    "PowByNatural": "power",
}
"""What torch calls the operators in an expression of sizes."""


def is_open(item: Any) -> TypeGuard[fx.Node]:
    """Whether an fx node is a number that is known only at run time.

    >>> is_open(3), is_open(None)
    (False, False)
    """
    value = item.meta.get("val") if isinstance(item, fx.Node) else None
    known = isinstance(value, torch.SymInt) and value.node.maybe_as_int() is not None
    return isinstance(value, (torch.SymInt, torch.SymFloat)) and not known


@dataclass(frozen=True, slots=True)
class OpenNumbers:
    """Tensors of one number that a network computes from the sizes of its inputs."""

    draft: Draft
    fillings: Fillings
    made: dict[tuple[Any, str], Value] = field(default_factory=dict)
    """By expression and the type of its fractions."""

    def tensor(self, node: fx.Node, number: fx.Node) -> Value:
        """The number that a call is given, as a tensor without axes.

        Raises:
            Unsupported: an expression of two sizes, or with an operator that is not known.
        """
        wanted = node.meta["val"].dtype
        fractions = dtype_name(wanted) if wanted.is_floating_point else "float32"
        return self._value(node, number.meta["val"].node.expr, fractions)

    def _value(self, node: fx.Node, expression: Any, fractions: str) -> Value:
        """An expression of sympy that holds a size."""
        key = expression, fractions
        if key not in self.made:
            counts = expression.is_Symbol
            self.made[key] = self._count(node, expression) if counts else self._computed(node, expression, fractions)
        return self.made[key]

    def _count(self, node: fx.Node, size: Any) -> Value:
        ones = self._next(Elementwise("add", (Slot(0), 1)), self.fillings.zeros(node, size), "int32")
        return self._next(Reduce("sum", (0,), keepdims=False), ones, "int32")

    def _computed(self, node: fx.Node, expression: Any, fractions: str) -> Value:
        """A function of a size, and of a number beside it; sympy has multiplied all numbers into one."""
        kind, open_parts = type(expression).__name__, [item for item in expression.args if item.free_symbols]
        if len(open_parts) != 1 or kind not in (*FUNCTIONS, "ToFloat"):
            raise Unsupported(f"the number {expression}, known only at run time", remedy="compute it of one size")
        value = self._value(node, open_parts[0], fractions)
        if kind in ("IntTrueDiv", "ToFloat"):
            value = self._next(Cast(fractions), value, fractions)
        if kind == "ToFloat":
            return value
        operands = tuple(Slot(0) if item.free_symbols else _number(item) for item in expression.args)
        return self._next(Elementwise(FUNCTIONS[kind], operands), value, self.draft.dtype_of(value))

    def _next(self, spec: Spec, value: Value, dtype: str) -> Value:
        made = self.draft.plain(spec, value, f"{value.node.partition('.')[0]}.count")
        self.draft.dtypes[made] = dtype
        return made


def _number(expression: Any) -> float:
    return int(expression) if expression.is_Integer else float(expression)
