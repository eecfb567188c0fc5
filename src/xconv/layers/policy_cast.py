"""The cast that a Keras layer's dtype policy asks for, of what it is called on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xconv.spec import KerasLayer, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["PolicyCast"]


@dataclass(frozen=True, slots=True)
class PolicyCast(Spec):
    """The tensor in the floating-point type of a policy; integers and truth values too only where `every` is true.

    Unlike a `Cast` it is rounding and no meaning: in a network that is judged in float64 it does nothing.
    """

    dtype: str
    every: bool = False

    order = Order.ANY

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation; a layer that does nothing casts floating-point numbers alone."""
        if self.every:
            return KerasLayer("ops.Cast", {"dtype": self.dtype}, inputs=tuple(inputs), args=(Slot(0),))
        return KerasLayer("Identity", {"dtype": self.dtype}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """A module, whose type follows the network's."""
        config = {"dtype": self.dtype, "every": True} if self.every else {"dtype": self.dtype}
        return TorchCall("xconv.torch.modules.Cast", config=config)
