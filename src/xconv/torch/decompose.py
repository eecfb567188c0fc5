"""Rare ATen operators written out in common ones, by torch's own decompositions; all others stay whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from xconv.torch.any_batch import same_at_any_batch
from xconv.torch.kept import kept_dropouts
from xconv.torch.reading.operators import operator_of

__all__ = ["decomposed", "functional"]


WRONG = frozenset({"multilabel_margin_loss_forward"})
"""Operators whose decomposition in torch 2.13 computes something else: this one counts places that are no targets."""


def decomposed(program: Any, operators: Iterable[Any]) -> Any:
    """The program with these operators written out; None where torch has no decomposition for any of them.

    An operator that torch itself implements with others (a composite) is one call of that implementation. Where a
    decomposition asks for the size of the batch and would be another at another size, there is none.
    """
    table = dict(_decompositions(set(operators)))
    found = _run(program, table) if table else None
    return found if same_at_any_batch(program, found) else None


def functional(program: Any) -> Any:
    """The program without writes in place: what writes into a part of a tensor gives a new tensor."""
    return _run(program, {})


def _run(program: Any, table: Mapping[Any, Callable[..., Any]]) -> Any:
    """torch's own rewriting, with these decompositions; dropouts, which do nothing in inference, stay."""
    with warnings.catch_warnings(), kept_dropouts(program.graph):
        warnings.simplefilter("ignore")  # torch's own deprecations, about its own code
        try:
            return program.run_decompositions(dict(table))
        except RuntimeError:  # a decomposition of torch's that some types lack, as complex numbers
            return None


def _decompositions(operators: set[Any]) -> Mapping[Any, Callable[..., Any]]:
    from torch._decomp import core_aten_decompositions

    known = core_aten_decompositions()
    found: dict[Any, Callable[..., Any]] = {}
    for operator in operators:
        if operator_of(operator)[0] in WRONG:
            continue
        if operator in known:
            found[operator] = known[operator]
        elif isinstance(operator, torch._ops.OpOverload) and _is_composite(operator):
            found[operator] = operator.decompose
    return found


def _is_composite(operator: torch._ops.OpOverload) -> bool:
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return bool(operator.has_kernel_for_dispatch_key(key))
