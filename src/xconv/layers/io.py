"""Where tensors enter a graph: inputs and free variables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Identity", "Input", "Origin", "Unsaid", "Variable"]


@dataclass(frozen=True, slots=True)
class Input(Spec):
    """A tensor that the caller gives; the batch size is always open."""

    shape: Shape
    dtype: str = "float32"

    order = Order.ANY
    keras_kinds = ("InputLayer",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The batch shape, with the batch size dropped."""
        for key in ("sparse", "ragged", "optional", "batch_size", "input_tensor"):
            layer.get(key)
        shape = tuple(layer["batch_shape"])
        return Op(cls((None, *shape[1:]), layer.get("dtype") or "float32"))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """InputLayer."""
        return KerasLayer("InputLayer", {"batch_shape": self.shape, "dtype": self.dtype})

    def out_shape(self, *inputs: Shape) -> Shape:
        """The shape."""
        return self.shape


@dataclass(frozen=True, slots=True)
class Variable(Spec):
    """A weight used as a tensor: what a custom layer adds to or multiplies with its input."""

    size: tuple[int, ...]

    order = Order.ANY

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The one row of an Embedding, looked up at 0 (see `Origin`), in the weight's shape; integers are cast."""
        (weight,) = weights.values()
        size = prod(self.size)
        config = {"input_dim": 1, "output_dim": size, "mask_zero": False}
        table = KerasLayer("Embedding", config, (weight.reshape((1, size)),), args=(Slot(0),), name="row")
        shaped = KerasLayer("ops.Reshape", {"newshape": self.size}, args=(table,))
        if weight.dtype == "bool" or "int" in weight.dtype:
            dtype = "bool" if weight.dtype == "bool" else "int32"
            return KerasLayer("ops.Cast", {"dtype": dtype}, args=(replace(shaped, name="floats"),))
        return shaped

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """The parameter itself."""
        return TorchCall("Tensor", (), tensors=weights)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The weight's shape."""
        return self.size


@dataclass(frozen=True, slots=True)
class Origin(Spec):
    """The number 0, as often as the input has samples, at most once: where Keras looks a free weight up."""

    order = Order.ANY

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Zeros like one number of the first sample."""
        key = (slice(None, 1), *(0,) * (len(inputs[0]) - 1))
        number = KerasLayer("ops.GetItem", {}, args=(Slot(0), key), name="number")
        return KerasLayer("ops.ZerosLike", {}, args=(number,))

    def out_shape(self, *inputs: Shape) -> Shape:
        """One axis."""
        return (None,)


@dataclass(frozen=True, slots=True)
class Unsaid(Spec):
    """The result of a call that no rule can say: it stands there so that the calls behind it are looked at too."""

    shapes: tuple[Shape, ...]

    order = Order.ANY

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """What the source says."""
        return self.shapes


@dataclass(frozen=True, slots=True)
class Identity(Spec):
    """The input itself: Keras layers that only act in training by a loss, or not at all."""

    keras_kinds = "Identity", "ActivityRegularization"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Nothing to read; the penalty of ActivityRegularization is reported by the reader."""
        layer.get("l1")
        layer.get("l2")
        return Op(cls())

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Identity."""
        return KerasLayer("Identity", {}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Identity."""
        return TorchCall("torch.nn.Identity")

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both layers."""
        yield Example("Identity", ((4, 5, 3),))
        yield Example("ActivityRegularization", ((4, 3),))
