"""The private layers of keras.applications, LayerScale and CustomScaleLayer  <->  a product, a weighted sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.elementwise import broadcast
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Scale", "ScaledAdd"]


@dataclass(frozen=True, slots=True)
class Scale(Spec):
    """A trainable vector times the tensor, along `axis`: ConvNeXt's LayerScale."""

    features: int
    axis: int

    order = Order.AXES
    keras_kinds = ("LayerScale",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variable gamma, for the last axis; init_values is only where training began."""
        layer.get("init_values")
        weights = layer.named("gamma")
        features = layer["projection_dim"]
        if weights["gamma"].shape != (features,) or layer.inputs[0][-1] != features:
            raise Mismatch(f"gamma has shape {weights['gamma'].shape}, the input {layer.inputs[0]}")
        return Op(cls(features, len(layer.inputs[0]) - 1), weights)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """LayerScale, for the last axis."""
        config = {"projection_dim": self.features, "init_values": 1e-6}
        return KerasLayer("LayerScale", config, (weights["gamma"],), tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's Scale."""
        config = {"num_features": self.features, "axis": axes.normal(self.axis, len(inputs[0]))}
        return TorchCall("xconv.torch.modules.Scale", config=config, tensors={"weight": weights["gamma"]})

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Ranks 4 and 3."""
        yield Example("LayerScale", ((4, 5, 3),), {"projection_dim": 3, "init_values": 0.1}, ((3,),))
        yield Example("LayerScale", ((5, 4),), {"projection_dim": 4, "init_values": 0.1}, ((4,),))


@dataclass(frozen=True, slots=True)
class ScaledAdd(Spec):
    """First tensor + scale * second tensor: InceptionResNetV2's CustomScaleLayer."""

    scale: float

    order = Order.ANY
    keras_kinds = ("CustomScaleLayer",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The scale; the tensors come as a list of two."""
        if len(layer.inputs) != 2:
            raise Mismatch(f"CustomScaleLayer is called on {len(layer.inputs)} tensors")
        return Op(cls(float(layer["scale"])))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """CustomScaleLayer."""
        return KerasLayer("CustomScaleLayer", {"scale": self.scale}, inputs=tuple(inputs), args=([Slot(0), Slot(1)],))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.add with alpha."""
        return TorchCall("torch.add", (Slot(0), Slot(1)), {"alpha": self.scale})

    def out_shape(self, *inputs: Shape) -> Shape:
        """The broadcast shape."""
        return broadcast(inputs)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """A scale that float32 holds exactly."""
        yield Example("CustomScaleLayer", ((4, 5, 3), (4, 5, 3)), {"scale": 0.125}, args=([Slot(0), Slot(1)],))
