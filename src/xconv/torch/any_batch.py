"""Whether an exported program holds for every size of the batch: torch.export follows its example without a word.

before   def forward(self, x): return 2 * x if x.shape[0] % 2 == 0 else x      traced with 6 samples: 2 * x
after    refused, because the module itself gives something else for 7 samples

A guard alone says little: `x.view(-1, 8, 3)` asks for batches that 8 divides too, and torch itself refuses others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from xconv.errors import Unsupported

__all__ = ["check_any_batch", "same_at_any_batch"]

USUAL = (7, 5, 3, 2)
"""Sizes at which a program is tried; more come out of the numbers in its guards."""
LARGEST = 64
"""No larger size is tried, whatever number a guard names."""
TRIES = 3
"""At how many sizes that break a guard the two are compared."""
TOLERANCE = 1e-4
"""How far the two may differ: they are one function in float32, and another function differs by far more."""

Called = Callable[[Callable[..., Any], list[torch.Tensor]], Any]


def check_any_batch(program: Any, module: nn.Module, tensors: Sequence[torch.Tensor], called: Called) -> None:
    """Refuse a program that computes something else than its module at another size of the batch.

    Args:
        program: as torch.export gave it.
        module: what it was made of; its buffers are left as they were.
        tensors: what it was traced with, the batch first.
        called: calls either with tensors like these, in the structure of its arguments.

    Raises:
        Unsupported: it computes something else there.
    """
    samples = [tensor.shape[0] for tensor in tensors if tensor.dim()]
    unit = math.gcd(*samples)
    guards, symbols = _guards(program)
    shares = {symbol: size // max(unit, 1) for symbol, size in symbols.items()}
    for batch, guard in islice(_violations(guards, shares), TRIES):
        other = [_resized(tensor, batch, unit) for tensor in tensors]
        if not _agree(program, module, other, called):
            what = (
                f"what it computes depends on the size of the batch: {batch} samples are not treated as where {guard}"
            )
            raise Unsupported(what, remedy="let no condition in the code ask for the size of the batch")


def same_at_any_batch(program: Any, rewritten: Any) -> bool:
    """Whether a program that torch rewrote is the same at any batch: there too torch follows its example."""
    given = program.example_inputs
    if rewritten is None or given is None:
        return rewritten is not None
    leaves, spec = pytree.tree_flatten(given)

    def called(function: Callable[..., Any], tensors: list[torch.Tensor]) -> Any:
        args, kwargs = pytree.tree_unflatten(tensors, spec)
        return function(*args, **kwargs)

    if not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return True
    try:
        check_any_batch(rewritten, _unguarded(program), leaves, called)
    except Unsupported:
        return False
    return True


def _guards(program: Any) -> tuple[list[Any], dict[Any, int]]:
    """What torch.export found true of the batch alone while it traced, and the symbols that stand for the batch."""
    inputs = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"]
    sizes: list[Any] = [value.shape[0] for value in inputs if isinstance(value, torch.Tensor) and value.dim()]
    opened = [size.node for size in sizes if hasattr(size, "node") and size.node.expr.is_Symbol]
    if not opened:
        return [], {}
    symbols = {node.expr: int(node.hint) for node in opened}
    guards = [guard.expr for guard in opened[0].shape_env.guards]
    return [guard for guard in guards if guard.free_symbols and guard.free_symbols <= symbols.keys()], symbols


def _violations(guards: Sequence[Any], shares: Mapping[Any, int]) -> Iterator[tuple[int, Any]]:
    """Sizes of which a guard is not true, with the guard; some inputs have so many samples several times."""
    named = {int(number) + step for guard in guards for number in guard.atoms() if number.is_Integer for step in (0, 1)}
    for batch in dict.fromkeys((*USUAL, *sorted(size for size in named if 1 < size <= LARGEST))):
        values = {symbol: share * batch for symbol, share in shares.items()}
        broken = next((guard for guard in guards if not _holds(guard, values)), None)
        if broken is not None:
            yield batch, broken


def _holds(guard: Any, values: Mapping[Any, int]) -> bool:
    """Whether a guard is true of these sizes; one that divides by a zero then says nothing of them."""
    try:
        return bool(guard.xreplace(values))
    except ZeroDivisionError:
        return True


def _resized(tensor: torch.Tensor, batch: int, unit: int) -> torch.Tensor:
    """The tensor with `batch` samples for every `unit` that it has; noise where it holds no whole numbers."""
    found = tensor
    if tensor.dim() and unit:
        wanted = tensor.shape[0] // unit * batch
        found = torch.cat([tensor] * -(-wanted // tensor.shape[0]))[:wanted]
    if not found.is_floating_point():
        return found
    return torch.randn(found.shape, generator=torch.Generator().manual_seed(0)).to(found)


def _agree(program: Any, module: nn.Module, tensors: list[torch.Tensor], called: Called) -> bool:
    """Whether the two give the same; also where the module itself does not take so many samples."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _buffers_kept(module):
        try:
            torch.manual_seed(0)
            wanted = pytree.tree_leaves(called(module, [tensor.clone() for tensor in tensors]))
        except Exception:  # noqa: BLE001  its own code: whatever it raises, it does not take them
            return True
        try:
            torch.manual_seed(0)
            found = pytree.tree_leaves(called(_unguarded(program), tensors))
        except Exception:  # noqa: BLE001  what was traced does not fit so many samples
            return False
    return len(found) == len(wanted) and all(map(_same, found, wanted))


def _unguarded(program: Any) -> nn.Module:
    """The program as a module that takes batches which its guards do not allow."""
    module: nn.Module = program.module(check_guards=False)
    module._forward_pre_hooks.clear()  # they ask for the sizes that were found
    return module


def _same(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, torch.Tensor) or not isinstance(found, torch.Tensor):
        return bool(found == wanted)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    return torch.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


@contextmanager
def _buffers_kept(module: nn.Module) -> Iterator[None]:
    """The buffers as they were afterwards."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, copy in before:
            buffer.copy_(copy)
