"""How the sizes of two recipes differ: result, resize, crop, kernel, rounding, turned or mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.kernels import Kernel
from xconv.preprocessing.arithmetic import in_words
from xconv.preprocessing.frames import Frame
from xconv.probing import remedies
from xconv.probing.geometry import Geometry
from xconv.probing.mends import Difference, Mend, by_rule, in_frame, in_geometry, in_kernel, with_rounding
from xconv.probing.recipes import Recipe

__all__ = ["of_geometry"]


def of_geometry(a: Recipe, b: Recipe, one: Geometry, other: Geometry) -> Iterator[Difference]:
    """Every difference of what is done to the size of a picture."""
    size = a.picture.shape[0], a.picture.shape[1]
    yield from _of_frames(a, one, other, size)
    if one.kernel is not None and other.kernel is not None:
        yield from _of_kernels(a, one.kernel, other.kernel)
        nearest = "nearest" in (one.kernel.interpolation, other.kernel.interpolation)
        if not nearest and one.tells_rounding and other.tells_rounding:
            yield from _of_rounding(a, one, other)
    if one.turned != other.turned:
        said = ("height and width exchanged", "height and width as they are")
        yield Difference(
            "height_and_width",
            "one result is turned over its diagonal: its height is the other's width",
            *(said if one.turned else said[::-1]),
            remedies.turned(b),
            in_geometry(turned=one.turned),
            "a transpose of all axes, such as .T, exchanges height and width too; move the channel axis alone",
        )
    if one.mirrored != other.mirrored:
        said = ("mirrored", "not mirrored")
        text = "one result is mirrored, left and right exchanged"
        yield Difference(
            "mirrored",
            text,
            *(said if one.mirrored else said[::-1]),
            remedies.mirrored(b),
            in_geometry(mirrored=one.mirrored),
        )


def _of_frames(a: Recipe, had: Geometry, has: Geometry, size: tuple[int, int]) -> Iterator[Difference]:
    """The size of the result, how it is reached, the size before the crop, the crop's offset."""
    one, other = had.frame, has.frame
    if one == other:
        return
    line = remedies.frame(a)
    by = _resized_by(had, has)
    if (one.rule, one.fraction, one.first) != (other.rule, other.fraction, other.first) or (
        (one.crop is None) != (other.crop is None)
    ):
        if one.fixed and other.fixed and one.shape(size) != other.shape(size):
            yield _of_size(a, one, other, size, in_geometry(frame=other.scaled(one.shape(size))))
        text = "the picture is brought to its size in another way, so other parts of it are seen at another scale"
        hint = "" if one.rule == other.rule else "a direct resize changes the aspect ratio; a crop loses the borders"
        mend = by_rule(one, by.kernel, by.arithmetic)
        yield Difference("resize", text, _at(one, size), _at(other, size), line, mend, hint)
        return
    if one.size is not None and other.size is not None and one.size == other.size[::-1] != other.size:
        text = "height and width are exchanged in the size of the resize"
        hint = "Pillow's size is (width, height); torch's, TensorFlow's and Keras's are (height, width)"
        mend = in_geometry(frame=replace(other, size=one.size, crop=one.crop))
        yield Difference("height_and_width", text, _times(one.size), _times(other.size), line, mend, hint)
        return
    yield from _of_numbers(a, one, other, size)


def _of_numbers(a: Recipe, one: Frame, other: Frame, size: tuple[int, int]) -> Iterator[Difference]:
    """The same rule with other numbers."""
    line = remedies.frame(a)
    result, before = (one.crop, other.crop) if one.crop is not None else (one.size, other.size), (one.size, other.size)
    scaled = other
    if result[0] != result[1]:
        proportional = _in_proportion(one, other)
        scaled = one if proportional else replace(other, crop=one.crop)
        if one.crop is None:
            scaled = replace(other, size=one.size)
        yield _of_size(a, one, other, size, in_frame(scaled, "size", "crop"))
    if one.crop is not None and scaled.size != one.size and before[0] != before[1]:
        text = "the picture is larger before the crop in one of them: the same objects appear at another scale"
        mend = in_frame(one, "size")
        yield Difference("resize_size", text, str(one), str(other), line, mend)
    if one.offset != other.offset:
        text = "the crop begins at another pixel where the difference of the sizes is odd"
        hint = "torchvision rounds half the difference to even; Keras and TensorFlow round it down"
        said = [f"half the difference, {frame.offset}" for frame in (one, other)]
        mend = in_frame(one, "offset")
        yield Difference("crop_offset", text, said[0], said[1], remedies.crop(a, one), mend, hint)
    if one.long != other.long:
        text = "the longer side is rounded in another way: it may be one pixel longer"
        yield Difference("resize_rounding", text, one.long, other.long, line, in_frame(one, "long"))


def _of_size(a: Recipe, one: Frame, other: Frame, size: tuple[int, int], mend: Mend) -> Difference:
    text = "the results have different sizes (height and width)"
    hint = "a network that ends in a global pooling takes both without a word, and answers differently"
    return Difference("size", text, _times(one.shape(size)), _times(other.shape(size)), remedies.frame(a), mend, hint)


def _in_proportion(one: Frame, other: Frame) -> bool:
    """Whether the size before the crop differs as the crop does."""
    if one.crop is None or other.crop is None or one.size is None or other.size is None:
        return one.crop is None
    return abs(other.size[0] * one.crop[0] / other.crop[0] - one.size[0]) < 1


def _at(frame: Frame, size: tuple[int, int]) -> str:
    """The frame in words, with the result's size where it depends on the picture's."""
    return str(frame) if frame.fixed else f"{frame}, here {_times(frame.shape(size))}"


def _of_kernels(a: Recipe, one: Kernel, given: Kernel) -> Iterator[Difference]:
    """The function, whether it grows as the picture shrinks, the grid."""
    other, line = given, remedies.frame(a)
    if (one.interpolation, one.variant) != (other.interpolation, other.variant) and not _one_cubic(one, other):
        text = f"the resize interpolates by {one.function} in one and by {other.function} in the other"
        hint = _kernel_hint(one.interpolation, other.interpolation)
        mend = in_kernel(one, "interpolation", "variant", *_forced(one, other))
        if "nearest" in (one.interpolation, other.interpolation):
            mend = with_rounding(mend, a)  # the nearest pixel is never rounded
        yield Difference("interpolation", text, str(one), str(other), line, mend, hint)
        other = replace(other, interpolation=one.interpolation, variant=one.variant)
        if _forced(one, given):
            other = replace(other, antialias=one.antialias)
    if one.antialias != other.antialias:
        text = "one resize looks at every pixel of the picture (antialiased), the other at a few and skips the rest"
        hint = "tf.image.resize and keras.layers.Resizing do not antialias unless told to; Pillow and torchvision do"
        fields = ("antialias", "variant") if _one_cubic(one, other) else ("antialias",)
        yield Difference("antialias", text, str(one), str(given), line, in_kernel(one, *fields), hint)
    if one.grid != other.grid:
        text = "the pixels of the resized picture are looked up on another grid, up to half a pixel away"
        hint = "align_corners of torch and TensorFlow 1, and torch's 'nearest' against 'nearest-exact', are other grids"
        yield Difference("grid", text, str(one), str(given), line, in_kernel(one, "grid"), hint)


def _of_rounding(a: Recipe, one: Geometry, other: Geometry) -> Iterator[Difference]:
    said = in_words(one.arithmetic), in_words(other.arithmetic)
    if said[0] != said[1]:
        text = "the resized picture is rounded to whole levels in another way before its numbers are scaled"
        hint = "a resize of a Pillow image or of a uint8 tensor rounds its result; one in floating point does not"
        mend = in_geometry(arithmetic=one.arithmetic)
        yield Difference("rounding", text, *said, remedies.frame(a), mend, hint)


def _one_cubic(one: Kernel, other: Kernel) -> bool:
    """Whether both are bicubic and differ in antialias, which alone decides about `a`."""
    return one.interpolation == other.interpolation == "bicubic" and one.antialias != other.antialias


def _forced(one: Kernel, other: Kernel) -> tuple[str, ...]:
    """What the interpolation brings with it: nearest and area know no antialias."""
    single = ("nearest", "area", "box", "hamming")
    return ("antialias",) if one.interpolation in single or other.interpolation in single else ()


def _kernel_hint(one: str, other: str) -> str:
    if one == other == "bicubic":
        return "Keras and TensorFlow use a=-0.5, torch without antialias a=-0.75"
    if "nearest" in (one, other):
        return "keras.utils.load_img(target_size=...) takes the nearest pixel unless told otherwise"
    return ""


def _resized_by(one: Geometry, other: Geometry) -> Geometry:
    """Whose kernel and rounding the other resizes with, once it has the frame of the one."""
    return one if one.kernel is None or other.kernel is None else other


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
