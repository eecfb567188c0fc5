"""Layers that stay what they are: torch gets a module of the same name, which is read back as the layer.

For them there is nothing to gain from an own vocabulary: no pass looks into them, and their settings are Keras's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.geometry import channel_axis, data_format
from xconv.layers.io import Variable
from xconv.spec import AtenCall, KerasLayer, Made, Op, Order, Shape, Slot, Spec, TorchCall, Weights
from xconv.weights import Weight

__all__ = ["REQUIRED", "Defaults", "Described", "Picture", "Settings", "Told", "frozen", "picture_axis", "settings_of"]

Settings: TypeAlias = tuple[tuple[str, Any], ...]
"""Constructor arguments with values of plain data; tuples where Keras has lists."""

Defaults: TypeAlias = Mapping[str, Any]
"""What a configuration may leave out, by name; `REQUIRED` where it may not."""

REQUIRED = object()


def frozen(value: Any) -> Any:
    """Lists and arrays as tuples.

    >>> frozen([1, [2.0, 3.0]])
    (1, (2.0, 3.0))
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def settings_of(layer: KerasLayer, defaults: Defaults) -> dict[str, Any]:
    """The layer's settings, each read, in the order of `defaults`."""
    pairs = ((key, layer[key] if default is REQUIRED else layer.get(key, default)) for key, default in defaults.items())
    return {key: frozen(value) for key, value in pairs}


@dataclass(frozen=True, slots=True)
class Described(Spec):
    """A layer of Keras by its class and its settings."""

    kind: str
    settings: Settings

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer itself."""
        return KerasLayer(self.kind, dict(self.settings), inputs=tuple(inputs), args=_slots(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's module of the same name."""
        target = f"xconv.torch.modules.{self.kind.removeprefix('ops.')}"
        return TorchCall(target, _slots(inputs), config=dict(self.settings))

    def setting(self, key: str) -> Any:
        """One of the settings."""
        return dict(self.settings)[key]


@dataclass(frozen=True, slots=True)
class Picture(Described):
    """A layer that takes pictures: (batch, height, width, channels), or with the channels before."""

    axis: int = -1

    order = Order.SPATIAL

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer itself, with its data format."""
        word = data_format(axes.normal(self.axis, len(inputs[0])))
        config = {**dict(self.settings), "data_format": word}
        return KerasLayer(self.kind, config, inputs=tuple(inputs), args=_slots(inputs))


def picture_axis(layer: KerasLayer) -> int:
    """The channel axis of a batch of pictures.

    Raises:
        Mismatch: the layer is not called on a batch of pictures.
    """
    if len(layer.inputs[0]) != 4:
        raise Mismatch(
            f"{layer.kind} is called on {layer.inputs[0]}, which Keras takes for one picture",
            remedy="call it on a batch of pictures, of rank 4",
        )
    return channel_axis(layer)


HOLDS = frozenset({"STFTSpectrogram"})
"""Layers with weights of their own; any other tensor that a network holds is an input of a layer."""


@dataclass(frozen=True, slots=True)
class Told(Spec):
    """Reads xconv's own modules, which torch.export sees as one call each."""

    aten_ops = "described", "described_several"
    holds = ("tensors",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """What Keras's layer of this name means, in torch's layout."""
        from xconv.layers import RULES

        kind, settings, tensors = call["kind"], json.loads(call["settings"]), tuple(call["tensors"])
        config = {"data_format": "channels_first", **settings}
        if kind in HOLDS:
            weights = tuple(item for item in tensors if isinstance(item, Weight))
            return RULES[kind].from_keras(KerasLayer(kind, config, weights, call.inputs))
        held = [item for item in tensors if isinstance(item, Weight)]
        made = [Op(Variable(weight.shape), {"value": weight}, f"value{place}", ()) for place, weight in enumerate(held)]
        given = tuple(Made(held.index(item)) if isinstance(item, Weight) else item for item in tensors)
        shapes = tuple(call.inputs[item.index] if isinstance(item, Slot) else item.shape for item in tensors)
        layer = KerasLayer(kind, config, inputs=shapes, args=tuple(Slot(place) for place in range(len(tensors))))
        found = RULES[kind].from_keras(layer)
        if not made or not isinstance(found, Op):
            return found
        return *made, replace(found, inputs=given)


def _slots(inputs: Sequence[Shape]) -> tuple[Slot, ...]:
    return tuple(Slot(place) for place in range(len(inputs)))
