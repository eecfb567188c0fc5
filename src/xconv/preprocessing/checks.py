"""What a description must be: every setting known, and none that contradicts another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xconv.errors import Problem
from xconv.kernels import DOUBLE, FILTERS, FUSED, SINGLE, Kernel
from xconv.preprocessing.arithmetic import DESCRIBED, FLOAT, PILLOW, PILLOW_13, TORCH
from xconv.preprocessing.frames import RULES, Frame
from xconv.preprocessing.opening import ORIENTATIONS

if TYPE_CHECKING:
    from xconv.preprocessing.description import Preprocessing

__all__ = ["problems"]

CHOICES = {
    "arithmetic": DESCRIBED,
    "channels": ("RGB", "BGR"),
    "layout": ("channels_last", "channels_first"),
    "dtype": ("float32", "float64", "float16"),
    "orientation": ORIENTATIONS,
}
KERNEL_CHOICES: dict[str, tuple[Any, ...]] = {
    "interpolation": ("nearest", "area", *FILTERS),
    "antialias": (True, False),
    "grid": ("half-pixel", "corners", "old"),
    "places": (DOUBLE, SINGLE, FUSED),
}
VARIANTS = {"bicubic": ("a=-0.5", "a=-0.75"), "area": ("", "adaptive mean")}


def problems(description: Preprocessing) -> Iterator[Problem]:
    """Everything that is wrong with a description."""
    for name, choices in CHOICES.items():
        yield from _choice(name, getattr(description, name), choices)
    yield from _of_frame(description.frame)
    if description.kernel is not None:
        yield from _of_kernel(description.kernel, description.arithmetic)
    elif description.arithmetic != FLOAT:
        yield Problem("arithmetic", "nothing is resized, so nothing is rounded", f"leave it at {FLOAT!r}")
    if (description.kernel is None) != (description.frame.rule == "keep"):
        said = "the picture is resized without a kernel" if description.kernel is None else "a kernel resizes nothing"
        yield Problem("kernel", said, "give a kernel where the frame resizes, and only there")


def _choice(name: str, given: Any, choices: tuple[Any, ...]) -> Iterator[Problem]:
    if given not in choices:
        yield Problem(name, f"{given!r} is not known", f"give one of {', '.join(map(repr, choices))}")


def _of_frame(frame: Frame) -> Iterator[Problem]:
    yield from _choice("rule", frame.rule, RULES)
    if (frame.size is None) != (frame.rule == "keep"):
        yield Problem("size", f"the rule {frame.rule!r} with size {frame.size}", "a size where there is a resize")
    if (frame.first is None) != (frame.rule != "middle"):
        yield Problem("first", f"the rule {frame.rule!r} with first={frame.first}", "only 'middle' takes it")
    for name in ("size", "crop", "first"):
        size = getattr(frame, name)
        if size is not None and not _is_size(size):
            yield Problem(name, f"{size!r} is no size", "give the height and the width, at least 1")
    if frame.limit is not None and not (frame.rule == "shorter" and _exceeds(frame.limit, frame.size)):
        yield Problem("limit", f"a longer side of at most {frame.limit!r}", "give more than the shorter side gets")
    if not (_is_number(frame.fraction) and 0 < frame.fraction <= 1):
        yield Problem("fraction", f"{frame.fraction!r} is no part", "give a number between 0 and 1")
    colour: Any = frame.colour
    if not (isinstance(colour, tuple) and len(colour) == 3 and all(map(_is_number, colour))):
        yield Problem("colour", f"{frame.colour!r} is no colour", "give three numbers")
    yield from _choice("offset", frame.offset, ("rounded", "rounded down"))
    yield from _choice("long", frame.long, ("rounded", "rounded down"))


def _of_kernel(kernel: Kernel, arithmetic: str) -> Iterator[Problem]:
    for name, choices in KERNEL_CHOICES.items():
        yield from _choice(name, getattr(kernel, name), choices)
    yield from _choice("variant", kernel.variant, VARIANTS.get(kernel.interpolation, ("",)))
    whole = arithmetic in (PILLOW, PILLOW_13, TORCH)
    if whole and (kernel.interpolation == "area" or kernel.grid == "corners"):
        yield Problem("arithmetic", f"nobody resizes by {kernel} {arithmetic}")
    if kernel.grid == "corners" and (
        kernel.antialias or kernel.interpolation not in ("nearest", "bilinear", "bicubic")
    ):
        yield Problem("grid", "corners are aligned only by nearest, bilinear and bicubic, not antialiased")


def _is_size(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and all(isinstance(side, int) and side > 0 for side in given)


def _is_number(given: Any) -> bool:
    return isinstance(given, (int, float))


def _exceeds(limit: Any, size: Any) -> bool:
    return isinstance(limit, int) and _is_size(size) and limit > size[0]
