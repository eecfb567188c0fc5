"""The variables that a Keras layer creates, from its config: role, shape where it follows, whether it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from xconv.errors import Unreadable
from xconv.keras.composites import TENSORFLOW_KINDS, Part, is_operation
from xconv.keras.defaults import DEFAULTS
from xconv.spec import Shape

__all__ = ["Role", "expected", "fits", "in_full"]

Config: TypeAlias = Mapping[str, Any]
Channels: TypeAlias = int | None


@dataclass(frozen=True, slots=True)
class Role:
    """One variable; None in the shape fits any size, a shape of None fits any shape."""

    name: str
    shape: Shape | None = None
    trained: bool = True


def in_full(part: Part) -> Config:
    """The config with the constructor's defaults filled in."""
    return {**DEFAULTS.get(part.kind, {}), **part.config}


def fits(role: Role, shape: tuple[int, ...]) -> bool:
    """Whether a variable of this shape can have this role."""
    if role.shape is None:
        return True
    return len(shape) == len(role.shape) and all(
        want in (None, size) for want, size in zip(role.shape, shape, strict=True)
    )


def expected(part: Part, entering: Shape | None) -> tuple[Role, ...] | None:
    """The variables in creation order for an input of shape `entering`; None where the class is not known here.

    >>> expected(Part("Dense", {"units": 2, "use_bias": False}), (None, 3))
    (Role(name='kernel', shape=(3, 2), trained=True),)
    >>> expected(Part("CustomScaleLayer", {"scale": 0.1}), None)  # of InceptionResNetV2
    ()

    Raises:
        Unreadable: numbers in the config that no layer can have.
    """
    rule = _RULES.get(part.kind)
    if rule is None:
        return () if part.kind in DEFAULTS or part.kind in TENSORFLOW_KINDS or is_operation(part) else None
    config = in_full(part)
    try:
        return rule(config, entering)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise Unreadable(f"the config of this {part.kind} cannot be read: {error!r}") from error


def _count(config: Config, key: str) -> int:
    value = config[key]
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 < value < 2**31:
        raise Unreadable(f"{key}={value!r} is not a positive whole number", remedy="save the model again")
    return value


def _sizes(config: Config, key: str, rank: int) -> tuple[int, ...]:
    value = config[key]
    sizes = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(sizes) != rank or any(type(size) is not int or not 0 < size < 2**31 for size in sizes):
        raise Unreadable(f"{key}={value!r} is not {rank} positive whole numbers", remedy="save the model again")
    return sizes


def _channels(config: Config, entering: Shape | None) -> Channels:
    if entering is None or len(entering) < 2:
        return None
    return entering[1 if config.get("data_format") == "channels_first" else -1]


def _bias(config: Config, size: int | None) -> tuple[Role, ...]:
    return (Role("bias", (size,)),) if config.get("use_bias", True) else ()


def _dense(config: Config, entering: Shape | None) -> tuple[Role, ...]:
    units = _count(config, "units")
    return Role("kernel", (entering[-1] if entering else None, units)), *_bias(config, units)


def _conv(rank: int, transposed: bool) -> Callable[[Config, Shape | None], tuple[Role, ...]]:
    def rule(config: Config, entering: Shape | None) -> tuple[Role, ...]:
        filters, groups = _count(config, "filters"), 1 if transposed else _count({"groups": 1, **config}, "groups")
        channels = _channels(config, entering)
        inner = channels // groups if channels is not None else None
        last = (filters, inner) if transposed else (inner, filters)
        return Role("kernel", (*_sizes(config, "kernel_size", rank), *last)), *_bias(config, filters)

    return rule


def _depthwise(rank: int) -> Callable[[Config, Shape | None], tuple[Role, ...]]:
    def rule(config: Config, entering: Shape | None) -> tuple[Role, ...]:
        channels, factor = _channels(config, entering), _count(config, "depth_multiplier")
        kernel = (*_sizes(config, "kernel_size", rank), channels, factor)
        return Role("kernel", kernel), *_bias(config, channels * factor if channels is not None else None)

    return rule


def _separable(rank: int) -> Callable[[Config, Shape | None], tuple[Role, ...]]:
    def rule(config: Config, entering: Shape | None) -> tuple[Role, ...]:
        channels, factor = _channels(config, entering), _count(config, "depth_multiplier")
        filters, wide = _count(config, "filters"), channels * factor if channels is not None else None
        depthwise = Role("depthwise_kernel", (*_sizes(config, "kernel_size", rank), channels, factor))
        return depthwise, Role("pointwise_kernel", (*((1,) * rank), wide, filters)), *_bias(config, filters)

    return rule


def _axis_sizes(config: Config, entering: Shape | None) -> Shape | None:
    axis = config.get("axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    return tuple(entering[each] for each in axes) if entering else None


def _scale_and_shift(config: Config, shape: Shape | None) -> tuple[Role, ...]:
    gamma = (Role("gamma", shape),) if config.get("scale", True) else ()
    return (*gamma, Role("beta", shape)) if config.get("center", True) else gamma


def _batch_norm(config: Config, entering: Shape | None) -> tuple[Role, ...]:
    shape = _axis_sizes(config, entering)
    renorm = ("moving_stddev", "renorm_mean", "renorm_stddev") if config.get("renorm") else ()
    statistics = [Role(name, shape, trained=False) for name in ("moving_mean", "moving_variance")]
    return *_scale_and_shift(config, shape), *statistics, *(Role(name, trained=False) for name in renorm)


def _layer_norm(config: Config, entering: Shape | None) -> tuple[Role, ...]:
    shape = _axis_sizes(config, entering)
    return (Role("gamma", shape),) if config.get("rms_scaling") else _scale_and_shift(config, shape)


def _cell(gates: int) -> Callable[[Config, Shape | None], tuple[Role, ...]]:
    def rule(config: Config, entering: Shape | None) -> tuple[Role, ...]:
        units = _count(config, "units")
        wide = gates * units
        kernels = Role("kernel", (entering[-1] if entering else None, wide)), Role("recurrent_kernel", (units, wide))
        if not config.get("use_bias", True):
            return kernels
        return *kernels, Role("bias", (2, wide) if gates == 3 and config.get("reset_after", True) else (wide,))

    return rule


def _conv_cell(config: Config, _: Shape | None) -> tuple[Role, ...]:
    filters = _count(config, "filters")
    return Role("kernel"), Role("recurrent_kernel"), *_bias(config, 4 * filters)


def _einsum_dense(config: Config, _: Shape | None) -> tuple[Role, ...]:
    return (Role("kernel"), Role("bias")) if config.get("bias_axes") else (Role("kernel"),)


def _embedding(config: Config, _: Shape | None) -> tuple[Role, ...]:
    return (Role("embeddings", (_count(config, "input_dim"), _count(config, "output_dim"))),)


def _attention(config: Config, _: Shape | None) -> tuple[Role, ...]:
    scale = (Role("scale"),) if config.get("use_scale") else ()
    return (*scale, Role("concat_score_weight")) if config.get("score_mode") == "concat" else scale


_RULES: Mapping[str, Callable[[Config, Shape | None], tuple[Role, ...] | None]] = {
    "Dense": _dense,
    "EinsumDense": _einsum_dense,
    "Embedding": _embedding,
    **{f"Conv{rank}D": _conv(rank, False) for rank in (1, 2, 3)},
    **{f"Conv{rank}DTranspose": _conv(rank, True) for rank in (1, 2, 3)},
    **{f"DepthwiseConv{rank}D": _depthwise(rank) for rank in (1, 2)},
    **{f"SeparableConv{rank}D": _separable(rank) for rank in (1, 2)},
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": lambda config, entering: _scale_and_shift(config, _axis_sizes(config, entering)),
    "RMSNormalization": lambda config, entering: (Role("scale", _axis_sizes(config, entering)),),
    "SpectralNormalization": lambda _config, _entering: (Role("vector_u", trained=False),),
    "PReLU": lambda _config, _entering: (Role("alpha"),),
    "Attention": _attention,
    "AdditiveAttention": lambda config, _entering: (Role("scale"),) if config.get("use_scale", True) else (),
    "LSTMCell": _cell(4),
    "GRUCell": _cell(3),
    "SimpleRNNCell": _cell(1),
    "ConvLSTMCell": _conv_cell,
    "Normalization": lambda config, _entering: None if config["mean"] is None else (),
    "ReversibleEmbedding": lambda _config, _entering: None,
    "CustomScaleLayer": lambda _config, _entering: (),
}
