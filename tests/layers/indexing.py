"""Writes as functions of plain data: `x[key] = values` and its kin, with lists in the places of tensors of numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["at", "each_sample", "put", "scatter_like", "unpooled"]


def put(x: Tensor, key: Any, values: Any, accumulate: bool = False) -> Tensor:
    """A copy of `x` after `x[key] = values`, or after adding; lists in the key are tensors of numbers or masks."""
    if not accumulate:
        result = x.clone()
        result[_key(key)] = values
        return result
    given = torch.as_tensor(values, dtype=x.dtype)
    indices = [None if item == slice(None) else _numbers(item) for item in key]
    added: Tensor = torch.ops.aten.index_put(x, indices, given, True)
    return added


def _key(key: Any) -> Any:
    return tuple(_numbers(item) for item in key) if isinstance(key, tuple) else _numbers(key)


def _numbers(item: Any) -> Any:
    return torch.tensor(item) if isinstance(item, list) else item


def at(x: Tensor, name: str, dim: int, index: Any, *args: Any, **kwargs: Any) -> Tensor:
    """`x.index_add(dim, index, ...)` or another of its kind; the index a list, or the numbers of the first sample."""
    numbers = torch.tensor(index) if isinstance(index, list) else index[0]
    result: Tensor = getattr(x, name)(dim, numbers.long(), *args, **kwargs)
    return result


def each_sample(x: Tensor, index: Tensor, values: Any, *, negative: bool = False, accumulate: bool = False) -> Tensor:
    """`x[torch.arange(batch), index] = values`."""
    samples = torch.arange(x.shape[0], device=x.device).view(-1, *(1,) * (index.dim() - 1))
    numbers = index.long() - x.shape[1] if negative else index.long()
    given = torch.as_tensor(values, dtype=x.dtype)
    return x.index_put((samples, numbers), given, accumulate=accumulate)


def scatter_like(x: Tensor, name: str, dim: int, index: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`x.scatter(dim, index, ...)` or another of its kind, by 64-bit numbers."""
    result: Tensor = getattr(x, name)(dim, index.long(), *args, **kwargs)
    return result


def unpooled(x: Tensor, rank: int, **config: Any) -> Tensor:
    """What a pool's maxima give, put back."""
    functions = torch.nn.functional
    pool, unpool = (getattr(functions, f"max_{word}{rank}d") for word in ("pool", "unpool"))
    values, index = pool(x, return_indices=True, **config)
    result: Tensor = unpool(values * 2 - 1, index, config["kernel_size"], config.get("stride"), output_size=x.shape[2:])
    return result
