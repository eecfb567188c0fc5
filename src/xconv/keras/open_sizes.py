"""Sizes that are known only at run time, while a call is traced: what `keras.ops.shape` gives in their place.

A symbolic tensor has None where a size is open, with which no call can compute. Inside `open_sizes()` such a place
holds an `OpenSize`, and the operations of keras.ops that take sizes are written with operations that take tensors: as
many numbers as the tensor has places from which the size was read.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

__all__ = ["OpenSize", "open_sizes"]


class OpenSize:
    """The size of `tensor` along `axis`; a number computed from such sizes where `tensor` is None.

    It can be multiplied by other sizes, not compared: which branch a call takes would depend on its input.
    """

    def __init__(self, tensor: Any = None, axis: int = 0) -> None:
        self.tensor, self.axis = tensor, axis

    def __repr__(self) -> str:
        return f"<size of axis {self.axis}, known only at run time>"

    def computed(self, other: Any) -> OpenSize:
        """Another number that is known only at run time."""
        return OpenSize()

    def refused(self, *others: Any) -> NoReturn:
        """What a size cannot be asked for while it is open."""
        raise TypeError(f"it asks for {self!r}")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __rfloordiv__ = __mod__ = computed
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __int__ = __float__ = __index__ = refused
    __hash__ = object.__hash__

    def numbers(self) -> Any:
        """A 0 for every place along the axis, as integers."""
        if self.tensor is None:
            raise TypeError("it asks for a number that is computed from sizes known only at run time")
        ops: Any = sys.modules["keras"].ops
        key = tuple(slice(None) if place == self.axis else 0 for place in range(len(self.tensor.shape)))
        line = self.tensor if len(key) == 1 else self.tensor[key]
        return ops.cast(ops.zeros_like(line), "int32")


def is_open(value: Any) -> bool:
    """Whether a size, or one of several, is open."""
    several = isinstance(value, (list, tuple))
    return any(map(is_open, value)) if several else isinstance(value, OpenSize)


@contextlib.contextmanager
def open_sizes() -> Iterator[None]:
    """Inside, operations of keras.ops take and give open sizes."""
    import keras

    places = (keras.ops, sys.modules["keras.src.ops"])
    old = {(place, name): getattr(place, name) for place in places for name in SIZED if hasattr(place, name)}
    tensors, slicing = keras.KerasTensor, keras.KerasTensor.__getitem__
    try:
        for (place, name), function in old.items():
            setattr(place, name, _either(SIZED[name], function))
        tensors.__getitem__ = lambda self, key: _cut(self, key, slicing)
        yield
    finally:
        tensors.__getitem__ = slicing
        for (place, name), function in old.items():
            setattr(place, name, function)


def _either(ours: Callable[..., Any], keras_own: Callable[..., Any]) -> Callable[..., Any]:
    """Keras's own operation, except where a size among its arguments is open."""

    def operation(*args: Any, **kwargs: Any) -> Any:
        if ours in (shape, convert_to_tensor) or is_open(args) or is_open(tuple(kwargs.values())):
            return ours(keras_own, *args, **kwargs)
        return keras_own(*args, **kwargs)

    return operation


def shape(own: Callable[..., Any], x: Any) -> tuple[Any, ...]:
    """keras.ops.shape."""
    return tuple(OpenSize(x, axis) if size is None else size for axis, size in enumerate(own(x)))


def arange(
    _own: Callable[..., Any], start: Any, stop: Any = None, step: Any = None, dtype: Any = None, **_: Any
) -> Any:
    """keras.ops.arange from 0 to an open size."""
    ops: Any = sys.modules["keras"].ops
    start, stop = (0, start) if stop is None else (start, stop)
    if start != 0 or step not in (None, 1):
        raise TypeError("it counts to an open size, but not from 0 by 1")
    numbers = ops.cumsum(stop.numbers() + 1, axis=0) - 1
    return numbers if dtype in (None, "int32") else ops.cast(numbers, dtype)


def broadcast_to(_own: Callable[..., Any], x: Any, shape: Sequence[Any]) -> Any:
    """keras.ops.broadcast_to: places of size 1 are taken as often as an open size says."""
    ops: Any = sys.modules["keras"].ops
    for _ in range(len(shape) - len(x.shape)):
        x = ops.expand_dims(x, 0)
    return tile(ops.tile, x, [_times(old, new) for old, new in zip(x.shape, shape, strict=True)])


def _times(old: int | None, new: Any) -> Any:
    """How often an axis is taken; one whose size is open is as long as it shall be."""
    if is_open(new):
        return new if old == 1 else 1
    return 1 if old is None else new // old


def tile(own: Callable[..., Any], x: Any, repeats: Sequence[Any]) -> Any:
    """keras.ops.tile, as often as an open size says along axes of size 1."""
    ops: Any = sys.modules["keras"].ops
    for _ in range(len(repeats) - len(x.shape)):
        x = ops.expand_dims(x, 0)
    repeats = [*[1] * (len(x.shape) - len(repeats)), *repeats]
    known = [1 if is_open(times) else times for times in repeats]
    x = own(x, known) if any(times != 1 for times in known) else x
    for axis, times in enumerate(repeats):
        if is_open(times):
            x = repeat(ops.repeat, x, times, axis)
    return x


def repeat(_own: Callable[..., Any], x: Any, repeats: Any, axis: int) -> Any:
    """keras.ops.repeat of an axis of size 1."""
    if x.shape[axis] != 1:
        raise TypeError(f"it repeats an axis of size {x.shape[axis]} as often as an open size says")
    return sys.modules["keras"].ops.take(x, repeats.numbers(), axis=axis)


def full(own: Callable[..., Any], shape: Any, *args: Any, **kwargs: Any) -> Any:
    """keras.ops.full, zeros, ones: one place, taken as often as the open sizes say."""
    sizes = shape if isinstance(shape, (list, tuple)) else (shape,)
    one = own(tuple(1 if is_open(size) else size for size in sizes), *args, **kwargs)
    return tile(sys.modules["keras"].ops.tile, one, [size if is_open(size) else 1 for size in sizes])


def slice_(_own: Callable[..., Any], inputs: Any, start_indices: Sequence[Any], shape: Sequence[Any]) -> Any:
    """keras.ops.slice: the places from a known one on, as many as an open size says."""
    ops: Any = sys.modules["keras"].ops
    pairs = zip(start_indices, shape, strict=True)
    key = [slice(None) if is_open(size) else slice(int(at), int(at) + size) for at, size in pairs]
    for axis, (start, size) in enumerate(zip(start_indices, shape, strict=True)):
        if is_open(size):
            inputs = ops.take(inputs, arange(ops.arange, size) + start, axis=axis)
    sizes = zip(key, inputs.shape, strict=True)
    whole = all(item == slice(None) or (item.start, item.stop) == (0, size) for item, size in sizes)
    return inputs if whole else inputs[tuple(key)]


def reshape(own: Callable[..., Any], x: Any, newshape: Sequence[Any]) -> Any:
    """keras.ops.reshape; the open sizes of what is reshaped are taken to be those of the new shape."""
    target = [-1 if is_open(size) else size for size in newshape]
    unsaid = [place for place, size in enumerate(newshape) if not is_open(size) and size == -1]
    opened = sum(map(is_open, newshape))
    if unsaid and opened == x.shape.count(None):
        known = [size for size in target if size != -1]
        target[unsaid[0]] = math.prod(size for size in x.shape if size is not None) // max(math.prod(known), 1)
    if target.count(-1) == 1:
        return own(x, target)
    return _several_open(x, tuple(target))


def _several_open(x: Any, target: tuple[int, ...]) -> Any:
    """A reshape to several open sizes, which is recorded as such; Keras's own operation takes one."""
    import keras
    from keras.src.ops.node import Node
    from keras.src.ops.numpy import Reshape

    operation = Reshape(target)
    result = keras.KerasTensor(tuple(None if size == -1 else size for size in target), x.dtype)
    Node(operation, (x,), {}, result)
    return result


def convert_to_tensor(own: Callable[..., Any], x: Any, dtype: Any = None, **others: Any) -> Any:
    """keras.ops.convert_to_tensor: nothing, where the tensor is symbolic."""
    keras: Any = sys.modules["keras"]
    if is_open(x):
        return cast(own, x, dtype)
    if not isinstance(x, keras.KerasTensor):
        return own(x, dtype=dtype, **others)
    return x if dtype is None else keras.ops.cast(x, dtype)


def cast(_own: Callable[..., Any], x: Any, dtype: Any) -> Any:
    """keras.ops.cast of an open size: as many ones, summed."""
    ops: Any = sys.modules["keras"].ops
    return ops.cast(ops.sum(x.numbers() + 1), dtype or "int32")


def _cut(x: Any, key: Any, own: Callable[..., Any]) -> Any:
    """`x[:, :size]` of a symbolic tensor: as many of the first places."""
    items = key if isinstance(key, tuple) else (key,)
    cuts = [isinstance(item, slice) and is_open((item.start, item.stop, item.step)) for item in items]
    if not any(cuts):
        return own(x, key)
    rest = []
    for place, (item, cut) in enumerate(zip(items, cuts, strict=True)):
        axis = place if ... not in items[:place] else len(x.shape) - len(items) + place
        if cut and (item.start not in (None, 0) or item.step not in (None, 1)):
            raise TypeError("it cuts a tensor at an open size, but not from 0 by 1")
        if cut:
            x = sys.modules["keras"].ops.take(x, arange(arange, item.stop), axis=axis)
        rest.append(slice(None) if cut else item)
    return own(x, tuple(rest))


SIZED: dict[str, Callable[..., Any]] = {
    "arange": arange,
    "broadcast_to": broadcast_to,
    "cast": cast,
    "convert_to_tensor": convert_to_tensor,
    "empty": full,
    "full": full,
    "ones": full,
    "repeat": repeat,
    "reshape": reshape,
    "shape": shape,
    "slice": slice_,
    "tile": tile,
    "zeros": full,
}
"""The operations that take sizes, and `shape`, which gives them."""
