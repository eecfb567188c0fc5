"""Embedding, ReversibleEmbedding  <->  aten.embedding, torch.nn.Embedding; a Linear that has its table as weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.activation import Activation
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.matmul import Einsum
from xconv.layers.steps import Steps
from xconv.layers.unary import Cast
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
from xconv.weights import Weight

__all__ = ["Embedding", "ReversibleEmbedding"]


@dataclass(frozen=True, slots=True)
class Embedding(Spec):
    """The row of a table for every number of the input, on a new last axis."""

    rows: int
    features: int

    order = Order.AXES
    wide = True
    keras_kinds = ("Embedding",)
    aten_ops = ("embedding",)
    holds = ("weight",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variable embeddings (rows, features)."""
        layer.get("mask_zero")  # the mask is a tensor of its own
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
        yield Example("Embedding", ((5, 2),), {**config, "mask_zero": True}, ((4, 3),), values="integers")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Sequences and single numbers."""
        config = {"num_embeddings": 4, "embedding_dim": 3}
        yield TorchExample("torch.nn.Embedding", ((5,),), config, values="integers")
        yield TorchExample(
            "torch.nn.Embedding", ((5, 2),), {**config, "padding_idx": 1}, values="integers", trains=False
        )


@dataclass(frozen=True, slots=True)
class ReversibleEmbedding(Spec):
    """One table with two uses: its rows for numbers, or (`reverse`) the product of vectors with every row.

    Only what Keras is told where an Embedding and a Dense share their weight; read, it is these two.
    """

    rows: int
    features: int
    reverse: bool

    order = Order.AXES
    keras_kinds = ("ReversibleEmbedding",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """Variable embeddings, and a second one where the way back is not tied to it; a soft cap is a scaled tanh."""
        layer.get("mask_zero")  # the mask is a tensor of its own
        tied = bool(layer.get("tie_weights", True))
        weights = layer.named("embeddings") if tied else layer.named("embeddings", "reversed")
        rows, features = layer["input_dim"], layer["output_dim"]
        if weights["embeddings"].shape != (rows, features):
            raise Mismatch(f"the table has shape {weights['embeddings'].shape}, not {(rows, features)}")
        cap, dtype = layer.get("logit_soft_cap"), layer.get("reverse_dtype")
        if not layer.argument(1, "reverse", False):
            return (Op(Embedding(rows, features), {"embeddings": weights["embeddings"]}),)
        kernel = weights["embeddings"] if tied else weights["reversed"].transpose((1, 0))
        rank = len(layer.inputs[0])
        product: tuple[Op, ...] = (Op(Dense(features, rows), {"kernel": kernel}, "reverse"),)
        if dtype is not None:
            product = _product_in(dtype, rank, "embeddings" if tied else "reversed", kernel)
        if cap is None:
            return product
        number = float(cap)
        return (
            *product,
            Op(Elementwise("divide", (Slot(0), number)), {}, "over_cap"),
            Op(Activation("tanh"), {}, "bounded"),
            Op(Elementwise("multiply", (Slot(0), number)), {}, "times_cap"),
        )

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """ReversibleEmbedding, called with reverse=True for the product."""
        config = {"input_dim": self.rows, "output_dim": self.features, "tie_weights": True, "mask_zero": False}
        kwargs = {"reverse": True} if self.reverse else {}
        (table,) = weights.values()
        return KerasLayer("ReversibleEmbedding", config, (table,), tuple(inputs), (Slot(0),), kwargs)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Embedding, or nn.Linear."""
        (table,) = weights.values()
        if self.reverse:
            return Dense(self.features, self.rows).to_torch({"kernel": table}, inputs)
        return Embedding(self.rows, self.features).to_torch({"embeddings": table}, inputs)

    def out_shape(self, *inputs: Shape) -> Shape:
        """A new last axis, or the last one as long as the table."""
        return (*inputs[0][:-1], self.rows) if self.reverse else (*inputs[0], self.features)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """It is made after the layout is decided."""
        if axes.is_identity(order):
            return Moved(self, weights, order if self.reverse else (*order, len(order)))
        raise Unsupported("a table with two uses on moved axes", remedy="decide the layout first")

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """The rows; the product, with a table of its own, a cap, in another dtype."""
        kind, config, back = "ReversibleEmbedding", {"input_dim": 4, "output_dim": 3}, {"reverse": True}
        yield Example(kind, ((5,),), {**config, "mask_zero": True}, ((4, 3),), values="integers")
        yield Example(kind, ((5, 3),), config, ((4, 3),), kwargs=back)
        capped = {**config, "tie_weights": False, "logit_soft_cap": 2.5}
        yield Example(kind, ((5, 3),), capped, ((4, 3), (3, 4)), kwargs=back)
        single = {**config, "reverse_dtype": "float32"}
        yield Example(kind, ((2, 5, 3),), single, ((4, 3),), float64=False, kwargs=back)


def _product_in(dtype: str, rank: int, role: str, kernel: Weight) -> tuple[Op, ...]:
    """Vectors times every row of a table, both of them cast first."""
    lead, steps = ascii_lowercase[: rank - 1], Steps()
    vectors = steps.add(Cast(dtype), Slot(0), name="vectors")
    table = steps.add(Variable(kernel.shape), weights={role: kernel}, name=role)
    rows = steps.add(Cast(dtype), table, name="rows")
    steps.add(Einsum(f"{lead}y,zy->{lead}z"), vectors, rows, name="reverse")
    return steps.done()
