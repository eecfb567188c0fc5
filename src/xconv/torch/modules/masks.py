"""What Keras's attention layers make of masks, and products over any axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import torch
from torch import Tensor

__all__ = ["attention_mask", "attention_sums", "masked_softmax"]


def attention_mask(
    steps: tuple[Tensor, Tensor], masks: Mapping[str, Tensor], causal: bool, window: int | None, *, half: bool = False
) -> Tensor | None:
    """Where queries may look, over (batch, queries, keys), from the masks given and the places of the steps.

    `steps` are the queries and the values. An attention mask of numbers holds where it is not zero; where it is the
    only mask and `half` is set, where it is more than a half.
    """
    places = {"query_mask": -1, "value_mask": -2, "key_mask": -2}
    found = [masks[name].bool().unsqueeze(place) for name, place in places.items() if name in masks]
    rows, columns = (
        torch.arange(x.shape[1], device=x.device).reshape(shape)
        for x, shape in zip(steps, ((1, -1, 1), (1, 1, -1)), strict=True)
    )
    found += [rows >= columns] if causal else []
    found += [(rows - columns).abs() < window] if window is not None else []
    given = masks.get("attention_mask")
    if given is not None:
        found.append(given > 0.5 if half and not found and given.is_floating_point() else given.bool())
    result = None
    for mask in found:
        result = mask if result is None else mask & result
    return result


def masked_softmax(scores: Tensor, mask: Tensor | None, dims: Sequence[int]) -> Tensor:
    """The softmax over these axes where the mask holds, zeros elsewhere, as Keras's Softmax computes it."""
    if mask is None:
        return _softmax(scores, dims)
    masked = torch.where(mask, scores, -3e4 if scores.dtype == torch.float16 else -1e9)
    return torch.where(mask, _softmax(masked, dims), 0.0)


def _softmax(x: Tensor, dims: Sequence[int]) -> Tensor:
    if len(dims) == 1:
        return torch.softmax(x, dims[0])
    return torch.exp(x - torch.logsumexp(x, tuple(dims), keepdim=True))


def attention_sums(rank: int, over: Sequence[int]) -> tuple[str, str]:
    """The subscripts of the scores of (keys, queries), and of the sums of (scores, values), attending over these axes.

    >>> attention_sums(4, (1,))
    ('aecd,abcd->acbe', 'acbe,aecd->abcd')
    """
    queries = ascii_lowercase[:rank]
    names = iter(ascii_lowercase[rank:])
    apart = dict(zip(sorted(over), names, strict=False))
    keys = "".join(apart.get(axis, queries[axis]) for axis in range(rank))
    batch = [queries[axis] for axis in range(rank - 1) if axis not in over]
    scores = "".join((*batch, *(queries[axis] for axis in over), *(keys[axis] for axis in over)))
    return f"{keys},{queries}->{scores}", f"{scores},{keys}->{queries}"
