"""Layers of torch.nn without weights, made of specs: pools, pads, activations; and the pads of live ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from xconv.errors import Unsupported
from xconv.layers.activation import Activation
from xconv.layers.conv import Conv
from xconv.layers.geometry import flat_pads
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool, fits_torch
from xconv.padding import Pads, effective, is_symmetric, zero_pads
from xconv.spec import Spec
from xconv.torch.modules.windows import AveragePool, SamePad
from xconv.torch.targets import resolve_target

__all__ = ["CONVS", "POOLS", "TIMM", "before_window", "layer_of", "needs_other_class", "outer_pads", "pool_of"]

CONVS = nn.Conv1d, nn.Conv2d, nn.Conv3d
POOLS = nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d
TIMM = frozenset({"Conv2dSame", "MaxPool2dSame", "AvgPool2dSame"})
"""timm's subclasses that pad as TensorFlow's SAME in `forward` and are torch.nn's own layers apart from that."""
LOWEST = float("-inf")


def before_window(spec: Conv | Pool, zeros: Pads) -> tuple[nn.Module | None, tuple[int, ...]]:
    """What must come before a layer of torch.nn with these windows, and its own padding.

    Args:
        spec: the windows; an average that leaves uneven pads out has no such layer.
        zeros: zeros around the input before.
    """
    rank, padding = len(spec.kernel), spec.padding
    steps: list[nn.Module] = [_constant(zeros, 0.0)] if any(map(any, zeros)) else []
    own = (0,) * rank
    value = LOWEST if isinstance(spec, Pool) and spec.kind == "max" else 0.0
    if padding is None:
        dilation = spec.dilation if isinstance(spec, Conv) else (1,) * rank
        steps.append(SamePad(spec.kernel, spec.stride, dilation, value))
    elif is_symmetric(padding) and (isinstance(spec, Conv) or fits_torch(padding, spec.kernel)):
        own = tuple(before for before, _ in padding)
    else:
        steps.append(_constant(padding, value))
    return (steps[0] if len(steps) == 1 else nn.Sequential(*steps)) if steps else None, own


def pool_of(spec: Pool, zeros: Pads | None = None) -> nn.Module:
    """A pool, with what must come before it."""
    rank = len(spec.kernel)
    zeros = zeros or zero_pads(rank)
    if spec.kind == "average" and not spec.counts_pads and not _says(spec.padding, spec):
        pool: nn.Module = AveragePool(spec.kernel, spec.stride, spec.padding)
        return nn.Sequential(_constant(zeros, 0.0), pool) if any(map(any, zeros)) else pool
    before, padding = before_window(spec, zeros)
    options: dict[str, Any] = {} if spec.kind == "max" else {"count_include_pad": spec.counts_pads}
    name = f"{'Max' if spec.kind == 'max' else 'Avg'}Pool{rank}d"
    pool = getattr(nn, name)(_plain(spec.kernel), _plain(spec.stride), _plain(padding), **options)
    return pool if before is None else nn.Sequential(before, pool)


def layer_of(spec: Spec) -> nn.Module:
    """A layer without weights.

    Raises:
        Unsupported: torch has no layer for it.
    """
    if isinstance(spec, Pool):
        return pool_of(spec)
    if isinstance(spec, Pad):
        return _constant(spec.pads, 0.0)
    if isinstance(spec, Activation):
        call = spec.to_torch({}, ())
        kind = resolve_target(call.target)
        if isinstance(kind, type) and issubclass(kind, nn.Module):
            return kind(*(item for item in call.args if isinstance(item, (int, float))), **call.config)
    raise Unsupported(f"{spec} is no layer of torch by itself")


def needs_other_class(module: nn.Module, spec: Pool) -> bool:
    """Whether no settings of a pool make it another: of another kind, or a mean that leaves uneven pads out."""
    kind = "max" if isinstance(module, POOLS[:3]) else "average"
    uneven = not isinstance(pool_of(spec), (*POOLS, nn.Sequential))
    return kind != spec.kind or uneven


def outer_pads(module: nn.Module, spec: Conv | Pool) -> Pads:
    """How much of the padding that a layer has in the network stands outside the module: a pad layer, F.pad.

    Raises:
        Unsupported: it is not known how the module pads.
    """
    rank = len(spec.kernel)
    if spec.padding is None or TIMM & {kind.__name__ for kind in type(module).__mro__}:
        return zero_pads(rank)
    own = _own(module, spec, rank)
    pairs = zip(spec.padding, own, strict=True)
    return tuple((total[0] - mine[0], total[1] - mine[1]) for total, mine in pairs)


def _own(module: nn.Module, spec: Conv | Pool, rank: int) -> Pads:
    said: Any = module.padding
    if said == "same" and isinstance(spec, Conv):
        total = [effective(k, d) - 1 for k, d in zip(spec.kernel, spec.dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in total)
    if isinstance(said, str):
        return zero_pads(rank)
    sizes = (said,) * rank if isinstance(said, int) else tuple(said)
    own = tuple((size, size) for size in sizes)
    before = getattr(module, "before", None)
    if before is None and getattr(module, "ceil_mode", False) and spec.padding is not None:
        # Rounding up, it makes room for a last window: pads behind the map are its own where those before it are.
        alike = all(total[0] == mine[0] for total, mine in zip(spec.padding, own, strict=True))
        return spec.padding if alike else own
    if before is None:
        return own
    if not isinstance(before, nn.modules.padding._ConstantPadNd):
        raise Unsupported(f"it is padded by {before} already", place=type(module).__name__)
    flat = tuple(before.padding)
    first = [(flat[place], flat[place + 1]) for place in range(2 * rank - 2, -1, -2)]
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(own, first, strict=True))


def _says(padding: Pads | None, spec: Pool) -> bool:
    return padding is not None and fits_torch(padding, spec.kernel)


def _constant(pads: Pads, value: float) -> nn.Module:
    flat = flat_pads(pads)
    if value:
        return getattr(nn, f"ConstantPad{len(pads)}d")(flat, value)  # type: ignore[no-any-return]
    return getattr(nn, f"ZeroPad{len(pads)}d")(flat)  # type: ignore[no-any-return]


def _plain(sizes: Sequence[int]) -> Any:
    """One number where all are the same."""
    return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)
