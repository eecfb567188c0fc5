"""Contrast from histograms: AutoContrast, Equalization, Solarization, and CLAHE in tiles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xconv.torch.modules.colours import ranged
from xconv.torch.modules.described import Described, Interval, RandomPicture, floating, uniform

__all__ = ["AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization", "Solarization"]


class AutoContrast(Described):
    """Each channel of each picture fills the range of values, in training and in inference."""

    def __init__(self, value_range: Interval = (0, 255)) -> None:
        super().__init__(value_range=value_range)
        self.value_range = value_range

    def forward(self, x: Tensor) -> Tensor:
        return self.change(floating(x))

    def change(self, x: Tensor) -> Tensor:
        """As in inference."""
        held = ranged(x, self.value_range, (0, 255))
        low, high = held.amin((2, 3), keepdim=True), held.amax((2, 3), keepdim=True)
        scale = 255.0 / (high - low)
        spread = ranged((held * scale - low * scale).clamp(0.0, 255.0), (0, 255), self.value_range)
        return torch.where(spread.isnan(), x, spread)

    def like(self, *tensors: Tensor) -> Tensor:
        return torch.empty_like(floating(tensors[0]))


class Equalization(RandomPicture):
    """In training, every channel of the batch is mapped so that its histogram is even."""

    casts = False

    def __init__(self, value_range: Interval = (0, 255), bins: int = 256) -> None:
        super().__init__(value_range=value_range, bins=bins)
        self.value_range, self.bins = value_range, bins

    def change(self, x: Tensor) -> Tensor:
        return torch.stack([self._even(channel) for channel in x.unbind(1)], 1)

    def _even(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        held = x * (255 / (high - low)) - low * (255 / (high - low))
        bins = (held.to(torch.float32) * (self.bins - 1) / 255).to(torch.int32).clamp(0, self.bins - 1).flatten().long()
        counts = torch.zeros(self.bins, dtype=torch.int64, device=x.device).scatter_add(0, bins, torch.ones_like(bins))
        below = counts.cumsum(0)
        least = below[(below > 0).to(torch.int8).argmax()]
        table = ((below - least) * 255 / (below[-1] - least).clamp(min=1).to(torch.float64)).round().clamp(0, 255)
        places = (held / 255.0 * (self.bins - 1)).clamp(0, self.bins - 1).long()
        even = torch.where((counts > 0).sum() <= 1, held, table.to(x.dtype)[places])
        return even * ((high - low) / 255) + low


class Solarization(RandomPicture):
    """In training, a number is added, and what is not below a threshold is inverted; both drawn for each picture."""

    def __init__(
        self,
        addition_factor: Interval = (0.0, 0.0),
        threshold_factor: Interval = (0.0, 0.0),
        value_range: Interval = (0, 255),
    ) -> None:
        super().__init__(addition_factor=addition_factor, threshold_factor=threshold_factor, value_range=value_range)
        self.addition_factor, self.threshold_factor = addition_factor, threshold_factor
        self.value_range = value_range

    def change(self, x: Tensor) -> Tensor:
        added, threshold = (
            uniform(x, (factor[0], factor[1] * 255)) for factor in (self.addition_factor, self.threshold_factor)
        )
        held = (ranged(x, self.value_range, (0, 255)) + added).clamp(0, 255)
        return ranged(torch.where(held < threshold, held, 255 - held), (0, 255), self.value_range)


class ContrastLimitedAdaptiveHistogramEqualization(Described):
    """Histograms of tiles are cut off, made even, and the maps of neighbouring tiles mixed (CLAHE); in both modes."""

    def __init__(
        self, value_range: Interval = (0, 255), clip_limit: float = 4.0, tile_grid_size: Sequence[int] = (8, 8)
    ) -> None:
        super().__init__(value_range=value_range, clip_limit=clip_limit, tile_grid_size=tile_grid_size)
        self.value_range, self.clip_limit, self.tile_grid_size = value_range, clip_limit, tile_grid_size

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        held = x if tuple(self.value_range) == (0, 255) else ranged(x.to(torch.float32), self.value_range, (0, 255))
        rows, columns = (-(-size // parts) for size, parts in zip((height, width), self.tile_grid_size, strict=True))
        held = _mirrored(held, 2, rows * self.tile_grid_size[0])
        held = _mirrored(held, 3, columns * self.tile_grid_size[1])
        pixels = held.to(torch.int32).clamp(0, 255).long()
        result = _mixed(self._maps(pixels, rows, columns), pixels, rows, columns)[:, :, :height, :width]
        return ranged(result, (0, 255), self.value_range).to(x.dtype)

    def _maps(self, pixels: Tensor, rows: int, columns: int) -> Tensor:
        """For every tile, what each of the 256 values becomes: (batch, channels, tiles, tiles, 256)."""
        down, across = self.tile_grid_size
        tiles = pixels.reshape(*pixels.shape[:2], down, rows, across, columns).transpose(3, 4).flatten(4)
        counts = torch.zeros(*tiles.shape[:4], 256, dtype=torch.float32, device=pixels.device)
        counts = counts.scatter_add(4, tiles, torch.ones_like(tiles, dtype=torch.float32))
        if self.clip_limit > 0:
            cut = counts.clamp(0, self.clip_limit * (rows * columns) / 256.0)
            counts = cut + (counts - cut).sum(-1, keepdim=True) / 256.0
        below = counts.cumsum(-1)
        least = below.amin(-1, keepdim=True)
        total = rows * columns - least
        return ((below - least) * 255.0 / torch.where(total == 0, 1.0, total)).clamp(0, 255)


def _mirrored(x: Tensor, axis: int, size: int) -> Tensor:
    """Longer at the end of an axis: its last numbers again, backwards."""
    more = size - x.shape[axis]
    return torch.cat([x, x.narrow(axis, x.shape[axis] - more, more).flip(axis)], axis) if more else x


def _mixed(maps: Tensor, pixels: Tensor, rows: int, columns: int) -> Tensor:
    """Each pixel by the maps of the four tiles around it."""
    across, down = maps.shape[3] + 2, maps.shape[2] + 2
    edged = torch.cat([maps[:, :, :1], maps, maps[:, :, -1:]], 2)
    edged = torch.cat([edged[:, :, :, :1], edged, edged[:, :, :, -1:]], 3).flatten(2)
    (top, bottom, low), (left, right, side) = (
        _between(size, parts, length, pixels)
        for size, parts, length in ((pixels.shape[2], down, rows), (pixels.shape[3], across, columns))
    )

    def read(row: Tensor, column: Tensor) -> Tensor:
        tile = row[:, None] * across + column
        return edged.gather(2, (tile * 256 + pixels).flatten(2)).view_as(pixels)

    low = low[:, None]
    above = read(top, left) * (1.0 - side) + read(top, right) * side
    return above * (1.0 - low) + (read(bottom, left) * (1.0 - side) + read(bottom, right) * side) * low


def _between(size: int, parts: int, length: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The tiles before and after every pixel of a side, and how near the one after is."""
    place = (torch.arange(size, dtype=torch.float32, device=like.device) - length / 2.0) / length + 1.0
    before = place.floor()
    first, second = (number.clamp(0, parts - 1).long() for number in (before, before + 1.0))
    return first, second, place - before
