"""What is done to a layer's tensor before it is returned: pooled, or flattened in a given order."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from xconv import axes
from xconv.errors import InvalidInput
from xconv.extraction.names import DataFormat, Pooling

__all__ = ["Shaped", "Shaping"]


@dataclass(frozen=True, slots=True)
class Shaping:
    """What is done to the maps that are returned; vectors stay as they are.

    `data_format` is where the maps have their channels, where it is known. `flat` asks for vectors with the numbers of
    the maps in this order.
    """

    pooling: Pooling | None = None
    data_format: DataFormat | None = None
    flat: DataFormat | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether the tensors are returned as they are."""
        return self.pooling is None and self.flat is None


class Shaped(nn.Module):
    """Pools or flattens a map; a vector stays as it is.

    >>> import torch
    >>> Shaped(Shaping("avg"))(torch.ones(2, 5, 3, 4)).shape
    torch.Size([2, 5])
    """

    def __init__(self, shaping: Shaping) -> None:
        super().__init__()
        self.shaping = shaping

    def forward(self, x: Tensor) -> Tensor:
        """The vector of a map.

        Raises:
            InvalidInput: a sequence, of which nothing says where its channels are.
        """
        rank, shaping = x.dim(), self.shaping
        if rank < 3:
            return x
        if shaping.flat is not None:
            held = shaping.data_format or "channels_first"
            order = axes.identity(rank)
            if held != shaping.flat:
                order = axes.channels_first(rank) if held == "channels_last" else axes.channels_last(rank)
            return x.permute(order).flatten(1)
        if rank == 3 and shaping.data_format is None:
            what = "a tensor of 3 axes may be (N, C, L) of a convolution or (N, L, C) of tokens"
            raise InvalidInput(what, remedy="say which by data_format='channels_first' or 'channels_last'")
        over = tuple(range(1, rank - 1) if shaping.data_format == "channels_last" else range(2, rank))
        return x.amax(over) if shaping.pooling == "max" else x.mean(over)

    def extra_repr(self) -> str:
        """What it does."""
        return f"{self.shaping.pooling or self.shaping.flat}"
