"""Reads what is done to the numbers, from pictures of one colour: every resize leaves one colour one colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xconv.kernels import Floats
from xconv.preprocessing.pictures import Size, plain
from xconv.preprocessing.value_maps import MODES, RGB, Scaling, ValueMap
from xconv.probing.feeding import Opened

__all__ = ["Colours", "read_colours"]

AXES = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
OTHERS = ((255, 255, 255), (1, 2, 3), (20, 90, 200), (251, 17, 128), (77, 77, 77), (131, 240, 64), (9, 200, 33))
ORDERS = (RGB, (2, 1, 0))
GRAIN = {"float16": 2e-3, "bfloat16": 2e-2}
"""The relative error of one number in dtypes coarser than float32; `FINE` in all others."""
FINE = 2e-6


@dataclass(frozen=True, slots=True)
class Colours:
    """What was read: the map and how its result is made whole (nothing, 'cut off', 'rounded'), or what was found."""

    values: ValueMap | None
    whole: str = ""
    problem: str = ""


def read_colours(opened: Opened, size: Size) -> Colours:
    """The map of the numbers, confirmed on colours that it was not made from."""
    seen = {colour: _centre(opened, colour, size) for colour in (*AXES, *OTHERS)}
    dtype = opened(plain(AXES[0], size)).dtype
    black = seen[AXES[0]]
    factors = np.stack([(seen[colour] - black) / 255 for colour in AXES[1:]])
    reach = max(np.abs(value).max() for value in seen.values())
    if not np.isfinite(list(seen.values())).all():
        return Colours(None, problem="it makes no finite numbers of a picture of one colour")
    error = max(np.abs(np.array(colour) @ factors + black - value).max() for colour, value in seen.items())
    if error <= GRAIN.get(dtype, FINE) * max(reach, 1e-30):
        return _affine(factors, black, GRAIN.get(dtype, FINE) * max(reach, 1e-30))
    for values, whole in _hypotheses():
        if all(np.array_equal(_whole(values.made(np.array(c, float)), whole), value) for c, value in seen.items()):
            return Colours(values, whole)
    for values in (ValueMap(order, scaling) for scaling in MODES.values() for order in ORDERS):
        if all(_a_level_below(values, np.array(c, float), value) for c, value in seen.items()):
            return Colours(values)
    said = f"its numbers are no factor and offset of the pixel's own ({error / max(reach, 1e-30):.2g} is left of a fit)"
    return Colours(None, problem=f"{said}: they depend on the whole picture, or are clipped or rounded in between")


def _centre(opened: Opened, colour: tuple[int, int, int], size: Size) -> Floats:
    values = opened(plain(colour, size)).values
    return np.asarray(values[values.shape[0] // 2, values.shape[1] // 2])


def _affine(factors: Floats, offset: Floats, noise: float) -> Colours:
    """The order of the channels and the scaling of each, from (source, result) factors."""
    order = np.abs(factors).argmax(axis=0)
    rest = factors.copy()
    rest[order, RGB] = 0
    if sorted(order) != list(RGB) or np.abs(rest).max() * 255 > 4 * noise:
        said = "it mixes red, green and blue, as a conversion to grey or another colour space does"
        return Colours(None, problem=said)
    one, two, three = (int(channel) for channel in order)
    places = [(one, two, three).index(channel) for channel in RGB]
    red, green, blue = ((float(factors[order, RGB][place]), float(offset[place])) for place in places)
    scaling = Scaling(*zip(red, green, blue, strict=True))
    return Colours(ValueMap((one, two, three), scaling.exact(4 * noise)))


def _hypotheses() -> Iterator[tuple[ValueMap, str]]:
    for scaling in MODES.values():
        for order in ORDERS:
            for whole in ("cut off", "rounded"):
                yield ValueMap(order, scaling), whole


def _a_level_below(values: ValueMap, colour: Floats, seen: Floats) -> bool:
    """Whether this is what the map makes of the colour or of the level below: a resize that is cut off to 8 bits."""
    below = colour - values.levels(seen)
    return bool(below.min() >= -1e-3 and below.max() <= 1 + 1e-3)


def _whole(values: Floats, whole: str) -> Floats:
    return np.trunc(values) if whole == "cut off" else np.rint(values)
