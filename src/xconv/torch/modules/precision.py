"""Precision as a Keras dtype policy says it: what arrives is cast, and weights are cast where they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from xconv.torch.modules.adapted import Adapted, adapted

__all__ = ["Cast", "Computing", "computing", "in_one_precision"]


class Cast(nn.Module):
    """The tensor in another floating-point type; integers and truth values too only where `every` is true."""

    def __init__(self, dtype: str, *, every: bool = False) -> None:
        super().__init__()
        self.dtype, self.every = dtype, every

    def forward(self, x: Tensor) -> Tensor:
        return x.to(getattr(torch, self.dtype)) if self.every or x.is_floating_point() else x

    def extra_repr(self) -> str:
        return f"{self.dtype!r}" + (", every=True" if self.every else "")


class Computing(Adapted):
    """A layer that computes in `inner` with weights that are held in another type, and gives `outer`.

    Its parameters stay what they are. Inside `forward` each is read as a cast of it, so that gradients reach it.
    """

    inner: str
    outer: str
    casting: bool

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)  # type: ignore[misc]
        own = vars(self)
        if own.get("casting") and isinstance(found, Tensor) and found.is_floating_point():
            return found.to(getattr(torch, own["inner"]))
        return found

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.within(super().forward, *args, **kwargs)  # type: ignore[misc]

    def within(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function gives that computes as `forward` does: with casts of what it is called on and of weights."""
        inner, outer = getattr(torch, self.inner), getattr(torch, self.outer)
        args, kwargs = _cast(args, inner), _cast(kwargs, inner)
        parts = [part for part in self.modules() if isinstance(part, Computing)]
        lists = {part: part._flat_weights for part in parts if isinstance(part, nn.RNNBase)}
        for part in parts:
            part.casting = True
        for part, weights in lists.items():
            part._flat_weights = [weight if weight is None else weight.to(inner) for weight in weights]
        try:
            return _cast(super().within(function, *args, **kwargs), outer)
        finally:
            for part in parts:
                part.casting = False
            for part, weights in lists.items():
                part._flat_weights = weights

    def extra_repr(self) -> str:
        text = super().extra_repr()  # type: ignore[misc]
        said = self.inner if self.inner == self.outer else f"{self.inner} -> {self.outer}"
        return f"{text}{', ' if text else ''}computes in {said}"


def computing(module: nn.Module, inner: str, outer: str) -> nn.Module:
    """The module, in place, as one that computes in `inner` and gives `outer`."""
    for part in module.modules():
        adapted(part, Computing, inner=inner, outer=outer if part is module else inner, casting=False)
    return module


def in_one_precision(module: nn.Module, dtype: str) -> None:
    """Everything inside in one type, where policies asked for several; in place."""
    for part in module.modules():
        if isinstance(part, Cast):
            part.dtype = dtype
        if isinstance(part, Computing):
            part.inner = part.outer = dtype


def _cast(item: Any, dtype: torch.dtype) -> Any:
    """The floating-point tensors in a structure, cast."""
    if isinstance(item, Tensor):
        return item.to(dtype) if item.is_floating_point() else item
    if isinstance(item, (tuple, list)):
        return type(item)(_cast(part, dtype) for part in item)
    if isinstance(item, dict):
        return {key: _cast(part, dtype) for key, part in item.items()}
    return item
