"""Pictures sampled at other places: TensorFlow's projective transforms, and the layers that draw them at random."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from xconv.torch.modules.described import Interval, RandomPicture, chosen, uniform

__all__ = [
    "RandomPerspective",
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "homography",
    "projected",
]


def projected(x: Tensor, transform: Tensor, interpolation: str, fill_mode: str, fill_value: float) -> Tensor:
    """Every pixel from where `transform` leads, eight numbers (a0, a1, a2, b0, b1, b2, c0, c1) for each picture.

    The pixel (x, y) is read at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k) with k = c0 x + c1 y + 1. As in
    TensorFlow, places are computed in float32 and a place with k = 0 is filled.
    """
    a0, a1, a2, b0, b1, b2, c0, c1 = transform.to(torch.float32)[:, :, None, None].unbind(1)
    height, width = x.shape[2:]
    down = torch.arange(height, dtype=torch.float32, device=x.device)[:, None]
    across = torch.arange(width, dtype=torch.float32, device=x.device)
    scale = c0 * across + c1 * down + 1.0
    known = torch.where(scale == 0, 1.0, scale)
    places = (
        _mapped((b0 * across + b1 * down + b2) / known, height, fill_mode),
        _mapped((a0 * across + a1 * down + a2) / known, width, fill_mode),
    )
    sampled = _sampled(x, *places, interpolation, fill_value)
    return torch.where((scale == 0)[:, None], fill_value, sampled)


def _mapped(place: Tensor, size: int, mode: str) -> Tensor:
    """Where a place outside means one inside, as TensorFlow's kernel says it."""
    if mode == "constant":
        return place
    if mode == "nearest" or size <= 1:
        return place.clamp(0, size - 1)
    if mode == "wrap":
        below = place + size * (torch.trunc(-place / (size - 1)) + 1)
        above = place - size * torch.trunc(place / (size - 1))
    else:
        twice = 2 * size
        below = torch.where(place < twice, twice * torch.trunc(-place / twice) + place, place)
        below = torch.where(below < -size, below + twice, -below - 1)
        above = place - twice * torch.trunc(place / twice)
        above = torch.where(above >= size, twice - above - 1, above)
    inside = torch.where(place < 0, below, torch.where(place > size - 1, above, place))
    return inside.clamp(0, size - 1)


def _sampled(x: Tensor, down: Tensor, across: Tensor, interpolation: str, fill_value: float) -> Tensor:
    """The pixels of (batch, channels, height, width) at places (batch, height, width)."""
    if interpolation == "nearest":
        # halves away from zero, as in C
        down, across = (torch.trunc(place + torch.copysign(torch.tensor(0.5), place)) for place in (down, across))
        return _read(x, down, across, fill_value)
    top, left = down.floor(), across.floor()
    low, right = (down - top)[:, None].to(x.dtype), (across - left)[:, None].to(x.dtype)
    above = (1 - right) * _read(x, top, left, fill_value) + right * _read(x, top, left + 1, fill_value)
    below = (1 - right) * _read(x, top + 1, left, fill_value) + right * _read(x, top + 1, left + 1, fill_value)
    return (1 - low) * above + low * below


def _read(x: Tensor, down: Tensor, across: Tensor, fill_value: float) -> Tensor:
    """The pixels at whole places; outside, the value."""
    height, width = x.shape[2:]
    inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    place = (down.clamp(0, height - 1) * width + across.clamp(0, width - 1)).long()
    found = x.flatten(2).gather(2, place.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view_as(x)
    return torch.where(inside[:, None], found, fill_value)


def homography(start: Tensor, end: Tensor) -> Tensor:
    """The eight numbers that lead four points, (batch, 4, 2) at `end`, to those at `start`."""
    x, y = end.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    across = torch.stack([x, y, one, zero, zero, zero, -start[..., 0] * x, -start[..., 0] * y], -1)
    down = torch.stack([zero, zero, zero, x, y, one, -start[..., 1] * x, -start[..., 1] * y], -1)
    rows = torch.stack([across, down], 2).flatten(1, 2)
    found: Tensor = torch.linalg.solve(rows, start.flatten(1))
    return found


class _Warp(RandomPicture):
    """A transform drawn for each picture."""

    def __init__(self, interpolation: str, fill_mode: str, fill_value: float, **settings: object) -> None:
        super().__init__(**settings, interpolation=interpolation, fill_mode=fill_mode, fill_value=fill_value)
        self.interpolation, self.fill_mode, self.fill_value = interpolation, fill_mode, fill_value

    def change(self, x: Tensor) -> Tensor:
        return projected(x, self.transform(x), self.interpolation, self.fill_mode, self.fill_value)

    def transform(self, x: Tensor) -> Tensor:
        """Eight numbers for each picture."""
        raise NotImplementedError


def _rows(x: Tensor, *numbers: Tensor | float) -> Tensor:
    """Eight numbers for each picture, the last two 0."""
    zeros = torch.zeros(x.shape[0], dtype=torch.float32, device=x.device)
    return torch.stack([zeros + number for number in (*numbers, 0.0, 0.0)], 1)


class RandomTranslation(_Warp):
    """The picture moves by parts of its height and width, drawn from the factors."""

    def __init__(
        self,
        height_factor: Interval,
        width_factor: Interval,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
    ) -> None:
        super().__init__(interpolation, fill_mode, fill_value, height_factor=height_factor, width_factor=width_factor)
        self.height_factor, self.width_factor = height_factor, width_factor

    def transform(self, x: Tensor) -> Tensor:
        down = uniform(x, self.height_factor, x.shape[0]) * x.shape[2]
        across = uniform(x, self.width_factor, x.shape[0]) * x.shape[3]
        return _rows(x, 1.0, 0.0, -across, 0.0, 1.0, -down)


class RandomRotation(_Warp):
    """The picture turns about its middle by a part of the circle, drawn from `factor`."""

    def __init__(
        self,
        factor: Interval,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
    ) -> None:
        super().__init__(interpolation, fill_mode, fill_value, factor=factor)
        self.factor = factor

    def transform(self, x: Tensor) -> Tensor:
        angle = 2.0 * math.pi * uniform(x, self.factor, x.shape[0])
        middle_y, middle_x = ((size - 1) / 2 for size in x.shape[2:])
        cos, sin = angle.cos(), angle.sin()
        across = middle_x - middle_x * cos + middle_y * sin
        return _rows(x, cos, -sin, across, sin, cos, middle_y - middle_x * sin - middle_y * cos)


class RandomZoom(_Warp):
    """The picture shrinks by 1 plus numbers drawn from the factors; without `width_factor`, by one for both sides."""

    def __init__(
        self,
        height_factor: Interval,
        width_factor: Interval | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
    ) -> None:
        super().__init__(interpolation, fill_mode, fill_value, height_factor=height_factor, width_factor=width_factor)
        self.height_factor, self.width_factor = height_factor, width_factor

    def transform(self, x: Tensor) -> Tensor:
        down = 1.0 + uniform(x, self.height_factor, x.shape[0])
        across = down if self.width_factor is None else 1.0 + uniform(x, self.width_factor, x.shape[0])
        middle_y, middle_x = ((size - 1) / 2 for size in x.shape[2:])
        return _rows(x, across, 0.0, middle_x * (1.0 - across), 0.0, down, middle_y * (1.0 - down))


class RandomShear(_Warp):
    """The sides lean by numbers drawn from the factors, both with one random sign."""

    def __init__(
        self,
        x_factor: Interval = (0.0, 0.0),
        y_factor: Interval = (0.0, 0.0),
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
    ) -> None:
        super().__init__(interpolation, fill_mode, fill_value, x_factor=x_factor, y_factor=y_factor)
        self.x_factor, self.y_factor = x_factor, y_factor

    def transform(self, x: Tensor) -> Tensor:
        sign = torch.where(uniform(x, (0.0, 1.0), x.shape[0]) > 0.5, -1.0, 1.0)
        across, down = (uniform(x, factor, x.shape[0]) * sign for factor in (self.x_factor, self.y_factor))
        return _rows(x, 1.0, across, 0.0, down, 1.0, 0.0)


class RandomPerspective(RandomPicture):
    """Each corner moves by up to half of `scale` of its place, with a probability drawn from `factor`."""

    def __init__(
        self,
        factor: Interval = (0.0, 1.0),
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
    ) -> None:
        super().__init__(factor=factor, scale=scale, interpolation=interpolation, fill_value=fill_value)
        self.factor, self.scale, self.interpolation, self.fill_value = factor, scale, interpolation, fill_value

    def change(self, x: Tensor) -> Tensor:
        changed = chosen(x, self.factor)
        low, right = x.shape[2] - 1.0, x.shape[3] - 1.0
        corners = [[0.0, 0.0], [right, 0.0], [0.0, low], [right, low]]
        start = torch.tensor(corners, dtype=x.dtype, device=x.device).expand(x.shape[0], 4, 2)
        end = start + start * uniform(x, (-0.5 * self.scale, 0.5 * self.scale), x.shape[0], 4, 2)
        moved = projected(x, homography(start, end), self.interpolation, "constant", self.fill_value)
        return torch.where(changed, moved, x)
