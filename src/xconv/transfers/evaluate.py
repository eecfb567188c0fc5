"""Numbers for formulas: moves keep every bit, sums and products are worked out in float64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from xconv.errors import Mismatch
from xconv.torch.fill import fill
from xconv.transfers.plan import Fill, Flip, Formula, Join, Part, Product, Sum, Take, is_move
from xconv.weights import Arrays, ArraySource, Weight

__all__ = ["evaluate", "taken_tensor"]


def evaluate(formula: Formula, arrays: Arrays) -> torch.Tensor:
    """What a formula makes of the source's arrays: in their own dtype where it only moves numbers, else in float64.

    Args:
        formula: what to make.
        arrays: the source's arrays by key.

    Raises:
        Mismatch: an array that is not there, or has another shape than the plan was made for.
    """
    return _made(formula, arrays, None if is_move(formula) else torch.float64).contiguous()


def _made(formula: Formula, arrays: Arrays, dtype: torch.dtype | None) -> torch.Tensor:
    match formula:
        case Take(weight):
            tensor = taken_tensor(weight, arrays)
            return tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)
        case Fill(shape, value):
            return torch.full(shape, value, dtype=dtype or torch.float32)
        case Flip(of, axes, 1):
            return _made(of, arrays, dtype).flip(axes)
        case Flip(of, axes, block):
            whole = _made(of, arrays, dtype)
            for axis in axes:
                blocks = whole.reshape(*whole.shape[:axis], -1, block, *whole.shape[axis + 1 :])
                whole = blocks.flip(axis).reshape(whole.shape)
            return whole
        case Part(of, start, stop):
            return _made(of, arrays, dtype)[start:stop]
        case Join(parts):
            return torch.cat([_made(part, arrays, dtype) for part in parts])
        case Sum(of, other, factor):
            return _made(of, arrays, dtype) + factor * _made(other, arrays, dtype)
        case Product(of, vector, axis):
            whole = _made(of, arrays, dtype)
            return whole * _made(vector, arrays, dtype).reshape([-1 if i == axis else 1 for i in range(whole.dim())])


def taken_tensor(weight: Weight, arrays: Mapping[str, ArraySource]) -> torch.Tensor:
    """An array as its layer uses it, in the dtype in which it is stored.

    Raises:
        Mismatch: it is not there, or has another shape.
    """
    if weight.constant is not None:
        return torch.full(weight.shape, weight.constant, dtype=getattr(torch, weight.dtype))
    if weight.key not in arrays:
        raise Mismatch("the source has no such array", place=weight.key)
    source = arrays[weight.key]
    tensor = torch.empty(weight.shape, dtype=_dtype(source.dtype))
    fill(tensor, weight, source)
    return tensor


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    return found if isinstance(found, torch.dtype) else torch.as_tensor(np.empty(0, name)).dtype
