"""Constants that TensorFlow keeps in float32 inside a float64 model, imitated in torch, so that they are recognised.

    gelu, exact           0.5 x erfc(-c x) with c = float32(1/sqrt(2))
    gelu, tanh            the factor 0.044715 of the cube
    leaky_relu, rrelu     the slope
    logaddexp2            log(2)
    Rescaling             scale and offset
    Normalization         mean and variance, where the config gives them
    ReLU                  max_value
    attention             the default scale 1/sqrt(head size)
    bilinear resize       the whole kernel computes in float32
    recurrent layers      the sum of torch's two biases, which Keras holds as one weight of float32

Each was found by experiment (Keras 3.15, TensorFlow 2.21): with it, the difference is zero or a few units of float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils.weak import WeakTensorKeyDictionary

from xconv.torch.widened import outside, plain

__all__ = ["TensorflowConstants", "float32_attributes"]


def single(value: float) -> float:
    """A number rounded to float32.

    >>> single(0.5), single(0.1)
    (0.5, 0.10000000149011612)
    """
    return float(torch.tensor(value, dtype=torch.float32))


class TensorflowConstants(TorchFunctionMode):
    """While active, float64 calls of the functions above use TensorFlow's constants.

    `used` tells for each layer what was rounded; `layer` is set by the runner to the layer that it is running.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        """`kinds` are the classes of the Keras model's layers, by path: some constants belong to some of them alone."""
        super().__init__()
        self.attention = dict(_attention_layers(kinds))
        self.kinds = frozenset(kinds.values())
        self.layer = ""
        self.used: dict[str, str] = {}
        self.single: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        """Tensors made of the result of a call that computed in float32 as a whole: a last bit of float64 in what it
        was given is one of float32 in them."""

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one torch function, with its constants rounded where TensorFlow would."""
        del types
        given = dict(kwargs or {})
        result = self._computed(func, args, given)
        if self.single and any(map(self.is_single, _tensors((args, given)))):
            written = args[:1] if result is None else result
            self.single.update((tensor, True) for tensor in _tensors(written))
        return result

    def is_single(self, tensor: Tensor) -> bool:
        """Whether the tensor was made of the result of a call that computed in float32 as a whole."""
        return tensor in self.single

    def _computed(self, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """What the function gives, with its constants rounded."""
        name = str(getattr(func, "__name__", "")).partition(".")[0]
        rule = RULES.get(name) if name not in RESIZED or self._resizes(name, args, given) else None
        kind = self._kind_of_attention() if name in SCALED else ""
        if name in SCALED and not kind:
            rule = None
        elif name == "scaled_dot_product_attention" and kind != "DotProductAttention":
            rule = _attention_layer
        elif name == "mul" and kind == "DotProductAttention":
            rule = _queries_of_operation
        if rule is not None and args and isinstance(args[0], Tensor) and plain(args[0]).dtype == torch.float64:
            found = outside(rule, args, given)
            if found is not None:
                value, text = found
                self.used[self.layer or func.__name__] = text
                if text.endswith("in float32"):
                    self.single[value] = True
                return value
        return func(*args, **given)

    def _resizes(self, name: str, args: Sequence[Any], given: Mapping[str, Any]) -> bool:
        """Whether Keras calls TensorFlow's kernel for it: where it holds a matrix of weights instead, that is exact."""
        if self.kinds & {"CenterCrop", "Resize", "Resizing"}:
            return True
        old, new = args[0].shape[2:], _new_size(name, args, given)
        return "UpSampling2D" in self.kinds and len(old) == 2 and all(b % a == 0 for a, b in zip(old, new, strict=True))

    def _kind_of_attention(self) -> str:
        """The class of the layer whose scale is kept in float32 that is running, or that holds or lies in it."""
        here = f"{_path(self.layer)}/" if self.layer else ""
        for path, kind in self.attention.items():
            part = kind == "DotProductAttention" and here.startswith(f"{path}_")  # the calls of an operation's parts
            if part or here.startswith(f"{path}/") or path.startswith(here):
                return kind
        return ""


def _attention_layers(kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The layers of a Keras model that keep the scale of attention in float32, with their classes.

    >>> list(_attention_layers({"encoder>attn": "MultiHeadAttention", "head": "Dense"}))
    [('encoder/attn', 'MultiHeadAttention')]
    """
    return ((_path(path), kind) for path, kind in kinds.items() if kind in ATTENTION)


def _path(name: str) -> str:
    """A layer's name with its levels apart, whichever side wrote it.

    >>> _path("encoder>attn"), _path("encoder.attn")
    ('encoder/attn', 'encoder/attn')
    """
    return name.replace(">", "/").replace(".", "/")


def _tensors(items: Any) -> Iterator[Tensor]:
    return (leaf for leaf in pytree.tree_leaves(items) if isinstance(leaf, Tensor))


def _argument(args: Sequence[Any], kwargs: Mapping[str, Any], place: int, name: str, default: Any) -> Any:
    return args[place] if place < len(args) else kwargs.get(name, default)


Found = tuple[Any, str] | None
Rule = Callable[[Sequence[Any], Mapping[str, Any]], Found]


def _gelu(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    x = args[0]
    if _argument(args, kwargs, 1, "approximate", "none") == "none":
        return 0.5 * x * torch.erfc(-x * single(math.sqrt(0.5))), "1/sqrt(2) of gelu"
    inner = math.sqrt(2 / math.pi) * (x + single(0.044715) * x**3)
    return 0.5 * x * (1 + torch.tanh(inner)), "0.044715 of gelu"


def _leaky_relu(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    slope = _argument(args, kwargs, 1, "negative_slope", 0.01)
    if single(slope) == slope:
        return None
    return torch.where(args[0] > 0, args[0], args[0] * single(slope)), f"slope {slope:g}"


def _rrelu(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    """In inference alone, where it has one slope."""
    if _argument(args, kwargs, 3, "training", False):
        return None
    lower, upper = _argument(args, kwargs, 1, "lower", 1 / 8), _argument(args, kwargs, 2, "upper", 1 / 3)
    return _leaky_relu((args[0], (lower + upper) / 2), {})


def _logaddexp2(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    first, second = args[0], _argument(args, kwargs, 1, "other", None)
    change, base = first - second, single(math.log(2))
    found = torch.maximum(first, second) + torch.log1p(torch.exp(-change.abs() * base)) / base
    return torch.where(change.isnan(), first + second, found), "log(2) of logaddexp2"


def _attention(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    size = args[0].shape[-1]
    exact, rounded = 1 / math.sqrt(size), float(1 / torch.tensor(size, dtype=torch.float32).sqrt())
    if _argument(args, kwargs, 6, "scale", None) is not None or exact == rounded:
        return None
    options = {**kwargs, "scale": rounded}
    return nn.functional.scaled_dot_product_attention(*args[:6], **options), "1/sqrt(head size) of attention"


def _attention_layer(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    """The same inside a Keras layer, which takes the root in double precision."""
    exact = 1 / math.sqrt(args[0].shape[-1])
    given = _argument(args, kwargs, 6, "scale", None)
    if single(exact) == exact or given not in (None, exact):
        return None
    options = {**kwargs, "scale": single(exact)}
    return nn.functional.scaled_dot_product_attention(*args[:6], **options), "1/sqrt(head size) of attention"


def _queries(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    """The queries of attention that is written in products, times the scale."""
    given = _argument(args, kwargs, 1, "other", None)
    if not isinstance(given, float) or given != args[0].shape[-1] ** -0.5 or single(given) == given:
        return None
    return torch.mul(args[0], single(given)), "1/sqrt(head size) of attention"


def _queries_of_operation(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    """The same for the operation, whose default scale TensorFlow computes in float32."""
    given, size = _argument(args, kwargs, 1, "other", None), args[0].shape[-1]
    if not isinstance(given, float):
        return None
    rounded = float(1 / torch.tensor(size, dtype=torch.float32).sqrt()) if given == size**-0.5 else single(given)
    return None if rounded == given else (torch.mul(args[0], rounded), "the scale of attention")


def _heads(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    """torch.nn.MultiheadAttention: its queries' projection, turned by what rounding does to the scale."""
    size = args[0].shape[-1] // args[4]
    ratio = single(1 / math.sqrt(size)) * math.sqrt(size)
    if ratio == 1.0:
        return None
    given, options, embedded = list(args), dict(kwargs), args[0].shape[-1]
    if options.get("use_separate_proj_weight"):
        options["q_proj_weight"] = options["q_proj_weight"] * ratio
    else:
        given[5] = torch.cat([args[5][:embedded] * ratio, args[5][embedded:]])
    if args[6] is not None:
        given[6] = torch.cat([args[6][:embedded] * ratio, args[6][embedded:]])
    return nn.functional.multi_head_attention_forward(*given, **options), "1/sqrt(head size) of attention"


def _interpolate(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    x = args[0]
    mode = _argument(args, kwargs, 3, "mode", "nearest")
    if mode != "bilinear" or kwargs.get("antialias") or kwargs.get("align_corners"):
        return None
    return _bilinear(x, _new_size("interpolate", args, kwargs)), "bilinear resize in float32"


def _upsample(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
    if _argument(args, kwargs, 2, "align_corners", False):
        return None
    return _bilinear(args[0], _new_size("upsample_bilinear2d", args, kwargs)), "bilinear resize in float32"


def _recurrent(name: str) -> Rule:
    """For torch.lstm and its like: the first bias is the sum of both in float32, the second nothing."""
    function = getattr(torch, name)

    def rule(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found:
        if not isinstance(args[2], list) or not args[3]:
            return None
        weights, changed = list(args[2]), False
        for place in range(2, len(weights), BIASED):
            first, second = weights[place : place + 2]
            total = (first.float() + second.float()).to(first.dtype)
            given = all(torch.equal(bias.float().to(bias.dtype), bias) for bias in (first, second))
            if given and not torch.equal(first + second, total):
                weights[place], weights[place + 1], changed = total, torch.zeros_like(second), True
        return (function(*args[:2], weights, *args[3:], **kwargs), "the sum of two biases") if changed else None

    return rule


def _new_size(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width that torch's function is asked for."""
    (first, size), (second, scale) = RESIZED[name]
    return _target_size(
        args[0], _argument(args, kwargs, first, size, None), _argument(args, kwargs, second, scale, None)
    )


def _target_size(x: Tensor, size: Any, scale: Any) -> tuple[int, int]:
    if size is not None:
        return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
    factors = scale if isinstance(scale, Sequence) else (scale, scale)
    return int(x.shape[2] * factors[0]), int(x.shape[3] * factors[1])


def _bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """TensorFlow's kernel (half-pixel centres), bit for bit, for NCHW."""
    values = x.float()
    top, bottom, down = _taps(size[0], values.shape[2], x.device)
    left, right, across = _taps(size[1], values.shape[3], x.device)
    upper, lower = values[:, :, top], values[:, :, bottom]
    first = upper[..., left] + (upper[..., right] - upper[..., left]) * across
    second = lower[..., left] + (lower[..., right] - lower[..., left]) * across
    return (first + (second - first) * down[:, None]).to(x.dtype)


def _taps(new: int, old: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For every new place the two old ones next to it, and how far it lies from the first."""
    step = torch.tensor(old, dtype=torch.float32) / torch.tensor(new, dtype=torch.float32)
    place = (torch.arange(new, dtype=torch.float32) + 0.5) * step - 0.5
    floor = place.floor()
    before, after = floor.clamp(min=0).long(), place.ceil().clamp(max=old - 1).long()
    return before.to(device), after.to(device), (place - floor).to(device)


BIASED = 4
"""How many weights a recurrent layer with biases has for each direction: two kernels, two biases."""

RULES: dict[str, Rule] = {
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "logaddexp2": _logaddexp2,
    "mul": _queries,
    "rrelu": _rrelu,
    "multi_head_attention_forward": _heads,
    "scaled_dot_product_attention": _attention,
    "interpolate": _interpolate,
    "upsample_bilinear2d": _upsample,
    **{name: _recurrent(name) for name in ("lstm", "rnn_tanh", "rnn_relu")},
}

SCALED = frozenset({"mul", "multi_head_attention_forward", "scaled_dot_product_attention"})
"""Functions with a scale of 1/sqrt(head size)."""

RESIZED = {
    "interpolate": ((1, "size"), (2, "scale_factor")),
    "upsample_bilinear2d": ((1, "output_size"), (3, "scale_factors")),
}
"""Where torch's functions take the new size, and how many times the old one it is."""

ATTENTION = frozenset({"DotProductAttention", "GroupQueryAttention", "GroupedQueryAttention", "MultiHeadAttention"})
"""The Keras classes that keep it in float32."""

ATTRIBUTES = {"Rescaling": ("scale", "offset"), "Normalization": ("constants",), "ClippedReLU": ("max_value",)}


@contextmanager
def float32_attributes(module: nn.Module) -> Iterator[dict[str, str]]:
    """Rounds the constants of xconv's own modules inside `module`, and restores them; yields what was rounded."""
    rounded: dict[str, str] = {}
    saved: list[tuple[nn.Module, str, Any]] = []
    for path, child in module.named_modules():
        for name in ATTRIBUTES.get(type(child).__name__, ()):
            old = getattr(child, name, None)
            new = _single(old)
            if new != old:
                saved.append((child, name, old))
                setattr(child, name, new)
                rounded[path] = "mean and variance" if name == "constants" else name.replace("_", " ")
    try:
        yield rounded
    finally:
        for child, name, old in saved:
            setattr(child, name, old)


def _single(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_single(item) for item in value)
    return single(value) if isinstance(value, float) else value
