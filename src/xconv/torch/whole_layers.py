"""Layers of xconv's own that hold weights and options, captured as one call each.

before   MultiHeadAttention(...)(query, value) is its projections, products and masks in the exported program
after    xconv::multi_head_attention([query, value], [weights ...], '{"num_heads": 2, ...}')
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xconv.torch.modules.attention import MultiHeadAttention
from xconv.torch.modules.einsum import EinsumDense
from xconv.torch.modules.noise import SharedDropout
from xconv.torch.modules.norms import MaskedBatchNorm
from xconv.torch.modules.spectral import SpectralNorm

__all__ = ["layer_call"]

CLASSES: dict[str, type[nn.Module]] = {
    "einsum_dense": EinsumDense,
    "masked_batch_norm": MaskedBatchNorm,
    "multi_head_attention": MultiHeadAttention,
    "shared_dropout": SharedDropout,
    "spectral_norm": SpectralNorm,
}
"""The classes by the name of the operator that stands for a call of one; each says its constructor's `config()`."""


def _run(cls: type[nn.Module], inputs: Sequence[Tensor], weights: Sequence[Tensor], config: str) -> list[Tensor]:
    """What the layer computes in inference; tensors of its own that it gives back are copied."""
    module = cls(**json.loads(config)).eval()
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    given = torch.func.functional_call(module, dict(zip(names, weights, strict=True)), tuple(inputs))
    results = list(given) if isinstance(given, tuple) else [given]
    return [item.clone() if any(item is x for x in inputs) else item for item in results]


def _operator(name: str, cls: type[nn.Module]) -> Callable[..., list[Tensor]]:
    """The operator for a class."""

    def run(inputs: Sequence[Tensor], weights: Sequence[Tensor], config: str) -> list[Tensor]:
        return _run(cls, inputs, weights, config)

    operator = torch.library.custom_op(f"xconv::{name}", run, mutates_args=())
    operator.register_fake(run)
    return operator


OPERATORS = {cls: _operator(name, cls) for name, cls in CLASSES.items()}


def layer_call(module: nn.Module) -> Callable[..., Any] | None:
    """What says such a module in one call; None for any other."""
    operator = OPERATORS.get(type(module))
    if operator is None:
        return None
    config = json.dumps(module.config())  # type: ignore[operator]

    def call(*inputs: Tensor) -> Any:
        weights = [tensor for _, tensor in (*module.named_parameters(), *module.named_buffers())]
        found = operator(inputs, weights, config)
        return found[0] if len(found) == 1 else tuple(found)

    return call
