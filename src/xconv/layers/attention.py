"""Scaled dot-product attention: Keras's Attention and ops.dot_product_attention  <->  torch's function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.layers.attention_examples import scored_examples
from xconv.layers.attention_scores import CONSTANT_MASKS, dot_product_attention, scored_attention
from xconv.layers.tile import Along
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["Attention"]


@dataclass(frozen=True, slots=True)
class Attention(Spec):
    """softmax(scale * query key^T) value, over queries (..., L, E), keys (..., S, E) and values (..., S, Ev).

    A fourth input is a mask over (..., L, S): of truth values, True where a query may look, or added to the scores. A
    query that may look nowhere gives zeros. In Keras this is the layer Attention where there is no scale and no mask,
    otherwise several operations, which a pass writes.

    >>> Attention(0.5).out_shape((None, 2, 6, 4), (None, 2, 5, 4), (None, 2, 5, 3))
    (None, 2, 6, 3)
    """

    scale: float
    causal: bool = False
    """A query looks at keys up to its own place only."""
    mask: str = ""
    """'truth', 'added', or nothing."""

    order = Order.WRITTEN
    keras_kinds = "AdditiveAttention", "Attention", "ops.DotProductAttention"
    restrictions = dict.fromkeys(("AdditiveAttention", "Attention"), CONSTANT_MASKS)
    aten_ops = ("scaled_dot_product_attention",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """torch's function where that is what Keras computes, otherwise scores, masks and a softmax."""
        read = dot_product_attention if layer.kind.startswith("ops.") else scored_attention
        return read(layer, cls)

    @property
    def is_layer(self) -> bool:
        """Whether Keras has a layer for it."""
        return self.scale == 1.0 and not self.mask

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The scale is 1 / sqrt(E) where none is given; with enable_gqa, heads of keys and values are repeated."""
        if call["dropout_p"]:
            raise Unsupported("attention with dropout in inference", remedy="set dropout_p to 0 in eval mode")
        query, key, value = (call[name] for name in ("query", "key", "value"))
        mask, scale = call["attn_mask"], call["scale"]
        width = call.inputs[0][-1]
        if scale is None and not width:
            raise Unsupported("attention over vectors of unknown length", remedy="give them a known size")
        kind = "" if mask is None else "truth" if call.dtypes[mask.index] == "bool" else "added"
        spec = cls(float(scale or (width or 1) ** -0.5), bool(call["is_causal"]), kind)
        inputs = [query, key, value] + ([] if mask is None else [mask])
        ops: list[Op] = []
        heads, groups = (shape[-3] if len(shape) > 2 else 1 for shape in call.inputs[:2])
        if call["enable_gqa"] and heads != groups:
            for place, name in ((1, "keys"), (2, "values")):
                ops.append(Op(_repeated(call.inputs[place], heads), {}, name, (inputs[place],)))
                inputs[place] = Made(len(ops) - 1)
        return (*ops, Op(spec, {}, "", tuple(inputs)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Attention, where Keras has it."""
        if not self.is_layer or len(inputs[0]) < 3:
            raise Unsupported("attention with a scale or a mask", remedy="write it out: xconv.passes does")
        kwargs = {"use_causal_mask": True} if self.causal else {}
        return KerasLayer("Attention", {}, (), tuple(inputs), ([Slot(0), Slot(2), Slot(1)],), kwargs)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.nn.functional.scaled_dot_product_attention."""
        options: dict[str, Any] = {"attn_mask": Slot(3)} if self.mask else {}
        options |= {"is_causal": True} if self.causal else {}
        args = (Slot(0), Slot(1), Slot(2))
        return TorchCall("torch.nn.functional.scaled_dot_product_attention", args, {**options, "scale": self.scale})

    def out_shape(self, *inputs: Shape) -> Shape:
        """The queries' shape with the values' length."""
        for other in inputs[1:3]:
            pairs = zip(inputs[0][:-2], other[:-2], strict=False)
            if len(other) != len(inputs[0]) or any(None not in (a, b) and b not in (1, a) for a, b in pairs):
                shapes = ", ".join(map(str, inputs))
                raise Mismatch(f"attention over {shapes}", remedy="give queries, keys and values the same heads")
        return (*inputs[0][:-1], inputs[2][-1])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both layers and the operation, every option and mask."""
        return scored_examples()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Self and cross attention, causal, a scale, both kinds of masks, grouped heads, ranks 3 and 4."""
        target = "torch.nn.functional.scaled_dot_product_attention"
        three = (Slot(0), Slot(1), Slot(2))
        same, cross = ((2, 6, 4),) * 3, ((2, 6, 4), (2, 5, 4), (2, 5, 3))
        yield TorchExample(target, same, args=three)
        yield TorchExample(target, cross, args=three, kwargs={"is_causal": True})
        yield TorchExample(target, same, args=three, kwargs={"is_causal": True, "scale": 0.3})
        yield TorchExample(target, (*cross, (1, 6, 5)), args=three, kwargs={"attn_mask": Slot(3)})
        yield TorchExample(target, ((6, 4), (5, 4), (5, 3)), args=three)
        grouped = ((4, 6, 4), (2, 5, 4), (2, 5, 3))
        yield TorchExample(target, grouped, args=three, kwargs={"enable_gqa": True})


def _repeated(shape: Shape, heads: int | None) -> Along:
    """Every head of keys or values as often as queries share it."""
    own = shape[-3]
    if own is None or heads is None or heads % own:
        raise Unsupported(f"{heads} heads of queries over {own} of keys")
    return Along("repeat", len(shape) - 3, heads // own)
