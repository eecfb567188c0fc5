"""The door of a converted network: it refuses a tensor that the network was not made for."""

from __future__ import annotations

from torch import Tensor, nn

from xconv.errors import InvalidInput

__all__ = ["Input"]


class Input(nn.Module):
    """Passes a tensor of the right shape on.

    `shape` is without the batch, None where any size will do. `other` is the same shape in the other layout, where
    there is one: the error for such a tensor says how to turn it. A fixed size is part of the network: 'same' pads
    were computed for it.
    """

    def __init__(
        self, shape: tuple[int | None, ...], other: tuple[int | None, ...] | None = None, order: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.shape, self.other, self.order = tuple(shape), other, tuple(order)

    def forward(self, x: Tensor) -> Tensor:
        if not _fits(x, self.shape):
            raise InvalidInput(self._complaint(x))
        return x

    def _complaint(self, x: Tensor) -> str:
        expected = ", ".join("any" if size is None else str(size) for size in self.shape)
        text = f"the network takes (batch, {expected}), it was given {tuple(x.shape)}"
        if self.other is not None and _fits(x, self.other):
            return f"{text}, in the other layout; give x.permute{self.order}, or convert with another input_layout"
        if x.dim() == len(self.shape) + 1 and None not in self.shape:
            return f"{text}; for other sizes, build the Keras model with None for them and convert that"
        return text

    def extra_repr(self) -> str:
        return ", ".join("any" if size is None else str(size) for size in self.shape)


def _fits(x: Tensor, shape: tuple[int | None, ...]) -> bool:
    """Whether every size that is fixed agrees."""
    if x.dim() != len(shape) + 1:
        return False
    return all(size is None or x.shape[axis] == size for axis, size in enumerate(shape, 1))
