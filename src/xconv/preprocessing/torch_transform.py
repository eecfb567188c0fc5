"""A description as a transform of torchvision's kind: the same pixels from tensors, on any device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from xconv.errors import InvalidInput
from xconv.preprocessing.arithmetic import CUT_OFF, ROUNDED, Pass, passes
from xconv.preprocessing.description import FIRST, Preprocessing
from xconv.preprocessing.digits import bands
from xconv.preprocessing.frames import Window
from xconv.preprocessing.opening import opened
from xconv.preprocessing.steps import BGR

__all__ = ["TorchTransform"]

Constants = tuple[tuple[int, int, int, tuple[Tensor, ...]], ...]
"""Bands of a matrix: the first and last line that a band needs, the bits of its digits, and these."""
PLACED = ("BoundingBoxes", "KeyPoints", "Mask")


class TorchTransform(nn.Module):
    """Gives the same pixels as its description.

    It takes an image of Pillow, a tensor (..., 3, height, width) of uint8, or of floating point in 0..255 where nothing
    is rounded to 8 bits; or a sample of these with labels around it, as `torchvision.transforms.v2.Compose` hands on.
    Tensors are computed where they lie; the weights of a resize are put there once for each size.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing

    def forward(self, *sample: Any) -> Any:
        """The picture as the network takes it, (..., 3, height, width); the rest of a sample as it is."""
        given = sample if len(sample) > 1 else sample[0]
        if isinstance(given, Tensor) and not _is_wrapped(given):
            return self._of_tensor(given)
        leaves, structure = pytree.tree_flatten(given)
        places = _pictures(leaves)
        made = [self._of_leaf(leaf) if place in places else leaf for place, leaf in enumerate(leaves)]
        return pytree.tree_unflatten(made, structure)

    def _of_leaf(self, picture: Any) -> Tensor:
        if not isinstance(picture, Tensor):
            array = opened(picture, self.preprocessing.orientation)
            return self._of_tensor(torch.from_numpy(array).movedim(-1, 0))
        if not _is_wrapped(picture):
            return self._of_tensor(picture)
        made = self._of_tensor(picture.as_subclass(Tensor))
        return made if self.preprocessing.layout != FIRST else made.as_subclass(type(picture))

    def _of_tensor(self, picture: Tensor) -> Tensor:
        _check(picture, self.preprocessing)
        if torch.is_autocast_enabled(picture.device.type):
            with torch.autocast(picture.device.type, enabled=False):
                return self._computed(picture)
        return self._computed(picture)

    def _computed(self, picture: Tensor) -> Tensor:
        description, made = self.preprocessing, self._framed(picture)
        number = torch.float64 if description.dtype == "float64" else torch.float32
        made = made.to(number, copy=True)
        if description.channels == BGR:
            made = made.flip(-3)
        for step in description.steps:
            numbers = torch.tensor(step.numbers, dtype=number, device=made.device).reshape(3, 1, 1)
            made = getattr(torch, step.operation)(made, numbers)
        made = made.to(getattr(torch, description.dtype))
        return (made if description.layout == FIRST else made.movedim(-3, -1)).contiguous()

    def _framed(self, picture: Tensor) -> Tensor:
        """Crop, resize, crop."""
        description, frame = self.preprocessing, self.preprocessing.frame
        size = int(picture.shape[-2]), int(picture.shape[-1])
        taken = frame.taken(size)
        made = _part(picture, taken, frame.colour)
        wanted, kernel = frame.resized(size), description.kernel
        if wanted is not None and kernel is not None:
            whole = description.arithmetic in (ROUNDED, CUT_OFF) and kernel.interpolation != "nearest"
            for one in passes((taken.height, taken.width), wanted, kernel, description.arithmetic, frame.span(size)):
                made = _resized(made, one)
            if whole:
                made = (torch.floor(made + 1e-4) if description.arithmetic == CUT_OFF else made.round()).clamp(0, 255)
        return _part(made, frame.cut((int(made.shape[-2]), int(made.shape[-1]))), frame.colour)

    def extra_repr(self) -> str:
        """The description, one line a step."""
        return str(self.preprocessing)


def _is_wrapped(leaf: Any) -> bool:
    """Whether it is one of torchvision's tensors, which know what they hold."""
    return isinstance(leaf, Tensor) and type(leaf).__module__.startswith("torchvision.")


def _pictures(leaves: list[Any]) -> set[int]:
    """Which parts of a sample are pictures: as in torchvision, the first plain tensor where nothing else is."""
    for leaf in leaves:
        if _is_wrapped(leaf) and type(leaf).__name__ in PLACED:
            said = f"the sample holds {type(leaf).__name__}, which a preprocessing for classification would leave as is"
            raise InvalidInput(said, remedy="transform them yourself, and give the picture and its label")
    tensors = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    found = {place for place in tensors if _is_wrapped(leaves[place])}
    found |= {place for place, leaf in enumerate(leaves) if type(leaf).__module__.startswith("PIL.")}
    found = found or set(tensors[:1])
    if not found:
        said = f"there is no picture in {', '.join(type(leaf).__name__ for leaf in leaves) or 'nothing'}"
        raise InvalidInput(said, remedy="give an image of Pillow or a tensor (..., 3, height, width)")
    return found


def _check(picture: Tensor, description: Preprocessing) -> None:
    said = f"the picture has shape {tuple(picture.shape)} and dtype {picture.dtype}"
    if picture.ndim < 3 or picture.shape[-3] != 3 or 0 in picture.shape:
        raise InvalidInput(said, remedy="give red, green and blue as (..., 3, height, width)")
    if picture.dtype != torch.uint8 and not (description.takes_floats and picture.is_floating_point()):
        floats = ", or floating point in 0..255" if description.takes_floats else ": the resize works on 8 bits"
        raise InvalidInput(said, remedy=f"give uint8 in 0..255{floats}")


def _part(picture: Tensor, window: Window, colour: tuple[float, float, float]) -> Tensor:
    """A rectangle of the picture, with borders where it reaches over."""
    height, width = picture.shape[-2:]
    top, left = max(-window.top, 0), max(-window.left, 0)
    bottom = max(window.top + window.height - height, 0)
    right = max(window.left + window.width - width, 0)
    if any((top, left, bottom, right)):
        border = torch.tensor(colour, device=picture.device).to(picture.dtype).reshape(3, 1, 1)
        outer = (*picture.shape[:-2], top + height + bottom, left + width + right)
        bordered = border.expand(outer).clone()
        bordered[..., top : top + height, left : left + width] = picture
        picture = bordered
    first, start = window.top + top, window.left + left
    return picture[..., first : first + window.height, start : start + window.width]


def _resized(picture: Tensor, one: Pass) -> Tensor:
    """One pass: copies, exact sums of whole numbers, or sums in floating point."""
    make = _constants.__wrapped__ if torch.compiler.is_compiling() else _constants
    constants, axis = make(one, picture.device), one.axis - 2
    if one.taken:
        return picture.index_select(axis, constants[0][3][0])
    lines = picture.to(constants[0][3][0].dtype)
    made = []
    for first, last, bits, parts in constants:
        products = [_product(part, lines.narrow(axis, first, last - first), axis) for part in parts]
        made.append(products[0] if one.bits is None else _sum(products, bits))
    result = torch.cat(made, axis) if len(made) > 1 else made[0]
    return result if one.bits is None else ((result + 2 ** (one.bits - 1)) >> one.bits).clamp(0, 255)


def _product(weights: Tensor, lines: Tensor, axis: int) -> Tensor:
    return weights @ lines if axis == -2 else lines @ weights.mT


def _sum(products: list[Tensor], bits: int) -> Tensor:
    """What the digits mean together."""
    total = products[0].to(torch.int32)
    for place, product in enumerate(products[1:], 1):
        total = total + product.to(torch.int32) * 2 ** (bits * place)
    return total


@lru_cache(maxsize=64)
def _constants(one: Pass, device: torch.device) -> Constants:
    """The numbers of a pass on a device, which may have no float64."""
    if one.taken:
        return ((0, 0, 0, (_tensor(one.weights.argmax(axis=1), device, torch.int64),)),)
    number = torch.float32 if one.bits is not None or device.type == "mps" else torch.float64
    made = []
    for band in bands(one):
        parts = tuple(_tensor(part, device, number) for part in band.parts)
        made.append((band.first, band.last, band.bits, parts))
    return tuple(made)


def _tensor(array: npt.NDArray[Any], device: torch.device, number: torch.dtype) -> Tensor:
    if torch.compiler.is_compiling():  # a program that is being captured holds only what it makes itself
        return torch.tensor(array.tolist(), device=device, dtype=number)
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, number)
