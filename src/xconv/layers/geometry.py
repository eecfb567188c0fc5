"""What the spatial families share: sizes, the channel axis, and Keras's words for padding <-> explicit pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from xconv.errors import Mismatch, Unsupported
from xconv.padding import Pads, causal, is_symmetric, out_size, same_pads, zero_pads
from xconv.spec import AtenCall, KerasLayer, Shape, Slot, TorchCall
from xconv.weights import Weight

__all__ = [
    "Sizes",
    "channel_axis",
    "check_batched",
    "check_rank",
    "convolution_of",
    "data_format",
    "flat_pads",
    "keras_padding",
    "pads_of",
    "positions",
    "sizes",
    "spatial",
    "torch_padding",
    "windows",
    "zero_padding",
]

Sizes: TypeAlias = tuple[int, ...]


def sizes(value: Any, rank: int, what: str = "size") -> Sizes:
    """One positive integer per spatial axis, from a number or a sequence.

    >>> sizes(3, 2), sizes([1, 2], 2)
    ((3, 3), (1, 2))
    """
    result = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(result) != rank or any(not isinstance(size, int) or size < 1 for size in result):
        raise Mismatch(f"{what}={value!r} must be {rank} positive integers")
    return result


def check_rank(layer: KerasLayer, rank: int) -> None:
    """Refuse an input that has not `rank` spatial axes beside batch and channels."""
    if len(layer.inputs[0]) != rank + 2:
        raise Mismatch(f"{layer.kind} needs an input of rank {rank + 2}, it gets {layer.inputs[0]}")


def check_batched(call: AtenCall, rank: int) -> None:
    """Refuse an input of a torch call that has not `rank` spatial axes beside batch and channels."""
    if len(call.inputs[0]) != rank + 2:
        raise Mismatch(f"{call.op} gets an input of shape {call.inputs[0]}", remedy="give it a batch axis")


def convolution_of(call: AtenCall) -> tuple[dict[str, Weight], Sizes, Sizes, Sizes]:
    """What both kinds of convolution have in torch: the weights by role, the kernel, the stride and the dilation.

    Raises:
        Mismatch: an input without a batch axis.
    """
    weights = call.named(kernel="weight", bias="bias")
    kernel, rank = weights["kernel"].shape[2:], int(call.op[-2])
    call.get("input")
    check_batched(call, rank)
    return weights, kernel, call.sizes("stride", rank), call.sizes("dilation", rank)


def channel_axis(layer: KerasLayer) -> int:
    """The channel axis that `data_format` names; channels-last where the config is silent."""
    word = layer.get("data_format") or "channels_last"
    if word not in ("channels_last", "channels_first"):
        raise Mismatch(f"data_format={word!r} is neither 'channels_last' nor 'channels_first'")
    return 1 if word == "channels_first" else len(layer.inputs[0]) - 1


def data_format(axis: int) -> str:
    """Keras's word for a channel axis; axis 1 is channels-first."""
    return "channels_first" if axis == 1 else "channels_last"


def spatial(shape: Shape, axis: int) -> Shape:
    """The spatial sizes: all but the batch and the channel axis.

    >>> spatial((None, 8, 9, 3), 3), spatial((None, 3, 8, 9), 1)
    ((8, 9), (8, 9))
    """
    return tuple(size for place, size in enumerate(shape) if place not in (0, axis))


def pads_of(layer: KerasLayer, axis: int, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Pads | None:
    """Keras's `padding` word as explicit pads; None where 'same' depends on a size known only at run time."""
    word = layer["padding"]
    if word == "valid":
        return zero_pads(len(kernel))
    if word == "same":
        return same_pads(spatial(layer.inputs[0], axis), kernel, stride, dilation)
    if word == "causal" and len(kernel) == 1:
        return (causal(kernel[0], dilation[0]),)
    raise Unsupported(f"padding={word!r}", remedy="use 'valid' or 'same'")


def keras_padding(
    pads: Pads | None, shape: Shape, axis: int, kernel: Sizes, stride: Sizes, dilation: Sizes, value: float = 0.0
) -> tuple[str, Slot | KerasLayer]:
    """What Keras is given: the word that means these pads for inputs of this shape, and the (padded) input.

    Where no word means them, a pad of `value` comes before, and the word is 'valid'.
    """
    if pads is not None and not any(map(any, pads)):
        return "valid", Slot(0)
    if pads is None or pads == same_pads(spatial(shape, axis), kernel, stride, dilation):
        return "same", Slot(0)
    if len(kernel) == 1 and value == 0.0 and pads == (causal(kernel[0], dilation[0]),):
        return "causal", Slot(0)
    if value == 0.0:
        return "valid", zero_padding(pads, axis)
    every = iter(pads)
    full = tuple((0, 0) if place in (0, axis) else next(every) for place in range(len(shape)))
    config = {"pad_width": full, "mode": "constant"}
    options = {"constant_values": value}
    return "valid", KerasLayer("ops.Pad", config, args=(Slot(0),), kwargs=options, name="pad")


def zero_padding(pads: Pads, axis: int) -> KerasLayer:
    """The layer that puts these zeros around its input, as an argument of another layer."""
    config = {"padding": pads if len(pads) > 1 else pads[0], "data_format": data_format(axis)}
    return KerasLayer(f"ZeroPadding{len(pads)}D", config, args=(Slot(0),), name="pad")


def positions(shape: Shape, axis: int, kernel: Sizes, stride: Sizes, dilation: Sizes, pads: Pads | None) -> Shape:
    """The shape with the number of window positions along each spatial axis; None pads are SAME."""
    before = spatial(shape, axis)
    if pads is None:
        after = tuple(None if n is None else -(-n // s) for n, s in zip(before, stride, strict=True))
    else:
        after = tuple(out_size(*part) for part in zip(before, kernel, stride, dilation, pads, strict=True))
    return windows(shape, axis, after)


def flat_pads(pads: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The pads as torch.nn.functional.pad takes them: last axis first.

    >>> flat_pads(((1, 2), (3, 4)))
    (3, 4, 1, 2)
    """
    return tuple(size for pair in reversed(pads) for size in pair)


def torch_padding(
    pads: Pads | None, kernel: Sizes, stride: Sizes, dilation: Sizes, value: float = 0.0
) -> tuple[Sizes, Any]:
    """What torch is given: the symmetric `padding=` argument, and the (padded) input expression.

    Symmetric pads go into the layer itself, uneven ones into a pad before it, unknown ones into a run-time module.
    """
    nothing = (0,) * len(kernel)
    if pads is None:
        config = {"kernel_size": kernel, "stride": stride, "dilation": dilation, "value": value}
        return nothing, TorchCall("xconv.torch.modules.SamePad", config=config, name="pad")
    if is_symmetric(pads) and all(2 * before <= k or value == 0.0 for (before, _), k in zip(pads, kernel, strict=True)):
        return tuple(before for before, _ in pads), Slot(0)
    options = {"value": value} if value else {}
    return nothing, TorchCall("torch.nn.functional.pad", (Slot(0), flat_pads(pads)), options)


def windows(shape: Shape, axis: int, sizes_after: Sequence[int | None]) -> Shape:
    """A shape with other spatial sizes.

    >>> windows((None, 8, 9, 3), 3, (4, 5))
    (None, 4, 5, 3)
    """
    rest = iter(sizes_after)
    return tuple(size if place in (0, axis) else next(rest) for place, size in enumerate(shape))
