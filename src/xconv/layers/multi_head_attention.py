"""Attention of several heads with its projections: Keras's MultiHeadAttention  <->  torch.nn.MultiheadAttention."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.attention_examples import keras_examples, torch_examples
from xconv.layers.attention_scores import CONSTANT_MASKS
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights
from xconv.weights import Weight

__all__ = ["MultiHeadAttention"]

TENSORS = "query", "value", "key"
MASKS = "query_mask", "value_mask", "key_mask", "attention_mask"


@dataclass(frozen=True, slots=True)
class MultiHeadAttention(Spec):
    """Queries, values and, where they are others, keys of shape (batch, steps, features), in Keras's order; masks.

    The weights are `query`, `key`, `value` (heads * length, features) and `output` (features, heads * length), each
    with a bias or none of them. From torch, a pass over the graph finds it (`xconv.torch.regions`).

    A query that may look nowhere sees the mean of all values, or nothing where Keras computes the weights by
    themselves: with dropout, `scores`, or `over` other axes than that of the steps.
    """

    features: tuple[int, int, int, int]
    """Of queries, keys, values and outputs."""
    heads: int
    key_dim: int
    value_dim: int
    causal: bool = False
    dropout: float = 0.0
    """Of the attention weights, in training."""
    groups: int | None = None
    """How many heads keys and values have, in Keras's GroupQueryAttention."""
    masks: tuple[str, ...] = ()
    """The masks behind the other inputs: 'query_mask', 'value_mask', 'key_mask', 'attention_mask'."""
    window: int | None = None
    """How far a query looks, less one."""
    gate: bool = False
    """Whether the heads are multiplied by the sigmoid of a projection of the queries, weights `gate`."""
    over: tuple[int, ...] = ()
    """The axes to attend over, where it is not the one axis of sequences."""
    cut: tuple[int, ...] = ()
    """The axes into which the output's features are cut, where they are several."""
    scores: bool = False
    """Whether the weights of the attention are a second result."""

    order = Order.WRITTEN
    keras_kinds = "MultiHeadAttention", "GroupQueryAttention"
    restrictions = dict.fromkeys(keras_kinds, CONSTANT_MASKS)
    aten_ops = ("multi_head_attention",)
    holds = ("weights",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Kernels (features, heads, length), that of the output (heads, length, ...)."""
        taken = _tensors(layer)
        grouped = layer.kind != "MultiHeadAttention"
        shapes = {name: layer.inputs[slot.index] for name, slot in taken.items()}
        query, value, key = shapes["query"], shapes["value"], shapes.get("key", shapes["value"])
        heads, groups = _heads(layer, grouped)
        key_dim = layer["head_dim" if grouped else "key_dim"]
        value_dim = layer.get("value_dim") or key_dim
        features, cut = _features(layer, query, key, value)
        scores, gate = bool(layer.argument(7, "return_attention_scores", False)), bool(layer.get("use_gate"))
        causal, rate = bool(layer.argument(9, "use_causal_mask", False)), float(layer.get("dropout") or 0.0)
        for key_without_effect in ("flash_attention", "seed"):
            layer.get(key_without_effect)
        masks = tuple(name for name in MASKS if name in taken)
        over, window = _axes(layer, len(query)), layer.get("sliding_window")
        spec = cls(features, heads, key_dim, value_dim, causal, rate, groups, masks, window, gate, over, cut, scores)
        bias = layer.get("use_bias", True)
        roles = [name for role in spec.roles for name in ((role, f"{role}_bias") if bias else (role,))]
        weights = {role: _flat(role, weight) for role, weight in layer.named(*roles).items()}
        return Op(spec, weights, "", tuple(taken.values()))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """xconv's own module, which torch.export sees as one call; its configuration is text."""
        config: dict[str, Any] = json.loads(call["config"])
        features, masks, over, cut = (tuple(config[name]) for name in ("features", "masks", "axes", "output_shape"))
        sizes = (config[name] for name in ("num_heads", "key_dim", "value_dim"))
        causal, rate, groups, window = (config[name] for name in ("causal", "dropout", "groups", "window"))
        gate, scores = config["gate"], config["scores"]
        spec = cls(features, *sizes, causal, rate, groups, masks, window, gate, over, cut, scores)  # type: ignore[call-arg]
        roles = [name for role in spec.roles for name in ((role, f"{role}_bias") if config["bias"] else (role,))]
        return Op(spec, dict(zip(roles, call["weights"], strict=True)), "", tuple(call["inputs"]))

    @property
    def roles(self) -> tuple[str, ...]:
        """The projections in the order in which Keras makes them."""
        return ("query", "key", *(("gate",) if self.gate else ()), "value", "output")

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """MultiHeadAttention or GroupQueryAttention."""
        config: dict[str, Any] = {"dropout": self.dropout, "use_bias": "query_bias" in weights}
        config |= {"use_gate": True} if self.gate else {}
        config |= {} if self.window is None else {"sliding_window": self.window}
        if self.groups is None:
            config |= {"num_heads": self.heads, "key_dim": self.key_dim, "value_dim": self.value_dim}
            config |= {"attention_axes": list(self.over)} if self.over else {}
            if self.cut or self.features[3] != self.features[0]:
                config["output_shape"] = list(self.cut or self.features[3:])
        else:
            config |= {"num_query_heads": self.heads, "num_key_value_heads": self.groups, "head_dim": self.key_dim}
        arrays = [self._array(role, weights[role]) for each in self.roles for role in self._held(each, weights)]
        count = len(inputs) - len(self.masks)
        kwargs: dict[str, Any] = {name: Slot(count + place) for place, name in enumerate(self.masks)}
        if self.groups is None:
            kwargs = _without_query_mask(kwargs)
        kwargs |= {"use_causal_mask": True} if self.causal else {}
        kwargs |= {"return_attention_scores": True} if self.scores else {}
        kind = "MultiHeadAttention" if self.groups is None else "GroupQueryAttention"
        return KerasLayer(kind, config, tuple(arrays), tuple(inputs), tuple(map(Slot, range(count))), kwargs)

    def _held(self, role: str, weights: Weights) -> tuple[str, ...]:
        return (role, f"{role}_bias") if f"{role}_bias" in weights else (role,)

    def _array(self, role: str, weight: Weight) -> Weight:
        """A weight as Keras shapes it."""
        name = role.removesuffix("_bias")
        length = self.key_dim if name in ("query", "key") else self.value_dim
        heads = self.groups if self.groups is not None and name in ("key", "value") else self.heads
        if name == "output":
            cut = self.cut or self.features[3:]
            return weight.reshape(cut) if role != name else weight.transpose((1, 0)).reshape((heads, length, *cut))
        if role != name:
            return weight.reshape((heads, length))
        return weight.transpose((1, 0)).reshape((weight.shape[1], heads, length))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's MultiHeadAttention, which computes what nn.MultiheadAttention does."""
        config: dict[str, Any] = {
            "features": self.features,
            "num_heads": self.heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "bias": "query_bias" in weights,
            "causal": self.causal,
            "dropout": self.dropout,
        }
        more: dict[str, Any] = {"groups": self.groups, "masks": self.masks, "window": self.window, "gate": self.gate}
        more |= {"axes": self.over, "output_shape": self.cut, "scores": self.scores}
        config |= {key: item for key, item in more.items() if item not in (None, (), False)}
        named = {(role if role.endswith("_bias") else f"{role}_weight"): w for role, w in weights.items()}
        args = tuple(Slot(place) for place in range(len(inputs)))
        return TorchCall("xconv.torch.modules.MultiHeadAttention", args, config=config, tensors=named)

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """The queries' shape with the outputs' features; the weights by queries and keys."""
        query, value = inputs[:2]
        output = (*query[:-1], *(self.cut or self.features[3:]))
        if not self.scores:
            return (output,)
        over = self.over or (1,)
        batch = (query[axis] for axis in range(len(query) - 1) if axis not in over)
        return output, (*batch, self.heads, *(query[axis] for axis in over), *(value[axis] for axis in over))

    def out_shape(self, *inputs: Shape) -> Shape:
        """That of the first result."""
        return self.out_shapes(*inputs)[0]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every option of both layers."""
        return keras_examples()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """nn.MultiheadAttention and whole blocks of Transformers."""
        return torch_examples()


def _tensors(layer: KerasLayer) -> Mapping[str, Slot]:
    """The tensors that the layer is called on, by name, in the order in which the Spec takes them."""
    found = {name: layer.argument(place, name) for place, name in enumerate((*TENSORS, *MASKS))}
    for name, item in found.items():
        if item is not None and not isinstance(item, Slot):
            what = f"{layer.kind} with a {name} that is a constant"
            raise Unsupported(what, remedy="compute it from an input, or use use_causal_mask or sliding_window")
    if found["query"] is None or found["value"] is None:
        raise Mismatch(f"{layer.kind} is called without a query or a value")
    return {name: item for name, item in found.items() if item is not None}


def _heads(layer: KerasLayer, grouped: bool) -> tuple[int, int | None]:
    """How many heads queries have, and where it is another layer, keys and values."""
    if not grouped:
        return layer["num_heads"], None
    return layer["num_query_heads"], layer["num_key_value_heads"]


def _features(
    layer: KerasLayer, query: Shape, key: Shape, value: Shape
) -> tuple[tuple[int, int, int, int], tuple[int, ...]]:
    """Of queries, keys, values and outputs; the axes of the output where they are several."""
    wanted = layer.get("output_shape") if layer.kind == "MultiHeadAttention" else None
    wanted = (wanted,) if isinstance(wanted, int) else tuple(wanted or ())
    known = query[-1], key[-1], value[-1]
    output = prod(wanted) if wanted else query[-1]
    if None in (*known, output):
        raise Mismatch(f"{layer.kind} with output_shape {wanted} over features {known}")
    return (*known, output), wanted if len(wanted) > 1 else ()  # type: ignore[return-value]


def _axes(layer: KerasLayer, rank: int) -> tuple[int, ...]:
    """The axes to attend over; none where it is the one axis of sequences."""
    given = layer.get("attention_axes") if layer.kind == "MultiHeadAttention" else None
    listed = range(1, rank - 1) if given is None else given if isinstance(given, (list, tuple)) else [given]
    over = tuple(axes.normal(axis, rank) for axis in listed)
    return () if rank == 3 and over == (1,) else over


def _without_query_mask(masks: Mapping[str, Any]) -> dict[str, Any]:
    """A mask of the queries as part of the attention mask: Keras takes it from the query, not from the argument."""
    rest = {name: item for name, item in masks.items() if name not in ("query_mask", "attention_mask")}
    both = [masks["attention_mask"]] if "attention_mask" in masks else []
    if "query_mask" in masks:
        both.append(KerasLayer("ops.ExpandDims", {"axis": -1}, args=(masks["query_mask"],), name="queries"))
    if len(both) == 2:
        both = [KerasLayer("ops.LogicalAnd", args=tuple(both), name="mask")]
    return {**rest, "attention_mask": both[0]} if both else rest


def _flat(role: str, weight: Weight) -> Weight:
    """A weight with heads and lengths as one axis, and the output's features as another; rows first."""
    if role.endswith("_bias"):
        return weight.reshape((prod(weight.shape),))
    first, second = weight.shape[:2]
    if role == "output":
        return weight.reshape((first * second, prod(weight.shape[2:]))).transpose((1, 0))
    return weight.reshape((first, prod(weight.shape[1:]))).transpose((1, 0))
