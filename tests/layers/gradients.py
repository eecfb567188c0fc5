"""Gradients that TensorFlow has not, so that layers which use these kernels can be compared in training too."""

from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

__all__: list[str] = []


@tf.RegisterGradient("ResizeArea")
def resize_area(operation: Any, gradient: Any) -> tuple[Any, None]:
    """The kernel is a matrix along each axis: what it makes of the unit vectors."""
    images, size = operation.inputs
    down, across = (_matrix(images.shape[axis], int(size[axis - 1]), images.dtype) for axis in (1, 2))
    return tf.einsum("oh,pw,nopc->nhwc", down, across, tf.cast(gradient, images.dtype)), None


def _matrix(before: int, after: int, dtype: Any) -> Any:
    units = tf.eye(before, dtype=dtype)[None, :, :, None]
    found = tf.compat.v1.image.resize_area(units, (after, before))
    return tf.cast(found[0, :, :, 0], dtype)


@tf.RegisterGradient("DenseBincount")
def dense_bincount(operation: Any, gradient: Any) -> tuple[None, None, Any]:
    """Counts, a row for each sample: what each weight counts to; numbers that are not counted get nothing."""
    places, size, _ = operation.inputs
    counted = tf.cast(tf.logical_and(places >= 0, places < size), gradient.dtype)
    return None, None, counted * tf.gather(gradient, tf.clip_by_value(places, 0, size - 1), batch_dims=1)


ops.gradient_registry._registry.pop("ImageProjectiveTransformV3")


@tf.RegisterGradient("ImageProjectiveTransformV3")
def projective_transform(operation: Any, gradient: Any) -> tuple[Any, None, None, None]:
    """Of the transform itself, by what it makes of every pixel; TensorFlow's is that of the inverse transform."""
    images, transforms = operation.inputs[:2]
    height, width = images.shape[1:3]
    units = tf.reshape(tf.eye(height * width, dtype=images.dtype), (height * width, height, width, 1))
    options = {key: operation.get_attr(key) for key in ("interpolation", "fill_mode")}
    found = []
    for sample in range(gradient.shape[0]):
        row = transforms[min(sample, transforms.shape[0] - 1)][None]
        made = tf.raw_ops.ImageProjectiveTransformV3(
            images=units, transforms=row, output_shape=gradient.shape[1:3], fill_value=0.0, **options
        )
        found.append(tf.reshape(tf.einsum("phwo,hwc->pc", made, gradient[sample]), images.shape[1:]))
    return tf.stack(found), None, None, None


kernel = tf.image.hsv_to_rgb


@tf.custom_gradient
def hsv_to_rgb(images: Any) -> tuple[Any, Any]:
    """TensorFlow states no gradient; its kernel is made of straight lines."""

    def back(gradient: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            hue, saturation, value = tf.unstack(images, axis=-1)
            red = tf.clip_by_value(tf.abs(6 * hue - 3) - 1, 0, 1)
            green = tf.clip_by_value(2 - tf.abs(6 * hue - 2), 0, 1)
            blue = tf.clip_by_value(2 - tf.abs(6 * hue - 4), 0, 1)
            made = tf.stack([value * (1 - saturation + saturation * part) for part in (red, green, blue)], axis=-1)
        return tape.gradient(made, images, gradient)

    return kernel(images), back


tf.image.hsv_to_rgb = hsv_to_rgb
