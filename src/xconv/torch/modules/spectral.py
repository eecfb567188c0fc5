"""A layer whose weight is divided by its largest singular value in training, as Keras does it: in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xconv.torch.modules.einsum import EinsumDense
from xconv.torch.modules.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

__all__ = ["SpectralNorm"]

PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CLASSES = {cls.__name__: cls for cls in (*PLAIN, nn.Linear, EinsumDense)}
CROPPED = {cls.__name__: cls for cls in (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)}


class SpectralNorm(nn.Module):
    """The layer of a class of torch's, by its name and options, with spectral normalisation as Keras computes it.

    In training, before the layer computes, `iterations` steps of the power iteration change the buffer `vector_u`, and
    the weight itself is divided by the singular value that they find; gradients pass through neither.
    torch.nn.utils.parametrizations.spectral_norm keeps the undivided weight instead and trains through the division.
    """

    vector_u: Tensor

    def __init__(self, layer: str, options: Mapping[str, Any], columns: int, iterations: int = 1) -> None:
        super().__init__()
        self.kind, self.options, self.columns, self.iterations = layer, dict(options), columns, iterations
        self.layer: Any = (CROPPED if "crop" in self.options else CLASSES)[layer](**self.options)
        self.register_buffer("vector_u", 0.02 * torch.randn(1, columns).clamp(-2, 2))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.normalise()
        result: Tensor = self.layer(x)
        return result

    @torch.no_grad()
    def normalise(self) -> None:
        """One update of the vector and the weight; a weight of zeros is left alone."""
        weight = self.layer.weight
        if not weight.any():
            return
        matrix, u = self._matrix(weight), self.vector_u
        for _ in range(self.iterations):
            v = _unit(u @ matrix.T)
            u = _unit(v @ matrix)
        weight.div_((v @ matrix @ u.T).squeeze())
        self.vector_u.copy_(u)

    def _matrix(self, weight: Tensor) -> Tensor:
        """The weight with the columns that it has in Keras."""
        if isinstance(self.layer, EinsumDense):
            return weight.reshape(-1, self.columns)
        return torch.unflatten(weight, 0, (-1, self.columns)).movedim(1, -1).reshape(-1, self.columns)

    def config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {"layer": self.kind, "options": self.options, "columns": self.columns, "iterations": self.iterations}

    def extra_repr(self) -> str:
        return f"columns={self.columns}, iterations={self.iterations}"


def _unit(x: Tensor) -> Tensor:
    """x by its length, which counts as 1e-7 at least."""
    return x * torch.clamp(torch.rsqrt(x.square().sum()), max=1e7)
