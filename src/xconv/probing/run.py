"""`diagnose` of two preprocessings: each is read by what it makes of probes, then compared on a picture."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xconv.diagnosis.records import Diagnosis, Finding, Place
from xconv.kernels import Floats
from xconv.preprocessing.arithmetic import in_words
from xconv.preprocessing.pictures import opened_picture
from xconv.probing.differences import differences
from xconv.probing.feeding import Result, laid_out, opened
from xconv.probing.geometry import Geometry
from xconv.probing.mends import Difference
from xconv.probing.named import preprocessing
from xconv.probing.recipes import Recipe, read_recipe
from xconv.statistics import compare

__all__ = ["diagnose_preprocessing"]

TOLERANCE = 5e-5
"""Relative: resizes in float32 are off by up to 2e-5 of the range, one level of 255 is 4e-3."""


def diagnose_preprocessing(a: Any, b: Any, image: Any = None) -> Diagnosis:
    """How two preprocessings differ, and by how much on a picture; `a` is what `b` should be.

    Args:
        a: A `Preprocessing`, a function of one picture, or a name: 'keras.applications.resnet50', 'resnet50 (keras)',
            'keras.applications.vgg16 at 224x224 by Resizing bicubic', 'torchvision ResNet50_Weights.IMAGENET1K_V2',
            'timm resnet50.a1_in1k'. Functions may take Pillow images, arrays or tensors.
        b: The other.
        image: A path, an array (height, width, 3) of uint8, or None for a scene that is always the same.

    Raises:
        InvalidInput: a name names nothing, or a function makes no picture with three channels.
        MissingFramework: what a name belongs to is not installed.
        NotFound, Unreadable: the image cannot be read.
    """
    started = time.perf_counter()
    picture = opened_picture(image)
    first, second = (opened(*preprocessing(given)) for given in (a, b))
    one, given = (read_recipe(found, picture) for found in (first, second))
    other = _same_order(one, given)
    found = list(differences(one, other))
    whole = _mended(other, found)
    problems = [f"{recipe.name} {problem}" for recipe in (one, given) for problem in recipe.problems]
    left = _left(one, given, whole)
    measured = other if one.geometry is not None and other.geometry is not None else _of_one_picture(one, other)
    findings = sorted((_measured(one, measured, found, item) for item in found), key=lambda item: -(item.alone or 0.0))
    return Diagnosis(
        a=_titled(one),
        b=_titled(other),
        findings=tuple(findings),
        error=_as_given(first(picture), second(picture)),
        left=left,
        tolerance=TOLERANCE,
        unexplained=_unexplained(problems, left),
        notes=tuple(_notes(one, given)),
        seconds=time.perf_counter() - started,
    )


def _same_order(one: Recipe, other: Recipe) -> Recipe:
    """The other where Pillow begins with the same direction, which it chooses by the sizes.

    A dtype too coarse to tell how the resize was rounded is taken to be rounded as in the one.
    """
    if one.geometry is None or other.geometry is None:
        return other
    ours, theirs = one.geometry.arithmetic, other.geometry.arithmetic
    told = one.geometry.tells_rounding and other.geometry.tells_rounding
    return other.by(ours) if not told or in_words(ours) == in_words(theirs) else other


def _of_one_picture(one: Recipe, other: Recipe) -> Recipe:
    """What the other would make of the pixels that the one sees: measures the rest where a size is not understood."""
    colours, given = one.colours, one.given
    if one.colours.values is not None and other.colours.values is not None:
        colours = other.colours
        given = other.colours.values.made(one.colours.values.levels(given))
    return replace(other, geometry=one.geometry, colours=colours, given=given)


def _titled(recipe: Recipe) -> str:
    batch = ", with a batch axis" if recipe.batch else ""
    return f"{recipe.name} (takes {recipe.fed}; gives {recipe.framework} {recipe.dtype}, {recipe.layout}{batch})"


def _as_given(one: Result, other: Result) -> float:
    """The relative error of the results as they are; infinite where their shapes or axes differ."""
    if one.batch != other.batch:
        return float(np.inf)
    return compare(other.raw, one.raw).max_rel


def _mended(recipe: Recipe, found: Sequence[Difference]) -> Recipe:
    for item in found:
        recipe = item.mend(recipe)
    return recipe


def _measured(one: Recipe, other: Recipe, found: Sequence[Difference], item: Difference) -> Finding:
    """The error with this alone, and once only this is mended; both in one layout."""
    rest = [each for each in found if each is not item]
    place = Place(one.name, other.name, item.a_says, item.b_says)
    known = one.made()
    if item.cause in ("layout", "batch_axis"):
        alone = _in_layout(known, one, _mended(other, rest))
    else:
        alone = compare(_mended(other, rest).made(), known).max_rel
    after = compare(item.mend(other).made(), known).max_rel
    return Finding(item.cause, item.text, (place,), item.remedy, alone, after, item.hint)


def _in_layout(values: Floats, one: Recipe, other: Recipe) -> float:
    """The error where the numbers are the same and only the axes differ."""
    if one.batch != other.batch:
        return float(np.inf)
    return compare(laid_out(values, other.layout), laid_out(values, one.layout)).max_rel


def _left(one: Recipe, other: Recipe, whole: Recipe) -> float:
    """What is left with all remedies: what the mended recipe leaves, and what either recipe leaves unexplained."""
    between = compare(whole.made(), one.made()).max_rel
    return max(between, *(recipe.deviation() for recipe in (one, other)))


def _unexplained(problems: Sequence[str], left: float) -> str:
    if left <= TOLERANCE and not problems:
        return ""
    said = "; ".join(problems) or "what was read reproduces the probes, but not this picture"
    return f"a relative error of {left:.2g}: {said}"


def _notes(one: Recipe, other: Recipe) -> Iterator[str]:
    if one.layout != other.layout or one.batch != other.batch:
        error = compare(other.given, one.given).max_rel
        yield f"in one layout the results differ by {error:.2g}; effects are measured in one layout"
    if one.geometry is None or other.geometry is None:
        yield "what is done to the size was not read on both sides: effects are measured on the pixels of the first"
    for recipe in (one, other):
        if recipe.geometry is None:
            continue
        found = recipe.geometry
        yield f"{recipe.name}: {', '.join([str(found.frame), *_resize(found)])}"
        if not found.tells_rounding:
            yield f"{recipe.name}: {recipe.dtype} is too coarse to tell how the resized picture was rounded"


def _resize(found: Geometry) -> Iterator[str]:
    """The kernel and the rounding, as far as they are known."""
    if found.kernel is not None:
        yield str(found.kernel)
        if found.tells_rounding:
            yield in_words(found.arithmetic)
