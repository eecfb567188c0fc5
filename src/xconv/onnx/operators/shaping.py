"""Operators that move numbers and compute none: reshapes, slices, joins, pads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from math import prod
from typing import Any

import torch
from torch.nn import functional

from xconv.errors import Unsupported
from xconv.onnx.call import Call, as_number, as_tensor, is_host
from xconv.onnx.operators.elementwise import torch_type

__all__ = ["SHAPING"]

END = 2**31 - 1
"""Exporters write the end of an open axis as a number at least this large."""


def _reshape(call: Call) -> torch.Tensor:
    value, sizes = call.tensor(0), call.sizes(1)
    if not call.get("allowzero", 0):
        sizes = [value.shape[i] if isinstance(n, int) and n == 0 else n for i, n in enumerate(sizes)]
    return torch.reshape(value, sizes)


def _flatten(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    axis = call.get("axis", 1)
    axis = axis % value.dim() if axis < 0 else axis
    if axis == 1:
        return torch.flatten(value, 1) if value.dim() > 1 else value.reshape(-1, 1)
    return torch.reshape(value, (prod(value.shape[:axis]), prod(value.shape[axis:])))


def _transpose(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    return value.permute(call.get("perm") or list(reversed(range(value.dim()))))


def _squeeze(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    axes = call.axes(1)
    if axes is None:
        axes = [axis for axis, size in enumerate(value.shape) if type(size) is int and size == 1]
    return torch.squeeze(value, dim=tuple(axes))


def _unsqueeze(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    axes = call.axes(1) or []
    rank = value.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        value = torch.unsqueeze(value, axis)
    return value


def _concat(call: Call) -> torch.Tensor:
    return torch.cat([call.tensor(place) for place in range(len(call.inputs))], dim=call.get("axis"))


def _split(call: Call) -> tuple[torch.Tensor, ...]:
    value, axis = call.tensor(0), call.get("axis", 0)
    parts = call.sizes(1) if call.has(1) else call.get("split")
    count = call.get("num_outputs") or call.outputs
    size = value.shape[axis]
    if parts is None:
        step = -(-size // count)
        parts = [min(step, size - step * i) for i in range(count)]
    starts = accumulate(parts, initial=0)
    return tuple(value.narrow(axis, start, n) for start, n in zip(starts, parts, strict=False))


def _slice(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    if call.opset < 10:
        starts, ends, axes = call.get("starts"), call.get("ends"), call.get("axes")
        steps = None
    else:
        starts, ends = call.sizes(1), call.sizes(2)
        axes = call.sizes(3) if call.has(3) else None
        steps = call.sizes(4) if call.has(4) else None
    axes = axes if axes is not None else list(range(len(starts)))
    for start, end, axis, step in zip(starts, ends, axes, steps or [1] * len(starts), strict=True):
        value = _cut(value, start, end, axis % value.dim(), step)
    return value


def _cut(value: torch.Tensor, start: Any, end: Any, axis: int, step: int) -> torch.Tensor:
    if step < 0:
        size = value.shape[axis]
        whole = (start in (-1, END, 2**63 - 1) or start == size - 1) and isinstance(end, int) and end <= -END
        if step != -1 or not whole:
            raise Unsupported("a Slice that goes backwards over a part", remedy="export the model without it")
        return torch.flip(value, [axis])
    end = None if isinstance(end, int) and end >= END else end
    return value[(slice(None),) * axis + (slice(start, end, step),)]


def _gather(call: Call) -> torch.Tensor:
    axis = call.get("axis", 0)
    places = call.inputs[1]
    if is_host(places):
        value = call.tensor(0)
        if places.ndim == 0:
            return torch.select(value, axis, int(as_number(places)))
        index = as_tensor(places)
        index = torch.where(index < 0, index + value.shape[axis], index)
        taken = torch.index_select(value, axis, index.reshape(-1))
        shape = [*value.shape[:axis], *places.shape, *value.shape[axis + 1 :]]
        return taken.reshape(shape) if places.ndim > 1 else taken
    table = call.tensor(0)
    if axis == 0 and table.dim() == 2:
        return functional.embedding(places.long(), table)
    taken = torch.index_select(table, axis, places.reshape(-1))
    before, after = list(table.shape[:axis]), list(table.shape[axis + 1 :])
    return taken.reshape([*before, *places.shape, *after])


def _pad(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    sizes = call.sizes(1) if call.opset >= 11 else call.get("pads")
    number = call.number(2, 0.0) if call.opset >= 11 else call.get("value", 0.0)
    axes = [axis % value.dim() for axis in call.sizes(3)] if call.has(3) else list(range(value.dim()))
    pads = [[0, 0] for _ in range(value.dim())]
    for place, axis in enumerate(axes):
        pads[axis] = [sizes[place], sizes[place + len(axes)]]
    while pads and pads[0] == [0, 0]:
        pads.pop(0)
    mode = call.get("mode", b"constant").decode()
    flat = [size for pair in reversed(pads) for size in pair]
    if mode == "constant":
        return functional.pad(value, flat, value=float(number)) if flat else value
    names = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    lead = 2 * (value.dim() - 2)
    return functional.pad(value, [*flat, *[0] * (lead - len(flat))], mode=names[mode]) if flat else value


def _expand(call: Call) -> torch.Tensor:
    value, sizes = call.tensor(0), call.sizes(1)
    rank = max(value.dim(), len(sizes))
    sizes = [*[1] * (rank - len(sizes)), *sizes]
    own = [*[1] * (rank - value.dim()), *value.shape]
    if is_host(call.inputs[0]) and bool((value == value.reshape(-1)[0]).all()):
        whole = [n if n != 1 else m for n, m in zip(own, sizes, strict=True)]
        return torch.full(whole, as_number(call.inputs[0]), dtype=value.dtype)
    return value.expand([n if isinstance(n, int) and n != 1 else m for n, m in zip(own, sizes, strict=True)])


def _filled(call: Call) -> torch.Tensor:
    sizes, value = call.sizes(0), call.get("value")
    if value is None:
        return torch.zeros(sizes)
    tensor = as_tensor(value)
    return torch.full(sizes, as_number(value), dtype=tensor.dtype)


def _range(call: Call) -> torch.Tensor:
    start, limit, delta = (call.number(place) for place in range(3))
    return torch.arange(start, limit, delta)


def _eye_like(call: Call) -> torch.Tensor:
    value, code = call.tensor(0), call.get("dtype")
    if call.get("k", 0):
        raise Unsupported("EyeLike with another diagonal")
    return torch.eye(*value.shape, dtype=torch_type(code) if code else value.dtype)


def _triangle(call: Call) -> torch.Tensor:
    place = int(call.number(1, 0))
    return torch.triu(call.tensor(0), place) if call.get("upper", 1) else torch.tril(call.tensor(0), place)


SHAPING: Mapping[str, Callable[[Call], Any]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Expand": _expand,
    "Tile": lambda call: torch.tile(call.tensor(0), call.sizes(1)),
    "ConstantOfShape": _filled,
    "Range": _range,
    "EyeLike": _eye_like,
    "Trilu": _triangle,
}
