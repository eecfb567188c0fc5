"""Convolutions and pools. Pads that are not even are zeros (or -inf) of their own before the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch.nn import functional

from xconv.errors import Unsupported
from xconv.onnx.call import Call
from xconv.padding import effective

__all__ = ["WINDOWS"]

_CONVOLUTIONS: Sequence[Callable[..., torch.Tensor]] = (functional.conv1d, functional.conv2d, functional.conv3d)
_TRANSPOSED: Sequence[Callable[..., torch.Tensor]] = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)
_MAX: Sequence[Callable[..., torch.Tensor]] = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
_AVERAGE: Sequence[Callable[..., torch.Tensor]] = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)
_GLOBAL_AVERAGE: Sequence[Callable[..., torch.Tensor]] = (
    functional.adaptive_avg_pool1d,
    functional.adaptive_avg_pool2d,
    functional.adaptive_avg_pool3d,
)


def _window(call: Call, kernel: Sequence[int]) -> tuple[list[int], list[int], list[list[Any]]]:
    """Strides, dilations and the (before, after) pads of every axis."""
    rank = len(kernel)
    strides = list(call.get("strides") or [1] * rank)
    dilations = list(call.get("dilations") or [1] * rank)
    given = list(call.get("pads") or [0] * 2 * rank)
    pads = [[given[axis], given[axis + rank]] for axis in range(rank)]
    auto = call.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME") and "Pool" in call.kind and set(dilations) != {1}:
        what = f"{call.kind} with dilations and auto_pad={auto!r}, where onnxruntime does not do what ONNX says"
        raise Unsupported(what, remedy="export the model with explicit pads")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sizes = call.tensor(0).shape[2:]
        pads = [_same(*row, lower=auto == "SAME_LOWER") for row in zip(sizes, kernel, strides, dilations, strict=True)]
    elif auto not in ("NOTSET", "VALID", ""):
        raise Unsupported(f"{call.kind} with auto_pad={auto!r}")
    return strides, dilations, pads


def _same(size: Any, kernel: int, stride: int, dilation: int, *, lower: bool) -> list[Any]:
    """The pads of 'same'; the odd pixel goes after, or before where `lower`. A stride of 1 does not ask the size."""
    reach = effective(kernel, dilation)
    total = reach - 1 if stride == 1 else _at_least_zero((-(-size // stride) - 1) * stride + reach - size)
    return [total - total // 2, total // 2] if lower else [total // 2, total - total // 2]


def _at_least_zero(value: Any) -> Any:
    return max(value, 0) if isinstance(value, int) else torch.sym_max(value, 0)  # type: ignore[no-untyped-call]


def _even(pads: list[list[Any]]) -> list[int] | None:
    """The pads as torch's layers take them, where they are as many before as after."""
    known = all(isinstance(size, int) and size >= 0 for pair in pads for size in pair)
    return [before for before, _ in pads] if known and all(a == b for a, b in pads) else None


def _padded(value: torch.Tensor, pads: list[list[Any]], number: float = 0.0) -> torch.Tensor:
    flat = [size for pair in reversed(pads) for size in pair]
    return functional.pad(value, flat, value=number) if any(not isinstance(n, int) or n for n in flat) else value


def _conv(call: Call) -> torch.Tensor:
    value, weight = call.tensor(0), call.tensor(1)
    bias = call.tensor(2) if call.has(2) else None
    kernel = list(weight.shape[2:])
    call.get("kernel_shape")
    strides, dilations, pads = _window(call, kernel)
    groups, even = call.get("group", 1), _even(pads)
    run = _CONVOLUTIONS[len(kernel) - 1]
    if even is None:
        value, even = _padded(value, pads), [0] * len(kernel)
    return run(value, weight, bias, strides, even, dilations, groups)


def _conv_transpose(call: Call) -> torch.Tensor:
    value, weight = call.tensor(0), call.tensor(1)
    bias = call.tensor(2) if call.has(2) else None
    kernel = list(weight.shape[2:])
    rank = len(kernel)
    call.get("kernel_shape")
    wanted, auto = call.get("output_shape"), call.attributes.get("auto_pad", b"NOTSET").decode()
    extra = list(call.get("output_padding") or [0] * rank)
    strides, dilations, pads = _window(call, kernel)
    if wanted is not None or auto.startswith("SAME"):
        sizes = wanted[-rank:] if wanted is not None else [n * s for n, s in zip(value.shape[2:], strides, strict=True)]
        rows = zip(value.shape[2:], kernel, strides, dilations, extra, sizes, strict=True)
        pads = [_transposed_pads(*row, upper=auto == "SAME_UPPER") for row in rows]
    groups, even = call.get("group", 1), _even(pads)
    run = _TRANSPOSED[rank - 1]
    if even is not None:
        return run(value, weight, bias, strides, even, extra, groups, dilations)
    # What the pads cut off is cut off afterwards; pads of less than nothing are rows that no input reaches.
    more = [e + max(-after, 0) for e, (_, after) in zip(extra, pads, strict=True)]
    result = run(value, weight, bias, strides, [0] * rank, more, groups, dilations)
    for axis, (before, after) in enumerate(pads):
        if before < 0:
            raise Unsupported("ConvTranspose with a negative pad before", remedy="export the model without it")
        if before or after > 0:
            length = result.shape[axis + 2] - before - max(after, 0)
            result = result.narrow(axis + 2, before, length)
    return result


def _transposed_pads(
    size: Any, kernel: int, stride: int, dilation: int, extra: int, wanted: Any, *, upper: bool
) -> list[Any]:
    """How much is cut off on each side so that `wanted` pixels are left. It does not depend on an open size."""
    total = stride * (size - 1) + extra + effective(kernel, dilation) - wanted
    total = int(total)
    return [total // 2, total - total // 2] if upper else [total - total // 2, total // 2]


def _max_pool(call: Call) -> torch.Tensor:
    kernel = list(call.get("kernel_shape"))
    call.only("storage_order", 0, default=0)
    if call.outputs > 1:
        raise Unsupported("the indices of a MaxPool", remedy="export the model without them")
    strides, dilations, pads = _window(call, kernel)
    ceil, even, value = bool(call.get("ceil_mode", 0)), _even(pads), call.tensor(0)
    if even is None or any(2 * pad > k for pad, k in zip(even, kernel, strict=True)):
        value, even = _padded(value, pads, float("-inf")), [0] * len(kernel)
    return _MAX[len(kernel) - 1](value, kernel, strides, even, dilations, ceil)


def _average_pool(call: Call) -> torch.Tensor:
    kernel = list(call.get("kernel_shape"))
    strides, dilations, pads = _window(call, kernel)
    if any(step != 1 for step in dilations):
        raise Unsupported("AveragePool with dilations", remedy="export the model without them")
    counted, ceil = bool(call.get("count_include_pad", 0)), bool(call.get("ceil_mode", 0))
    even, value = _even(pads), call.tensor(0)
    run = _AVERAGE[len(kernel) - 1]
    if even is not None and not any(2 * pad > k for pad, k in zip(even, kernel, strict=True)):
        return run(value, kernel, strides, even, ceil, counted)
    if counted:
        return run(_padded(value, pads), kernel, strides, 0, ceil)
    ones = torch.ones((1, 1, *value.shape[2:]), dtype=value.dtype)
    share = run(_padded(ones, pads), kernel, strides, 0, ceil)
    return run(_padded(value, pads), kernel, strides, 0, ceil) / share


def _global_average(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    return _GLOBAL_AVERAGE[value.dim() - 3](value, 1 if value.dim() == 3 else [1] * (value.dim() - 2))


def _global_max(call: Call) -> torch.Tensor:
    value = call.tensor(0)
    return torch.amax(value, dim=list(range(2, value.dim())), keepdim=True)


def _depth_to_space(call: Call) -> torch.Tensor:
    block, value = call.get("blocksize"), call.tensor(0)
    if call.get("mode", b"DCR") == b"CRD":
        return functional.pixel_shuffle(value, block)
    batch, channels, height, width = value.shape
    split = value.reshape(batch, block, block, channels // block**2, height, width)
    return split.permute(0, 3, 4, 1, 5, 2).reshape(batch, channels // block**2, height * block, width * block)


def _space_to_depth(call: Call) -> torch.Tensor:
    block, value = call.get("blocksize"), call.tensor(0)
    batch, channels, height, width = value.shape
    split = value.reshape(batch, channels, height // block, block, width // block, block)
    return split.permute(0, 3, 5, 1, 2, 4).reshape(
        batch, channels * prod((block, block)), height // block, width // block
    )


def _resize(call: Call) -> torch.Tensor:
    """Resizing that torch's interpolate computes too; every other mixture of coordinates is refused."""
    value = call.tensor(0)
    rank = value.dim() - 2
    scales = [float(item) for item in call.known(2).reshape(-1)] if call.has(2) else []
    sizes = call.sizes(3) if call.has(3) else []
    given: list[Any] = list(sizes or scales)
    lead, target = given[:2], given[2:]
    kind = call.get("mode", b"nearest").decode()
    where = call.get("coordinate_transformation_mode", b"half_pixel").decode()
    nearest = call.get("nearest_mode", b"round_prefer_floor").decode()
    cubic = call.get("cubic_coeff_a", -0.75)
    for name in ("exclude_outside", "extrapolation_value", "antialias", "axes", "keep_aspect_ratio_policy"):
        call.only(name, 0, 0.0, b"stretch")
    if len(target) != rank or (scales and not sizes and list(lead) != [1.0, 1.0]):
        raise Unsupported("Resize of other axes than those of space", remedy="export the model without it")
    aligned = where == "align_corners"
    modes = {"linear": ("linear", "bilinear", "trilinear")[rank - 1], "cubic": "bicubic", "nearest": "nearest"}
    half = where in ("half_pixel", "pytorch_half_pixel")
    fits = {
        "linear": half or aligned,
        "cubic": (half or aligned) and rank == 2 and cubic == -0.75,
        "nearest": where == "asymmetric" and nearest == "floor",
    }
    mode = modes.get(kind, "")
    if kind == "nearest" and half:
        # By its centre a pixel lies in one of the source, where the factor is whole; else only one rounding is torch's.
        fits["nearest"] = _is_whole(value, sizes, target) or nearest == "round_prefer_ceil"
        mode = "nearest" if _is_whole(value, sizes, target) else "nearest-exact"
    if not fits.get(kind, False):
        what = f"Resize with mode={kind!r}, coordinates {where!r} and {nearest!r}"
        raise Unsupported(what, remedy="no framework here resizes so; export the model with another Resize")
    options: dict[str, Any] = {"align_corners": aligned} if kind != "nearest" else {}
    if sizes:
        return functional.interpolate(value, size=target, mode=mode, **options)
    factors = [int(scale) if float(scale).is_integer() else scale for scale in target]
    if all(isinstance(factor, int) for factor in factors):
        return functional.interpolate(value, scale_factor=[float(f) for f in factors], mode=mode, **options)
    known = [int(size * scale) for size, scale in zip(value.shape[2:], factors, strict=True)]
    if any(n != size * scale for n, size, scale in zip(known, value.shape[2:], factors, strict=True)):
        raise Unsupported(f"Resize by {factors}, which is no whole size", remedy="give it sizes instead")
    return functional.interpolate(value, size=known, mode=mode, **options)


def _is_whole(value: torch.Tensor, sizes: list[Any], target: list[Any]) -> bool:
    """Whether every pixel becomes a whole number of pixels."""
    if sizes:
        return all(isinstance(n, int) and n % m == 0 for n, m in zip(target, value.shape[2:], strict=True))
    return all(float(factor).is_integer() and factor >= 1 for factor in target)


WINDOWS: Mapping[str, Callable[[Call], Any]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": _global_max,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Resize": _resize,
}
