"""Pictures to feed a preprocessing with: single colours, ramps, a texture, a scene like a photograph, or a file."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xconv.errors import InvalidInput, NotFound, Unreadable
from xconv.frameworks import require
from xconv.kernels import Floats

__all__ = ["Picture", "Size", "opened_picture", "plain", "ramps", "scene", "texture"]

Picture: TypeAlias = npt.NDArray[np.uint8]
"""Height, width, and red, green and blue in 0..255."""
Size: TypeAlias = tuple[int, int]

SCENE = (480, 641)


def plain(colour: tuple[int, int, int], size: Size) -> Picture:
    """One colour everywhere.

    >>> plain((1, 2, 3), (1, 2)).tolist()
    [[[1, 2, 3], [1, 2, 3]]]
    """
    return np.broadcast_to(np.array(colour, np.uint8), (*size, 3)).copy()


def ramps(size: Size) -> Picture:
    """Red grows to the right, green downwards: colours that tell where they come from.

    >>> ramps((2, 3))[..., 0].tolist()
    [[0, 128, 255], [0, 128, 255]]
    """
    rows, columns = np.meshgrid(*(np.linspace(0, 255, count) for count in size), indexing="ij")
    return _picture(np.stack([columns, rows, np.full(size, 128.0)], axis=-1))


def texture(size: Size, seed: int = 0) -> Picture:
    """Soft shapes, edges and noise: what every kernel makes something else of."""
    generator = np.random.default_rng((seed, 0x7E7))
    soft = np.stack([_cloud(generator, size) for _ in range(3)], axis=-1)
    edges = np.where(np.stack([_cloud(generator, size) for _ in range(3)], axis=-1) > 0, 40.0, -40.0)
    return _picture(128 + 35 * soft + edges + generator.normal(0, 30, (*size, 3)))


def scene(size: Size = SCENE, seed: int = 0) -> Picture:
    """A sky, hills, a sun and a fence: smooth parts, sharp edges and fine grain, as in a photograph."""
    generator = np.random.default_rng((seed, 0x5CE))
    rows, columns = np.meshgrid(*(np.linspace(0, 1, count) for count in size), indexing="ij")
    result = np.stack([90 + 120 * rows, 140 + 70 * rows, 230 - 20 * rows], axis=-1)
    result += 14 * _cloud(generator, size)[..., None]
    sun = (rows - 0.22) ** 2 + (1.3 * (columns - 0.7)) ** 2 < 0.008
    result[sun] = (252, 238, 190)
    for height, colour in ((0.55, (70, 110, 60)), (0.72, (46, 84, 34))):
        hill = rows > height + 0.05 * np.sin(7 * columns / height) + 0.02 * np.sin(31 * columns)
        grain = 16 * _cloud(generator, size) + generator.normal(0, 9, size)
        result[hill] = (np.array(colour) + grain[..., None])[hill]
    fence = (rows > 0.8) & (rows < 0.95) & ((columns * 41) % 1 < 0.3)
    result[fence] = (205, 190, 170)
    return _picture(result + generator.normal(0, 2, (*size, 1)))


def opened_picture(image: Any) -> Picture:
    """The picture of a file, of an array (height, width, 3), or the scene where nothing is given.

    Raises:
        NotFound, Unreadable: there is no such file, or it is no picture.
        InvalidInput: the array is not what a picture is.
    """
    if image is None:
        return scene()
    if isinstance(image, (str, os.PathLike)):
        return _of_file(os.fspath(image))
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        said = f"the image has shape {array.shape} and dtype {array.dtype}"
        raise InvalidInput(said, remedy="give a path, or an array (height, width, 3) of uint8 in RGB")
    return np.ascontiguousarray(array)


def _of_file(path: str) -> Picture:
    pillow = require("PIL.Image", "", "reading a picture")
    try:
        with pillow.open(path) as file:
            return np.asarray(file.convert("RGB"), np.uint8)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path!r}") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise Unreadable(f"{path!r} cannot be read as a picture: {error}") from error


def _picture(values: Floats) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _cloud(generator: np.random.Generator, size: Size) -> Floats:
    """Noise whose power falls with the frequency, as in natural pictures; deviation 1."""
    rows, columns = np.meshgrid(np.fft.fftfreq(size[0]), np.fft.rfftfreq(size[1]), indexing="ij")
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    values = np.fft.irfft2(np.fft.rfft2(generator.normal(size=size)) / frequency, size)
    return np.asarray(values / (values.std() or 1.0))
