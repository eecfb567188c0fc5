"""What a model is fed for a verification: what it asks for (`Feed`), seeded noise, or the user's own arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xconv.errors import InvalidInput, Problem
from xconv.spec import Shape
from xconv.statistics import Array

__all__ = ["SIZES", "Feed", "arrange", "as_dtype", "leaves", "noise", "perturbed", "sized"]

SIZES = ((65, 79, 43), (64, 96, 32), (97, 111, 65), (128, 160, 96), (193, 161, 97), (256, 288, 128), (9, 11, 7))
"""What to try for sizes that a model leaves open: odd and unequal first, multiples of 32 between; short sequences."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One input tensor that a model asks for, as the model writes it (Keras: channels-last).

    `alias` is the key by which the model's input structure names it. `high` bounds integers from above, exclusively;
    `pixels` says that the model expects 0..255 (it begins with its own rescaling).
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    alias: str = ""
    high: int | None = None
    pixels: bool = False

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape can be fed here."""
        return len(shape) == len(self.shape) and all(
            want is None or want == size for want, size in zip(self.shape, shape, strict=True)
        )


def sized(feeds: Sequence[Feed], size: Sequence[int], batch: int) -> tuple[Feed, ...]:
    """The feeds with every open size filled: the batch, then the spatial sizes in turn.

    >>> sized([Feed("image", (None, None, None, 3))], (65, 79), 2)[0].shape
    (2, 65, 79, 3)
    """
    return tuple(replace(feed, shape=_filled(feed.shape, size, batch)) for feed in feeds)


def _filled(shape: Shape, size: Sequence[int], batch: int) -> Shape:
    if not shape:
        return shape
    open_axes = [axis for axis, length in enumerate(shape) if length is None and axis > 0]
    chosen = {axis: size[min(place, len(size) - 1)] for place, axis in enumerate(open_axes)}
    first = batch if shape[0] is None else shape[0]
    return (first, *(chosen.get(axis, length) for axis, length in enumerate(shape) if axis > 0))


def noise(feeds: Sequence[Feed], seed: int = 0) -> tuple[Array, ...]:
    """Seeded noise for feeds whose sizes are all known; never zeros.

    Floats are normal (uniform over 0..255 where the model expects pixels) and representable in float32, so that a
    float32 and a float64 run see the same numbers. Integers are uniform below `high`, by default below 16.

    Raises:
        InvalidInput: a size is open, or the dtype is not a number (strings).
    """
    return tuple(_draw(feed, np.random.default_rng((seed, place))) for place, feed in enumerate(feeds))


def _draw(feed: Feed, generator: np.random.Generator) -> Array:
    if any(length is None for length in feed.shape):
        raise InvalidInput(f"its shape {feed.shape} is open", place=feed.name, remedy="give input_size= or inputs=")
    shape = tuple(int(length or 0) for length in feed.shape)
    if feed.dtype == "bool":
        return generator.random(shape) < 0.5
    if "int" in feed.dtype:
        high = feed.high or (256 if feed.dtype == "uint8" else 16)
        return generator.integers(0, high, shape).astype(feed.dtype)
    if "float" not in feed.dtype and feed.dtype != "double":
        raise InvalidInput(f"cannot make noise of dtype {feed.dtype}", place=feed.name, remedy="give inputs=")
    if feed.high is not None:
        return generator.integers(0, feed.high, shape).astype(np.float32)
    if feed.pixels:
        return generator.random(shape, dtype=np.float32) * np.float32(255)
    return generator.standard_normal(shape, dtype=np.float32)


def leaves(structure: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested tuples, lists and dicts with their paths, in order.

    >>> list(leaves({"a": [1, 2]}))
    [('a/0', 1), ('a/1', 2)]
    """
    if isinstance(structure, Mapping):
        for key, item in structure.items():
            yield from leaves(item, f"{path}/{key}" if path else str(key))
    elif isinstance(structure, (tuple, list)):
        for place, item in enumerate(structure):
            yield from leaves(item, f"{path}/{place}" if path else str(place))
    elif structure is not None:
        yield path, structure


def arrange(inputs: Any, feeds: Sequence[Feed]) -> tuple[Array, ...]:
    """The user's inputs as one array per feed, in the order of the feeds.

    A dict is matched by name; anything else in order. An image in the other channel order is turned over where only
    that order fits; the result is always in the model's written layout.

    Raises:
        InvalidInput: missing, unknown or superfluous inputs, or shapes that the model does not take (all are listed).
    """
    arrays = {path: _as_array(leaf) for path, leaf in leaves(inputs)}
    if isinstance(inputs, Mapping):
        arrays = _by_name(arrays, feeds)
    if len(arrays) != len(feeds):
        names = ", ".join(feed.name for feed in feeds)
        raise InvalidInput(f"the model takes {len(feeds)} inputs ({names}), {len(arrays)} were given")
    turned = [_in_written_layout(array, feed) for array, feed in zip(arrays.values(), feeds, strict=True)]
    problems = [item for item in turned if isinstance(item, Problem)]
    if problems:
        raise InvalidInput("the inputs do not fit the model", problems=problems)
    return tuple(item for item in turned if not isinstance(item, Problem))


def _as_array(leaf: Any) -> Array:
    detached = leaf.detach().cpu() if hasattr(leaf, "detach") else leaf
    return np.asarray(detached)


def _by_name(arrays: dict[str, Array], feeds: Sequence[Feed]) -> dict[str, Array]:
    missing = [feed.name for feed in feeds if feed.name not in arrays and feed.alias not in arrays]
    if missing:
        raise InvalidInput(
            f"no input named {', '.join(missing)} among {', '.join(arrays)}", remedy="name the inputs as the model does"
        )
    return {feed.name: arrays[feed.name if feed.name in arrays else feed.alias] for feed in feeds}


def _in_written_layout(array: Array, feed: Feed) -> Array | Problem:
    if feed.fits(array.shape):
        return array
    if array.ndim > 2:
        turned = np.moveaxis(array, 1, -1)
        if feed.fits(turned.shape):
            return np.ascontiguousarray(turned)
    wanted = ", ".join("any" if length is None else str(length) for length in feed.shape)
    return Problem(feed.name, f"shape {array.shape} does not fit ({wanted})", "give it in the source model's layout")


def as_dtype(arrays: Sequence[Array], dtype: str) -> tuple[Array, ...]:
    """The arrays with every float one in `dtype`; integers and booleans stay.

    >>> import numpy as np
    >>> [str(a.dtype) for a in as_dtype([np.zeros(2, "float32"), np.zeros(2, "int64")], "float64")]
    ['float64', 'int64']
    """
    return tuple(a.astype(dtype) if np.issubdtype(a.dtype, np.floating) else a for a in arrays)


def perturbed(arrays: Sequence[Array], size: float, seed: int) -> tuple[Array, ...]:
    """The float arrays in float64 with every element changed by up to `size`, relatively."""
    generator = np.random.default_rng((seed, 0xF100))
    return tuple(
        a * (1 + size * generator.uniform(-1, 1, a.shape)) if np.issubdtype(a.dtype, np.floating) else a
        for a in as_dtype(arrays, "float64")
    )
