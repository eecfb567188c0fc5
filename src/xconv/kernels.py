"""The resize kernels of Pillow, torch and TensorFlow.

Libraries give one word, 'bilinear', to several functions. Here every function is a `Kernel` of its own:

    interpolation   nearest, bilinear, bicubic, area, box, hamming, lanczos3, lanczos5, gaussian, mitchellcubic
    antialias       whether the kernel grows with the factor when the image shrinks
    grid            half-pixel (pixels are areas), corners (the corner pixels stay), old (top left corners meet)
    variant         a=-0.5 or a=-0.75 of a bicubic; whose area it is
    places          the numbers in which places of pixels are computed: float64 (Pillow, and torch on uint8), float32
                    (TensorFlow), float32 fused (torch: a product and a sum are rounded once)

A place is rounded to another pixel, or off by a few millionths, by these numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["CATALOGUE", "DOUBLE", "FILTERS", "FUSED", "SINGLE", "Floats", "Kernel", "cubic", "triangle"]

Floats: TypeAlias = npt.NDArray[np.float64]
Filter: TypeAlias = Callable[[Floats], Floats]
DOUBLE, SINGLE, FUSED = "float64", "float32", "float32 fused"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One way to compute the pixels of a resized image.

    >>> print(Kernel("bicubic", True, variant="a=-0.5"))
    bicubic (a=-0.5), antialiased
    >>> print(Kernel("bilinear", False, "corners"))
    bilinear, not antialiased, corners aligned
    """

    interpolation: str
    antialias: bool
    grid: str = "half-pixel"
    variant: str = ""
    places: str = DOUBLE

    @property
    def function(self) -> str:
        """The interpolation and its variant."""
        return f"{self.interpolation} ({self.variant})" if self.variant else self.interpolation

    def __str__(self) -> str:
        words = [self.function]
        if self.interpolation not in ("nearest", "area"):
            words.append("antialiased" if self.antialias else "not antialiased")
        if self.grid != "half-pixel":
            words.append({"corners": "corners aligned", "old": "on the old grid (top left corners aligned)"}[self.grid])
        return ", ".join(words)


def triangle(x: Floats) -> Floats:
    """Of bilinear interpolation."""
    return np.asarray(np.maximum(1 - np.abs(x), 0.0))


def cubic(x: Floats, a: float) -> Floats:
    """Keys's cubic; `a` is -0.5 in Pillow and TensorFlow, -0.75 in torch and OpenCV."""
    x = np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _lanczos(x: Floats, radius: int) -> Floats:
    return np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


def _gaussian(x: Floats) -> Floats:
    return np.where(np.abs(x) < 1.5, np.exp(-2 * x * x), 0.0)


def _mitchell(x: Floats) -> Floats:
    x = np.abs(x)
    inner = (7 * x - 12) * x * x / 6 + 16 / 18
    outer = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _hamming(x: Floats) -> Floats:
    base, height = float(np.float32(0.54)), float(np.float32(0.46))  # as Pillow writes them
    return np.where(np.abs(x) < 1, np.sinc(x) * (base + height * np.cos(np.pi * x)), 0.0)


def _box(x: Floats) -> Floats:
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


FILTERS: dict[str, tuple[Filter, float]] = {
    "box": (_box, 0.5),
    "hamming": (_hamming, 1.0),
    "bilinear": (triangle, 1.0),
    "bicubic": (lambda x: cubic(x, -0.5), 2.0),
    "lanczos3": (lambda x: _lanczos(x, 3), 3.0),
    "lanczos5": (lambda x: _lanczos(x, 5), 5.0),
    "gaussian": (_gaussian, 1.5),
    "mitchellcubic": (_mitchell, 2.0),
}
"""The function and its support, for kernels that are sampled at the pixels and made to sum to one."""

CATALOGUE = (
    Kernel("bilinear", True),
    Kernel("bilinear", False),
    Kernel("bicubic", True, variant="a=-0.5"),
    Kernel("bicubic", False, variant="a=-0.75"),
    Kernel("bicubic", False, variant="a=-0.5"),
    Kernel("nearest", False),
    Kernel("nearest", False, "old"),
    Kernel("nearest", False, "corners"),
    Kernel("area", True),
    Kernel("area", True, variant="adaptive mean"),
    Kernel("lanczos3", True),
    Kernel("lanczos3", False),
    Kernel("box", True),
    Kernel("hamming", True),
    Kernel("bilinear", False, "corners"),
    Kernel("bilinear", False, "old"),
    Kernel("bicubic", False, "corners", "a=-0.75"),
    Kernel("lanczos5", True),
    Kernel("lanczos5", False),
    Kernel("gaussian", True),
    Kernel("gaussian", False),
    Kernel("mitchellcubic", True),
    Kernel("mitchellcubic", False),
)
"""Every kernel that a preprocessing is compared with."""
