"""A preprocessing as it was read: what is done to size and numbers, what comes out, and that this reproduces it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xconv.kernels import Floats
from xconv.preprocessing.arithmetic import FLOAT, PILLOW, PILLOW_DOWN, deviation, in_words
from xconv.preprocessing.frames import framed
from xconv.preprocessing.pictures import Picture
from xconv.probing.colours import Colours, read_colours
from xconv.probing.feeding import Opened, Result
from xconv.probing.geometry import Geometry, read_geometry
from xconv.statistics import compare

__all__ = ["Recipe", "read_recipe"]

COLOURED = (160, 213)
"""The size of the pictures of one colour: of any size, because only their middle is looked at."""
SINGLE = 2.5e-7
"""What scaling in float32 adds, relative to the largest number."""

HALF_STEP = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Half the distance to the next number, relative: what rounding to a coarse dtype changes."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a preprocessing does, as far as it was read."""

    name: str
    fed: str
    layout: str
    batch: bool
    dtype: str
    framework: str
    colours: Colours
    geometry: Geometry | None
    picture: Picture
    given: Floats
    """What the preprocessing itself made of the picture: height, width, channels."""
    problems: tuple[str, ...] = ()

    def made(self) -> Floats:
        """What this recipe makes of the picture; where its geometry is not known, of what was made of it."""
        values = self.colours.values
        if values is None:
            return self.finished(self.given)
        if self.geometry is None:
            return self.finished(values.made(values.levels(self.given)))
        return self.finished(values.made(shaped(self.picture, self.geometry)))

    def by(self, arithmetic: str) -> Recipe:
        """The same with another rounding."""
        if self.geometry is None:
            return self
        return replace(self, geometry=replace(self.geometry, arithmetic=arithmetic))

    def deviation(self) -> float:
        """The relative error of `made` against what the preprocessing itself made; ties of the rounding aside."""
        made, values = self.made(), self.colours.values
        if made.shape != self.given.shape or values is None or self.geometry is None or self.colours.whole:
            return compare(made, self.given).max_rel
        largest = max(float(np.abs(self.given).max()), 1e-30)
        if self.dtype in HALF_STEP:
            plain = values.made(shaped(self.picture, self.geometry))
            off = np.abs(self.given - plain) - HALF_STEP[self.dtype] * np.abs(plain)
            if not self.geometry.tells_rounding:
                off -= np.abs(values.by_place().factor)  # a level, by which the rounding that cannot be seen is off
            return max(0.0, float(off.max())) / largest
        exact = shaped(self.picture, replace(self.geometry, arithmetic=FLOAT))
        seen, mine = values.levels(self.given), values.levels(made)
        off = deviation(seen, exact, mine, self.geometry.arithmetic)
        return float(np.abs(off * np.array(values.scaling.factor)).max()) / largest

    def finished(self, values: Floats) -> Floats:
        """The numbers as the dtype holds them."""
        if self.colours.whole or self.dtype.startswith(("int", "uint")):
            return np.rint(values) if self.colours.whole == "rounded" else np.trunc(values + np.copysign(1e-6, values))
        if self.dtype == "bfloat16":
            bits = values.astype(np.float32).view(np.uint32)
            return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32).astype(np.float64)
        return values.astype(self.dtype).astype(np.float64)


def shaped(picture: Picture, geometry: Geometry) -> Floats:
    """The picture in the geometry's size, turned and mirrored as it says."""
    values = framed(picture, geometry.frame, geometry.kernel, geometry.arithmetic)
    if geometry.turned:
        values = np.swapaxes(values, 0, 1)
    return values[:, ::-1] if geometry.mirrored else values


def read_recipe(opened: Opened, picture: Picture) -> Recipe:
    """Reads a preprocessing by what it makes of probes, and of the picture."""
    problems = []
    if not opened.steady:
        problems.append(
            "makes something else of the same picture every time: it draws random numbers, as augmentation does"
        )
    colours = Colours(None) if problems else read_colours(opened, COLOURED)
    if colours.problem:
        problems.append(colours.problem)
    result = opened(picture)
    geometry = _geometry(opened, colours, result)
    if isinstance(geometry, str):
        problems.append(geometry)
        geometry = None
    elif geometry is not None and not geometry.reproduced:
        said = f"{geometry.frame}, {geometry.kernel or 'no kernel'}, {in_words(geometry.arithmetic)}"
        problems.append(
            f"the nearest hypothesis for its size ({said}) is off by up to {geometry.error:.3g} of 255 levels"
        )
        geometry = None
    recipe = Recipe(
        opened.name,
        opened.kind.name,
        result.layout,
        result.batch,
        result.dtype,
        result.framework,
        colours,
        geometry,
        picture,
        result.values,
        tuple(problems),
    )
    down = recipe.by(PILLOW_DOWN)
    is_pillow = geometry is not None and geometry.arithmetic == PILLOW
    return down if is_pillow and down.deviation() < recipe.deviation() else recipe


def _geometry(opened: Opened, colours: Colours, result: Result) -> Geometry | str | None:
    """The geometry, where the numbers let one see through to the pixels."""
    values = colours.values
    if values is None:
        return None
    if colours.whole and min(map(abs, values.scaling.factor)) < 1:
        return "its numbers are made whole, which hides the pixels: what is done to the size cannot be read"
    grain = 1.05 * HALF_STEP.get(result.dtype, SINGLE) * values.scaling.reach()
    noise = max(grain, 1.0 if colours.whole else 0.0) / min(map(abs, values.scaling.factor))
    return read_geometry(lambda probe: values.levels(opened(probe).values), noise)
