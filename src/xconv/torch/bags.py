"""nn.EmbeddingBag over bags of one length, captured as what it is: rows of a table, and their mean, sum or maximum.

torch's own operator takes all bags in a row and the places where they begin, which depend on the size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from torch import Tensor, nn

from xconv.torch.replaced import replaced

__all__ = ["plain_bags"]


def plain_bags(module: nn.Module) -> AbstractContextManager[None]:
    """The module with such layers in other words; as it was afterwards."""
    return replaced(module, _method)


def _method(module: nn.Module) -> tuple[str, Callable[..., Tensor]] | None:
    """The method of a bag that leaves nothing out and does not change its table; None for any other module."""
    if not isinstance(module, nn.EmbeddingBag) or module.padding_idx is not None or module.max_norm is not None:
        return None

    def forward(input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:  # noqa: A002
        if input.dim() != 2 or offsets is not None:
            return nn.EmbeddingBag.forward(module, input, offsets, per_sample_weights)
        rows = nn.functional.embedding(input, module.weight, scale_grad_by_freq=module.scale_grad_by_freq)
        if per_sample_weights is not None:
            rows = rows * per_sample_weights.unsqueeze(-1)
        match module.mode:
            case "sum":
                return rows.sum(1)
            case "mean":
                return rows.mean(1)
        return rows.amax(1)

    return "forward", forward
