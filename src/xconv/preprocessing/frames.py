"""Which part of a picture is taken, and to what size it is brought: crop, resize, crop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xconv.kernel_matrices import Span, matrix
from xconv.kernels import Floats, Kernel
from xconv.preprocessing.arithmetic import FLOAT, resized
from xconv.preprocessing.pictures import Size

__all__ = ["RULES", "Frame", "Window", "framed", "spread", "strip"]

RULES = ("keep", "direct", "shorter", "longer", "inside", "cover", "aspect", "box", "filled", "fraction", "middle")
Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels; it may reach over the border, where there is black."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What happens to the size of a picture, for pictures of any size.

    `rule` is one of

        keep       no resize
        direct     to `size`, whatever the aspect ratio
        shorter    the shorter side to `size[0]`, the other in proportion, but no longer than `limit`
        longer     the longer side to `size[0]`, the other in proportion
        inside     in proportion, as large as fits into `size` (timm's crop_mode='border')
        cover      in proportion, as small as covers `size` (timm, where `size` is no square)
        aspect     the largest centred part with the aspect ratio of `size`, then to `size` (Keras's smart_resize)
        box        the same, but the kernel sees the pixels around that part too (keep_aspect_ratio of Keras's load_img)
        filled     borders of `colour` up to the aspect ratio of `size`, then to `size` (Keras's pad_to_aspect_ratio)
        fraction   the middle `fraction` of either side, then to `size` (tf.image.central_crop)
        middle     the middle `first`, then to `size`

    Then `crop`, if any, is cut from the middle; where it is larger than what is left, the borders get `colour`.
    """

    rule: str
    size: Size | None = None
    crop: Size | None = None
    offset: str = "rounded"
    """The first pixel of a crop: half the difference 'rounded' (to even, as torchvision) or 'rounded down'."""
    long: str = "rounded down"
    """How the longer side is rounded, by the rule 'shorter'."""
    fraction: float = 1.0
    first: Size | None = None
    limit: int | None = None
    """What the longer side must not exceed, by the rule 'shorter'."""
    colour: Colour = (0.0, 0.0, 0.0)

    def taken(self, size: Size) -> Window:
        """The part of a picture of this size that is resized."""
        height, width = size
        if self.rule == "fraction":
            top, left = (int((side - side * self.fraction) / 2) for side in size)
            return Window(top, left, height - 2 * top, width - 2 * left)
        if self.rule == "middle" and self.first is not None:
            return self._middle(size, self.first)
        if self.rule in ("aspect", "filled") and self.size is not None:
            high, wide = int(width * self.size[0] / self.size[1]), int(height * self.size[1] / self.size[0])
            if self.rule == "filled":  # the same border on both sides, so an odd pixel is not filled
                top, left = (max(high, height) - height) // 2, (max(wide, width) - width) // 2
                return Window(-top, -left, height + 2 * top, width + 2 * left)
            high, wide = max(min(height, high), 1), max(min(width, wide), 1)
            return Window((height - high) // 2, (width - wide) // 2, high, wide)
        return Window(0, 0, height, width)

    def span(self, size: Size) -> tuple[Span, Span] | None:
        """The part of the taken picture that is resized, where the kernel sees beyond it (Pillow's box).

        It may be empty, which Pillow takes: all new pixels then lie at one place of the old ones.
        """
        if self.rule != "box" or self.size is None or size == self.size:
            return None
        high = min(size[0], size[1] * self.size[0] // self.size[1])
        wide = min(size[1], size[0] * self.size[1] // self.size[0])
        return ((size[0] - high) // 2, high), ((size[1] - wide) // 2, wide)

    def resized(self, size: Size) -> Size | None:
        """The size that the taken part of such a picture is brought to; None where it stays.

        >>> Frame("shorter", (256, 256)).resized((300, 401))
        (256, 342)
        """
        if self.size is None or self.rule not in ("shorter", "longer", "inside", "cover"):
            return self.size
        if self.rule in ("inside", "cover"):
            ratios = [side / wanted for side, wanted in zip(size, self.size, strict=True)]
            ratio = max(ratios) if self.rule == "inside" else min(ratios)
            made = [max(round(side / ratio), 1) for side in size]
        else:
            short, long = self._sides(size)
            made = [short, long] if size[0] < size[1] else [long, short]
        return made[0], made[1]

    def _sides(self, size: Size) -> Size:
        """The shorter and the longer side, by the rules of these names."""
        wanted = self.size[0] if self.size is not None else 0
        if self.rule == "longer":
            return max(int(wanted * min(size) / max(size)), 1), wanted
        exact = wanted * max(size) / min(size)
        long = int(exact) if self.long == "rounded down" else int(np.rint(exact))
        if self.limit is not None and long > self.limit:
            return max(int(self.limit * wanted / long), 1), self.limit
        return wanted, long

    def cut(self, size: Size) -> Window:
        """The part of a resized picture that is left.

        >>> Frame("keep", crop=(3, 3)).cut((6, 3))
        Window(top=2, left=0, height=3, width=3)
        """
        return self._middle(size, self.crop) if self.crop is not None else Window(0, 0, *size)

    def source(self, size: Size) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where the result's upper and left edge lie in a picture of this size, and how long its pixels are there."""
        taken = self.taken(size)
        after = self.resized(size) or (taken.height, taken.width)
        cut = self.cut(after)
        steps = taken.height / after[0], taken.width / after[1]
        return (taken.top + cut.top * steps[0], steps[0]), (taken.left + cut.left * steps[1], steps[1])

    def shape(self, size: Size) -> Size:
        """The size of the result."""
        taken = self.taken(size)
        cut = self.cut(self.resized(size) or (taken.height, taken.width))
        return cut.height, cut.width

    @property
    def fixed(self) -> bool:
        """Whether the result has one size, whatever the picture's."""
        return self.crop is not None or self.rule not in ("keep", "shorter", "longer", "inside", "cover")

    def scaled(self, wanted: Size) -> Frame:
        """The frame with another result, the rest in proportion.

        >>> Frame("shorter", (256, 256), (224, 224)).scaled((299, 299)).size
        (342, 342)
        """
        if self.crop is None:
            return replace(self, size=wanted)
        if self.size is None:
            return replace(self, crop=wanted)
        ratio = max(new / old for new, old in zip(wanted, self.crop, strict=True))
        return replace(self, size=(round(self.size[0] * ratio), round(self.size[1] * ratio)), crop=wanted)

    def _middle(self, size: Size, part: Size) -> Window:
        top, left = (self._start(before - after) for before, after in zip(size, part, strict=True))
        return Window(top, left, *part)

    def _start(self, difference: int) -> int:
        if difference < 0:  # torchvision pads with black, the odd pixel behind
            return -((-difference) // 2)
        return round(difference / 2) if self.offset == "rounded" else difference // 2

    def __str__(self) -> str:
        size = f"{self.size[0]}x{self.size[1]}" if self.size else ""
        said = {
            "keep": "no resize",
            "direct": f"resize to {size}",
            "shorter": f"resize of the shorter side to {self.size[0] if self.size else ''}"
            + (f", the longer at most {self.limit}" if self.limit else ""),
            "longer": f"resize of the longer side to {self.size[0] if self.size else ''}",
            "inside": f"resize in proportion to fit into {size}",
            "cover": f"resize in proportion to cover {size}",
            "box": f"resize of the middle with the aspect ratio of {size} to {size}, seeing the pixels around it",
            "filled": f"borders of {_listed(self.colour)} to the aspect ratio of {size}, then resize to {size}",
            "aspect": f"crop to the aspect ratio of {size}, then resize to {size}",
            "fraction": f"crop to the middle {self.fraction:g} of either side, then resize to {size}",
            "middle": f"crop of {_times(self.first)} from the middle, then resize to {size}",
        }[self.rule]
        border = f" (borders of {_listed(self.colour)})" if any(self.colour) and self.rule != "filled" else ""
        return said + (f", then crop of {_times(self.crop)} from the middle{border}" if self.crop else "")


def _times(size: Size | None) -> str:
    return "x".join(map(str, size or ()))


def _listed(colour: Colour) -> str:
    return f"{colour[0]:g}" if len(set(colour)) == 1 else f"({', '.join(f'{one:g}' for one in colour)})"


def framed(picture: Floats | Any, frame: Frame, kernel: Kernel | None, arithmetic: str = FLOAT) -> Floats:
    """The picture, (height, width, channels) in 0..255, as the frame, the kernel and the rounding make it."""
    values = _part(np.asarray(picture, np.float64), frame.taken(picture.shape[:2]), frame.colour)
    size = frame.resized(picture.shape[:2])
    if size is not None and kernel is not None:
        values = resized(values, size, kernel, arithmetic, frame.span(picture.shape[:2]))
    return _part(values, frame.cut((values.shape[0], values.shape[1])), frame.colour)


def strip(picture: Floats | Any, frame: Frame, kernel: Kernel | None, rows: int) -> Floats:
    """Evenly spaced rows of `framed`, at the cost of these rows, and where they stand: (rows, width, channels)."""
    taken = frame.taken(picture.shape[:2])
    size = frame.resized(picture.shape[:2])
    cut = frame.cut(size or (taken.height, taken.width))
    inside = cut.top >= 0 and cut.top + cut.height <= (size or (taken.height, taken.width))[0]
    if size is None or kernel is None or not inside or frame.rule in ("box", "filled"):
        return np.asarray(framed(picture, frame, kernel)[spread(cut.height, rows)])
    values = _part(np.asarray(picture, np.float64), taken)
    chosen = matrix(kernel, taken.height, size[0])[cut.top + spread(cut.height, rows)]
    values = (chosen @ values.reshape(len(values), -1)).reshape(len(chosen), *values.shape[1:])
    across = np.einsum("hwc,vw->hvc", values, matrix(kernel, taken.width, size[1]), optimize=True)
    return _part(across, Window(0, cut.left, len(chosen), cut.width))


def spread(count: int, rows: int) -> Any:
    """Up to so many places, evenly spaced.

    >>> spread(10, 3).tolist()
    [0, 4, 9]
    """
    return np.linspace(0, count - 1, min(rows, count)).astype(int)


def _part(values: Floats, window: Window, colour: Colour = (0.0, 0.0, 0.0)) -> Floats:
    height, width = values.shape[:2]
    before = max(-window.top, 0), max(-window.left, 0)
    after = max(window.top + window.height - height, 0), max(window.left + window.width - width, 0)
    if any((*before, *after)):
        inside = slice(before[0], before[0] + height), slice(before[1], before[1] + width)
        bordered = np.empty((before[0] + height + after[0], before[1] + width + after[1], *values.shape[2:]))
        bordered[...] = colour[: values.shape[2]]
        bordered[inside] = values
        values = bordered
    top, left = window.top + before[0], window.left + before[1]
    return values[top : top + window.height, left : left + window.width]
