"""PReLU with shared axes  <->  torch.nn.PReLU, or a product where channels are not all that alpha tells apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.spec import AtenCall, Example, KerasLayer, Moved, Op, Order, Shape, Spec, TorchCall, TorchExample, Weights

__all__ = ["PReLU"]


@dataclass(frozen=True, slots=True)
class PReLU(Spec):
    """x above 0, alpha * x below; alpha has a size for every axis but the batch, 1 where it is shared."""

    sizes: tuple[int, ...]

    order = Order.AXES
    keras_kinds = ("PReLU",)
    aten_ops = "_prelu_kernel", "prelu"
    holds = ("weight",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variable alpha, whose shape says which axes are shared."""
        layer.get("shared_axes")
        weights = layer.named("alpha")
        sizes = weights["alpha"].shape
        if len(sizes) != len(layer.inputs[0]) - 1:
            raise Mismatch(f"alpha has shape {sizes}, the input {layer.inputs[0]}")
        return Op(cls(sizes), weights)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """One alpha for all, or one for each place on axis 1."""
        call.get("self")
        weights, rank = call.named(alpha="weight"), len(call.inputs[0])
        if rank < 2:
            raise Unsupported("PReLU on a tensor without channels", remedy="give it an axis of channels")
        sizes = (prod(weights["alpha"].shape), *(1,) * (rank - 2))
        return Op(cls(sizes), {"alpha": weights["alpha"].reshape(sizes)})

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """PReLU; axes of size 1 are shared."""
        shared = [place for place, size in enumerate(self.sizes, 1) if size == 1]
        return KerasLayer("PReLU", {"shared_axes": shared or None}, (weights["alpha"],), tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.PReLU for one alpha, or one per place on axis 1; xconv's own otherwise."""
        if prod(self.sizes) == self.sizes[0]:
            tensors = {"weight": weights["alpha"].reshape(self.sizes[:1])}
            return TorchCall("torch.nn.PReLU", config={"num_parameters": self.sizes[0]}, tensors=tensors)
        tensors = {"weight": weights["alpha"]}
        return TorchCall("xconv.torch.modules.PReLU", config={"sizes": self.sizes}, tensors=tensors)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """Alpha with its axes in the new order."""
        inner = tuple(axis - 1 for axis in order[1:])
        arrays = {role: weight.transpose(inner) for role, weight in weights.items()}
        return Moved(replace(self, sizes=axes.apply(self.sizes, inner)), arrays, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """One alpha per channel, per element, per row, one for all."""
        yield Example("PReLU", ((4, 5, 3),), {"shared_axes": [1, 2]}, ((1, 1, 3),))
        yield Example("PReLU", ((4, 5, 3),), {}, ((4, 5, 3),))
        yield Example("PReLU", ((4, 5, 3),), {"shared_axes": [2]}, ((4, 1, 3),))
        yield Example("PReLU", ((5, 3),), {"shared_axes": [1, 2]}, ((1, 1),))
        yield Example("PReLU", ((5,),), {}, ((5,),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """One alpha and one per channel, on vectors and on maps."""
        for shape in ((3,), (3, 5), (3, 5, 4)):
            yield TorchExample("torch.nn.PReLU", (shape,))
            yield TorchExample("torch.nn.PReLU", (shape,), {"num_parameters": 3})
