"""torch's Transformers look at their mask's numbers, which torch.export cannot: while they are captured, they do not.

Where the mask is causal, they may leave it out and say so to the kernel. With the mask they compute the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn.modules import transformer

__all__ = ["no_causal_hints"]


@contextmanager
def no_causal_hints() -> Iterator[None]:
    """Stacks of Transformer layers that leave out a mask only where they are told that it is causal."""
    before: Any = transformer._detect_is_causal_mask
    transformer._detect_is_causal_mask = _told
    try:
        yield
    finally:
        transformer._detect_is_causal_mask = before


def _told(mask: Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:  # noqa: ARG001
    """Whether the caller says that the mask is causal."""
    return is_causal is True
