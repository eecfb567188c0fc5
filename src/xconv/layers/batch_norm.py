"""BatchNormalization (epsilon, momentum m, any axis)  <->  aten.batch_norm, nn.BatchNorm1d-3d (momentum 1 - m)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.reduce import Reduce
from xconv.layers.steps import Steps
from xconv.layers.unary import Unary
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

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
    wide = True
    keras_kinds = ("BatchNormalization",)
    aten_ops = "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "batch_norm", "native_batch_norm"
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
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """weight and bias (where present), running_mean, running_var; the channels are on axis 1.

        Without running statistics, those of the batch are computed, in inference too.
        """
        for key in ("input", "momentum"):
            call.get(key)
        weights = call.named(gamma="weight", beta="bias", mean="running_mean", variance="running_var")
        if call.get("training") or "mean" not in weights:
            return _of_batch(call.inputs[0], float(call["eps"]), weights)
        momentum = float(call["momentum"])
        note = "" if momentum else "its running statistics do not change in training; momentum=None says the same"
        return Op(cls(weights["mean"].shape[0], call["eps"], momentum, 1), weights, note=note)

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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every class; without gamma and beta, without running statistics, on vectors and sequences."""
        for kind, shape in (("1d", (3,)), ("1d", (3, 5)), ("2d", (3, 5, 4)), ("3d", (3, 5, 4, 2))):
            yield TorchExample(f"torch.nn.BatchNorm{kind}", (shape,), {"num_features": 3})
            plain = {"num_features": 3, "affine": False, "eps": 1e-3, "momentum": 0.3}
            yield TorchExample(f"torch.nn.BatchNorm{kind}", (shape,), plain)
            yield TorchExample(f"torch.nn.BatchNorm{kind}", (shape,), {"num_features": 3, "track_running_stats": False})
        bare = {"num_features": 3, "affine": False, "track_running_stats": False}
        yield TorchExample("torch.nn.BatchNorm2d", ((3, 5, 4),), bare)
        yield TorchExample("torch.nn.SyncBatchNorm", ((3, 5, 4),), {"num_features": 3}, trains=False)


def _of_batch(shape: Shape, epsilon: float, weights: Weights) -> Sequence[Op]:
    """Each channel by the mean and the variance that it has in this batch."""
    over = tuple(axis for axis in range(len(shape)) if axis != 1)
    steps = Steps()
    mean = steps.add(Reduce("mean", over, keepdims=True), Slot(0), name="mean")
    variance = steps.add(Reduce("var", over, keepdims=True), Slot(0), name="variance")
    centred = steps.add(Elementwise("subtract", (Slot(0), Slot(1))), Slot(0), mean, name="centred")
    padded = steps.add(Elementwise("add", (Slot(0), epsilon)), variance, name="padded")
    root = steps.add(Unary("sqrt"), padded, name="deviation")
    result = steps.add(Elementwise("divide", (Slot(0), Slot(1))), centred, root, name="scaled")
    for role, torch_name, function in (("gamma", "weight", "multiply"), ("beta", "bias", "add")):
        if role in weights:
            sizes = (1, *weights[role].shape, *(1,) * (len(shape) - 2))
            held = {torch_name: weights[role].reshape(sizes)}
            free = steps.add(Variable(sizes), weights=held, name=torch_name)
            result = steps.add(Elementwise(function, (Slot(0), Slot(1))), result, free, name=role)
    return steps.done()
