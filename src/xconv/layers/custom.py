"""Classes of the user's own: a Keras layer and an nn.Module that mean the same, each kept whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xconv import axes
from xconv.errors import Unknown
from xconv.registry import TorchModule, kept, names_of, torch_rule
from xconv.spec import AtenCall, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Custom"]


@dataclass(frozen=True, slots=True)
class Custom(Spec):
    """What a class of the user's computes, in the order of axes in which its source wrote it.

    `keras` is the registered name `package>Class`, `torch` the full name of a class that `register_module` knows. Each
    has its constructor's arguments. Weights stand under the torch module's names, in the order in which the Keras layer
    creates them; `turned` says, for those that Keras holds in another order of axes, which.
    """

    keras: str
    torch: str
    keras_config: tuple[tuple[str, Any], ...] = ()
    torch_config: tuple[tuple[str, Any], ...] = ()
    turned: tuple[tuple[str, axes.Order], ...] = ()
    outputs: tuple[Shape, ...] = ()
    """The shapes of what it returns, where that is not one tensor of the shape of its input."""

    order = Order.WRITTEN
    aten_ops = ("custom",)
    holds = ("params",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """What the rule of the module's class says."""
        call["tensors"]
        module = kept(call["key"])
        rule = torch_rule(type(module))
        if rule is None:
            raise Unknown(f"the class {type(module).__name__} has no rule", remedy="teach it with register_torch")
        weights = dict(zip(names_of(module), call["params"], strict=True))
        return rule(TorchModule(module, weights, call.inputs, call.outputs))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The Keras layer."""
        turned = dict(self.turned)
        held = tuple(w.transpose(turned[role]) if role in turned else w for role, w in weights.items())
        return KerasLayer(self.keras, dict(self.keras_config), held, tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """The module."""
        args = tuple(Slot(place) for place in range(len(inputs)))
        return TorchCall(self.torch, args, config=dict(self.torch_config), tensors=weights)

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """What it says, or the input's."""
        return self.outputs or (inputs[0],)
