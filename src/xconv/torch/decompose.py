"""Rare ATen operators written out in common ones, by torch's own decompositions; all others stay whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

__all__ = ["decomposed"]


def decomposed(program: Any, operators: Iterable[Any]) -> Any:
    """The program with these operators written out; None where torch has no decomposition for any of them.

    An operator that torch itself implements with others (a composite) is one call of that implementation.
    """
    table = dict(_decompositions(set(operators)))
    if not table:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations, about its own code
        return program.run_decompositions(table)


def _decompositions(operators: set[Any]) -> Mapping[Any, Callable[..., Any]]:
    from torch._decomp import core_aten_decompositions

    known = core_aten_decompositions()
    found: dict[Any, Callable[..., Any]] = {}
    for operator in operators:
        if operator in known:
            found[operator] = known[operator]
        elif isinstance(operator, torch._ops.OpOverload) and _is_composite(operator):
            found[operator] = operator.decompose
    return found


def _is_composite(operator: torch._ops.OpOverload) -> bool:
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return bool(operator.has_kernel_for_dispatch_key(key))
