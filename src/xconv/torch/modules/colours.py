"""Colours of pictures: grey, hue and saturation, and the layers of Keras that change them at random in training.

The distributions are Keras's, its own ideas of an interval included; the random numbers are torch's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xconv.errors import InvalidInput
from xconv.torch.modules.described import Interval, RandomPicture, chosen, uniform

__all__ = [
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "from_hsv",
    "grey",
    "ranged",
    "to_hsv",
]

LUMA = (0.2989, 0.5870, 0.1140)


def grey(x: Tensor, axis: int = 1) -> Tensor:
    """The brightness of red, green and blue; a grey picture as it is."""
    if x.shape[axis] == 1:
        return x
    red, green, blue = (LUMA[place] * x.narrow(axis, place, 1) for place in range(3))
    return red + green + blue


def to_hsv(x: Tensor, axis: int = 1) -> Tensor:
    """Hue, saturation and value of red, green and blue along an axis, as TensorFlow computes them."""
    red, green, blue = _three(x, axis).unbind(axis)
    value = torch.maximum(torch.maximum(red, green), blue)
    spread = value - torch.minimum(torch.minimum(red, green), blue)
    lively = spread > 0
    unit = 1.0 / (6.0 * torch.where(lively, spread, 1.0))
    hue = torch.where(green == value, unit * (blue - red) + 2.0 / 6.0, unit * (red - green) + 4.0 / 6.0)
    hue = torch.where(red == value, unit * (green - blue), hue)
    hue = torch.where(lively, hue, 0.0)
    hue = torch.where(hue < 0, hue + 1.0, hue)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    return torch.stack([hue, saturation, value], axis)


def from_hsv(x: Tensor, axis: int = 1) -> Tensor:
    """The way back."""
    hue, saturation, value = _three(x, axis).unbind(axis)
    place = hue * 6.0
    red = ((place - 3.0).abs() - 1.0).clamp(0.0, 1.0)
    green = (2.0 - (place - 2.0).abs()).clamp(0.0, 1.0)
    blue = (2.0 - (place - 4.0).abs()).clamp(0.0, 1.0)
    return torch.stack([(1.0 - saturation + saturation * part) * value for part in (red, green, blue)], axis)


def _three(x: Tensor, axis: int) -> Tensor:
    if x.shape[axis] != 3:
        raise InvalidInput(f"hue and saturation need 3 channels, there are {x.shape[axis]}")
    return x


def ranged(x: Tensor, before: Interval, after: Interval) -> Tensor:
    """Numbers of one interval brought into another."""
    if tuple(before) == tuple(after):
        return x
    return (x - before[0]) / (before[1] - before[0]) * (after[1] - after[0]) + after[0]


class RandomBrightness(RandomPicture):
    """A number is added, drawn from `factor` times the width of `value_range`; the result is clipped to the range."""

    casts = False

    def __init__(self, factor: Interval, value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        return (x + uniform(x, self.factor) * (high - low)).clamp(low, high)


class RandomContrast(RandomPicture):
    """The distance to the mean of each channel grows by a number from 1 - factor[0] to 1 + factor[1]."""

    casts = False

    def __init__(self, factor: Interval, value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        grown = (x - mean) * uniform(x, (1.0 - self.factor[0], 1.0 + self.factor[1])) + mean
        return grown.clamp(*self.value_range)


class RandomColorDegeneration(RandomPicture):
    """A step from the colours towards grey, drawn from `factor`; the result is clipped to `value_range`."""

    casts = False

    def __init__(self, factor: Interval, value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        return (x + uniform(x, self.factor) * (grey(x) - x)).clamp(*self.value_range)


class RandomGrayscale(RandomPicture):
    """With probability `factor` a picture is grey, in as many channels."""

    casts = False

    def __init__(self, factor: float = 0.5) -> None:
        super().__init__(factor=factor)
        self.factor = factor

    def change(self, x: Tensor) -> Tensor:
        return torch.where(uniform(x, (0.0, 1.0)) < self.factor, grey(x), x)


class RandomInvert(RandomPicture):
    """The upper end of `value_range` less the picture, with a probability drawn from `factor`."""

    casts = False

    def __init__(self, factor: Interval = (0.0, 1.0), value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        return torch.where(chosen(x, self.factor), self.value_range[1] - x, x)


class RandomHue(RandomPicture):
    """The hue is turned by half a number from `factor`, either way."""

    casts = False

    def __init__(self, factor: Interval, value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        sign = torch.where(uniform(x, (0.0, 1.0)) > 0.5, -1.0, 1.0)
        found = to_hsv(ranged(x, self.value_range, (0, 1)))
        hue, rest = found[:, :1], found[:, 1:]
        hue = hue + 0.5 * sign * uniform(x, self.factor)
        hue = torch.where(hue > 1.0, hue - 1.0, hue)
        hue = torch.where(hue < 0.0, hue + 1.0, hue)
        turned = from_hsv(torch.cat([hue, rest], 1)).clamp(0, 1)
        return ranged(turned, (0, 1), self.value_range).to(x.dtype)


class RandomSaturation(RandomPicture):
    """The saturation times f / (1 - f + 1e-7), with f from `factor`; Keras clips it to `value_range`."""

    casts = False

    def __init__(self, factor: Interval, value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        drawn = uniform(x, self.factor)
        found = to_hsv(x)
        saturation = (found[:, 1:2] * (drawn / (1.0 - drawn + 1e-7))).clamp(*self.value_range)
        return from_hsv(torch.cat([found[:, :1], saturation, found[:, 2:]], 1))


class RandomPosterization(RandomPicture):
    """Each number of 8 bits keeps as many of them as drawn: from factor[0] to before factor[1], or this where equal."""

    casts = False

    def __init__(self, factor: Interval, value_range: Interval = (0, 255)) -> None:
        super().__init__(factor=factor, value_range=value_range)
        self.factor, self.value_range = factor, value_range

    def change(self, x: Tensor) -> Tensor:
        low, high = (int(bits) for bits in self.factor)
        bits = torch.randint(low, max(high, low + 1), (x.shape[0], 1, 1, 1), device=x.device)
        size = 2 ** (8 - bits)
        numbers = ranged(x, self.value_range, (0, 255)).to(torch.uint8).to(size.dtype)
        return ranged((numbers // size * size).to(x.dtype), (0, 255), self.value_range)


class RandomColorJitter(RandomPicture):
    """Brightness, contrast, saturation and hue, one after the other, each where its factor is given."""

    casts = False

    def __init__(
        self,
        value_range: Interval = (0, 255),
        brightness_factor: Interval | None = None,
        contrast_factor: Interval | None = None,
        saturation_factor: Interval | None = None,
        hue_factor: Interval | None = None,
    ) -> None:
        super().__init__(
            value_range=value_range,
            brightness_factor=brightness_factor,
            contrast_factor=contrast_factor,
            saturation_factor=saturation_factor,
            hue_factor=hue_factor,
        )
        steps = (
            (RandomBrightness, brightness_factor),
            (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor),
            (RandomHue, hue_factor),
        )
        self.steps = torch.nn.ModuleList(kind(factor, value_range) for kind, factor in steps if factor is not None)

    def change(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step.change(x) if isinstance(step, RandomPicture) else x
        return x
