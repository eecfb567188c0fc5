"""One preprocessing as one description: crop, resize, crop, channels, numbers, layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xconv.axes import move_axis
from xconv.errors import InvalidInput
from xconv.kernels import Kernel
from xconv.preprocessing.arithmetic import FLOAT
from xconv.preprocessing.checks import problems
from xconv.preprocessing.frames import Frame, framed
from xconv.preprocessing.opening import AS_STORED, opened
from xconv.preprocessing.pictures import Size
from xconv.preprocessing.records import from_record, to_record
from xconv.preprocessing.steps import BGR, RGB, Step, apply, value_map
from xconv.preprocessing.value_maps import ValueMap

if TYPE_CHECKING:
    import torch

__all__ = ["FIRST", "LAST", "Preprocessing"]

LAST, FIRST = "channels_last", "channels_first"
KEEP = Frame("keep")
TO_FIRST = move_axis(3, 2, 0)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done to a picture before a network sees it.

    Called with a picture it returns a new array; what it is given stays as it is. `to_torch` and `to_keras` give the
    same pixels inside the frameworks.

    >>> half = Step.of("divide", 2)
    >>> p = Preprocessing(Frame("direct", (2, 2)), Kernel("nearest", False), channels="BGR", steps=(half,))
    >>> p(np.uint8([[[0, 10, 20]]])).tolist()
    [[[10.0, 5.0, 0.0], [10.0, 5.0, 0.0]], [[10.0, 5.0, 0.0], [10.0, 5.0, 0.0]]]
    >>> print(p)
    opened as red, green and blue in 0..255; EXIF orientation not followed
    resize to 2x2: nearest
    channels: BGR
    numbers: / 2, each in float32
    result: float32 (height, width, channels)
    >>> Preprocessing.from_dict(p.to_dict()) == p
    True
    """

    frame: Frame = KEEP
    """Which part of a picture is taken, and its size."""
    kernel: Kernel | None = None
    """How the pixels of the resized picture are computed."""
    arithmetic: str = FLOAT
    """How they are rounded; one of `arithmetic.DESCRIBED`."""
    channels: str = RGB
    steps: tuple[Step, ...] = ()
    """What is done to the numbers, in turn; the three numbers of a step belong to the channels as they then stand."""
    layout: str = LAST
    dtype: str = "float32"
    orientation: str = AS_STORED

    def __post_init__(self) -> None:
        found = list(problems(self))
        if found:
            raise InvalidInput("this is no preprocessing", problems=found)

    def __call__(self, image: Any) -> npt.NDArray[Any]:
        """The picture as the network takes it: (height, width, 3), or (3, height, width) with channels first.

        Args:
            image: A path, a file, an image of Pillow in any mode, an array (height, width), (height, width, 1), 3 or 4
                of uint8, or of floating point in 0..255 where nothing is rounded to 8 bits; a list of these is a batch.

        Raises:
            NotFound, Unreadable: there is no such file, or it is no picture.
            InvalidInput: it is not what a picture is.
        """
        if isinstance(image, (list, tuple)):
            return self.batch(image)
        picture = opened(image, self.orientation, floats=self.takes_floats)
        values = framed(picture, self.frame, self.kernel, self.arithmetic)
        made = self._numbers(values)
        return np.ascontiguousarray(made.transpose(TO_FIRST) if self.layout == FIRST else made)

    def batch(self, images: Iterable[Any]) -> npt.NDArray[Any]:
        """All pictures in one array, with a batch axis before the others.

        Raises:
            InvalidInput: there is none, or the results differ in size.
        """
        made = [self(image) for image in images]
        shapes = {array.shape for array in made}
        if len(shapes) != 1:
            said = f"the results have shapes {sorted(shapes)}" if shapes else "there are no pictures"
            raise InvalidInput(f"{said}, which make no batch", remedy="resize or crop all of them to one size")
        return np.stack(made)

    @property
    def values(self) -> ValueMap:
        """What is done to the numbers, as one factor and one offset for every channel."""
        return value_map(self.channels, self.steps)

    @property
    def takes_floats(self) -> bool:
        """Whether pictures may be given in floating point: nothing is rounded to 8 bits."""
        return self.arithmetic == FLOAT or self.kernel is None

    @property
    def size(self) -> Size | None:
        """The height and width of every result; None where it depends on the picture."""
        return self.frame.shape((1, 1)) if self.frame.fixed else None

    def with_layout(self, layout: str) -> Preprocessing:
        """The same with the channels last or first."""
        return replace(self, layout=layout)

    def then(self, steps: Iterable[Step]) -> Preprocessing:
        """The same with further steps behind."""
        return replace(self, steps=(*self.steps, *steps))

    def to_torch(self, layout: str = FIRST) -> torch.nn.Module:
        """A transform of torchvision's kind that gives the same pixels.

        It takes an image of Pillow, or a uint8 tensor (..., 3, height, width) on any device, and computes there.

        Args:
            layout: Of the result: (..., 3, height, width), or 'channels_last'.
        """
        from xconv.preprocessing.torch_transform import TorchTransform

        return TorchTransform(self.with_layout(layout))

    def to_keras(self, layout: str = LAST, name: str | None = None) -> Any:
        """A Keras layer that gives the same pixels of (height, width, 3), with or without a batch axis before.

        Keras's own Rescaling where it computes the same numbers, a layer of xconv otherwise; both work inside `tf.data`
        on every backend.

        Args:
            layout: Of the result: (height, width, 3), or 'channels_first'.
            name: Of the layer.

        Raises:
            MissingFramework: Keras is not installed.
        """
        from xconv.preprocessing.keras_pipeline import pipeline

        return pipeline(self.with_layout(layout), name)

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON has it."""
        return to_record(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Preprocessing:
        """What `to_dict` wrote.

        Raises:
            InvalidInput: something in it is missing, unknown or of another kind.
        """
        return from_record(cls, record)

    def _numbers(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Channels and steps, computed in float32 as the owners do."""
        number = np.float64 if self.dtype == "float64" else np.float32
        ordered = values[..., ::-1] if self.channels == BGR else values
        return apply(self.steps, ordered.astype(number)).astype(self.dtype)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        followed = "not followed" if self.orientation == AS_STORED else "followed"
        yield f"opened as red, green and blue in 0..255; EXIF orientation {followed}"
        how = [] if self.kernel is None else [str(self.kernel)]
        if self.kernel is not None and self.kernel.interpolation != "nearest":
            how.append(self.arithmetic)
        yield ": ".join(filter(None, (str(self.frame), ", ".join(how))))
        yield f"channels: {self.channels}"
        number = "float64" if self.dtype == "float64" else "float32"
        yield f"numbers: {', '.join(map(str, self.steps))}, each in {number}" if self.steps else "numbers: 0..255"
        axes = "channels, height, width" if self.layout == FIRST else "height, width, channels"
        yield f"result: {self.dtype} ({axes})"
