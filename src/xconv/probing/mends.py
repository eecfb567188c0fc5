"""Changes of a recipe, each in one respect: the remedies, as they are applied to a copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xconv.kernels import Kernel
from xconv.preprocessing.frames import Frame
from xconv.preprocessing.value_maps import ValueMap
from xconv.probing.recipes import Recipe

__all__ = [
    "Difference",
    "Mend",
    "by_rule",
    "in_dtype",
    "in_frame",
    "in_geometry",
    "in_kernel",
    "in_order",
    "in_recipe",
    "in_scaling",
    "with_rounding",
]

Mend: TypeAlias = Callable[[Recipe], Recipe]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two preprocessings do differently; `mend` makes `b` do it as `a`."""

    cause: str
    text: str
    a_says: str
    b_says: str
    remedy: str
    mend: Mend
    hint: str = ""


def in_geometry(**changes: Any) -> Mend:
    """These fields of the geometry."""

    def mend(recipe: Recipe) -> Recipe:
        if recipe.geometry is None:
            return recipe
        return replace(recipe, geometry=replace(recipe.geometry, **changes))

    return mend


def by_rule(one: Frame, kernel: Kernel | None, arithmetic: str) -> Mend:
    """The rule of the one, for the size of the result that the recipe has: another size is a difference of its own."""

    def mend(recipe: Recipe) -> Recipe:
        if recipe.geometry is None:
            return recipe
        size, had = (recipe.picture.shape[0], recipe.picture.shape[1]), recipe.geometry.frame
        wanted = had.shape(size)
        frame = one.scaled(wanted) if one.fixed and had.fixed and wanted != one.shape(size) else one
        return replace(recipe, geometry=replace(recipe.geometry, frame=frame, kernel=kernel, arithmetic=arithmetic))

    return mend


def in_frame(one: Frame, *names: str) -> Mend:
    """These fields of the frame, as the one has them."""

    def mend(recipe: Recipe) -> Recipe:
        if recipe.geometry is None:
            return recipe
        frame = replace(recipe.geometry.frame, **{name: getattr(one, name) for name in names})
        return replace(recipe, geometry=replace(recipe.geometry, frame=frame))

    return mend


def in_kernel(one: Kernel, *names: str) -> Mend:
    """These fields of the kernel, as the one has them."""

    def mend(recipe: Recipe) -> Recipe:
        if recipe.geometry is None:
            return recipe
        if recipe.geometry.kernel is None:
            return recipe
        kernel = replace(recipe.geometry.kernel, **{name: getattr(one, name) for name in names})
        return replace(recipe, geometry=replace(recipe.geometry, kernel=kernel))

    return mend


def with_rounding(mend: Mend, a: Recipe) -> Mend:
    """The same, and rounded as in `a`."""
    return lambda recipe: mend(recipe).by(a.geometry.arithmetic) if a.geometry is not None else mend(recipe)


def in_order(one: ValueMap, keep: ValueMap | None) -> Mend:
    """The order of the channels; what is kept, if anything, is the whole map."""

    def mend(recipe: Recipe) -> Recipe:
        if recipe.colours.values is None:
            return recipe
        values = keep or replace(recipe.colours.values, order=one.order)
        return replace(recipe, colours=replace(recipe.colours, values=values))

    return mend


def in_scaling(one: ValueMap) -> Mend:
    """The scaling of the numbers."""

    def mend(recipe: Recipe) -> Recipe:
        if recipe.colours.values is None:
            return recipe
        values = replace(recipe.colours.values, scaling=one.scaling)
        return replace(recipe, colours=replace(recipe.colours, values=values))

    return mend


def in_recipe(**changes: Any) -> Mend:
    """These fields of the recipe."""
    return lambda recipe: replace(recipe, **changes)


def in_dtype(dtype: str, whole: str) -> Mend:
    """The dtype, and how numbers are made whole."""
    return lambda recipe: replace(recipe, dtype=dtype, colours=replace(recipe.colours, whole=whole))
