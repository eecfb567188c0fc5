"""Operations that write where integers say: OneHot, sums of segments, scatter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from xconv.torch.modules.described import Described

__all__ = ["OneHot", "Scatter", "ScatterUpdate", "SegmentMax", "SegmentMin", "SegmentProd", "SegmentSum"]


class OneHot(Described):
    """A 1 at the place that each number names along a new axis; none where there is no such place."""

    keras_kind = "ops.OneHot"

    def __init__(self, num_classes: int, axis: int = -1, dtype: str = "float32") -> None:
        super().__init__(num_classes=num_classes, axis=axis, dtype=dtype)
        self.num_classes, self.axis, self.dtype = num_classes, axis, dtype

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(self.num_classes, device=x.device)
        hit = x.long().unsqueeze(-1) == places
        return hit.movedim(-1, self.axis).to(getattr(torch, self.dtype))

    def like(self, *tensors: Tensor) -> Tensor:
        return self(*tensors)  # type: ignore[no-any-return]


class Segments(Described):
    """What belongs to each of `num_segments` segments along axis 0, as one; negative numbers belong to none."""

    how: ClassVar[str] = ""

    def __init__(self, num_segments: int, sorted: bool = False) -> None:  # noqa: A002
        super().__init__(num_segments=num_segments, sorted=sorted)
        self.num_segments = num_segments

    def empty(self, data: Tensor) -> float:
        """What a segment is that nothing belongs to."""
        raise NotImplementedError

    def forward(self, data: Tensor, segment_ids: Tensor) -> Tensor:
        ids = segment_ids.long()
        ids = torch.where(ids < 0, self.num_segments, ids).view(-1, *(1,) * (data.dim() - 1)).expand_as(data)
        start = data.new_full((self.num_segments + 1, *data.shape[1:]), self.empty(data))
        return start.scatter_reduce(0, ids, data, self.how)[: self.num_segments]

    def like(self, *tensors: Tensor) -> Tensor:
        return tensors[0].new_empty((self.num_segments, *tensors[0].shape[1:]))


class SegmentSum(Segments):
    """Sums."""

    keras_kind, how = "ops.SegmentSum", "sum"

    def empty(self, data: Tensor) -> float:
        return 0


class SegmentProd(Segments):
    """Products."""

    keras_kind, how = "ops.SegmentProd", "prod"

    def empty(self, data: Tensor) -> float:
        return 1


class SegmentMax(Segments):
    """The largest; the lowest number there is where there is none."""

    keras_kind, how = "ops.SegmentMax", "amax"

    def empty(self, data: Tensor) -> float:
        limit: float = _limits(data).min
        return limit


class SegmentMin(Segments):
    """The smallest; the highest number there is where there is none."""

    keras_kind, how = "ops.SegmentMin", "amin"

    def empty(self, data: Tensor) -> float:
        limit: float = _limits(data).max
        return limit


class Scatter(Described):
    """Zeros of a shape with values added where the rows of `indices` say."""

    keras_kind = "ops.Scatter"

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape=tuple(shape))
        self.shape = tuple(shape)

    def forward(self, indices: Tensor, values: Tensor) -> Tensor:
        return values.new_zeros(self.shape).index_put(_places(indices), values, accumulate=True)

    def like(self, *tensors: Tensor) -> Tensor:
        return tensors[1].new_empty(self.shape)


class ScatterUpdate(Described):
    """A tensor with updates where the rows of `indices` say: in its place, added, multiplied, the largest ..."""

    keras_kind = "ops.ScatterUpdate"

    def __init__(self, reduction: str | None = None) -> None:
        super().__init__(reduction=reduction)
        self.reduction = reduction

    def forward(self, inputs: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        places = _places(indices)
        if self.reduction in (None, "add"):
            return inputs.index_put(places, updates, accumulate=self.reduction == "add")
        count = len(places)
        row = places[0]
        for size, place in zip(inputs.shape[1:count], places[1:], strict=True):
            row = row * size + place
        flat = inputs.reshape(-1, *inputs.shape[count:]) if count > 1 else inputs
        new = updates.reshape(-1, *inputs.shape[count:])
        where = row.reshape(-1, *(1,) * (new.dim() - 1)).expand_as(new)
        how = {"max": "amax", "min": "amin", "mul": "prod"}[self.reduction or ""]
        return flat.scatter_reduce(0, where, new, how).reshape(inputs.shape)


def _places(indices: Tensor) -> tuple[Tensor, ...]:
    return tuple(indices.long().unbind(-1))


def _limits(data: Tensor) -> Any:
    return torch.finfo(data.dtype) if data.is_floating_point() else torch.iinfo(data.dtype)
