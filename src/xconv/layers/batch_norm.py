"""BatchNormalization (epsilon, momentum m, any axis)  <->  aten.batch_norm, torch.nn.BatchNorm1d-3d (momentum 1 - m)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Unsupported
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, Weights

__all__ = ["BatchNorm"]


@dataclass(frozen=True, slots=True)
class BatchNorm(Spec):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta along one axis; gamma and beta may be absent.

    `momentum` is the share of the batch statistics in an update, torch's convention.
    """

    features: int
    epsilon: float
    momentum: float
    axis: int
    frozen: bool = False
    """Whether it uses and keeps its statistics in training too, as a Keras layer with trainable=False does."""

    order = Order.SPATIAL
    keras_kinds = ("BatchNormalization",)
    aten_ops = "batch_norm", "_native_batch_norm_legit_no_training"
    holds = "weight", "bias", "running_mean", "running_var"
    training = "the moving variance takes torch's unbiased batch variance, Keras 3 takes the biased one: n/(n-1)"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variables gamma, beta (where present), moving_mean, moving_variance."""
        if layer.get("renorm"):
            raise Unsupported("renorm=True has no counterpart in training", remedy="rebuild the layer without renorm")
        for key in ("renorm_clipping", "renorm_momentum", "synchronized"):
            layer.get(key)
        roles = [role for role, key in (("gamma", "scale"), ("beta", "center")) if layer[key]]
        weights = layer.named(*roles, "mean", "variance")
        axis = layer["axis"][0] if isinstance(layer["axis"], (list, tuple)) else layer["axis"]
        place = axes.normal(axis, len(layer.inputs[0]))
        momentum = round(1.0 - layer["momentum"], 12)
        frozen = not layer.get("trainable", True)
        return Op(cls(weights["mean"].shape[0], layer["epsilon"], momentum, place, frozen), weights)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """weight and bias (where present), running_mean, running_var; the channels are on axis 1."""
        weights = call.named(gamma="weight", beta="bias", mean="running_mean", variance="running_var")
        call.get("input")
        if call.get("training") or "mean" not in weights:
            raise Unsupported("BatchNorm without running statistics", remedy="set track_running_stats=True")
        return Op(cls(weights["mean"].shape[0], call["eps"], call["momentum"], 1), weights)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """BatchNormalization with the weights that are there."""
        config = {
            "axis": self.axis,
            "momentum": round(1.0 - self.momentum, 12),
            "epsilon": self.epsilon,
            "center": "beta" in weights,
            "scale": "gamma" in weights,
            "trainable": not self.frozen,
        }
        roles = ("gamma", "beta", "mean", "variance")
        arrays = tuple(weights[role] for role in roles if role in weights)
        return KerasLayer("BatchNormalization", config, arrays, tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.BatchNormNd; xconv's own class where it is frozen, or only one of gamma and beta is there."""
        kind = f"BatchNorm{max(len(inputs[0]) - 2, 1)}d"
        config = {"num_features": self.features, "eps": self.epsilon, "momentum": self.momentum}
        names = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
        tensors = {names[role]: weight for role, weight in weights.items()}
        if ("gamma" in weights) == ("beta" in weights) and not self.frozen:
            return TorchCall(f"torch.nn.{kind}", config={**config, "affine": "gamma" in weights}, tensors=tensors)
        config |= {"scale": "gamma" in weights, "center": "beta" in weights, "frozen": self.frozen}
        return TorchCall(f"xconv.torch.modules.{kind}", config=config, tensors=tensors)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Ranks 2 to 5, channels first, without gamma, without beta, without both."""
        four = ((3,),) * 4
        yield Example("BatchNormalization", ((5, 4, 3),), {"momentum": 0.9}, four)
        yield Example("BatchNormalization", ((3,),), {"epsilon": 1e-5}, four)
        yield Example("BatchNormalization", ((5, 3),), {"scale": False}, four[1:])
        yield Example("BatchNormalization", ((3, 4, 5),), {"axis": 1, "center": False}, four[1:])
        yield Example("BatchNormalization", ((2, 4, 5, 3),), {"center": False, "scale": False}, four[2:])
