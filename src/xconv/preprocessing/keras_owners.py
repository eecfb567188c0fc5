"""The ways of Keras and TensorFlow to bring a picture to a size, as descriptions."""

from __future__ import annotations

from typing import Any

from xconv.errors import InvalidInput
from xconv.kernels import SINGLE, Kernel
from xconv.preprocessing.arithmetic import FLOAT, ROUNDED
from xconv.preprocessing.description import Preprocessing
from xconv.preprocessing.frames import Frame
from xconv.preprocessing.pictures import Size
from xconv.preprocessing.pillow_resize import pillow_arithmetic, pillow_kernel
from xconv.preprocessing.sizes import sides
from xconv.preprocessing.steps import mode_steps

__all__ = ["load_img", "pixels", "resizing", "smart_resize", "tf_resize"]

KERAS_METHODS = ("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5")
METHODS = (*KERAS_METHODS, "gaussian", "mitchellcubic")
PLAIN = ("nearest", "area")
"""Methods that know no antialias."""


def pixels(mode: str | None = None) -> Preprocessing:
    """No resize: what `preprocess_input` of keras.applications does in a mode.

    >>> print(pixels("tf").values.scaling)
    x / 127.5 - 1 (mode 'tf')
    """
    channels, steps = mode_steps(mode)
    return Preprocessing(channels=channels, steps=steps)


def load_img(
    size: int | Size | None = None,
    interpolation: str = "nearest",
    *,
    keep_aspect_ratio: bool = False,
    mode: str | None = None,
) -> Preprocessing:
    """`keras.utils.load_img(path, target_size=size, ...)`, then `img_to_array` and `preprocess_input`.

    Args:
        size: Height and width, or one number for both; None keeps the picture's own.
        interpolation: 'nearest', 'bilinear', 'bicubic', 'box', 'hamming' or 'lanczos', all by Pillow.
        keep_aspect_ratio: Whether the largest middle part with the aspect ratio of `size` is resized.
        mode: Of `preprocess_input`: 'caffe', 'tf', 'torch'; 'inside' or None leaves 0..255.
    """
    channels, steps = mode_steps(mode)
    kernel = pillow_kernel(interpolation)
    if size is None:
        return Preprocessing(channels=channels, steps=steps)
    frame = Frame("box" if keep_aspect_ratio else "direct", sides(size))
    return Preprocessing(frame, kernel, pillow_arithmetic(kernel), channels, steps)


def smart_resize(size: int | Size, interpolation: str = "bilinear", *, mode: str | None = None) -> Preprocessing:
    """`keras.preprocessing.image.smart_resize` with TensorFlow, then `preprocess_input`: a crop, not antialiased."""
    channels, steps = mode_steps(mode)
    return Preprocessing(Frame("aspect", sides(size)), keras_kernel(interpolation), FLOAT, channels, steps)


def tf_resize(
    size: int | Size, method: str = "bilinear", *, antialias: bool = False, mode: str | None = None
) -> Preprocessing:
    """`tf.image.resize(image, size, method, antialias=antialias)`, then `preprocess_input`."""
    channels, steps = mode_steps(mode)
    return Preprocessing(Frame("direct", sides(size)), tf_kernel(method, antialias=antialias), FLOAT, channels, steps)


def resizing(
    size: int | Size,
    interpolation: str = "bilinear",
    *,
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_value: float = 0.0,
    integers: bool = False,
    mode: str | None = None,
) -> Preprocessing:
    """`keras.layers.Resizing(*size, interpolation, ...)` with TensorFlow, then `preprocess_input`.

    Keras computes other pixels with its torch backend for some of these; this is what it computes with TensorFlow,
    wherever the description is run.

    Args:
        size: Height and width, or one number for both.
        interpolation: One of tf.image.resize's methods.
        antialias: Whether the kernel grows where the picture shrinks.
        crop_to_aspect_ratio: Whether the largest middle part with the aspect ratio of `size` is resized.
        pad_to_aspect_ratio: Whether borders of `fill_value` bring the picture to that aspect ratio first.
        fill_value: The colour of these borders.
        integers: Whether the layer is given integers: then it rounds its result to integers.
        mode: Of `preprocess_input`.

    Raises:
        InvalidInput: Keras refuses this too.
    """
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise InvalidInput("a picture is either cropped or padded to an aspect ratio", remedy="give one of the two")
    channels, steps = mode_steps(mode)
    rule = "aspect" if crop_to_aspect_ratio else "filled" if pad_to_aspect_ratio else "direct"
    kernel = keras_kernel(interpolation, antialias=antialias)
    colour = (float(fill_value),) * 3 if pad_to_aspect_ratio else (0.0, 0.0, 0.0)
    frame = Frame(rule, sides(size), colour=colour)
    rounded = integers and kernel.interpolation != "nearest"
    return Preprocessing(frame, kernel, ROUNDED if rounded else FLOAT, channels, steps)


def keras_kernel(method: str, *, antialias: bool = False) -> Kernel:
    """The kernel of an interpolation of Keras.

    Raises:
        InvalidInput: there is no such interpolation.
    """
    if method not in KERAS_METHODS:
        raise InvalidInput(f"Keras does not resize by {method!r}", remedy=f"give one of {', '.join(KERAS_METHODS)}")
    return tf_kernel(method, antialias=antialias)


def tf_kernel(method: str, *, antialias: bool = False) -> Kernel:
    """The kernel of a method of tf.image.resize.

    Raises:
        InvalidInput: there is no such method.
    """
    if method not in METHODS:
        raise InvalidInput(f"TensorFlow does not resize by {method!r}", remedy=f"give one of {', '.join(METHODS)}")
    options: dict[str, Any] = {"variant": "a=-0.5"} if method == "bicubic" else {}
    grown = method == "area" or (antialias and method not in PLAIN)
    return Kernel(method, grown, places=SINGLE, **options)
