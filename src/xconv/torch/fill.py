"""Numbers into tensors: arrays are read block by block and rearranged on the way."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from xconv import axes
from xconv.errors import Mismatch
from xconv.weights import ArraySource, Weight

if TYPE_CHECKING:
    import numpy as np

__all__ = ["fill"]


def fill(target: torch.Tensor, weight: Weight, source: ArraySource) -> None:
    """Read `source` into `target`, which is contiguous and has `weight.shape`, rearranged as `weight` says.

    No second copy of the whole array is held.

    Raises:
        Mismatch: the source has another shape than the weight was planned for.
    """
    if tuple(source.shape) != weight.source:
        raise Mismatch(f"the array has shape {tuple(source.shape)}, the model needs {weight.source}", place=weight.key)
    view = target.view(axes.apply(weight.split, weight.order))
    if view.dim() == 0:
        view.copy_(tensor_of(next(iter(source.blocks()))[1]).reshape(()))
        return
    first = weight.order.index(0)
    step = weight.source[0] // weight.split[0]
    for start, block in source.blocks(multiple=step):
        rows = tensor_of(block).reshape(-1, *weight.split[1:])
        _rearrange(view.narrow(first, start // step, len(rows)), rows, weight.order)


def tensor_of(block: np.ndarray[Any, Any]) -> torch.Tensor:
    """A tensor over the block's memory; bfloat16, which NumPy lacks, is reinterpreted from its bits."""
    if block.dtype.itemsize == torch.bfloat16.itemsize and block.dtype.kind in "Vu":
        return torch.from_numpy(block.view("int16")).view(torch.bfloat16)
    if block.flags.writeable:
        return torch.from_numpy(block)
    with warnings.catch_warnings():
        # a read-only block is only read here, which is all that torch warns about
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(block)


def _rearrange(target: torch.Tensor, rows: torch.Tensor, order: axes.Order) -> None:
    """`target.copy_(rows.permute(order))`, by way of plain transposes where they do it.

    torch transposes a matrix with a kernel of its own, 4 to 7 times faster than its general strided copy. A 1x1
    kernel is one such transpose, and a kernel (k*k, in, out) -> (out, in, k*k) one and a copy of short rows.
    """
    if not target.is_contiguous() or not rows.is_contiguous():
        arranged = torch.empty(target.shape, dtype=rows.dtype)
        if rows.is_contiguous():
            _rearrange(arranged, rows, order)
            rows, order = arranged, axes.identity(rows.dim())
        target.copy_(rows.permute(order))
        return
    sizes, short = axes.merged(tuple(rows.shape), order)
    rows = rows.view(sizes)
    target = target.view(axes.apply(sizes, short))
    if short == (1, 0):
        target.copy_(rows.t())
    elif short == (2, 1, 0):
        window, inputs, outputs = sizes
        turned = rows.view(window, inputs * outputs).t().contiguous()
        target.copy_(turned.view(inputs, outputs, window).transpose(0, 1))
    else:
        target.copy_(rows.permute(short))
