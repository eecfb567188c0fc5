"""The numbers of a weight as Keras holds them: read from their source, rearranged, one array at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xconv.weights import Arrays, Weight

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["array_of", "numbers", "on_backend", "unset"]


def numbers(weight: Weight, arrays: Arrays, dtype: str | None = None) -> torch.Tensor:
    """A new tensor with the numbers of a weight, by default of its own dtype.

    >>> numbers(Weight.full((2,), 1.0), {}).tolist()
    [1.0, 1.0]
    """
    from xconv.torch.fill import fill

    target = unset(weight.shape, dtype or weight.dtype)
    if weight.constant is not None:
        return target.fill_(weight.constant)
    fill(target, weight, arrays[weight.key])
    return target


def unset(shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    """Memory that holds no numbers yet, and costs nothing until it does."""
    import torch

    return torch.empty(shape, dtype=getattr(torch, dtype))


def array_of(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The same memory for NumPy; bfloat16, which it lacks, as two opaque bytes each."""
    import torch

    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    bits: np.ndarray[Any, Any] = tensor.view(torch.int16).numpy()
    return bits.view("V2")


def on_backend(tensor: torch.Tensor, backend: str) -> Any:
    """The same memory as a tensor of Keras's backend, where it can share it; else as an array.

    TensorFlow would copy an array twice on its way into a variable.
    """
    from importlib import import_module

    if backend == "torch":
        return tensor
    if backend == "tensorflow":
        return import_module("tensorflow").experimental.dlpack.from_dlpack(tensor.__dlpack__())
    array = array_of(tensor)
    return array.view(import_module("ml_dtypes").bfloat16) if array.dtype.kind == "V" else array
