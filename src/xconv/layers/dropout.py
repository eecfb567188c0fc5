"""Dropout, SpatialDropout1D-3D, GaussianDropout, GaussianNoise, AlphaDropout  <->  torch.nn.Dropout ..."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.activation import Activation
from xconv.layers.places import renamed
from xconv.spec import AtenCall, Example, KerasLayer, Moved, Op, Order, Shape, Spec, TorchCall, TorchExample, Weights

__all__ = ["Dropout", "Noise", "SharedDropout", "SpatialDropout"]


@dataclass(frozen=True, slots=True)
class Dropout(Spec):
    """In training, elements become 0 with probability `rate` and the rest grow by 1/(1-rate); `alpha` as in SELU nets.

    Stochastic depth drops whole tensors: `whole` that of each sample by itself, Keras's noise_shape (None, 1, ..);
    `batch` that of all samples at once, noise_shape (1, 1, ..).
    """

    rate: float
    kind: str = "plain"
    """'plain', 'alpha', 'whole' or 'batch'."""

    order = Order.ANY
    keras_kinds = "Dropout", "AlphaDropout", "StochasticDepth"
    aten_ops = "dropout", "alpha_dropout", "drop_path", "drop_batch", "drop_unscaled"
    training = "random: the same distribution, another stream of random numbers"
    restrictions = dict.fromkeys(("Dropout", "AlphaDropout"), "a fixed batch in noise_shape")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The rate and, for Dropout, its noise_shape."""
        layer.get("seed")
        if layer.kind == "StochasticDepth":
            return Op(cls(float(layer["drop_path_rate"]), "whole"))
        shape = layer.get("noise_shape")
        kind = "alpha" if layer.kind == "AlphaDropout" else "plain"
        if shape is not None and kind == "plain" and any(size is not None for size in shape):
            kind = "whole" if shape[0] is None else "batch"
        if shape is not None and any(size is not None for size in shape):
            over = _shared_axes(tuple(shape), layer.inputs[0])
            if kind in ("plain", "alpha") or over != tuple(range(kind == "whole", len(shape))):
                return Op(SharedDropout(float(layer["rate"]), over, kind == "alpha"))
        return Op(cls(float(layer["rate"]), kind))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The probability; whether it acts at this moment is not part of the network."""
        call.get("x", call.get("input"))
        rate, note = float(call["p"]), always(call)
        if call.op == "drop_unscaled":
            what = f"in training torch drops whole samples with probability {rate:g} and does not grow the rest"
            return Op(Activation("linear"), note=f"{what}; Keras has no layer for it, here nothing is dropped")
        kinds = {"alpha_dropout": "alpha", "drop_path": "whole", "drop_batch": "batch"}
        return Op(cls(rate, kinds.get(call.op, "plain")), note=note)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Dropout, with a noise_shape for whole tensors; AlphaDropout."""
        samples = {"whole": (None,), "batch": (1,)}.get(self.kind)
        shape = None if samples is None else (*samples, *(1,) * (len(inputs[0]) - 1))
        config = {"rate": self.rate, "noise_shape": shape}
        return KerasLayer("AlphaDropout" if self.kind == "alpha" else "Dropout", config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Dropout, nn.AlphaDropout or xconv's StochasticDepth."""
        target = {"plain": "torch.nn.Dropout", "alpha": "torch.nn.AlphaDropout"}
        config: dict[str, object] = {"p": self.rate}
        if self.kind == "batch":
            config["mode"] = "batch"
        return TorchCall(target.get(self.kind, "xconv.torch.modules.StochasticDepth"), config=config)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Plain, whole, alpha, and all samples at once."""
        yield Example("Dropout", ((4, 5, 3),), {"rate": 0.3}, trains=False)
        yield Example("Dropout", ((4, 5, 3),), {"rate": 0.3, "noise_shape": (None, 1, 1, 1)}, trains=False)
        yield Example("Dropout", ((4, 3),), {"rate": 0.3, "noise_shape": (1, 1, 1)}, trains=False)
        yield Example("Dropout", ((4, 5, 3),), {"rate": 0.3, "noise_shape": (None, 1, 5, 1)}, trains=False)
        yield Example("Dropout", ((4, 3),), {"rate": 0.3, "noise_shape": (1, 4, None)}, trains=False)
        yield Example("AlphaDropout", ((4, 3),), {"rate": 0.3, "noise_shape": (None, 1, 3)}, trains=False)
        yield Example("StochasticDepth", ((4, 3),), {"drop_path_rate": 0.3}, trains=False)
        yield Example("AlphaDropout", ((4, 3),), {"rate": 0.3}, trains=False)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Plain and alpha, as functions of torch in inference."""
        for name in ("Dropout", "AlphaDropout"):
            yield TorchExample(f"torch.nn.{name}", ((4, 5, 3),), {"p": 0.3}, trains=False)


def always(call: AtenCall) -> str:
    """What to tell of a dropout of torch's that acts in inference too; nothing of another."""
    if not call.get("train"):
        return ""
    return "torch drops in inference too (training=True); here it follows train() and eval()"


def _shared_axes(noise: Shape, shape: Shape) -> tuple[int, ...]:
    """The axes along which all is dropped together: where the noise has the size 1."""
    known = len(noise) == len(shape) and noise[0] in (None, 1)
    if not known or any(size not in (None, 1, own) for size, own in zip(noise, shape, strict=False)):
        remedy = "give a size for each axis: 1, or None for that of the input"
        raise Unsupported(f"noise_shape={noise} over {shape}", remedy=remedy)
    return tuple(axis for axis, size in enumerate(noise) if size == 1)


@dataclass(frozen=True, slots=True)
class SharedDropout(Spec):
    """In training, elements become 0 with probability `rate`, all along the axes `over` together; the rest grows."""

    rate: float
    over: tuple[int, ...]
    alpha: bool = False
    """Whether they become what SELU networks take instead of 0, and all is scaled and moved."""

    order = Order.AXES
    aten_ops = ("shared_dropout",)
    holds = ("weights",)
    training = Dropout.training

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """xconv's own module, which torch.export sees as one call."""
        config = json.loads(call["config"])
        call.get("weights")
        return Op(cls(config["p"], tuple(config["dims"]), config["alpha"]), {}, "", tuple(call["inputs"]))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Dropout or AlphaDropout with a noise_shape."""
        shape = tuple(1 if axis in self.over else None for axis in range(len(inputs[0])))
        config = {"rate": self.rate, "noise_shape": shape}
        return KerasLayer("AlphaDropout" if self.alpha else "Dropout", config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's SharedDropout."""
        config = {"p": self.rate, "dims": self.over, "alpha": self.alpha}
        return TorchCall("xconv.torch.modules.SharedDropout", config=config)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axes by their new places."""
        return Moved(replace(self, over=renamed(self.over, order)[0]), weights, order)


@dataclass(frozen=True, slots=True)
class SpatialDropout(Spec):
    """In training, whole channel maps become 0 with probability `rate`."""

    rate: float
    axis: int

    order = Order.SPATIAL
    keras_kinds = "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"
    aten_ops = ("feature_dropout",)
    training = Dropout.training

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The rate and the channel axis."""
        layer.get("seed")
        layer.get("noise_shape")
        first = layer.get("data_format") == "channels_first"
        return Op(cls(float(layer["rate"]), 1 if first else len(layer.inputs[0]) - 1))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The probability; the channels are on axis 1."""
        call.get("input")
        return Op(cls(float(call["p"]), 1), note=always(call))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """SpatialDropout."""
        rank = len(inputs[0]) - 2
        config: dict[str, object] = {"rate": self.rate}
        if rank > 1:
            config["data_format"] = "channels_first" if self.axis == 1 else "channels_last"
        return KerasLayer(f"SpatialDropout{rank}D", config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.Dropout1d-3d."""
        return TorchCall(f"torch.nn.Dropout{len(inputs[0]) - 2}d", config={"p": self.rate})

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every rank."""
        yield Example("SpatialDropout1D", ((5, 3),), {"rate": 0.3}, trains=False)
        yield Example("SpatialDropout2D", ((4, 5, 3),), {"rate": 0.3}, trains=False)
        yield Example("SpatialDropout3D", ((4, 3, 5, 2),), {"rate": 0.3}, trains=False)


@dataclass(frozen=True, slots=True)
class Noise(Spec):
    """In training, Gaussian noise: added with standard deviation `size`, or multiplied as 1 + noise."""

    size: float
    multiply: bool

    order = Order.ANY
    keras_kinds = "GaussianDropout", "GaussianNoise"
    aten_ops = "gaussian_dropout", "gaussian_noise"
    training = Dropout.training

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The rate of GaussianDropout, the stddev of GaussianNoise."""
        layer.get("seed")
        multiply = layer.kind == "GaussianDropout"
        return Op(cls(float(layer["rate" if multiply else "stddev"]), multiply))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The amount: these are xconv's own modules, which torch.export sees as one call each."""
        call.get("x")
        return Op(cls(float(call["p"]), call.op == "gaussian_dropout"))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """GaussianDropout or GaussianNoise."""
        if self.multiply:
            return KerasLayer("GaussianDropout", {"rate": self.size}, inputs=tuple(inputs))
        return KerasLayer("GaussianNoise", {"stddev": self.size}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's modules of the same names."""
        if self.multiply:
            return TorchCall("xconv.torch.modules.GaussianDropout", config={"rate": self.size})
        return TorchCall("xconv.torch.modules.GaussianNoise", config={"stddev": self.size})

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both kinds."""
        yield Example("GaussianDropout", ((4, 3),), {"rate": 0.3}, trains=False)
        yield Example("GaussianNoise", ((4, 3),), {"stddev": 0.3}, trains=False)
