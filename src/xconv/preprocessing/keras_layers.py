"""A description as a Keras layer: the same pixels on every backend, and inside tf.data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from xconv.axes import move_axis
from xconv.errors import InvalidInput
from xconv.preprocessing.arithmetic import CUT_OFF, ROUNDED, Pass, passes
from xconv.preprocessing.description import FIRST, Preprocessing
from xconv.preprocessing.digits import Band, bands
from xconv.preprocessing.frames import Window
from xconv.preprocessing.steps import BGR

__all__ = ["Preprocess"]

BASE: Any = keras.layers.Rescaling.__base__
"""Keras's layer for data, which computes with TensorFlow inside tf.data and with the backend elsewhere."""
ALONG = ("gh,nhwc->ngwc", "vw,nhwc->nhvc")
TO_FIRST = {rank: move_axis(rank, rank - 1, rank - 3) for rank in (3, 4)}


@keras.saving.register_keras_serializable(package="xconv")
class Preprocess(BASE):  # type: ignore[misc]
    """Gives the same pixels as its description, of (height, width, 3) or (batch, height, width, 3).

    Numbers are 0..255. Where the resize works on 8 bits, numbers in floating point are rounded to whole ones first.
    A model with this layer is loaded where `xconv.preprocessing.keras_layers` is imported.
    """

    def __init__(self, preprocessing: Preprocessing | dict[str, Any], **options: Any) -> None:
        super().__init__(**{"dtype": "float32", **options})
        record = preprocessing if isinstance(preprocessing, Preprocessing) else Preprocessing.from_dict(preprocessing)
        self._description = record
        self.supports_jit = False  # where a size is known at run time only, NumPy computes

    @property
    def preprocessing(self) -> Preprocessing:
        """The description."""
        return self._description

    def call(self, inputs: Any) -> Any:
        """The pictures as the network takes them."""
        shape = tuple(inputs.shape)
        if len(shape) not in (3, 4) or shape[-1] != 3:
            raise InvalidInput(
                f"the pictures have shape {shape}", remedy="give (height, width, 3), or a batch of these"
            )
        if None in shape[-3:-1]:
            return self._at_run_time(inputs, shape)
        ops = self.backend
        made = ops.cast(inputs, "float32")
        if not self._description.takes_floats:
            made = ops.numpy.round(made)
        made = self._numbers(self._framed(made[None] if len(shape) == 3 else made))
        made = made[0] if len(shape) == 3 else made
        first = self._description.layout == FIRST
        return ops.numpy.transpose(made, TO_FIRST[len(shape)]) if first else made

    def _framed(self, pictures: Any) -> Any:
        """Crop, resize, crop."""
        ops, description, frame = self.backend, self._description, self._description.frame
        size = int(pictures.shape[-3]), int(pictures.shape[-2])
        taken, wanted, kernel = frame.taken(size), frame.resized(size), description.kernel
        made = self._part(pictures, taken)
        if wanted is not None and kernel is not None:
            for one in passes((taken.height, taken.width), wanted, kernel, description.arithmetic, frame.span(size)):
                made = self._resized(made, one)
            if description.arithmetic in (ROUNDED, CUT_OFF) and kernel.interpolation != "nearest":
                cut = description.arithmetic == CUT_OFF
                made = ops.numpy.clip(ops.numpy.floor(made + 1e-4) if cut else ops.numpy.round(made), 0, 255)
        return self._part(made, frame.cut((int(made.shape[-3]), int(made.shape[-2]))))

    def _part(self, pictures: Any, window: Window) -> Any:
        """A rectangle of the pictures, with borders where it reaches over."""
        ops, (height, width) = self.backend, (int(side) for side in pictures.shape[-3:-1])
        top, left = max(-window.top, 0), max(-window.left, 0)
        bottom, right = (
            max(start + length - side, 0)
            for start, length, side in (
                (window.top, window.height, height),
                (window.left, window.width, width),
            )
        )
        if any((top, left, bottom, right)):
            pictures = ops.numpy.pad(pictures, ((0, 0), (top, bottom), (left, right), (0, 0)))
            border = np.ones((top + height + bottom, left + width + right, 1)) * self._description.frame.colour
            border[top : top + height, left : left + width] = 0
            pictures = pictures + ops.convert_to_tensor(border.astype("float32"), dtype=pictures.dtype)
        first, start = window.top + top, window.left + left
        return pictures[:, first : first + window.height, start : start + window.width]

    def _resized(self, pictures: Any, one: Pass) -> Any:
        """One pass: copies, exact sums of whole numbers, or sums in floating point."""
        ops, axis = self.backend, one.axis + 1
        if one.taken:
            index = one.weights.argmax(axis=1).astype("int32")
            return ops.numpy.take(pictures, ops.convert_to_tensor(index, dtype="int32"), axis=axis)
        number = "float32" if one.bits is not None or ops.name == "jax" else "float64"
        lines = ops.cast(pictures, number)
        made = [self._band(lines, one, band, number) for band in bands(one)]
        result = ops.numpy.concatenate(made, axis=axis) if len(made) > 1 else made[0]
        if one.bits is None:
            return result
        whole = ops.numpy.floor_divide(result + 2 ** (one.bits - 1), 2**one.bits)
        return ops.cast(ops.numpy.clip(whole, 0, 255), "float32")

    def _band(self, lines: Any, one: Pass, band: Band, number: str) -> Any:
        ops = self.backend
        part = lines[:, :, band.first : band.last] if one.axis else lines[:, band.first : band.last]
        products = [
            ops.numpy.einsum(ALONG[one.axis], ops.convert_to_tensor(weights, dtype=number), part)
            for weights in band.parts
        ]
        if one.bits is None:
            return products[0]
        total = ops.cast(products[0], "int32")
        for place, product in enumerate(products[1:], 1):
            total = total + ops.cast(product, "int32") * 2 ** (band.bits * place)
        return total

    def _numbers(self, pictures: Any) -> Any:
        """Channels and steps."""
        ops, description = self.backend, self._description
        number = "float64" if description.dtype == "float64" else "float32"
        made = ops.cast(pictures, number)
        if description.channels == BGR:
            made = ops.numpy.flip(made, axis=-1)
        for step in description.steps:
            numbers = ops.convert_to_tensor(np.asarray(step.numbers), dtype=number)
            made = getattr(ops.numpy, step.operation)(made, numbers)
        return ops.cast(made, description.dtype)

    def _at_run_time(self, inputs: Any, shape: Sequence[int | None]) -> Any:
        """What NumPy makes of pictures whose size is not known while TensorFlow's graph is built."""
        import tensorflow as tf

        if not tf.is_tensor(inputs):
            said = f"the size of the pictures is not known ({shape})"
            raise InvalidInput(said, remedy="give an Input with a height and a width, or resize in tf.data")
        made = tf.numpy_function(self._by_numpy, [inputs], self._description.dtype, stateful=False)
        made.set_shape(self.compute_output_shape(shape))
        return made

    def _by_numpy(self, pictures: Any) -> Any:
        if not self._description.takes_floats:
            pictures = np.clip(np.rint(pictures), 0, 255).astype(np.uint8)
        return self._description.batch(pictures) if pictures.ndim == 4 else self._description(pictures)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """With a height and width where they are known."""
        frame, (height, width) = self._description.frame, input_shape[-3:-1]
        size: tuple[int | None, int | None] = (None, None)
        if frame.fixed:
            size = frame.shape((1, 1))
        elif height is not None and width is not None:
            size = frame.shape((height, width))
        sides = (3, *size) if self._description.layout == FIRST else (*size, 3)
        return (*input_shape[:-3], *sides)

    def compute_output_spec(self, inputs: Any) -> Any:
        """The shape, and the description's own dtype."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self._description.dtype)

    def get_config(self) -> dict[str, Any]:
        """The description as JSON has it."""
        return {**super().get_config(), "preprocessing": self._description.to_dict()}
