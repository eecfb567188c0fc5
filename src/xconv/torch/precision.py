"""A torch module in another precision and in inference mode, the original untouched; TF32 off."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from xconv.sides import OWN
from xconv.torch.modules.precision import Cast, Computing, in_one_precision

__all__ = ["full_precision", "in_precision", "recast"]


def in_precision(module: nn.Module, dtype: str) -> nn.Module:
    """The module with every floating tensor in `dtype`, every complex one in pairs of it, in eval mode.

    With `OWN` every tensor stays in the dtype that it has. It is the module itself where that changes nothing; else a
    copy, which shares the tensors that need no cast.
    """
    if dtype == OWN:
        return copy.deepcopy(module).eval() if any(child.training for child in module.modules()) else module
    wanted = getattr(torch, dtype)
    tensors = _tensors(module)
    cast = any(_wanted(t, wanted) != t.dtype for t in tensors)
    told = any(isinstance(child, (Cast, Computing)) for child in module.modules())
    if not cast and not told and not any(child.training for child in module.modules()):
        return module
    memo = {id(tensor): _cast(tensor, wanted) for tensor in tensors}
    with warnings.catch_warnings():
        # torch warns of its own class while it copies the argument tree of an exported program.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        result = copy.deepcopy(module, memo)
    in_one_precision(result, dtype)
    # An exported program's module refuses eval(), in which it already is.
    return result.eval() if any(child.training for child in result.modules()) else result


def recast(module: nn.Module, dtype: str) -> nn.Module:
    """The module with its floating tensors replaced by casts: for a module that shares its tensors with its source."""
    wanted = getattr(torch, dtype)
    casts = {id(tensor): _cast(tensor, wanted) for tensor in _tensors(module)}
    for child in module.modules():
        stores: tuple[dict[str, Any], ...] = (child._parameters, child._buffers, vars(child))
        for named in stores:
            named.update({name: casts[id(value)] for name, value in named.items() if id(value) in casts})
    in_one_precision(module, dtype)
    return module


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    """Parameters, buffers and plain tensor attributes."""
    plain = [v for child in module.modules() for v in vars(child).values() if isinstance(v, torch.Tensor)]
    return [*module.parameters(), *module.buffers(), *plain]


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    dtype = _wanted(tensor, dtype)
    if tensor.dtype == dtype:
        return tensor
    values = tensor.detach().to(dtype)
    return nn.Parameter(values, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values


def _wanted(tensor: torch.Tensor, dtype: torch.dtype) -> torch.dtype:
    """The type that a tensor gets; one of whole numbers keeps its own."""
    if tensor.is_complex():
        return dtype.to_complex()
    return dtype if tensor.is_floating_point() else tensor.dtype


@contextmanager
def full_precision(module: nn.Module, dtype: str) -> Iterator[None]:
    """No gradients, and no TF32 or bfloat16 inside float32 products; the settings are restored.

    float64 runs with grouped convolutions take one thread: torch starts its threads anew for each group, which on a
    busy machine cost 14 seconds instead of 0.4 for EfficientNetB0.
    """
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    threads = torch.get_num_threads()
    if dtype == "float64" and any(getattr(child, "groups", 1) != 1 for child in module.modules()):
        torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
