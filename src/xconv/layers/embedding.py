"""Embedding  <->  torch.nn.Embedding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Moved,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["Embedding"]


@dataclass(frozen=True, slots=True)
class Embedding(Spec):
    """The row of a table for every number of the input, on a new last axis."""

    rows: int
    features: int

    order = Order.AXES
    keras_kinds = ("Embedding",)
    aten_ops = ("embedding",)
    holds = ("weight",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variable embeddings (rows, features)."""
        if layer.get("mask_zero"):
            raise Unsupported(
                "mask_zero=True: layers behind it skip the padding by a hidden mask, which xconv does not carry yet",
                remedy="rebuild with mask_zero=False and feed sequences of full length",
            )
        layer.get("input_length")
        layer.get("weights")
        weights = layer.named("embeddings")
        expected = (layer["input_dim"], layer["output_dim"])
        if weights["embeddings"].shape != expected:
            raise Mismatch(f"the table has shape {weights['embeddings'].shape}, the configuration asks for {expected}")
        return Op(cls(*expected), weights)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The table; padding_idx, scale_grad_by_freq and sparse only matter where it is trained."""
        call.get("indices")
        weights = call.named(embeddings="weight")
        notes = []
        if call["padding_idx"] >= 0:
            notes.append(f"torch never trains row {call['padding_idx']}, its padding_idx; Keras does")
        if call["scale_grad_by_freq"]:
            notes.append("torch divides the gradient of a row by how often it is used; Keras does not")
        call.get("sparse")
        rows, features = weights["embeddings"].shape
        return Op(cls(rows, features), weights, note="; ".join(notes))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Embedding."""
        config = {"input_dim": self.rows, "output_dim": self.features, "mask_zero": False}
        return KerasLayer("Embedding", config, (weights["embeddings"],), tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Embedding; Keras truncates numbers that are not whole, so does this."""
        config = {"num_embeddings": self.rows, "embedding_dim": self.features}
        ids = TorchCall("Tensor.long", (Slot(0),))
        return TorchCall("torch.nn.Embedding", (ids,), config=config, tensors={"weight": weights["embeddings"]})

    def out_shape(self, *inputs: Shape) -> Shape:
        """The input's shape and the features."""
        return (*inputs[0], self.features)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The new axis stays last."""
        return Moved(self, weights, (*order, len(order)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """A sequence, and single numbers."""
        config = {"input_dim": 4, "output_dim": 3}
        yield Example("Embedding", ((5,),), config, ((4, 3),), values="integers")
        yield Example("Embedding", ((5, 2),), config, ((4, 3),), values="integers")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Sequences and single numbers."""
        config = {"num_embeddings": 4, "embedding_dim": 3}
        yield TorchExample("torch.nn.Embedding", ((5,),), config, values="integers")
        yield TorchExample(
            "torch.nn.Embedding", ((5, 2),), {**config, "padding_idx": 1}, values="integers", trains=False
        )
