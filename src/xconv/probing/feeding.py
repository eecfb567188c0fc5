"""Calls a preprocessing: finds out what it takes, and reads what it returns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from xconv.errors import InvalidInput
from xconv.kernels import Floats
from xconv.preprocessing.pictures import Picture, texture

__all__ = ["Opened", "Result", "opened"]

HWC, CHW = "height, width, channels", "channels, height, width"
RESHAPED = {
    HWC: f"{HWC} by a reshape of {CHW}, which mixes the pixels up",
    CHW: f"{CHW} by a reshape of {HWC}, which mixes the pixels up",
}
PROBE = (97, 113)
NO_ARRAYS = ("torchvision.", "timm.")
"""Packages whose transforms hand an array on as it is."""
NO_PILLOW = ("keras.", "tensorflow.", "tf_keras.")
"""Packages whose functions hand a Pillow image on as it is."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a preprocessing returned."""

    raw: npt.NDArray[Any]
    """As it was, without a batch axis."""
    layout: str
    batch: bool
    dtype: str
    framework: str

    @property
    def values(self) -> Floats:
        """Height, width, channels, in float64."""
        return as_hwc(self.raw.astype(np.float64), self.layout)


def as_hwc(raw: Floats, layout: str) -> Floats:
    """The values in the order height, width, channels."""
    if layout == RESHAPED[CHW]:
        return raw.reshape(*raw.shape[1:], raw.shape[0])
    if layout == RESHAPED[HWC]:
        raw = raw.reshape(raw.shape[-1], *raw.shape[:-1])
    return raw if layout == HWC else np.moveaxis(raw, 0, -1)


def laid_out(values: Floats, layout: str) -> Floats:
    """Height, width, channels in another layout; undoes `as_hwc`."""
    if layout == HWC:
        return values
    if layout == RESHAPED[CHW]:
        return values.reshape(values.shape[-1], *values.shape[:-1])
    first = np.moveaxis(values, -1, 0)
    return first if layout == CHW else first.reshape(*first.shape[1:], first.shape[0])


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to hand a picture over."""

    name: str
    make: Callable[[Picture], Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """A preprocessing that can be called with pictures."""

    name: str
    function: Callable[[Any], Any]
    kind: Kind
    reshaped: bool = False

    def __call__(self, picture: Picture) -> Result:
        """What it makes of the picture."""
        return _read(self.function(self.kind.make(picture)), reshaped=self.reshaped)

    @property
    def steady(self) -> bool:
        """Whether it makes the same of one picture every time."""
        picture = texture((2 * PROBE[0], 2 * PROBE[1]))
        first = self(picture).raw
        return all(np.array_equal(first, self(picture).raw) for _ in range(3))


def opened(name: str, function: Callable[[Any], Any]) -> Opened:
    """The preprocessing with the first way to feed it that works.

    Raises:
        InvalidInput: none works; the error lists what each of them says.
    """
    tried = []
    for kind in _kinds(function):
        found = Opened(name, function, kind)
        try:
            result = found(texture(PROBE))
        except Exception as error:  # noqa: BLE001 - the code of others: whatever it says, the next way is tried
            said = (str(error).splitlines() or [""])[0][:120]
            tried.append(f"{kind.name}: {type(error).__name__}: {said}")
            continue
        if not np.isfinite(result.raw.astype(np.float64)).all():
            tried.append(f"{kind.name}: the result is not finite")
            continue
        return Opened(name, function, kind, _is_reshaped(found))
    said = f"{name} makes no single picture with three channels of what it is given ({'; '.join(tried)})"
    raise InvalidInput(said, remedy="give a function of one RGB picture")


def _kinds(function: Any) -> Iterator[Kind]:
    """The ways to feed it, those first that people use most."""
    origin = f"{getattr(function, '__module__', None) or ''}." + f"{type(function).__module__}."
    known = type(function).__module__ if not hasattr(function, "__qualname__") else str(function.__module__)
    arrays = not f"{known}.".startswith(NO_ARRAYS) and not origin.startswith(NO_ARRAYS)
    if find_spec("PIL") is not None and not f"{known}.".startswith(NO_PILLOW):
        yield Kind("a Pillow image", _pillow)
    if arrays:
        yield Kind("a uint8 array (height, width, 3)", np.copy)
        yield Kind("a float32 array (height, width, 3) in 0..255", lambda picture: picture.astype(np.float32))
    yield Kind("a uint8 tensor (3, height, width)", _tensor)
    yield Kind("a float32 tensor (3, height, width) in 0..1", lambda picture: _tensor(picture).float() / 255)
    if arrays:
        yield Kind("a uint8 array (1, height, width, 3)", lambda picture: picture.copy()[None])
        yield Kind("a float32 array (1, height, width, 3) in 0..255", lambda picture: picture.astype(np.float32)[None])
        yield Kind("a uint8 tensor of TensorFlow (height, width, 3)", _tensorflow)
        yield Kind("a float32 tensor of TensorFlow (height, width, 3)", lambda p: _tensorflow(p.astype(np.float32)))
    yield Kind("a uint8 tensor (1, 3, height, width)", lambda picture: _tensor(picture)[None])
    yield Kind("a float32 tensor (1, 3, height, width) in 0..1", lambda picture: _tensor(picture).float()[None] / 255)


def _pillow(picture: Picture) -> Any:
    from PIL import Image

    return Image.fromarray(picture.copy())


def _tensor(picture: Picture) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, -1, 0)))


def _tensorflow(picture: npt.NDArray[Any]) -> Any:
    if "tensorflow" not in sys.modules:
        raise InvalidInput("TensorFlow is not loaded")
    return sys.modules["tensorflow"].constant(picture)


def _read(given: Any, *, reshaped: bool) -> Result:
    array, dtype, framework = _array(given)
    batch = array.ndim == 4 and array.shape[0] == 1
    raw = array[0] if batch else array
    if raw.ndim != 3 or (raw.shape[-1] == 3) == (raw.shape[0] == 3):
        raise InvalidInput(f"the result has shape {array.shape}, which is no single picture with three channels")
    layout = HWC if raw.shape[-1] == 3 else CHW
    return Result(raw, RESHAPED[layout] if reshaped else layout, batch, dtype, framework)


def _array(given: Any) -> tuple[npt.NDArray[Any], str, str]:
    """The array of a result, the name of its dtype, and whose it is."""
    package = type(given).__module__.partition(".")[0]
    if package in ("torch", "torchvision"):
        tensor = given.detach().cpu()
        name = str(tensor.dtype).removeprefix("torch.")
        return (tensor.float() if name == "bfloat16" else tensor).numpy(), name, "torch"
    if package == "tensorflow":
        array = np.asarray(given)
        return array.astype(np.float32) if given.dtype.name == "bfloat16" else array, given.dtype.name, "TensorFlow"
    array = np.asarray(given)
    if array.dtype.kind not in "uif":
        raise InvalidInput(f"the result is a {type(given).__name__}, which is no array of numbers")
    return array, str(array.dtype), "Pillow" if package == "PIL" else "NumPy"


def _is_reshaped(found: Opened) -> bool:
    """Whether one colour everywhere is one colour only once the axes are read in the other layout."""
    picture = np.broadcast_to(np.array((200, 90, 10), np.uint8), (*PROBE, 3)).copy()
    as_said = found(picture)
    other = as_hwc(as_said.raw.astype(np.float64), RESHAPED[as_said.layout])
    return not _even(as_said.values) and _even(other)


def _even(values: Floats) -> bool:
    return bool(np.ptp(values, axis=(0, 1)).max() <= 1e-4 * max(1e-30, np.abs(values).max()))
