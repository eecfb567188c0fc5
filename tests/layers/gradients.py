"""Gradients that TensorFlow has not, so that layers which use these kernels can be compared in training too."""

from typing import Any

import tensorflow as tf

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
