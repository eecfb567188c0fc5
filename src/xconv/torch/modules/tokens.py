"""Whole numbers as categories: bins, lookups, hashes, and one number, one mark or one count for each category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xconv.torch.modules.described import Described
from xconv.torch.modules.hashes import buckets, crossed

__all__ = ["CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup"]


class _Categories(Described):
    """Encodes places among categories; floats are made in the dtype that the module was moved to."""

    unit: Tensor
    like_integers = torch.int64

    def __init__(self, depth: int, **settings: Any) -> None:
        super().__init__(**settings)
        mode = settings["output_mode"]
        self.depth, self.output_mode = depth, "count" if mode == "tf_idf" else mode
        self.register_buffer("unit", torch.ones(()), persistent=False)

    def encoded(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Places as they are, or a number for each category; what is no place counts for none."""
        if self.output_mode == "int":
            return x.to(self.like_integers)
        x = x.squeeze(-1) if self.output_mode == "one_hot" and x.dim() > 1 and x.shape[-1] == 1 else x
        found = x[..., None] == torch.arange(self.depth, device=x.device)
        if self.output_mode == "one_hot":
            return found.to(self.unit.dtype)
        if self.output_mode == "multi_hot":
            return found.any(1).to(self.unit.dtype)
        counted = found.to(self.unit.dtype)
        return (counted if weights is None else counted * weights.to(counted.dtype)[..., None]).sum(1)

    def like(self, *tensors: Tensor) -> Tensor:
        x = tensors[0]
        if self.output_mode == "int":
            return torch.empty_like(x, dtype=self.like_integers)
        sizes = list(x.shape)
        if self.output_mode != "one_hot":
            sizes.pop(1)
        elif len(sizes) > 1 and sizes[-1] == 1:
            sizes.pop()
        return self.unit.new_empty(*sizes, self.depth)


class Discretization(_Categories):
    """How many of the boundaries, in ascending order, are not above each number."""

    like_integers = torch.int32

    def __init__(self, bin_boundaries: Sequence[float], output_mode: str = "int") -> None:
        super().__init__(len(bin_boundaries) + 1, bin_boundaries=bin_boundaries, output_mode=output_mode)
        # float32 numbers, as TensorFlow's kernel holds them, compared without rounding any other
        self.edges = np.asarray(bin_boundaries, np.float32).astype(np.float64).tolist()

    def forward(self, x: Tensor) -> Tensor:
        edges = torch.tensor(self.edges, dtype=torch.float64, device=x.device)
        return self.encoded(torch.bucketize(x.to(torch.float64), edges, right=True))


class CategoryEncoding(_Categories):
    """Numbers from 0 to before `num_tokens` as one mark, marks, or counts, which may be weighted."""

    def __init__(self, num_tokens: int, output_mode: str = "multi_hot") -> None:
        super().__init__(num_tokens, num_tokens=num_tokens, output_mode=output_mode)

    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        return self.encoded(x, count_weights)


class Hashing(_Categories):
    """Numbers by the hash of their digits; `mask_value` gets a bin of its own, 0."""

    def __init__(
        self,
        num_bins: int,
        mask_value: int | None = None,
        salt: Sequence[int] | None = None,
        output_mode: str = "int",
    ) -> None:
        settings = {"num_bins": num_bins, "mask_value": mask_value, "salt": salt, "output_mode": output_mode}
        super().__init__(num_bins, **settings)
        self.mask_value, self.salt = mask_value, salt

    def forward(self, x: Tensor) -> Tensor:
        if self.mask_value is None or self.depth == 1:
            return self.encoded(buckets(x, self.depth, self.salt))
        found = buckets(x, self.depth - 1, self.salt) + 1
        return self.encoded(torch.where(x == self.mask_value, 0, found))


class HashedCrossing(_Categories):
    """One bin for several numbers of a sample together."""

    def __init__(self, num_bins: int, output_mode: str = "int") -> None:
        super().__init__(num_bins, num_bins=num_bins, output_mode=output_mode)

    def forward(self, *columns: Tensor) -> Tensor:
        return self.encoded(crossed(columns, self.depth))


class IntegerLookup(_Categories):
    """The place of each number in a vocabulary, or with `invert` the number at each place.

    Places start after one for `mask_token`, where there is one and places are given, and `num_oov_indices` for numbers
    that are not in the vocabulary. The arguments are Keras's; `vocabulary` is without special numbers.
    """

    keys: Tensor
    values: Tensor

    def __init__(  # noqa: PLR0913
        self,
        vocabulary: Sequence[int],
        *,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        idf_weights: Sequence[float] | None = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Sequence[int] | None = None,
    ) -> None:
        start = int(mask_token is not None and output_mode == "int")
        depth = start + num_oov_indices + len(vocabulary)
        depth = max_tokens if pad_to_max_tokens and max_tokens is not None else depth
        super().__init__(
            depth,
            vocabulary=vocabulary,
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            pad_to_max_tokens=pad_to_max_tokens,
            oov_method=oov_method,
            salt=salt,
        )
        self.start, self.oov, self.inverse = start, num_oov_indices, invert
        self.mask_token, self.oov_token, self.idf_weights = mask_token, oov_token, idf_weights
        self.salt, self.hashes = salt, oov_method == "farmhash"
        places = range(start + num_oov_indices, start + num_oov_indices + len(vocabulary))
        pairs = sorted(zip(places, vocabulary, strict=True) if invert else zip(vocabulary, places, strict=True))
        self.register_buffer("keys", torch.tensor([key for key, _ in pairs], dtype=torch.int64), persistent=False)
        self.register_buffer("values", torch.tensor([value for _, value in pairs], dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.int64)
        place = torch.searchsorted(self.keys, x).clamp(max=len(self.keys) - 1)
        found = torch.where(self.keys[place] == x, self.values[place], self._unknown(x))
        if self.mask_token is not None:
            special = (0, self.mask_token) if self.inverse else (self.mask_token, 0 if self.start else -1)
            found = torch.where(x == special[0], special[1], found)
        if self.idf_weights is None:
            encoded = self.encoded(found)
            return encoded if self.output_mode == "int" else encoded.to(torch.int64)
        return self.encoded(found) * torch.tensor(self.idf_weights, dtype=self.unit.dtype, device=x.device)

    def _unknown(self, x: Tensor) -> Tensor:
        """Where numbers go that are not in the vocabulary."""
        if self.inverse:
            return torch.full_like(x, self.oov_token)
        if self.oov == 0:
            known = (self.keys[torch.searchsorted(self.keys, x).clamp(max=len(self.keys) - 1)] == x).all()
            torch._assert_async(known, "a number is not in the vocabulary, and num_oov_indices=0")
        if self.oov <= 1:
            return torch.full_like(x, self.start)
        return self.start + (buckets(x, self.oov, self.salt) if self.hashes else x.remainder(self.oov))

    def like(self, *tensors: Tensor) -> Tensor:
        result = super().like(*tensors)
        return result if self.idf_weights is not None else result.to(torch.int64)
