"""nn.EmbeddingBag over bags of one length, captured as what it is: rows of a table, and their mean, sum or maximum.

torch's own operator takes all bags in a row and the places where they begin, which depend on the size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from xconv.torch.replaced import replaced

__all__ = ["plain_bags"]


def plain_bags(module: nn.Module) -> AbstractContextManager[None]:
    """The module with such layers in other words; as it was afterwards."""
    return replaced(module, _method)


def _method(module: nn.Module) -> tuple[str, Callable[..., Tensor]] | None:
    """The method of a bag that does not change its table; None for any other module."""
    if not isinstance(module, nn.EmbeddingBag) or module.max_norm is not None:
        return None

    def forward(input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:  # noqa: A002
        if input.dim() != 2 or offsets is not None:
            return nn.EmbeddingBag.forward(module, input, offsets, per_sample_weights)
        rows = nn.functional.embedding(input, module.weight, scale_grad_by_freq=module.scale_grad_by_freq)
        if per_sample_weights is not None:
            rows = rows * per_sample_weights.unsqueeze(-1)
        if module.padding_idx is not None:
            return _without(rows, input != module.padding_idx, module.mode)
        match module.mode:
            case "sum":
                return rows.sum(1)
            case "mean":
                return rows.mean(1)
        return rows.amax(1)

    return "forward", forward


def _without(rows: Tensor, counts: Tensor, mode: str) -> Tensor:
    """What is made of the rows that count; of a bag without any, zeros."""
    counts = counts.unsqueeze(-1)
    if mode == "max":
        largest = torch.where(counts, rows, float("-inf")).amax(1)
        return torch.where(counts.any(1), largest, 0.0)
    total = torch.where(counts, rows, 0.0).sum(1)
    return total if mode == "sum" else total / counts.sum(1).clamp(min=1).to(total.dtype)
