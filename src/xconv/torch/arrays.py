"""A torch tensor as an `ArraySource`, and NumPy's names of torch's dtypes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from xconv.spec import Computed, Numbers, Rows
from xconv.weights import Shape

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TensorSource", "computed_tensor", "dtype_name"]


def dtype_name(dtype: torch.dtype) -> str:
    """NumPy's name of a dtype; bfloat16 has none there and keeps its own.

    >>> dtype_name(torch.float32), dtype_name(torch.bool)
    ('float32', 'bool')
    """
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True, slots=True, eq=False)
class TensorSource:
    """The memory of a tensor as an `ArraySource`; bfloat16 comes as its bits."""

    tensor: torch.Tensor

    @property
    def shape(self) -> Shape:
        """The tensor's shape."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> str:
        """The name of its dtype."""
        return dtype_name(self.tensor.dtype)

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The tensor as one block, without a copy where it lies in CPU memory."""
        held = self.tensor.detach().cpu()
        yield 0, (held.view(torch.int16).numpy().view("V2") if held.dtype == torch.bfloat16 else held.numpy())


def computed_tensor(computed: Computed | Numbers, arrays: Mapping[str, TensorSource]) -> torch.Tensor:
    """The numbers of a weight that is made of several arrays, or of none."""
    if isinstance(computed, Numbers):
        return torch.tensor(computed.rows, dtype=getattr(torch, computed.dtype))

    def rows(part: Rows) -> torch.Tensor:
        whole: torch.Tensor = part.weight.apply(arrays[part.weight.key].tensor.detach().cpu())
        return whole[part.start : part.stop]

    sums = []
    for block in computed.blocks:
        first, *rest = map(rows, block)
        for other in rest:
            first = first + other
        sums.append(first)
    return torch.cat(sums) if len(sums) > 1 else sums[0].clone()
