"""Pictures made softer or sharper, and moved like a cloth: Gaussian blur, sharpness, elastic transforms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from xconv.torch.modules.described import Interval, RandomPicture, chosen, uniform

__all__ = ["RandomElasticTransform", "RandomGaussianBlur", "RandomSharpness", "at_places", "blurred"]


def blurred(x: Tensor, kernel_size: Sequence[int], sigma: Sequence[float] | Tensor) -> Tensor:
    """Every channel times Gaussian weights, zeros beyond the border: TensorFlow's SAME.

    As in Keras, the weights for a kernel of unequal sides are those of the turned kernel in memory order.
    """
    lines = []
    for place, size in enumerate(kernel_size):
        steps = torch.arange(size, dtype=x.dtype, device=x.device) - (size - 1) / 2
        line = torch.exp(-0.5 * (steps / sigma[place]) ** 2)
        lines.append(line / line.sum())
    weights = torch.outer(lines[1], lines[0]).reshape(1, 1, *kernel_size).expand(x.shape[1], -1, -1, -1)
    return _filtered(x, weights)


def _filtered(x: Tensor, weights: Tensor) -> Tensor:
    """A depthwise convolution with TensorFlow's SAME."""
    height, width = weights.shape[2:]
    padded = functional.pad(x, ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2))
    return functional.conv2d(padded, weights, groups=x.shape[1])


def at_places(x: Tensor, places: Sequence[Tensor], order: int, fill_mode: str, fill_value: float) -> Tensor:
    """The last axes of `x` at places between the numbers, one tensor of places for each; the axes before stay.

    `order` is 0 for the nearest number, halves to the even one, or 1 for lines between the neighbours.
    """
    sizes = x.shape[x.dim() - len(places) :]
    flat = x.flatten(-len(places))
    total: Tensor | float = 0.0
    for corner in itertools.product(*(_neighbours(place, order) for place in places)):
        index = torch.zeros_like(corner[0][0])
        inside, weight = torch.ones_like(index, dtype=torch.bool), torch.ones_like(places[0])
        for size, (place, part) in zip(sizes, corner, strict=True):
            index = index * size + _inside(place, size, fill_mode)
            inside, weight = inside & (place >= 0) & (place < size), weight * part
        found = flat[..., index].to(weight.dtype)
        if fill_mode == "constant":
            found = torch.where(inside, found, fill_value)
        total = total + weight * found
    result = torch.as_tensor(total)
    return (result if x.is_floating_point() else result.round()).to(x.dtype)


def _neighbours(place: Tensor, order: int) -> list[tuple[Tensor, Tensor]]:
    """The whole places beside a place, and how much each counts."""
    if order == 0:
        return [(place.round().long(), torch.ones_like(place))]
    lower = place.floor()
    upper = place - lower
    return [(lower.long(), 1 - upper), (lower.long() + 1, upper)]


def _inside(place: Tensor, size: int, mode: str) -> Tensor:
    """The place inside that a whole place means, as Keras says it."""
    if mode in ("constant", "nearest"):
        return place.clamp(0, size - 1)
    if mode == "wrap":
        return place.remainder(size)
    turned = place.abs().remainder(2 * size)
    back = 2 * size - turned - (1 if mode == "reflect" else 0)
    return torch.where(turned < size, turned, back)


class RandomGaussianBlur(RandomPicture):
    """Blurred with a probability drawn from `factor`; one sigma for each side of the batch, from `sigma`."""

    def __init__(
        self,
        factor: Interval = (0.0, 1.0),
        kernel_size: Sequence[int] = (3, 3),
        sigma: Interval = (0.0, 1.0),
        value_range: Interval = (0, 255),
    ) -> None:
        super().__init__(factor=factor, kernel_size=kernel_size, sigma=sigma, value_range=value_range)
        self.factor, self.kernel_size, self.sigma, self.value_range = factor, kernel_size, sigma, value_range

    def change(self, x: Tensor) -> Tensor:
        soft = blurred(x, self.kernel_size, uniform(x, self.sigma, 2) + 1e-6)
        return torch.where(chosen(x, self.factor), soft, x).clamp(*self.value_range)


class RandomSharpness(RandomPicture):
    """A step from the picture, of 1 less twice a number from `factor`, towards a smooth one; clipped to the range."""

    def __init__(self, factor: Interval, value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        weights = torch.full((x.shape[1], 1, 3, 3), 1.0 / 13.0, dtype=x.dtype, device=x.device)
        weights[:, :, 1, 1] = 5.0 / 13.0
        step = 1.0 - 2.0 * uniform(x, self.factor)
        return (x + step * (_filtered(x, weights) - x)).clamp(*self.value_range)


class RandomElasticTransform(RandomPicture):
    """Every pixel from a place nearby, smooth noise away, with a probability drawn from `factor`.

    A number from `scale` makes the noise: of 0.05 times the shorter side, blurred as far, times 0.1 of the longer one.
    """

    def __init__(
        self,
        factor: Interval = (0.0, 1.0),
        scale: Interval = (0.0, 1.0),
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Interval = (0, 255),
    ) -> None:
        super().__init__(
            factor=factor,
            scale=scale,
            interpolation=interpolation,
            fill_mode=fill_mode,
            fill_value=fill_value,
            value_range=value_range,
        )
        self.factor, self.scale, self.value_range = factor, scale, value_range
        self.order, self.fill_mode, self.fill_value = int(interpolation == "bilinear"), fill_mode, fill_value

    def change(self, x: Tensor) -> Tensor:
        if self.scale[1] == 0 or self.factor[1] == 0:
            return x
        changed, drawn = chosen(x, self.factor), float(uniform(x, self.scale, 1))
        moved = self._moved(x, 0.1 * drawn * max(x.shape[2:]), 0.05 * drawn * min(x.shape[2:]))
        return torch.where(changed, moved, x).clamp(*self.value_range)

    def _moved(self, x: Tensor, reach: float, sigma: float) -> Tensor:
        if sigma == 0.0:
            return x
        size = 6 * int(sigma) | 1
        noise = blurred(sigma * x.new_empty(x.shape[0], 2, *x.shape[2:]).normal_(), (size, size), (sigma, sigma))
        down, across = (torch.arange(n, dtype=x.dtype, device=x.device) for n in x.shape[2:])
        places = torch.stack(torch.meshgrid(down, across, indexing="ij")) + reach * noise
        pairs = zip(x, places, strict=True)
        return torch.stack([at_places(p, tuple(at), self.order, self.fill_mode, self.fill_value) for p, at in pairs])
