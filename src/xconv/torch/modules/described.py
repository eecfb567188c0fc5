"""Modules that say what they are in Keras's words, so that the way back has nothing to recognise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Described", "Interval", "RandomPicture", "chosen", "floating", "uniform"]

Interval: TypeAlias = Sequence[float]
"""Between which two numbers something is drawn."""


class Described(nn.Module):
    """A module with the name and the settings of a layer or operation of Keras.

    `keras_kind` is the class of Keras, `ops.` in front for an operation; `settings` are the constructor's arguments.
    """

    keras_kind: ClassVar[str] = ""
    several: ClassVar[bool] = False
    """Whether it gives several tensors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    @classmethod
    def kind(cls) -> str:
        """The class of Keras: where nothing else is said, of the same name."""
        return cls.keras_kind or cls.__name__

    def held(self) -> tuple[Tensor, ...]:
        """Its weights, in Keras's order and arrangement."""
        return ()

    def compute(self, *tensors: Tensor) -> Tensor:
        """The result for its inputs, and behind them its weights."""
        result: Tensor = self(*tensors)
        return result

    def like(self, *tensors: Tensor) -> Tensor:
        """An empty tensor of the shape and dtype of the result."""
        return torch.empty_like(tensors[0])

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in self.settings.items())


class RandomPicture(Described):
    """Changes (batch, channels, height, width) at random in training, each picture by itself; nothing in inference."""

    casts: ClassVar[bool] = True
    """Whether integers are made floating in inference too, as in Keras."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return self.change(floating(x))
        return floating(x) if self.casts else x

    def change(self, x: Tensor) -> Tensor:
        """What happens in training."""
        raise NotImplementedError

    def like(self, *tensors: Tensor) -> Tensor:
        """The shape stays; integers are made floating."""
        return torch.empty_like(floating(tensors[0]) if self.casts else tensors[0])


def floating(x: Tensor) -> Tensor:
    """A tensor of integers in torch's default dtype."""
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def uniform(x: Tensor, interval: Interval, *sizes: int) -> Tensor:
    """Numbers from an interval, one for each picture in `x`, or of other sizes."""
    low, high = interval
    return low + (high - low) * torch.rand(sizes or (x.shape[0], 1, 1, 1), dtype=x.dtype, device=x.device)


def chosen(x: Tensor, chance: Interval) -> Tensor:
    """Which pictures are changed, where the chance itself is drawn from an interval for each."""
    return uniform(x, (0.0, 1.0)) < uniform(x, chance)
