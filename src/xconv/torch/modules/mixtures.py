"""Parts of pictures flipped, erased, or mixed with those of other pictures, at random in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xconv.torch.modules.described import Interval, RandomPicture, chosen, uniform

__all__ = ["CutMix", "MixUp", "RandomErasing", "RandomFlip"]


class RandomFlip(RandomPicture):
    """Half of the pictures are flipped; in the mode of both ways, these are flipped both ways."""

    def __init__(self, mode: str = "horizontal_and_vertical") -> None:
        super().__init__(mode=mode)
        self.mode = mode

    def change(self, x: Tensor) -> Tensor:
        axes = {"horizontal": (3,), "vertical": (2,)}.get(self.mode, (2, 3))
        return torch.where(uniform(x, (0.0, 1.0)) <= 0.5, x.flip(axes), x)


def _boxes(x: Tensor, parts: Tensor) -> Tensor:
    """Which pixels lie in a box whose sides are these parts (batch, 2) of the width and the height."""
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for axis, part in zip((3, 2), parts.unbind(1), strict=True):
        length = part.view(-1, 1, 1, 1) * x.shape[axis]
        start = uniform(x, (0.0, 1.0)) * (x.shape[axis] - length)
        steps = torch.arange(x.shape[axis], dtype=x.dtype, device=x.device).view(-1, *(1,) * (3 - axis))
        inside = inside & (steps >= start) & (steps < start + length)
    return inside


class RandomErasing(RandomPicture):
    """A box is filled, with a probability drawn from `factor`; its sides are roots of numbers drawn from `scale`.

    It is filled with `fill_value`, or without one with normal noise times the upper end of the range, clipped to it.
    """

    def __init__(
        self,
        factor: Interval = (0.0, 1.0),
        scale: Interval = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Interval = (0, 255),
    ) -> None:
        super().__init__(factor=factor, scale=scale, fill_value=fill_value, value_range=value_range)
        self.factor, self.scale, self.fill_value, self.value_range = factor, scale, fill_value, value_range

    def change(self, x: Tensor) -> Tensor:
        erased = _boxes(x, uniform(x, self.scale, x.shape[0], 2).sqrt()) & chosen(x, self.factor)
        if self.fill_value is None:
            filling = torch.randn_like(x) * self.value_range[1]
        else:
            filling = torch.tensor(self.fill_value, dtype=x.dtype, device=x.device).reshape(1, -1, 1, 1)
        return torch.where(erased, filling.clamp(*self.value_range), x)


class MixUp(RandomPicture):
    """Each picture is mixed with another by a weight of the beta distribution; labels belong to the data and stay."""

    casts = False

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__(alpha=alpha)
        self.alpha = alpha

    def change(self, x: Tensor) -> Tensor:
        weight = _beta(x, x.new_tensor(self.alpha))
        return weight * x + (1.0 - weight) * x[torch.randperm(x.shape[0], device=x.device)]


class CutMix(RandomPicture):
    """A box of each picture is taken from another; labels belong to the data and stay.

    The area is 1 less a number of the beta distribution, whose parameter is drawn from `factor` for the batch.
    """

    def __init__(self, factor: Interval = (0.0, 1.0)) -> None:
        super().__init__(factor=factor)
        self.factor = factor

    def change(self, x: Tensor) -> Tensor:
        side = (1.0 - _beta(x, uniform(x, self.factor, 1) + 1e-6)).sqrt().view(-1, 1).expand(-1, 2)
        return torch.where(_boxes(x, side), x[torch.randperm(x.shape[0], device=x.device)], x)


def _beta(x: Tensor, alpha: Tensor) -> Tensor:
    """A number of the beta distribution for each picture, both of its parameters the same."""
    drawn = torch.distributions.Beta(alpha, alpha).sample((x.shape[0],))
    return drawn.view(-1, 1, 1, 1)
