"""GroupNormalization (groups=-1: every channel by itself)  <->  torch.nn.GroupNorm, InstanceNorm1d-3d."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.places import known_sizes
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, TorchExample, Weights

__all__ = ["GroupNorm"]


@dataclass(frozen=True, slots=True)
class GroupNorm(Spec):
    """Each sample's groups of neighbouring channels normalised over all positions; gamma and beta may be absent."""

    groups: int
    channels: int
    epsilon: float
    axis: int

    order = Order.SPATIAL
    wide = True
    keras_kinds = ("GroupNormalization",)
    aten_ops = "group_norm", "instance_norm", "native_group_norm"
    holds = "weight", "bias", "running_mean", "running_var"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variables gamma, beta (where present)."""
        roles = [role for role, key in (("gamma", "scale"), ("beta", "center")) if layer[key]]
        axis = axes.normal(layer["axis"], len(layer.inputs[0]))
        channels, groups = layer.inputs[0][axis], layer["groups"]
        if channels is None:
            raise Mismatch("the number of channels is unknown", remedy="give the model an input shape")
        groups = channels if groups == -1 else groups
        if channels % groups:
            raise Mismatch(f"{channels} channels cannot be cut into {groups} groups")
        return Op(cls(groups, channels, layer["epsilon"], axis), layer.named(*roles))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """Groups of channels, which are on axis 1; an instance norm has one channel in each, or kept statistics."""
        for key in ("input", "N", "C", "HxW", "momentum"):
            call.get(key)
        weights = call.named(gamma="weight", beta="bias")
        kept = call.named(mean="running_mean", variance="running_var")
        channels = known_sizes(call.inputs[0], (1,))[0]
        if call.op != "instance_norm":
            groups = call.get("num_groups", call.get("group"))
            return Op(cls(groups, channels, float(call["eps"]), 1), weights)
        if call["use_input_stats"] or "mean" not in kept:
            return Op(cls(channels, channels, float(call["eps"]), 1), weights)
        note = "in training torch takes the statistics of each sample, Keras those of the batch"
        return Op(BatchNorm(channels, float(call["eps"]), float(call["momentum"]), 1), {**weights, **kept}, note=note)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """GroupNormalization with the weights that are there."""
        config = {
            "groups": self.groups,
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": "beta" in weights,
            "scale": "gamma" in weights,
        }
        arrays = tuple(weights[role] for role in ("gamma", "beta") if role in weights)
        return KerasLayer("GroupNormalization", config, arrays, tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.GroupNorm; xconv's own class where only one of gamma and beta is there."""
        names = {"gamma": "weight", "beta": "bias"}
        tensors = {names[role]: weight for role, weight in weights.items()}
        config = {"num_groups": self.groups, "num_channels": self.channels, "eps": self.epsilon}
        scale, center = "gamma" in weights, "beta" in weights
        if scale == center:
            return TorchCall("torch.nn.GroupNorm", config={**config, "affine": scale}, tensors=tensors)
        config |= {"scale": scale, "center": center}
        return TorchCall("xconv.torch.modules.GroupNorm", config=config, tensors=tensors)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Groups, instance norm, channels first, gamma or beta absent."""
        yield Example("GroupNormalization", ((4, 5, 6),), {"groups": 3}, ((6,), (6,)))
        yield Example("GroupNormalization", ((4, 5, 3),), {"groups": -1, "scale": False}, ((3,),))
        yield Example("GroupNormalization", ((6, 4, 5),), {"groups": 2, "axis": 1, "center": False}, ((6,),))
        yield Example("GroupNormalization", ((5, 4),), {"groups": 1, "scale": False, "center": False})

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Groups on every rank, instance norms in all variants."""
        for shape in ((6,), (6, 5), (6, 5, 4), (6, 5, 4, 3)):
            yield TorchExample("torch.nn.GroupNorm", (shape,), {"num_groups": 3, "num_channels": 6})
        yield TorchExample("torch.nn.GroupNorm", ((6, 5, 4),), {"num_groups": 1, "num_channels": 6, "affine": False})
        for kind, shape in (("1d", (3, 5)), ("2d", (3, 5, 4)), ("3d", (3, 5, 4, 2))):
            yield TorchExample(f"torch.nn.InstanceNorm{kind}", (shape,), {"num_features": 3})
            yield TorchExample(f"torch.nn.InstanceNorm{kind}", (shape,), {"num_features": 3, "affine": True})
            kept = {"num_features": 3, "affine": True, "track_running_stats": True}
            yield TorchExample(f"torch.nn.InstanceNorm{kind}", (shape,), kept, trains=False)
