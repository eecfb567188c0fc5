"""What two recipes do differently: one difference each, with its remedy in code and as a change of the recipe."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.preprocessing.value_maps import ValueMap
from xconv.probing import remedies
from xconv.probing.mends import Difference, in_dtype, in_order, in_recipe, in_scaling
from xconv.probing.recipes import Recipe
from xconv.probing.size_differences import of_geometry

__all__ = ["differences"]


def differences(a: Recipe, b: Recipe) -> Iterator[Difference]:
    """Every difference, in the order of the work: size, numbers, what comes out."""
    if a.geometry is not None and b.geometry is not None:
        yield from of_geometry(a, b, a.geometry, b.geometry)
    if a.colours.values is not None and b.colours.values is not None:
        yield from _of_values(b, a.colours.values, b.colours.values)
    yield from _of_form(a, b)


def _of_values(b: Recipe, one: ValueMap, other: ValueMap) -> Iterator[Difference]:
    turned = one.order != other.order
    by_place = turned and one.by_place().near(other.by_place())
    if turned:
        text = f"the channels come in the order {one.letters} from one and {other.letters} from the other"
        hint = "OpenCV and the caffe mode of keras.applications give BGR, everybody else RGB"
        keep = one if by_place else None
        mend = in_order(one, keep)
        yield Difference("channel_order", text, one.letters, other.letters, remedies.order(b, one, other), mend, hint)
    if one.scaling.near(other.scaling) or by_place:
        return
    text = "the numbers are scaled differently"
    if other.scaling.reversed().near(one.scaling):
        text = "the means and deviations are given in reverse order: red gets those of blue"
    elif one.scaling.twice() or other.scaling.twice():
        text = "the numbers are scaled twice in one of them"
    said = str(one.scaling), str(other.scaling)
    yield Difference("scaling", text, *said, remedies.scaling(b, one, other), in_scaling(one), _scaling_hint(*said))


def _scaling_hint(one: str, other: str) -> str:
    if (one.startswith("no scaling")) != (other.startswith("no scaling")):
        return "EfficientNet, MobileNetV3 and ConvNeXt of keras.applications scale inside the model: feed them 0..255"
    return ""


def _of_form(a: Recipe, b: Recipe) -> Iterator[Difference]:
    if a.layout != b.layout:
        text = "the axes of the result stand in another order"
        if "reshape" in a.layout + b.layout:
            text = "the axes were exchanged by a reshape, which mixes the pixels up; a transpose moves them"
        yield Difference("layout", text, a.layout, b.layout, remedies.layout(a, b), in_recipe(layout=a.layout))
    if a.batch != b.batch:
        said = [f"{'a' if one.batch else 'no'} batch axis" for one in (a, b)]
        text = "only one result has a batch axis"
        yield Difference("batch_axis", text, said[0], said[1], remedies.batch(a, b), in_recipe(batch=a.batch))
    if a.dtype != b.dtype or a.colours.whole != b.colours.whole:
        said = [one.dtype + (f", {one.colours.whole} to whole numbers" if one.colours.whole else "") for one in (a, b)]
        text = "the results have different dtypes"
        yield Difference("dtype", text, said[0], said[1], remedies.dtype(a, b), in_dtype(a.dtype, a.colours.whole))
