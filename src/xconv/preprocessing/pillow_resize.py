"""What Pillow computes when it resizes: its kernels, and the order in which its version takes the directions."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from xconv.errors import InvalidInput
from xconv.kernels import Kernel
from xconv.preprocessing.arithmetic import FLOAT, PILLOW, PILLOW_13

__all__ = ["pillow_arithmetic", "pillow_kernel"]

KERNELS = {
    "nearest": Kernel("nearest", False),
    "bilinear": Kernel("bilinear", True),
    "bicubic": Kernel("bicubic", True, variant="a=-0.5"),
    "box": Kernel("box", True),
    "hamming": Kernel("hamming", True),
    "lanczos": Kernel("lanczos3", True),
}


def pillow_kernel(interpolation: str) -> Kernel:
    """The kernel of Pillow's filter of this name; all but 'nearest' are antialiased.

    Raises:
        InvalidInput: there is no such filter.
    """
    if interpolation not in KERNELS:
        remedy = f"give one of {', '.join(KERNELS)}"
        raise InvalidInput(f"Pillow does not resize by {interpolation!r}", remedy=remedy)
    return KERNELS[interpolation]


def pillow_arithmetic(kernel: Kernel) -> str:
    """How the installed Pillow rounds; as its newest version where none is installed.

    Version 13 begins with the height of pictures whose height shrinks by far more, which changes single pixels.
    """
    if kernel.interpolation == "nearest":
        return FLOAT
    try:
        major = int(version("pillow").partition(".")[0])
    except (PackageNotFoundError, ValueError):
        return PILLOW_13
    return PILLOW_13 if major >= 13 else PILLOW
