"""Python values as Keras writes them in a config: slices, Ellipsis, arrays, tensors. The inverse of `decoded`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xconv.errors import Unsupported
from xconv.keras.records import Ref

__all__ = ["encode", "plain_tensor"]


def encode(value: Any, tensor: Callable[[Ref], Any] | None = None) -> Any:
    """The value as plain data; `tensor` says what stands for a `Ref`. A tuple becomes a list, as in Keras's own files.

    >>> encode((slice(None, 2), ..., None))
    [{'class_name': '__slice__', 'config': {'start': None, 'stop': 2, 'step': None}}, \
{'class_name': '__ellipsis__', 'config': {}}, None]

    Raises:
        Unsupported: a value that no config can hold.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Ref) and tensor is not None:
        return tensor(value)
    if isinstance(value, Mapping):
        return {str(key): encode(item, tensor) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item, tensor) for item in value]
    if isinstance(value, slice):
        ends = {key: encode(getattr(value, key)) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": ends}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    return _array(value)


def plain_tensor(ref: Ref, call: int, shape: Any, dtype: str) -> dict[str, Any]:
    """A tensor by its history: the `ref.tensor`-th output of the `call`-th recorded call of its layer."""
    history = [ref.layer, call, ref.tensor]
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": list(shape), "dtype": dtype, "keras_history": history},
    }


def _array(value: Any) -> Any:
    """A NumPy number as a number, an array with its dtype."""
    if type(value).__module__ != "numpy":
        raise Unsupported(f"a config cannot hold a {type(value).__name__}")
    if not value.shape:
        return value.item()
    return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
