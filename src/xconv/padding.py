"""SAME arithmetic and explicit pads; integers only.  'same' <-> ((before, after), ...)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Pads", "causal", "ceil_extra", "effective", "is_symmetric", "out_size", "same", "same_pads", "zero_pads"]

Pads: TypeAlias = tuple[tuple[int, int], ...]


def effective(kernel: int, dilation: int = 1) -> int:
    """The extent of a dilated kernel in pixels.

    >>> effective(3, 2)
    5
    """
    return (kernel - 1) * dilation + 1


def same(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """The (before, after) pads of TensorFlow's SAME along one axis; the odd pixel goes after.

    >>> same(224, 3, 2), same(225, 3, 2), same(7, 1, 2)
    ((0, 1), (1, 1), (0, 0))
    """
    out = -(-size // stride)
    total = max((out - 1) * stride + effective(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def same_pads(
    sizes: Sequence[int | None], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads | None:
    """SAME for every axis, or None where it depends on a size that is not known.

    >>> same_pads((None, 8), (3, 3), (1, 2), (1, 1))
    ((1, 1), (0, 1))
    >>> same_pads((None, 8), (3, 3), (2, 2), (1, 1)) is None
    True
    """
    pads = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        if size is None and s > 1 and effective(k, d) > 1:
            return None
        pads.append(same(s if size is None else size, k, s, d))
    return tuple(pads)


def causal(kernel: int, dilation: int) -> tuple[int, int]:
    """All pads before, so that no output sees a later input.

    >>> causal(3, 2)
    (4, 0)
    """
    return dilation * (kernel - 1), 0


def zero_pads(rank: int) -> Pads:
    """No padding along `rank` axes."""
    return ((0, 0),) * rank


def is_symmetric(pads: Pads) -> bool:
    """Whether every axis has as much padding before as after."""
    return all(before == after for before, after in pads)


def out_size(size: int | None, kernel: int, stride: int, dilation: int, pads: tuple[int, int]) -> int | None:
    """The number of window positions along one axis; may be 0 or less where the window does not fit.

    >>> out_size(224, 7, 2, 1, (3, 3)), out_size(None, 3, 1, 1, (1, 1))
    (112, None)
    """
    if size is None:
        return None
    return (size + sum(pads) - effective(kernel, dilation)) // stride + 1


def ceil_extra(size: int, extent: int, stride: int, pad: int) -> int:
    """How far the last window of torch's `ceil_mode` reaches beyond the pads; it must begin before the pad at the end.

    >>> ceil_extra(7, 2, 2, 0), ceil_extra(6, 3, 2, 1), ceil_extra(6, 2, 2, 1)
    (1, 1, 0)
    """
    out = -(-(size + 2 * pad - extent) // stride) + 1
    if (out - 1) * stride >= size + pad:
        out -= 1
    return max((out - 1) * stride + extent - size - 2 * pad, 0)
