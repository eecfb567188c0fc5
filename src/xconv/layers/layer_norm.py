"""LayerNormalization, RMSNormalization, UnitNormalization  <->  torch.nn.LayerNorm, RMSNorm, F.normalize.

torch normalises trailing axes only. Where the channels are held first, xconv's ChannelNorm does it in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.places import known_sizes, places_of, renamed
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Moved,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)
from xconv.weights import Weight

__all__ = ["LayerNorm", "UnitNorm"]


@dataclass(frozen=True, slots=True)
class LayerNorm(Spec):
    """Each sample scaled over `over`, its ascending axes of the sizes `sizes`, then times gamma plus beta.

    `kind` is what is computed: 'layer' is (x - mean) / sqrt(variance + epsilon), 'rms' is
    x / sqrt(mean square + epsilon), 'deviation' is x / sqrt(variance + epsilon). Gamma and beta may be absent.
    """

    over: tuple[int, ...]
    sizes: tuple[int, ...]
    epsilon: float
    kind: str = "layer"

    order = Order.AXES
    wide = True
    keras_kinds = "LayerNormalization", "RMSNormalization", "ops.LayerNorm", "ops.RMSNorm"
    aten_ops = "_fused_rms_norm", "layer_norm", "native_layer_norm", "rms_norm"
    holds = "weight", "bias"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variables gamma and beta where present, or `scale`; rms_scaling=True divides by the deviation only."""
        rank, rms = len(layer.inputs[0]), "RMS" in layer.kind
        kind = "rms" if rms else "deviation" if layer.get("rms_scaling", False) else "layer"
        over = places_of(layer.get("axis", -1), rank)
        sizes = known_sizes(layer.inputs[0], over)
        if layer.kind == "RMSNormalization" and over != tuple(range(rank - len(over), rank)):
            raise Unsupported(f"axes {over}, which are not the last", remedy="Keras scales the last axes all the same")
        roles: list[str] = []
        if layer.kind.startswith("ops."):
            _check_no_parameters(layer)
        else:
            scale, center = layer.get("scale", True), layer.get("center", True)
            roles += ["gamma"] if scale or kind != "layer" else []
            roles += ["beta"] if center and kind == "layer" else []
        weights = {role: weight.reshape(sizes) for role, weight in layer.named(*roles).items()}
        epsilon = layer.get("epsilon")
        return Op(cls(over, sizes, 1e-7 if epsilon is None else epsilon, kind), weights)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The last axes; without an epsilon, the root mean square takes the smallest step of its dtype."""
        call.get("input")
        weights = call.named(gamma="weight", beta="bias")
        sizes = tuple(call["normalized_shape"])
        rank = len(call.inputs[0])
        epsilon = call["eps"]
        if epsilon is None:
            epsilon = 2.0 ** (-52 if call.dtypes[0] == "float64" else -23)
        kind = "rms" if "rms" in call.op else "layer"
        return Op(cls(tuple(range(rank - len(sizes), rank)), sizes, float(epsilon), kind), weights)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """RMSNormalization, or LayerNormalization with the weights that are there; operations where one lacks gamma."""
        config: dict[str, Any] = {"axis": list(self.over), "epsilon": self.epsilon}
        arrays = tuple(weights[role] for role in ("gamma", "beta") if role in weights)
        if self.kind != "layer" and not arrays:
            axis = self.over[0] if len(self.over) == 1 else self.over
            config |= {"axis": axis} if self.kind == "rms" else {"axis": axis, "rms_scaling": True}
            if self.kind == "rms":
                return KerasLayer("ops.RMSNorm", config, inputs=tuple(inputs), args=(Slot(0), None))
            return KerasLayer("ops.LayerNorm", config, inputs=tuple(inputs), args=(Slot(0), None, None))
        if self.kind == "rms":
            return self._root_mean_square(arrays, inputs)
        config |= {"center": "beta" in weights, "scale": "gamma" in weights, "rms_scaling": self.kind == "deviation"}
        return KerasLayer("LayerNormalization", config, arrays, tuple(inputs))

    def _root_mean_square(self, arrays: Sequence[Weight], inputs: Sequence[Shape]) -> KerasLayer:
        """RMSNormalization; its scale is for the last axes, so that others are brought there and back."""
        rank, count = len(inputs[0]), len(self.over)
        last = tuple(range(rank - count, rank))
        config = {"axis": list(last), "epsilon": self.epsilon}
        if self.over == last:
            return KerasLayer("RMSNormalization", config, tuple(arrays), tuple(inputs))
        order = axes.moved_axes(rank, self.over, last)
        there = KerasLayer("Permute", {"dims": order[1:]}, name="there")
        layer = KerasLayer("RMSNormalization", config, tuple(arrays), args=(there,), name="norm")
        return KerasLayer("Permute", {"dims": axes.inverse(order)[1:]}, inputs=tuple(inputs), args=(layer,))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.LayerNorm or nn.RMSNorm on trailing axes, otherwise xconv's ChannelNorm or AxesNorm."""
        names = {"gamma": "weight", "beta": "bias"}
        tensors = {names[role]: weight for role, weight in weights.items()}
        scale, center = "gamma" in weights, "beta" in weights
        trailing = self.over == tuple(range(len(inputs[0]) - len(self.over), len(inputs[0])))
        shape: dict[str, Any] = {"normalized_shape": self.sizes, "eps": self.epsilon}
        if trailing and self.kind == "layer" and (scale or not center):
            config = {**shape, "elementwise_affine": scale}
            return TorchCall("torch.nn.LayerNorm", config={**config, "bias": center}, tensors=tensors)
        if trailing and self.kind == "rms":
            return TorchCall("torch.nn.RMSNorm", config={**shape, "elementwise_affine": scale}, tensors=tensors)
        flags = {"scale": scale, "center": center}
        if self.over == (1,) and self.kind == "layer":
            config = {"num_channels": self.sizes[0], "eps": self.epsilon, **flags}
            return TorchCall("xconv.torch.modules.ChannelNorm", config=config, tensors=tensors)
        config = {**shape, "dims": self.over, "kind": self.kind, **flags}
        return TorchCall("xconv.torch.modules.AxesNorm", config=config, tensors=tensors)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axes by their new places; gamma and beta with their axes in the new sequence."""
        over, sequence = renamed(self.over, order)
        arrays = {role: weight.transpose(sequence) for role, weight in weights.items()}
        return Moved(replace(self, over=over, sizes=axes.apply(self.sizes, sequence)), arrays, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """One axis and several, inner axes, gamma or beta absent, the deviation alone, the root mean square."""
        yield Example("LayerNormalization", ((5, 4, 3),), {"epsilon": 1e-6}, ((3,), (3,)))
        yield Example("LayerNormalization", ((5, 3),), {"center": False}, ((3,),))
        yield Example("LayerNormalization", ((5, 3),), {"scale": False}, ((3,),))
        yield Example("LayerNormalization", ((5, 3),), {"scale": False, "center": False})
        yield Example("LayerNormalization", ((5, 4, 3),), {"axis": [1, 3]}, ((5, 3), (5, 3)))
        yield Example("LayerNormalization", ((5, 4, 3),), {"axis": [1, 2, 3]}, ((5, 4, 3), (5, 4, 3)))
        yield Example("LayerNormalization", ((5, 4, 3),), {"axis": 1}, ((5,), (5,)))
        yield Example("LayerNormalization", ((5, 3),), {"rms_scaling": True}, ((3,),))
        yield Example("RMSNormalization", ((5, 4, 3),), {}, ((3,),))
        yield Example("RMSNormalization", ((5, 4, 3),), {"axis": [2, 3], "epsilon": 1e-3}, ((4, 3),))
        yield Example("ops.RMSNorm", ((5, 3),), {"axis": -1, "epsilon": None}, args=(Slot(0), None))
        yield Example("ops.LayerNorm", ((5, 3),), {"axis": -1, "epsilon": 1e-3}, args=(Slot(0), None, None))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """One axis and several, with and without gamma and beta."""
        for shape in (3, [4, 3], [5, 4, 3]):
            yield TorchExample("torch.nn.LayerNorm", ((5, 4, 3),), {"normalized_shape": shape, "eps": 1e-3})
            yield TorchExample("torch.nn.RMSNorm", ((5, 4, 3),), {"normalized_shape": shape, "eps": 1e-3})
        yield TorchExample("torch.nn.LayerNorm", ((5, 3),), {"normalized_shape": 3, "bias": False})
        yield TorchExample("torch.nn.LayerNorm", ((3,),), {"normalized_shape": 3, "elementwise_affine": False})
        yield TorchExample("torch.nn.RMSNorm", ((5, 3),), {"normalized_shape": 3})
        yield TorchExample("torch.nn.RMSNorm", ((5, 3),), {"normalized_shape": 3, "elementwise_affine": False})


@dataclass(frozen=True, slots=True)
class UnitNorm(Spec):
    """x / max(length of x over the axes, epsilon)."""

    over: tuple[int, ...]
    epsilon: float = 1e-12

    order = Order.AXES
    keras_kinds = "UnitNormalization", "ops.Normalize"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The axes; the operation has an epsilon of its own and other lengths than Euclid's."""
        over = places_of(layer.argument(1, "axis", -1), len(layer.inputs[0]))
        if layer.kind == "UnitNormalization":
            return Op(cls(over))
        if layer.argument(2, "order", 2) != 2:
            raise Unsupported(f"normalisation of order {layer.argument(2, 'order')}", remedy="use order 2")
        epsilon = layer.argument(3, "epsilon")
        return Op(cls(over, 1e-7 if epsilon is None else epsilon))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """UnitNormalization, or the operation where epsilon is another."""
        if self.epsilon != 1e-12:
            config = {"axis": list(self.over), "order": 2, "epsilon": self.epsilon}
            return KerasLayer("ops.Normalize", config, inputs=tuple(inputs), args=(Slot(0),))
        return KerasLayer("UnitNormalization", {"axis": list(self.over)}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """F.normalize."""
        dim = self.over[0] if len(self.over) == 1 else self.over
        return TorchCall("torch.nn.functional.normalize", (Slot(0),), {"dim": dim, "eps": self.epsilon})

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The axes by their new places."""
        return Moved(replace(self, over=renamed(self.over, order)[0]), weights, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """One axis and two."""
        yield Example("UnitNormalization", ((5, 4, 3),))
        yield Example("UnitNormalization", ((5, 4, 3),), {"axis": [1, 3]})
        yield Example("ops.Normalize", ((5, 3),), {"axis": -1}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """One axis, another epsilon, another length."""
        yield TorchExample("torch.nn.functional.normalize", ((5, 4, 3),))
        yield TorchExample("torch.nn.functional.normalize", ((5, 3),), args=(Slot(0), 2.0, -1, 1e-3))
        yield TorchExample("torch.nn.functional.normalize", ((5, 3),), args=(Slot(0), 1.0, 2))


def _check_no_parameters(layer: KerasLayer) -> None:
    """Refuse a functional normalisation with arrays of its own."""
    names = ("scale",) if layer.kind == "ops.RMSNorm" else ("gamma", "beta")
    if any(layer.argument(place, name) is not None for place, name in enumerate(names, 1)):
        raise Unsupported("a normalisation operation with parameters", remedy="use the layer of the same name")
    if layer.weights:
        raise Mismatch(f"{layer.kind} has weights")
