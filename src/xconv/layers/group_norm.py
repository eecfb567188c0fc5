"""GroupNormalization (groups=-1: every channel by itself)  <->  torch.nn.GroupNorm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Mismatch
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, Weights

__all__ = ["GroupNorm"]


@dataclass(frozen=True, slots=True)
class GroupNorm(Spec):
    """Each sample's groups of neighbouring channels normalised over all positions; gamma and beta may be absent."""

    groups: int
    channels: int
    epsilon: float
    axis: int

    order = Order.SPATIAL
    keras_kinds = ("GroupNormalization",)

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
