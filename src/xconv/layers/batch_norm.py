"""BatchNormalization (epsilon, momentum m, any axis)  <->  aten.batch_norm, nn.BatchNorm1d-3d (momentum 1 - m)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

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
    masked: bool = False
    """Whether a second input, a mask over all axes but the channels', says what counts in training."""

    order = Order.SPATIAL
    wide = True
    keras_kinds = ("BatchNormalization",)
    aten_ops = (
        *("_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "batch_norm", "native_batch_norm"),
        "masked_batch_norm",
    )
    holds = "weight", "bias", "running_mean", "running_var", "weights"
    training = "the moving variance takes torch's unbiased batch variance, Keras 3 takes the biased one: n/(n-1)"
    restrictions: ClassVar[Mapping[str, str]] = {"BatchNormalization": "renorm; a mask with another axis than the last"}

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
        mask = layer.argument(2, "mask")
        if mask is not None and (place != len(layer.inputs[0]) - 1 or not isinstance(mask, Slot)):
            what = "a mask over another axis than the last" if isinstance(mask, Slot) else "a mask that is a constant"
            raise Unsupported(f"BatchNormalization with {what}", remedy="normalise the last axis, without a mask")
        spec = cls(weights["mean"].shape[0], layer["epsilon"], momentum, place, frozen, mask is not None)
        return Op(spec, weights, "", (Slot(0), *(() if mask is None else (mask,))))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """weight and bias (where present), running_mean, running_var; the channels are on axis 1.

        Without running statistics, those of the batch are computed, in inference too.
        """
        if call.op == "masked_batch_norm":
            return _with_mask(call)
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
        kwargs = {"mask": Slot(1)} if self.masked else {}
        return KerasLayer("BatchNormalization", config, arrays, tuple(inputs), (Slot(0),), kwargs)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.BatchNormNd; xconv's own class where it is frozen, or only one of gamma and beta is there."""
        kind = f"BatchNorm{max(len(inputs[0]) - 2, 1)}d"
        config = {"num_features": self.features, "eps": self.epsilon, "momentum": self.momentum}
        names = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
        tensors = {names[role]: weight for role, weight in weights.items()}
        if self.masked:
            config |= {"scale": "gamma" in weights, "center": "beta" in weights, "frozen": self.frozen}
            both = (Slot(0), Slot(1))
            return TorchCall("xconv.torch.modules.MaskedBatchNorm", both, config=config, tensors=tensors)
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
        words, mask, one = "normal boolean", {"mask": Slot(1)}, (Slot(0),)
        plain, half = {"momentum": 0.9}, {"scale": False, "epsilon": 0.25}
        yield Example("BatchNormalization", ((5, 3), (5,)), plain, four, one, values=words, kwargs=mask)
        yield Example("BatchNormalization", ((5, 4, 3), (5, 4)), half, four[1:], one, values=words, kwargs=mask)

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


def _with_mask(call: AtenCall) -> Op:
    """xconv's own module, which torch.export sees as one call; it holds a count of its batches too."""
    config = json.loads(call["config"])
    flags = {"gamma": config["scale"], "beta": config["center"], "mean": True, "variance": True}
    roles = [role for role, there in flags.items() if there]
    weights = dict(zip(roles, call["weights"], strict=False))
    spec = BatchNorm(config["num_features"], config["eps"], config["momentum"], 1, config["frozen"], masked=True)
    return Op(spec, weights, "", tuple(call["inputs"]))


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
