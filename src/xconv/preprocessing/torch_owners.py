"""The ways of torch, torchvision and timm to bring a picture to a size, as descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xconv.errors import InvalidInput
from xconv.kernels import FUSED, Kernel
from xconv.preprocessing.arithmetic import FLOAT, ROUNDED, TORCH
from xconv.preprocessing.description import FIRST, Preprocessing
from xconv.preprocessing.frames import Frame
from xconv.preprocessing.pictures import Size
from xconv.preprocessing.pillow_resize import pillow_arithmetic, pillow_kernel
from xconv.preprocessing.sizes import sides
from xconv.preprocessing.steps import Step, normalise
from xconv.preprocessing.value_maps import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["interpolate", "timm", "torchvision"]

TENSOR_KERNELS = {
    "nearest": Kernel("nearest", False, "old", places=FUSED),
    "nearest-exact": Kernel("nearest", False, places=FUSED),
}
GIVEN = ("pillow", "uint8 tensor", "uint8 tensor in float32", "float tensor")


def torchvision(
    resize: int | Size | None = None,
    crop: int | Size | None = None,
    interpolation: str = "bilinear",
    *,
    antialias: bool = True,
    max_size: int | None = None,
    given: str = "pillow",
    mean: Sequence[float] | None = IMAGENET_MEAN,
    std: Sequence[float] | None = IMAGENET_STD,
) -> Preprocessing:
    """`Resize(resize, interpolation, max_size, antialias)`, `CenterCrop(crop)`, to 0..1, `Normalize(mean, std)`.

    Args:
        resize: One number for the shorter side, or height and width; None with `max_size` is the longer side's.
        crop: Height and width, or one number for both; black where the picture is smaller.
        interpolation: Of InterpolationMode: 'nearest', 'nearest-exact', 'bilinear', 'bicubic', 'lanczos', and 'box' and
            'hamming' for images of Pillow.
        antialias: For tensors; images of Pillow are antialiased always.
        max_size: The most that the longer side may get.
        given: What the transforms are given, of which they make slightly different pictures: a 'pillow' image; a
            'uint8 tensor', which v2 resizes in whole numbers on a CPU with vector instructions; a 'uint8 tensor in
            float32', rounded afterwards, as v2 does it on a GPU, and v1 and the transforms of weights everywhere; a
            'float tensor'.
        mean: Of 0..1; None with `std` None leaves 0..1.
        std: Of 0..1.

    >>> print(torchvision(256, 224).frame)
    resize of the shorter side to 256, then crop of 224x224 from the middle

    Raises:
        InvalidInput: torchvision refuses this too.
    """
    if (mean is None) != (std is None):
        raise InvalidInput("only one of mean and std is given", remedy="give both, or None for both")
    if given not in GIVEN:
        raise InvalidInput(f"given={given!r} is not known", remedy=f"give one of {', '.join(map(repr, GIVEN))}")
    frame = _frame(resize, crop, max_size)
    steps = (Step.of("divide", 255), *(normalise(mean, std) if mean is not None and std is not None else ()))
    if frame.rule == "keep":
        return Preprocessing(frame, steps=steps, layout=FIRST)
    if given == "pillow":
        name = {"nearest-exact": "nearest"}.get(interpolation, interpolation)
        kernel = pillow_kernel(name)
        return Preprocessing(frame, kernel, pillow_arithmetic(kernel), steps=steps, layout=FIRST)
    kernel = tensor_kernel(interpolation, antialias=antialias, whole=given == "uint8 tensor")
    arithmetic = {"uint8 tensor": TORCH, "uint8 tensor in float32": ROUNDED}.get(given, FLOAT)
    arithmetic = FLOAT if kernel.interpolation == "nearest" else arithmetic
    return Preprocessing(frame, kernel, arithmetic, steps=steps, layout=FIRST)


def interpolate(
    size: int | Size, mode: str = "nearest", *, align_corners: bool = False, antialias: bool = False
) -> Preprocessing:
    """`torch.nn.functional.interpolate` of a float tensor in 0..255.

    Args:
        size: Height and width, or one number for both.
        mode: 'nearest', 'nearest-exact', 'bilinear', 'bicubic', 'area' or 'lanczos'.
        align_corners: Whether the corner pixels stay, for 'bilinear' and 'bicubic'.
        antialias: Whether the kernel grows where the picture shrinks, for 'bilinear' and 'bicubic'.

    Raises:
        InvalidInput: torch refuses this too.
    """
    smooth = mode in ("bilinear", "bicubic")
    if (align_corners and (antialias or not smooth)) or (antialias and not smooth and mode != "lanczos"):
        said = f"mode {mode!r} with align_corners={align_corners} and antialias={antialias}"
        raise InvalidInput(said, remedy="only bilinear and bicubic take these two, and one at a time")
    if mode == "area":
        kernel = Kernel("area", True, variant="adaptive mean")
    elif align_corners:
        kernel = Kernel(mode, False, "corners", "a=-0.75" if mode == "bicubic" else "", FUSED)
    else:
        kernel = tensor_kernel(mode, antialias=antialias, whole=False)
    return Preprocessing(Frame("direct", sides(size)), kernel, layout=FIRST)


def timm(
    size: int | Size,
    *,
    crop_pct: float = 0.875,
    crop_mode: str = "center",
    interpolation: str = "bicubic",
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Preprocessing:
    """The transform for inference that `timm.data.create_transform` makes of a data config.

    Args:
        size: Of the network's input.
        crop_pct: Which part of the resized picture the crop takes.
        crop_mode: 'center', 'squash' or 'border'.
        interpolation: Of Pillow.
        mean: Of 0..1.
        std: Of 0..1.

    Raises:
        InvalidInput: timm has no such mode.
    """
    wanted = sides(size)
    if not 0 < crop_pct <= min(wanted):
        said = f"crop_pct={crop_pct!r} is no part of a picture"
        raise InvalidInput(said, remedy="give a number above 0, such as 0.875")
    before = math.floor(wanted[0] / crop_pct), math.floor(wanted[1] / crop_pct)
    if crop_mode == "squash":
        frame = Frame("direct", before, wanted)
    elif crop_mode == "border":
        red, green, blue = (float(round(255 * one)) for one in mean)
        frame = Frame("inside", before, wanted, colour=(red, green, blue))
    elif crop_mode == "center":
        frame = Frame("shorter" if before[0] == before[1] else "cover", before, wanted)
    else:
        raise InvalidInput(f"timm has no crop_mode {crop_mode!r}", remedy="give 'center', 'squash' or 'border'")
    kernel = pillow_kernel(interpolation)
    steps = (Step.of("divide", 255), *normalise(mean, std))
    return Preprocessing(frame, kernel, pillow_arithmetic(kernel), steps=steps, layout=FIRST)


def tensor_kernel(interpolation: str, *, antialias: bool, whole: bool) -> Kernel:
    """The kernel of torch's own resize; on uint8 its weights are computed in float64.

    Raises:
        InvalidInput: there is no such mode.
    """
    if interpolation in TENSOR_KERNELS:
        return TENSOR_KERNELS[interpolation]
    options = {} if whole else {"places": FUSED}
    if interpolation == "bilinear":
        return Kernel("bilinear", antialias, **options)
    if interpolation == "bicubic":
        return Kernel("bicubic", antialias, variant="a=-0.5" if antialias else "a=-0.75", **options)
    if interpolation == "lanczos" and antialias:
        return Kernel("lanczos3", True, **options)
    said = f"torch does not resize tensors by {interpolation!r}, {'' if antialias else 'not '}antialiased"
    raise InvalidInput(said, remedy="give nearest, nearest-exact, bilinear, bicubic, or lanczos with antialias")


def _frame(resize: int | Size | None, crop: int | Size | None, max_size: int | None) -> Frame:
    cut = sides(crop) if crop is not None else None
    if resize is None:
        return Frame("keep", crop=cut) if max_size is None else Frame("longer", (max_size, max_size), cut)
    if isinstance(resize, int) or len(resize) == 1:
        return Frame("shorter", sides(resize), cut, limit=max_size)
    if max_size is not None:
        raise InvalidInput("max_size with a height and a width", remedy="give one number for the shorter side")
    return Frame("direct", sides(resize), cut)
