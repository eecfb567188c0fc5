"""Functions of matrices that torch has with another gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from xconv.torch.modules.described import Described

__all__ = ["CholeskyInverse"]


class CholeskyInverse(Described):
    """The inverse of a matrix by its Cholesky factor, of which the other half counts for nothing."""

    keras_kind = "ops.CholeskyInverse"

    def __init__(self, upper: bool = False) -> None:
        super().__init__(upper=upper)
        self.upper = upper

    def forward(self, x: Tensor) -> Tensor:
        half = torch.triu(x) if self.upper else torch.tril(x)
        return torch.cholesky_inverse(half, upper=self.upper)
