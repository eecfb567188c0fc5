"""Layers of Keras that torch has no module for, captured as one call of xconv's own module.

before   Rescaling(0.5, -1)(x) is x * 0.5 + -1 in the exported program, an addition and a product
after    xconv::rescaling(x, [0.5], [-1.0], 1)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from xconv.torch.custom import custom_call
from xconv.torch.described import told
from xconv.torch.modules.adapted import Adapted
from xconv.torch.modules.conv_lstm import ConvLSTM
from xconv.torch.modules.described import Described
from xconv.torch.modules.recurrent_form import KerasForm
from xconv.torch.modules.scale import Normalization, Rescaling
from xconv.torch.modules.windows import AveragePool, SamePad
from xconv.torch.replaced import replaced
from xconv.torch.whole_layers import layer_call

__all__ = ["whole"]


@torch.library.custom_op("xconv::rescaling", mutates_args=())
def rescaling(x: Tensor, scale: Sequence[float], offset: Sequence[float], axis: int) -> Tensor:
    """x * scale + offset; each one number, or one along the axis."""
    result: Tensor = Rescaling(_numbers(scale), _numbers(offset), axis)(x)
    return result


@torch.library.custom_op("xconv::normalization", mutates_args=())
def normalization(x: Tensor, mean: Tensor, variance: Tensor, invert: bool) -> Tensor:
    """(x - mean) / max(sqrt(variance), 1e-7), or the way back."""
    deviation = variance.sqrt().clamp(min=1e-7)
    return mean + x * deviation if invert else (x - mean) / deviation


@torch.library.custom_op("xconv::same_pad", mutates_args=())
def same_pad(x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], value: float) -> Tensor:
    """Pads as TensorFlow's SAME does for the size that arrives."""
    result: Tensor = SamePad(kernel, stride, dilation, value)(x)
    return result.clone()


@torch.library.custom_op("xconv::same_average", mutates_args=())
def same_average(x: Tensor, kernel: Sequence[int], stride: Sequence[int], pads: Sequence[int]) -> Tensor:
    """The mean of each window's real pixels; without pads, as TensorFlow's SAME."""
    result: Tensor = AveragePool(kernel, stride, tuple(zip(pads[::2], pads[1::2], strict=True)) or None)(x)
    return result


@torch.library.custom_op("xconv::recurrent", mutates_args=())
def recurrent(
    x: Tensor, states: Sequence[Tensor], mask: Tensor | None, params: Sequence[Tensor], settings: str
) -> list[Tensor]:
    """A recurrent layer of xconv's own that is more than torch's kernel; `settings` is a JSON object."""
    raise NotImplementedError(f"only recorded, never run: {settings}")


def _recurred(
    x: Tensor,
    states: Sequence[Tensor],  # noqa: ARG001
    mask: Tensor | None,  # noqa: ARG001
    params: Sequence[Tensor],
    settings: str,
) -> list[Tensor]:
    said = json.loads(settings)
    units, ways = params[1].shape[1], 2 if said["both"] else 1
    shapes = [(x.shape[0], x.shape[1], units) if said["sequences"] else (x.shape[0], units)] * ways
    if said["merge"] is not None:
        shapes = [(*shapes[0][:-1], units * (ways if said["merge"] == "concat" else 1))]
    count = ways * (2 if said["kind"] == "lstm" else 1) if said["states"] else 0
    return [x.new_empty(shape) for shape in (*shapes, *((x.shape[0], units),) * count)]


@torch.library.custom_op("xconv::conv_recurrent", mutates_args=())
def conv_recurrent(
    x: Tensor, states: Sequence[Tensor], mask: Tensor | None, params: Sequence[Tensor], settings: str
) -> list[Tensor]:
    """A ConvLSTM of xconv's own; `settings` is a JSON object."""
    raise NotImplementedError(f"only recorded, never run: {settings}")


def _convolved(
    x: Tensor,
    states: Sequence[Tensor],  # noqa: ARG001
    mask: Tensor | None,  # noqa: ARG001
    params: Sequence[Tensor],
    settings: str,
) -> list[Tensor]:
    said = json.loads(settings)
    filters, _, *kernel = params[0].shape
    maps = [size for place, size in enumerate(x.shape) if place > 1 and place != said["axis"]]
    geometry = zip(maps, kernel, said["stride"], said["dilation"], said["padding"], strict=True)
    after = [(n + sum(pads) - (k - 1) * d - 1) // s + 1 for n, k, s, d, pads in geometry]
    after.insert(said["axis"] - 2, filters // 4)
    output = (x.shape[0], x.shape[1], *after) if said["sequences"] else (x.shape[0], *after)
    return [x.new_empty(shape) for shape in (output, *((x.shape[0], *after),) * (2 if said["states"] else 0))]


def _floating(x: Tensor) -> Tensor:
    return torch.empty_like(x, dtype=x.dtype if x.is_floating_point() else torch.get_default_dtype())


def _padded(x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], value: float) -> Tensor:
    result: Tensor = SamePad(kernel, stride, dilation, value)(x)
    return result


def _averaged(x: Tensor, kernel: Sequence[int], stride: Sequence[int], pads: Sequence[int]) -> Tensor:
    result: Tensor = AveragePool(kernel, stride, tuple(zip(pads[::2], pads[1::2], strict=True)) or None)(x)
    return result


same_pad.register_fake(_padded)
same_average.register_fake(_averaged)
recurrent.register_fake(_recurred)
conv_recurrent.register_fake(_convolved)
rescaling.register_fake(lambda x, scale, offset, axis: _floating(x))
normalization.register_fake(lambda x, mean, variance, invert: _floating(x))


def whole(module: nn.Module) -> AbstractContextManager[None]:
    """The module with such layers as one call each; as it was afterwards."""
    return replaced(module, _method)


def _method(module: nn.Module) -> tuple[str, Callable[..., Any]] | None:
    """The method that says the module in one call; None where it is said otherwise."""
    if isinstance(module, ConvLSTM):
        return "_whole", _in_one(module, conv_recurrent, module.params)
    if isinstance(module, KerasForm):
        return None if module.is_plain else ("_whole", _recurrent(module))
    call = custom_call(module) or layer_call(module) or _call(module)
    if call is not None and isinstance(module, Adapted):
        call = partial(module.within, call)
    return None if call is None else ("forward", call)


def _recurrent(module: KerasForm) -> Callable[..., Any]:
    """A recurrent layer that is more than torch's kernel, in one call."""
    ways = range(2 if module.bidirectional else 1)
    return _in_one(module, recurrent, lambda: [weight for way in ways for weight in module.params(way)])


def _in_one(
    module: KerasForm | ConvLSTM, operator: Callable[..., list[Tensor]], params: Callable[[], list[Tensor]]
) -> Callable[..., Any]:
    """The call of an operator in the place of all steps."""
    settings = json.dumps(module.settings())

    def call(x: Tensor, *rest: Tensor) -> Any:
        mask, states = (rest[0], rest[1:]) if module.masked else (None, rest)
        given = operator(x, states, mask, params(), settings)
        return given[0] if len(given) == 1 else tuple(given)

    return call


def _call(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What the module says in one call; None where it is said otherwise."""
    if isinstance(module, Described):
        return told(module)
    if isinstance(module, Rescaling):
        scale, offset, axis = _list(module.scale), _list(module.offset), module.axis
        return lambda x: rescaling(x, scale, offset, axis)
    if isinstance(module, SamePad):
        window = list(module.kernel_size), list(module.stride), list(module.dilation), float(module.value)
        return lambda x: same_pad(x, *window)
    if isinstance(module, AveragePool):
        pads = [size for pair in module.padding or () for size in pair]
        return lambda x: same_average(x, list(module.kernel_size), list(module.stride), pads)
    if isinstance(module, Normalization) and module.constants is None:
        invert = module.invert
        return lambda x: normalization(x, module.mean, module.variance, invert)
    return None


def _list(numbers: Any) -> list[float]:
    return [float(number) for number in numbers] if isinstance(numbers, Sequence) else [float(numbers)]


def _numbers(numbers: Sequence[float]) -> Any:
    return numbers[0] if len(numbers) == 1 else tuple(numbers)
