"""Opens pictures as their owners do: files, Pillow images and arrays become red, green and blue in 8 bits."""

from __future__ import annotations

import os
import warnings
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xconv.errors import InvalidInput, NotFound, Unreadable, XConvWarning
from xconv.frameworks import require

__all__ = ["AS_STORED", "ORIENTATIONS", "UPRIGHT", "opened"]

Pixels: TypeAlias = npt.NDArray[Any]
AS_STORED, UPRIGHT = "as stored", "upright"
ORIENTATIONS = (AS_STORED, UPRIGHT)
"""Whether the orientation that a camera noted in the file (EXIF) is followed; Keras, torchvision and timm do not."""
ALPHA = {"RGBA": "A", "LA": "A", "PA": "A", "RGBa": "a"}
"""Pillow's modes with transparency, and what that channel is called."""
KEYED = ("1", "L", "RGB", "P")
"""Those of which a file may call a colour transparent."""
WIDE = ("I", "F")
"""Pillow's modes of more than 8 bits; those with a byte order begin with 'I;16'."""


def opened(image: Any, orientation: str = AS_STORED, *, floats: bool = False) -> Pixels:
    """The picture as an array (height, width, 3), red first: uint8, or float32 in 0..255 where it was given so.

    What `convert("RGB")` of Pillow loses without a word is told by a warning: transparency, and more than 8 bits.

    Args:
        image: A path, a file, an image of Pillow in any mode, or an array (height, width), (height, width, 1), 3 or 4.
        orientation: 'as stored', or 'upright': turned as EXIF says.
        floats: Whether an array of floating-point numbers is taken.

    Raises:
        NotFound, Unreadable: there is no such file, or it is no picture.
        InvalidInput: the array is not what a picture is.
    """
    if isinstance(image, (str, os.PathLike)) or hasattr(image, "read"):
        return _of_file(image, orientation)
    if type(image).__module__.startswith("PIL."):
        return _of_pillow(image, orientation)
    return _of_array(image, floats=floats)


def _of_file(source: Any, orientation: str) -> Pixels:
    pillow = require("PIL.Image", "", "reading a picture")
    try:
        with pillow.open(source) as image:
            return _of_pillow(image, orientation)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {os.fspath(source)!r}") from error
    except (OSError, SyntaxError, pillow.DecompressionBombError) as error:
        said = f"{os.fspath(source)!r}" if isinstance(source, (str, os.PathLike)) else "the file"
        raise Unreadable(f"{said} cannot be read as a picture: {error}") from error


def _of_pillow(image: Any, orientation: str) -> Pixels:
    if orientation == UPRIGHT:
        image = require("PIL.ImageOps", "", "following EXIF").exif_transpose(image)
    _warn_of_loss(image)
    if image.mode in KEYED and "transparency" in image.info:
        image = _without_keys(image)
    if image.mode == "RGB":
        return np.array(image)
    try:
        made = np.array(image.convert("RGB"))
    except ValueError as error:
        remedy = "convert it to RGB, the way you want, before it is given"
        raise InvalidInput(f"Pillow does not convert mode {image.mode!r} to RGB: {error}", remedy=remedy) from error
    return made


def _warn_of_loss(image: Any) -> None:
    """Say what `convert("RGB")` drops: more than 8 bits, transparency."""
    if image.mode.startswith("I;16") or image.mode in WIDE:
        _warn_of_range(image)
    elif image.mode in ALPHA and image.getchannel(ALPHA[image.mode]).getextrema()[0] < 255:
        _warn_of_transparency()


def _without_keys(image: Any) -> Any:
    """The image without the colour, or the entries of its palette, that its file calls transparent.

    `convert("RGB")` drops these too; of a palette Pillow says so in words of its own.
    """
    if image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        _warn_of_transparency()
    plain = image.copy()
    plain.info.pop("transparency")
    return plain


def _warn_of_range(image: Any) -> None:
    low, high = image.getextrema()
    if low < 0 or high > 255 or image.mode == "F":
        said = f"the picture has values in {low:g}..{high:g} (mode {image.mode!r}), and Pillow cuts them off to 0..255"
        warnings.warn(f"{said}; divide by 257 first to bring 16 bits to 8", XConvWarning, stacklevel=2)


def _warn_of_unit(array: Pixels) -> None:
    low, high = array.min(), array.max()
    if low >= -1 and 0 < high <= 1:
        said = f"the picture has numbers in {low:g}..{high:g}, and is taken to be in 0..255: it is all but black"
        warnings.warn(f"{said}; multiply it by 255 first if it is in 0..1", XConvWarning, stacklevel=2)


def _warn_of_transparency() -> None:
    said = "the picture is transparent in places; the colours there are taken as they stand, as convert('RGB') does"
    warnings.warn(f"{said}; paste it on a background first if they mean nothing", XConvWarning, stacklevel=2)


def _of_array(image: Any, *, floats: bool) -> Pixels:
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    said = f"the picture has shape {np.shape(image)} and dtype {array.dtype}"
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise InvalidInput(said, remedy="give (height, width), or (height, width, channels) with 1, 3 or 4 channels")
    if array.dtype != np.uint8 and not (floats and array.dtype.kind == "f"):
        kinds = "uint8, or floating point in 0..255" if floats else "uint8 in 0..255"
        raise InvalidInput(said, remedy=f"give {kinds}; uint16 divided by 257 is rounded to uint8")
    if array.dtype != np.uint8:
        if not np.isfinite(array).all():
            raise InvalidInput(f"{said}, and numbers that are not finite")
        _warn_of_unit(array)
        array = array.astype(np.float32)
    if array.shape[-1] == 4 and array[..., 3].min() < 255:
        _warn_of_transparency()
    return np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else np.array(array[..., :3])
