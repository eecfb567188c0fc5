"""Dense on any rank  <->  aten.linear, torch.nn.Linear, or a 1x1 convolution where the channels are held first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.activation import with_activation
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.reshape import Permute
from xconv.layers.steps import Steps
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights
from xconv.weights import Weight

__all__ = ["Dense"]


@dataclass(frozen=True, slots=True)
class Dense(Spec):
    """A matrix applied along one axis.

    >>> Dense(3, 8).out_shape((None, 5, 3))
    (None, 5, 8)
    """

    in_features: int
    out_features: int
    axis: int = -1

    order = Order.AXES
    keras_axis_last = True
    keras_kinds = ("Dense",)
    aten_ops = ("linear",)
    holds = "weight", "bias"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """Kernel (in, out) to (out, in)."""
        weights = layer.named("kernel", "bias") if layer["use_bias"] else layer.named("kernel")
        kernel = weights["kernel"]
        if kernel.shape != (layer.inputs[0][-1], layer["units"]):
            expected = (layer.inputs[0][-1], layer["units"])
            raise Mismatch(f"the kernel has shape {kernel.shape}, the configuration asks for {expected}")
        weights["kernel"] = kernel.transpose((1, 0))
        return with_activation(layer, Op(cls(*kernel.shape), weights))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """Weight (out, in), for the last axis; a weight that is computed from the input makes a product of tensors."""
        if isinstance(call["weight"], Slot):
            return _product(call)
        call.get("input")
        weights = call.named(kernel="weight", bias="bias")
        out, features = weights["kernel"].shape
        return Op(cls(features, out, len(call.inputs[0]) - 1), weights)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Dense, which works on the last axis of a batch.

        Raises:
            Unsupported: a single vector; Keras's Dense asks for a batch.
        """
        if len(inputs[0]) < 2:
            raise Unsupported("Linear on a single vector without a batch", remedy="keep the batch: x[:1] for x[0]")
        config = {"units": self.out_features, "activation": "linear", "use_bias": "bias" in weights}
        arrays = (weights["kernel"].transpose((1, 0)), *(w for role, w in weights.items() if role == "bias"))
        return KerasLayer("Dense", config, arrays, tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Linear on the last axis, nn.ConvNd of size 1 on axis 1, nn.Linear between moves of any other."""
        rank, axis = len(inputs[0]), axes.normal(self.axis, len(inputs[0]))
        tensors = {"weight": weights["kernel"], **{role: w for role, w in weights.items() if role == "bias"}}
        if axis != 1 or rank not in (3, 4, 5):
            linear = {"in_features": self.in_features, "out_features": self.out_features, "bias": "bias" in weights}
            if axis == rank - 1:
                return TorchCall("torch.nn.Linear", config=linear, tensors=tensors)
            moved = TorchCall("torch.movedim", (Slot(0), axis, -1))
            call = TorchCall("torch.nn.Linear", (moved,), config=linear, tensors=tensors, name="linear")
            return TorchCall("torch.movedim", (call, -1, axis))
        ones = (1,) * (rank - 2)
        tensors["weight"] = weights["kernel"].reshape((self.out_features, self.in_features, *ones))
        config = {"in_channels": self.in_features, "out_channels": self.out_features, "kernel_size": ones}
        return TorchCall(f"torch.nn.Conv{rank - 2}d", config={**config, "bias": "bias" in weights}, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The axis has out_features."""
        axis = axes.normal(self.axis, len(inputs[0]))
        return tuple(self.out_features if place == axis else n for place, n in enumerate(inputs[0]))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Ranks 2 to 4, without bias."""
        yield Example("Dense", ((6,),), {"units": 4}, ((6, 4), (4,)))
        yield Example("Dense", ((5, 3),), {"units": 4, "use_bias": False}, ((3, 4),))
        yield Example("Dense", ((4, 5, 3),), {"units": 2}, ((3, 2), (2,)))


def _product(call: AtenCall) -> Sequence[Op]:
    """x times the transposed weight, plus the bias, all of them tensors."""
    from xconv.layers.matmul import MatMul

    bias = call["bias"]
    steps = Steps()
    columns = steps.add(Permute((1, 0)), call["weight"], name="columns")
    result = steps.add(MatMul(), call["input"], columns, name="product")
    if isinstance(bias, Weight):
        bias = steps.add(Variable(bias.shape), weights={"bias": bias}, name="bias")
    if bias is not None:
        steps.add(Elementwise("add", (Slot(0), Slot(1))), result, bias)
    return steps.done()
