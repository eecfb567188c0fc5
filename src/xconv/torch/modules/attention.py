"""Attention of several heads with its projections held apart, as Keras holds them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xconv.torch.modules.masks import attention_mask, attention_sums, masked_softmax

__all__ = ["MultiHeadAttention"]

functional = nn.functional


class MultiHeadAttention(nn.Module):
    """Projections of queries, keys and values, attention for each head, and a projection of the heads side by side.

    What nn.MultiheadAttention computes with `batch_first`, for heads of any length. `forward(query, value, key)` takes
    them in Keras's order; without a key the values are the keys too. Then come the masks that `masks` names, True where
    a step is there or a query may look: 'query_mask', 'value_mask', 'key_mask' over the steps of each,
    'attention_mask' over queries and keys.

    A `causal` query looks at places up to its own, within a `window` only where there is one. With `groups`, that many
    heads of keys and values are shared by all heads of queries. A `gate` multiplies the heads by a sigmoid of the
    queries. `axes` are the axes to attend over, by default the one of the steps; `output_shape` cuts the output's
    features into several axes. With `scores`, the weights of attention are returned too.

    A query that may look nowhere sees the mean of all values, as in Keras; where there is dropout, scores or another
    number of axes, Keras gives zeros, and so does this.
    """

    def __init__(  # noqa: PLR0913 - the options of Keras's layer
        self,
        features: Sequence[int],
        num_heads: int,
        key_dim: int,
        value_dim: int,
        *,
        bias: bool = True,
        causal: bool = False,
        dropout: float = 0.0,
        groups: int | None = None,
        masks: Sequence[str] = (),
        window: int | None = None,
        gate: bool = False,
        axes: Sequence[int] = (),
        output_shape: Sequence[int] = (),
        scores: bool = False,
    ) -> None:
        super().__init__()
        self.features, self.num_heads, self.key_dim, self.value_dim = tuple(features), num_heads, key_dim, value_dim
        self.use_bias, self.causal, self.dropout, self.groups = bias, causal, dropout, groups
        self.masks, self.window, self.gate, self.axes = tuple(masks), window, gate, tuple(axes)
        self.output_shape, self.scores = tuple(output_shape), scores
        query, key, value, output = features
        shared, values = groups or num_heads, num_heads * value_dim
        shapes = {"query": (num_heads * key_dim, query), "key": (shared * key_dim, key)}
        shapes |= {"gate": (values, query)} if gate else {}
        shapes |= {"value": (shared * value_dim, value), "output": (output, values)}
        for role, shape in shapes.items():
            self.register_parameter(f"{role}_weight", nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape))))
            if bias:
                self.register_parameter(f"{role}_bias", nn.Parameter(torch.zeros(shape[0])))

    def forward(self, query: Tensor, value: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        tensors = dict(zip(("key", *self.masks) if len(others) > len(self.masks) else self.masks, others, strict=True))
        key = tensors.pop("key", value)
        queries, keys, values = self._heads("query", query), self._heads("key", key), self._heads("value", value)
        explicit = self.scores or bool(self.axes)
        if explicit or self.window is not None or self.masks:
            half = self.groups is not None and (explicit or self.dropout > 0)
            mask = attention_mask((query, value), tensors, self.causal, self.window, half=half)
        else:
            mask = None
        if explicit:
            mixed, weights = self._explicit(queries, keys, values, mask)
        else:
            mixed = self._fused(queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), mask)
            mixed = mixed.transpose(1, 2)
        heads = mixed.flatten(-2)
        if self.gate:
            heads = heads * torch.sigmoid(self._projected("gate", query))
        output = self._projected("output", heads)
        if len(self.output_shape) > 1:
            output = torch.unflatten(output, -1, self.output_shape)
        return (output, weights) if self.scores else output

    def _fused(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """torch's own kernel, over (batch, heads, steps, length)."""
        rate = self.dropout if self.training else 0.0
        shared = self.groups not in (None, self.num_heads)
        attend = functional.scaled_dot_product_attention
        if mask is None:
            return attend(query, key, value, dropout_p=rate, is_causal=self.causal, enable_gqa=shared)
        mask = _spread(mask, 4, 1)
        nowhere = ~mask.any(-1, keepdim=True)
        mixed = attend(query, key, value, attn_mask=mask | nowhere, dropout_p=rate, enable_gqa=shared)
        if self.dropout > 0:
            return mixed.masked_fill(nowhere, 0.0)
        mean = value.mean(-2, keepdim=True)
        return torch.where(nowhere, self._shared(mean, 1), mixed)

    def _explicit(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same in products, over any axes of (batch, ..., heads, length), and the weights."""
        over = self.axes or (1,)
        products, sums = attention_sums(query.dim(), over)
        key, value = self._shared(key, -2), self._shared(value, -2)
        scores = torch.einsum(products, key, torch.mul(query, self.key_dim**-0.5))
        if mask is not None:
            mask = _spread(mask, scores.dim(), len(over))
        weights = masked_softmax(scores, mask, tuple(range(-len(over), 0)))
        mixed = functional.dropout(weights, self.dropout, self.training)
        return torch.einsum(sums, mixed, value), weights

    def _shared(self, x: Tensor, axis: int) -> Tensor:
        """Heads of keys or values as often as queries share them."""
        return x if self.groups is None else x.repeat_interleave(self.num_heads // self.groups, axis)

    def _heads(self, role: str, x: Tensor) -> Tensor:
        """The projection, cut into heads: (batch, steps, heads, length)."""
        length = self.value_dim if role == "value" else self.key_dim
        return torch.unflatten(self._projected(role, x), -1, (-1, length))

    def _projected(self, role: str, x: Tensor) -> Tensor:
        bias = getattr(self, f"{role}_bias") if self.use_bias else None
        return functional.linear(x, getattr(self, f"{role}_weight"), bias)

    def config(self) -> dict[str, object]:
        """The constructor's arguments."""
        names = "features", "num_heads", "key_dim", "value_dim", "causal", "dropout"
        more = "groups", "masks", "window", "gate", "axes", "output_shape", "scores"
        return {"bias": self.use_bias, **{name: getattr(self, name) for name in (*names, *more)}}

    def extra_repr(self) -> str:
        text = f"{self.features}, num_heads={self.num_heads}, key_dim={self.key_dim}, value_dim={self.value_dim}"
        defaults = {"bias": True, "causal": False, "dropout": 0.0, "groups": None, "masks": (), "window": None}
        defaults |= {"gate": False, "axes": (), "output_shape": (), "scores": False}
        changed = {name: item for name, item in self.config().items() if item != defaults.get(name, item)}
        return ", ".join((text, *(f"{name}={item}" for name, item in changed.items())))


def _spread(mask: Tensor, rank: int, count: int) -> Tensor:
    """A mask with axes of size 1 before those of queries and keys, `count` of each, up to this rank."""
    while mask.dim() < rank:
        mask = mask.unsqueeze(-2 * count - 1)
    return mask
