"""TensorFlow's float32 kernels of resizing, evaluated in float64 where a model is to be judged in float64.

All of them but 'nearest' return float32 whatever they are given, and compute in it. What they should compute is a
matrix for each axis (see `kernel_matrices`). It is taken for the kernel's result only where that lies within the
rounding of float32 from it, so that a matrix that is not the kernel's is never taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xconv.kernel_matrices import matrix
from xconv.kernels import SINGLE, Kernel
from xconv.statistics import Array

__all__ = ["Evaluated", "applied"]

ROUNDING = 64 * float(np.finfo(np.float32).eps)
"""How far a kernel's result may lie from its definition, by the largest pixel of its channel.

A result is a sum of at most some tens of products of weights that are themselves a few units off. Another kernel,
border or coefficient is off by a thousandth and more.
"""


@dataclass(slots=True)
class Evaluated:
    """The kernels that were evaluated in float64, with how far TensorFlow's own results lay from that (relative).

    >>> text = Evaluated(found={"bicubic": 8.4e-08}).notes()[0]
    >>> text.partition(":")[0]
    'bicubic resize evaluated in float64'
    """

    found: dict[str, float] = field(default_factory=dict)
    widened: set[str] = field(default_factory=set)
    """What of the layers' code asked for float32 and was computed in float64."""

    def __bool__(self) -> bool:
        return bool(self.found or self.widened)

    def constants(self) -> dict[str, str]:
        """What to call them among the float32 constants of TensorFlow."""
        kernels = {f"{kernel} resize": "computes in float32; evaluated in float64" for kernel in self.found}
        asked = ", ".join(sorted(self.widened))
        return {**kernels, **({"code of layers": f"asks for float32 ({asked}); read as float64"} if asked else {})}

    def notes(self) -> tuple[str, ...]:
        """What was done, and how far TensorFlow's results are from it."""
        return tuple(
            f"{kernel} resize evaluated in float64: TensorFlow's kernel computes in float32, and its own result lies "
            f"within {far:.2g} of that"
            for kernel, far in self.found.items()
        )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside, `tf.image.resize` gives what it is given in float64 back in float64."""
        import tensorflow as tf

        original = tf.image.resize

        def resize(images: Any, size: Any, method: Any = "bilinear", *args: Any, **options: Any) -> Any:
            own = original(images, size, method, *args, **options)
            plain = not args and set(options) <= {"antialias", "name"}
            if not plain or not hasattr(images, "numpy") or images.dtype != tf.float64 or own.dtype != tf.float32:
                return own
            return self._checked(own, images.numpy(), str(method), bool(options.get("antialias")), tf.constant)

        tf.image.resize = resize
        try:
            yield
        finally:
            tf.image.resize = original

    def _checked(self, own: Any, images: Array, method: str, antialias: bool, constant: Callable[[Array], Any]) -> Any:
        """The exact value, else TensorFlow's own where that is something else, or where others imitate it."""
        if method == "nearest" or (method == "bilinear" and not antialias):
            return own
        stated = own.numpy().astype("float64")
        exact = applied(images, stated.shape[-3:-1], method, antialias=antialias)
        largest = np.abs(images).max(axis=(-3, -2), keepdims=True)
        off = np.abs(stated - exact)
        if not np.isfinite(off).all() or (off > ROUNDING * largest).any():
            return own
        name = f"{method}, antialiased," if antialias and method != "area" else method
        far = float(off.max() / max(float(np.abs(exact).max()), np.finfo(np.float32).tiny)) if off.size else 0.0
        self.found[name] = max(self.found.get(name, 0.0), far)
        return constant(exact)


def applied(images: Array, size: tuple[int, int], method: str, *, antialias: bool = False) -> Array:
    """Images (..., height, width, channels) resized by TensorFlow's kernel, in float64.

    >>> applied(np.array([[[1.0], [2.0], [6.0]]]), (1, 1), "area").ravel().tolist()
    [3.0]
    """
    variant = "a=-0.5" if method == "bicubic" else ""
    kernel = Kernel(method, antialias or method == "area", variant=variant, places=SINGLE)
    down, across = (
        matrix(kernel, old, new).astype("float64") for old, new in zip(images.shape[-3:-1], size, strict=True)
    )
    return np.asarray(np.einsum("ij,...jkc,lk->...ilc", down, images, across, optimize=True))
