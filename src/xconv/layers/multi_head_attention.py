"""Attention of several heads with its projections: Keras's MultiHeadAttention  <->  torch.nn.MultiheadAttention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights
from xconv.weights import Weight

__all__ = ["MultiHeadAttention"]

ROLES = ("query", "key", "value", "output")


@dataclass(frozen=True, slots=True)
class MultiHeadAttention(Spec):
    """Queries, values and, where they are others, keys of shape (batch, steps, features), in Keras's order.

    The weights are `query`, `key`, `value` (heads * length, features) and `output` (features, heads * length), each
    with a bias or none of them. From torch, a pass over the graph finds it (`xconv.torch.regions`).
    """

    features: tuple[int, int, int, int]
    """Of queries, keys, values and outputs."""
    heads: int
    key_dim: int
    value_dim: int
    causal: bool = False
    dropout: float = 0.0
    """Of the attention weights, in training."""

    order = Order.WRITTEN
    keras_kinds = ("MultiHeadAttention",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Kernels (features, heads, length), that of the output (heads, length, features)."""
        value, key = layer.argument(1, "value"), layer.argument(2, "key")
        if (layer.argument(0, "query"), value, key) not in ((Slot(0), Slot(1), None), (Slot(0), Slot(1), Slot(2))):
            raise Unsupported("MultiHeadAttention whose query, value and key are not given in this order")
        _refuse(layer)
        if any(len(shape) != 3 for shape in layer.inputs):
            raise Unsupported(f"MultiHeadAttention over {layer.inputs[0]}", remedy="give it one axis of steps")
        heads, key_dim = layer["num_heads"], layer["key_dim"]
        value_dim = layer.get("value_dim") or key_dim
        known = [layer.inputs[place][-1] for place in (0, -1, 1)]
        wanted = layer.get("output_shape")
        wanted = wanted[0] if isinstance(wanted, (list, tuple)) and len(wanted) == 1 else wanted
        query, key_size, value_size, output = (*known, wanted or known[0])
        if query is None or key_size is None or value_size is None or not isinstance(output, int):
            raise Mismatch(f"MultiHeadAttention with output_shape {wanted} over features {known}")
        bias = layer.get("use_bias", True)
        roles = [name for role in ROLES for name in ((role, f"{role}_bias") if bias else (role,))]
        weights = {role: _flat(role, weight) for role, weight in layer.named(*roles).items()}
        causal, rate = bool(layer.get("use_causal_mask")), float(layer.get("dropout") or 0.0)
        return Op(cls((query, key_size, value_size, output), heads, key_dim, value_dim, causal, rate), weights)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """MultiHeadAttention."""
        config: dict[str, Any] = {
            "num_heads": self.heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": "query_bias" in weights,
        }
        if self.features[3] != self.features[0]:
            config["output_shape"] = [self.features[3]]
        arrays: list[Weight] = []
        for role in ROLES:
            length = self.key_dim if role in ("query", "key") else self.value_dim
            kernel, cut = weights[role].transpose((1, 0)), (self.heads, length)
            size = kernel.shape[1] if role == "output" else kernel.shape[0]
            arrays.append(kernel.reshape((*cut, size) if role == "output" else (size, *cut)))
            if f"{role}_bias" in weights:
                bias = weights[f"{role}_bias"]
                arrays.append(bias if role == "output" else bias.reshape(cut))
        args = tuple(Slot(place) for place in range(len(inputs)))
        kwargs = {"use_causal_mask": True} if self.causal else {}
        return KerasLayer("MultiHeadAttention", config, tuple(arrays), tuple(inputs), args, kwargs)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's MultiHeadAttention, which computes what nn.MultiheadAttention does."""
        config = {
            "features": self.features,
            "num_heads": self.heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "bias": "query_bias" in weights,
            "causal": self.causal,
            "dropout": self.dropout,
        }
        named = {(role if role.endswith("_bias") else f"{role}_weight"): w for role, w in weights.items()}
        args = tuple(Slot(place) for place in range(len(inputs)))
        return TorchCall("xconv.torch.modules.MultiHeadAttention", args, config=config, tensors=named)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The queries' shape with the outputs' features."""
        return (*inputs[0][:-1], self.features[3])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Self and cross attention, keys of their own, heads of other lengths, causal, without a bias."""
        same = {"num_heads": 2, "key_dim": 4}
        shapes = ((8, 2, 4), (2, 4)) * 3 + ((2, 4, 8), (8,))
        two, three = (Slot(0), Slot(1)), (Slot(0), Slot(1), Slot(2))
        yield Example("MultiHeadAttention", ((6, 8), (6, 8)), same, shapes, two)
        other = ((8, 2, 4), (2, 4), (5, 2, 4), (2, 4), (3, 2, 5), (2, 5), (2, 5, 7), (7,))
        wide = {**same, "value_dim": 5, "output_shape": [7]}
        yield Example("MultiHeadAttention", ((6, 8), (4, 3), (4, 5)), wide, other, three)
        yield Example("MultiHeadAttention", ((6, 8), (4, 8)), {**same, "use_bias": False}, shapes[::2], two)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Self and cross attention, with and without the weights, joint and separate projections, a whole block."""
        same, cross = (Slot(0), Slot(0), Slot(0)), (Slot(0), Slot(1), Slot(2))
        target, heads = "torch.nn.MultiheadAttention", {"embed_dim": 8, "num_heads": 2, "batch_first": True}
        for options in ({}, {"bias": False}):
            yield TorchExample(target, ((6, 8),), {**heads, **options}, same, {"need_weights": False})
        yield TorchExample(target, ((6, 8),), heads, same)
        apart = {**heads, "kdim": 5, "vdim": 3}
        yield TorchExample(target, ((6, 8), (4, 5), (4, 3)), apart, cross, {"need_weights": False})
        yield TorchExample(target, ((6, 8), (4, 5), (4, 3)), {**apart, "add_bias_kv": True}, cross)
        block = {"d_model": 8, "nhead": 2, "dim_feedforward": 7, "dropout": 0.0, "batch_first": True}
        yield TorchExample("torch.nn.TransformerEncoderLayer", ((6, 8),), block)
        yield TorchExample("torch.nn.TransformerDecoderLayer", ((6, 8), (4, 8)), {**block, "norm_first": True})


def _flat(role: str, weight: Weight) -> Weight:
    """A weight with heads and lengths as one axis, rows first."""
    if role.endswith("_bias"):
        return weight.reshape((weight.shape[0] * weight.shape[1],)) if len(weight.shape) == 2 else weight
    first, middle, last = weight.shape
    joined = (first * middle, last) if role == "output" else (first, middle * last)
    return weight.reshape(joined).transpose((1, 0))


def _refuse(layer: KerasLayer) -> None:
    """Refuse masks, whose numbers differ from backend to backend, and what torch has no words for."""
    for key in ("query_mask", "value_mask", "key_mask", "attention_mask"):
        if layer.get(key) is not None:
            raise Unsupported(f"MultiHeadAttention with {key}", remedy="use_causal_mask, or leave out padded steps")
    for key in ("return_attention_scores", "use_gate", "sliding_window"):
        if layer.get(key):
            raise Unsupported(f"MultiHeadAttention with {key}={layer.get(key)!r}")
    given = layer.get("attention_axes")
    if given is not None and tuple(given if isinstance(given, (list, tuple)) else (given,)) not in ((1,), (-2,)):
        raise Unsupported(f"MultiHeadAttention with attention_axes={given}")
    layer.get("flash_attention")
    layer.get("seed")
