"""Attention of several heads with its projections held apart, as Keras holds them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MultiHeadAttention"]

ROLES = ("query", "key", "value", "output")


class MultiHeadAttention(nn.Module):
    """Projections of queries, keys and values, attention for each head, and a projection of the heads side by side.

    What nn.MultiheadAttention computes with `batch_first`, for heads of any length. `forward(query, value, key)` takes
    them in Keras's order; without a key the values are the keys too. A `causal` query looks at places up to its own.
    """

    def __init__(
        self,
        features: tuple[int, int, int, int],
        num_heads: int,
        key_dim: int,
        value_dim: int,
        *,
        bias: bool = True,
        causal: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features, self.num_heads, self.key_dim, self.value_dim = tuple(features), num_heads, key_dim, value_dim
        self.use_bias, self.causal, self.dropout = bias, causal, dropout
        query, key, value, output = features
        keys, values = num_heads * key_dim, num_heads * value_dim
        shapes = (keys, query), (keys, key), (values, value), (output, values)
        for role, shape in zip(ROLES, shapes, strict=True):
            self.register_parameter(f"{role}_weight", nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape))))
            if bias:
                self.register_parameter(f"{role}_bias", nn.Parameter(torch.zeros(shape[0])))

    def forward(self, query: Tensor, value: Tensor, key: Tensor | None = None) -> Tensor:
        queries = self._heads("query", query)
        keys, values = self._heads("key", value if key is None else key), self._heads("value", value)
        rate = self.dropout if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(queries, keys, values, dropout_p=rate, is_causal=self.causal)
        return self._projected("output", mixed.transpose(1, 2).flatten(2))

    def _heads(self, role: str, x: Tensor) -> Tensor:
        """The projection, cut into heads: (batch, heads, steps, length)."""
        return torch.unflatten(self._projected(role, x), -1, (self.num_heads, -1)).transpose(1, 2)

    def _projected(self, role: str, x: Tensor) -> Tensor:
        bias = getattr(self, f"{role}_bias") if self.use_bias else None
        return nn.functional.linear(x, getattr(self, f"{role}_weight"), bias)

    def extra_repr(self) -> str:
        text = f"{self.features}, num_heads={self.num_heads}, key_dim={self.key_dim}, value_dim={self.value_dim}"
        for name, default in (("use_bias", True), ("causal", False), ("dropout", 0.0)):
            text += f", {name}={getattr(self, name)}" if getattr(self, name) != default else ""
        return text
