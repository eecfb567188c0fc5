"""LoRA: a weight that is frozen, and two small matrices that train, whose product is added to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from xconv.torch.modules.adapted import Adapted, adapted
from xconv.weights import Weight

__all__ = ["LowRank", "low_rank"]


class LowRank(Adapted):
    """A layer that computes with weight + factor * a @ b, for the weights that `ways` names.

    The matrices are parameters `weight_lora_a` and `weight_lora_b` as Keras holds them; the way of a weight brings
    their product into the order of its axes. Outside `forward` the weight is what it is without them.
    """

    ways: Mapping[str, tuple[Weight, float]]
    adding: bool

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)  # type: ignore[misc]
        own = vars(self)
        if not own.get("adding") or name not in own["ways"] or not isinstance(found, Tensor):
            return found
        way, factor = own["ways"][name]
        a, b = getattr(self, f"{name}_lora_a"), getattr(self, f"{name}_lora_b")
        added = (a @ b).reshape(way.split).permute(way.order).reshape(way.shape)
        return found + (factor * added).to(found.dtype)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.within(super().forward, *args, **kwargs)  # type: ignore[misc]

    def within(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function gives that reads the weights as `forward` does: with what is added to them."""
        self.adding = True
        try:
            return super().within(function, *args, **kwargs)
        finally:
            self.adding = False

    def extra_repr(self) -> str:
        text = super().extra_repr()  # type: ignore[misc]
        ranks = ", ".join(f"{name} + {factor:g} * lora" for name, (_, factor) in self.ways.items())
        return f"{text}{', ' if text else ''}{ranks}"


def low_rank(module: nn.Module, ways: Mapping[str, tuple[Weight, float]]) -> nn.Module:
    """The module, in place, as one with such matrices, which are still to be filled."""
    adapted(module, LowRank, ways=dict(ways), adding=False)
    for name in ways:
        module.register_parameter(f"{name}_lora_a", None)
        module.register_parameter(f"{name}_lora_b", None)
    return module
