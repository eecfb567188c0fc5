"""A torch module in another precision and in inference mode, the original untouched; TF32 off."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["full_precision", "in_precision"]


def in_precision(module: nn.Module, dtype: str, *, evaluate: bool = True) -> nn.Module:
    """The module with every floating tensor in `dtype`, in eval mode.

    It is the module itself where that changes nothing; else a copy, which shares the tensors that need no cast.
    """
    wanted = getattr(torch, dtype)
    tensors = _tensors(module)
    cast = any(t.is_floating_point() and t.dtype != wanted for t in tensors)
    if not cast and not (evaluate and any(child.training for child in module.modules())):
        return module
    memo = {id(tensor): _cast(tensor, wanted) for tensor in tensors}
    result = copy.deepcopy(module, memo)
    return result.eval() if evaluate else result


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    """Parameters, buffers and plain tensor attributes."""
    plain = [v for child in module.modules() for v in vars(child).values() if isinstance(v, torch.Tensor)]
    return [*module.parameters(), *module.buffers(), *plain]


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if not tensor.is_floating_point() or tensor.dtype == dtype:
        return tensor
    values = tensor.detach().to(dtype)
    return nn.Parameter(values, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values


@contextmanager
def full_precision() -> Iterator[None]:
    """No gradients, and no TF32 or bfloat16 inside float32 products; the settings are restored."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
