"""Reads what is done to the size of a picture: ramps tell which part goes where, a texture tells the kernel.

Every hypothesis is computed in float64 and compared with what the preprocessing made. One that does not reproduce it
is told as such, and never taken for a fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from xconv.kernels import CATALOGUE, Floats, Kernel
from xconv.preprocessing.arithmetic import ARITHMETICS, FLOAT, PILLOW, PILLOW_DOWN, deviation
from xconv.preprocessing.frames import Frame, framed, spread, strip
from xconv.preprocessing.pictures import Picture, Size, plain, ramps, texture

__all__ = ["Geometry", "read_geometry"]

Levels = Callable[[Picture], Floats]
"""The picture that a preprocessing makes, before its numbers are scaled: (height, width, RGB) in 0..255."""
FIRST = (480, 641)
LARGEST = 800
SHRINK = 2.3
"""How much larger than its result a probe is: enough for every kernel to differ from every other."""
FLOAT_ERROR = 0.02
"""Of 255: kernels that compute places in float32 are off by up to 0.006."""
EXACT_ERROR = 1e-3
"""The same where pixels are whole numbers: what scaling in float32 adds."""
TELLING = 0.2
ROWS = 24
"""How many rows of a probe hypotheses are ranked by."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What was read; `error` is what is left on the texture, of 255 levels."""

    frame: Frame
    kernel: Kernel | None
    arithmetic: str
    turned: bool
    mirrored: bool
    error: float
    noise: float = 0.0
    """What the numbers are off by because of their dtype, of 255 levels."""

    @property
    def tells_rounding(self) -> bool:
        """Whether the numbers are fine enough to see how the resize was rounded."""
        return self.noise < TELLING

    @property
    def reproduced(self) -> bool:
        """Whether the hypothesis makes what the preprocessing makes."""
        return self.error <= (FLOAT_ERROR if self.arithmetic == FLOAT else EXACT_ERROR)


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the result's edges lie in a probe, and how far apart its pixels are there: downwards, to the right."""

    probe: Size
    out: Size
    start: tuple[float, float]
    step: tuple[float, float]
    turned: bool
    mirrored: bool

    def fits(self, frame: Frame) -> float:
        """How far the frame's edges are from the measured ones, in pixels of the result."""
        if frame.shape(self.probe) != self.out:
            return np.inf
        errors = []
        for (start, step), mine, length, count in zip(
            frame.source(self.probe), self.start, self.step, self.out, strict=True
        ):
            errors += [abs(start - mine) / step, abs(start + step * count - mine - length * count) / step]
        return max(errors)


def read_geometry(levels: Levels, noise: float = 0.0) -> Geometry | str:
    """The geometry, or in words why it could not be read; `noise` is what the numbers are off by, of 255."""
    height, width = levels(plain((99, 99, 99), FIRST)).shape[:2]
    if FIRST in ((height, width), (width, height)):
        height, width = 97, 113
    lines = _measured(levels, (height, width))
    if isinstance(lines, str):
        return lines
    frames = sorted(_frames(lines), key=lambda frame: max(line.fits(frame) for line in lines))
    frames = [frame for frame in frames if max(line.fits(frame) for line in lines) < 2.5]
    if not frames:
        return "the part of the picture that it shows fits no crop and resize that is known here"
    probe = _telling(frames[0], lines[0].probe)
    return _fitted(levels, frames, probe, lines[0], noise)


def _measured(levels: Levels, out: Size) -> tuple[Lines, Lines] | str:
    """Lines through a broad and a high probe; larger ones where a crop reaches over their borders."""
    short, long = int(SHRINK * min(out)) | 1, int(1.37 * SHRINK * max(out)) | 1
    while np.ptp(levels(plain((99, 99, 99), (short, long)))) > 2:
        if short > LARGEST:
            return "one colour does not come out as one colour: it has borders, or noise is added"
        short, long = 2 * short + 1, 2 * long + 1
    found = []
    for probe in ((short, long), (long, short)):
        line = _lines(levels(ramps(probe)), probe)
        if line is None:
            return "a ramp does not come out as a ramp: it is no crop and resize"
        found.append(line)
    return found[0], found[1]


def _lines(values: Floats, probe: Size) -> Lines | None:
    """A straight line through either ramp, away from the edges."""
    slopes = {(channel, axis): _line(values[..., channel], axis) for channel, axis in product((0, 1), (0, 1))}
    turned = abs(slopes[0, 0][1]) > abs(slopes[0, 1][1])
    down, right = (slopes[0, 0], slopes[1, 1]) if turned else (slopes[1, 0], slopes[0, 1])
    sizes = (probe[1], probe[0]) if turned else probe
    if min(abs(down[1]), abs(right[1])) < 1e-6 or max(down[2], right[2]) > 6:
        return None
    if down[1] < 0:
        return None
    mirrored = right[1] < 0
    if mirrored:
        count = values.shape[1]
        right = (right[0] + right[1] * count, -right[1], right[2])
    start, step = zip(*(_in_pixels(line, size) for line, size in zip((down, right), sizes, strict=True)), strict=True)
    out = values.shape[:2]
    if turned:
        start, step, out = start[::-1], step[::-1], out[::-1]
    return Lines(probe, (out[0], out[1]), start, step, turned, mirrored)


def _line(values: Floats, axis: int) -> tuple[float, float, float]:
    """Level at the edge, levels per pixel, and how far the values are from that line."""
    profile = values.mean(axis=1 - axis)
    places = np.arange(len(profile)) + 0.5
    inner = slice(len(profile) // 10, len(profile) - len(profile) // 10)
    slope, edge = np.polyfit(places[inner], profile[inner], 1)
    return float(edge), float(slope), float(np.abs(edge + slope * places - profile)[inner].max())


def _in_pixels(line: tuple[float, float, float], size: int) -> tuple[float, float]:
    return line[0] / 255 * (size - 1) + 0.5, line[1] / 255 * (size - 1)


def _frames(lines: Sequence[Lines]) -> Iterator[Frame]:
    """Every frame that may be meant."""
    one, other = lines
    fixed = one.out if one.out == other.out else None
    if fixed is not None or one.out == one.probe:
        yield Frame("keep", crop=fixed)
        if max(abs(step - 1) for step in (*one.step, *other.step)) < 1e-3:
            return
    if fixed is not None:
        yield Frame("direct", fixed)
        yield Frame("aspect", fixed)
        yield from _cropped_first(one, fixed)
    for short in _near(min(one.probe) / ((one.step[0] + one.step[1]) / 2), 2):
        for offset, long in product(("rounded", "rounded down"), ("rounded down", "rounded")):
            yield Frame("shorter", (short, short), fixed, offset, long)
    if fixed is not None:
        for size in product(*(_near(side / step, 1) for side, step in zip(one.probe, one.step, strict=True))):
            for offset in ("rounded", "rounded down"):
                yield Frame("direct", (size[0], size[1]), fixed, offset)


def _cropped_first(line: Lines, size: Size) -> Iterator[Frame]:
    """The middle of the picture, in pixels or as a part of it."""
    lengths = [step * count for step, count in zip(line.step, line.out, strict=True)]
    shares = {round(length / side, 2) for length, side in zip(lengths, line.probe, strict=True)}
    for share in sorted({*shares, 0.875}):
        if 0.1 < share < 0.995:
            yield Frame("fraction", size, fraction=share)
    for first in product(*(_near(length, 2) for length in lengths)):
        for offset in ("rounded", "rounded down"):
            yield Frame("middle", size, offset=offset, first=(first[0], first[1]))


def _near(value: float, reach: int) -> range:
    return range(max(1, round(value) - reach), round(value) + reach + 1)


def _telling(frame: Frame, probe: Size) -> Size:
    """A probe on which every rounding of sides and offsets makes a difference."""
    resized = frame.resized(probe) or (probe if frame.crop is None else frame.crop)
    short = int(SHRINK * min(resized)) | 1
    long = int(1.37 * SHRINK * max(resized)) | 1
    if frame.rule in ("keep", "middle"):
        part = frame.crop or frame.first or (0, 0)
        return _odd(max(short, part[0] + 9), part[0]), _odd(max(long, part[1] + 9), part[1])
    if frame.rule != "shorter":
        return short, long
    crop = frame.crop[1] if frame.crop is not None else 0
    for side in range(long, long + 400):
        exact = min(resized) * side / short
        if int(exact) % 4 == (crop + 3) % 4 and exact % 1 > 0.55:
            return short, side
    return short, long


def _odd(side: int, part: int) -> int:
    """A side that is three more than the part, and a multiple of four."""
    return side + (3 - (side - part)) % 4


def _fitted(levels: Levels, frames: Sequence[Frame], probe: Size, line: Lines, noise: float) -> Geometry:
    """The kernel for the likeliest frames, then all frames for the likeliest kernels, then the rounding."""
    seen = _upright(levels, probe, line)
    picture = texture(probe)

    def error(pair: tuple[Frame, Kernel | None]) -> float:
        if pair[0].shape(probe) != seen.shape[:2]:
            return np.inf
        return _mean_error(strip(picture[..., 1:2], *pair, ROWS), seen[spread(len(seen), ROWS), :, 1:2])

    kernels: list[Kernel | None] = [*CATALOGUE]
    likely = sorted(product(frames[:3], kernels), key=error)
    good = list(dict.fromkeys(kernel for _, kernel in likely))[:3]
    pairs = sorted({pair: error(pair) for pair in product(frames, good)}.items(), key=lambda item: item[1])
    found = []
    for (frame, kernel), _ in pairs[:4]:
        for hypothesis in _hypotheses(frame, kernel, line):
            found.append(replace(hypothesis, error=max(0.0, _error(hypothesis, picture, seen) - noise), noise=noise))
            if found[-1].reproduced:
                sideways = _error(hypothesis, texture(probe[::-1]), _upright(levels, probe[::-1], line))
                found[-1] = replace(found[-1], error=max(found[-1].error, sideways - noise))
            if found[-1].reproduced:
                return found[-1]
    return min(found, key=lambda one: one.error)


def _hypotheses(frame: Frame, kernel: Kernel | None, line: Lines) -> Iterator[Geometry]:
    """A frame and a kernel with every rounding that there is for them."""
    if frame.size is None or kernel is None:
        yield Geometry(frame, None, FLOAT, line.turned, line.mirrored, np.inf)
        return
    for arithmetic in ARITHMETICS[:1] if kernel.interpolation == "nearest" else ARITHMETICS:
        if arithmetic != PILLOW_DOWN and (kernel.antialias or arithmetic != PILLOW):  # Pillow always antialiases
            yield Geometry(frame, kernel, arithmetic, line.turned, line.mirrored, np.inf)


def _error(found: Geometry, picture: Picture, seen: Floats) -> float:
    """The largest error of a hypothesis, of 255 levels."""
    if found.arithmetic == PILLOW:
        found, down = replace(found, arithmetic=""), replace(found, arithmetic=PILLOW_DOWN)
        across = framed(picture, found.frame, found.kernel, PILLOW)
        if across.shape == seen.shape:
            return min(float(np.abs(across - seen).max()), _error(down, picture, seen))
    exact = framed(picture, found.frame, found.kernel)
    if exact.shape != seen.shape:
        return np.inf
    made = exact if found.arithmetic == FLOAT else framed(picture, found.frame, found.kernel, found.arithmetic)
    return float(deviation(seen, exact, made, found.arithmetic).max())


def _mean_error(made: Floats, seen: Floats) -> float:
    if made.shape != seen.shape:
        return np.inf
    if seen.min() >= -0.01 and seen.max() <= 255.01:
        made = np.clip(made, 0, 255)
    return float(np.abs(made - seen).mean())


def _upright(levels: Levels, probe: Size, line: Lines) -> Floats:
    """What is made of the texture, neither mirrored nor turned."""
    seen = levels(texture(probe))
    if line.mirrored:
        seen = seen[:, ::-1]
    return np.swapaxes(seen, 0, 1) if line.turned else seen
