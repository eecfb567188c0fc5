"""Rescaling, Normalization  <->  xconv.torch.modules.Rescaling, Normalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.places import known_sizes, places_of, renamed
from xconv.spec import AtenCall, Example, KerasLayer, Moved, Op, Order, Shape, Spec, TorchCall, Weights
from xconv.weights import Weight

__all__ = ["Normalization", "Rescaling"]

Numbers: TypeAlias = float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Rescaling(Spec):
    """x * scale + offset; each is a number, or one number per place along `axis`."""

    scale: Numbers
    offset: Numbers
    axis: int

    order = Order.AXES
    keras_kinds = ("Rescaling",)
    restrictions: ClassVar[Mapping[str, str]] = {"Rescaling": "a scale over several axes"}
    aten_ops = ("rescaling",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Numbers, or lists for the last axis."""
        return Op(cls(_numbers(layer["scale"]), _numbers(layer["offset"]), len(layer.inputs[0]) - 1))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """Lists along an axis, of one number for all: xconv's own module, which torch.export sees as one call."""
        call.get("x")
        scale, offset = (_numbers(n if len(n) > 1 else n[0]) for n in (call["scale"], call["offset"]))
        lists = isinstance(scale, tuple) or isinstance(offset, tuple)
        axis, rank = call["axis"], len(call.inputs[0])
        return Op(cls(scale, offset, axes.normal(axis, rank) if lists else rank - 1))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Rescaling, whose lists are for the last axis."""
        if self.has_lists and axes.normal(self.axis, len(inputs[0])) != len(inputs[0]) - 1:
            raise Unsupported("Rescaling works on the last axis", remedy="move the channels last")
        scale, offset = (list(n) if isinstance(n, tuple) else n for n in (self.scale, self.offset))
        return KerasLayer("Rescaling", {"scale": scale, "offset": offset}, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's Rescaling."""
        config: dict[str, Any] = {"scale": self.scale, "offset": self.offset}
        if self.has_lists:
            config["axis"] = self.axis
        return TorchCall("xconv.torch.modules.Rescaling", config=config)

    @property
    def has_lists(self) -> bool:
        """Whether there is a number for each place along `axis`, which one number for all does not use."""
        return isinstance(self.scale, tuple) or isinstance(self.offset, tuple)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Numbers that float32 holds exactly, one that it does not, lists."""
        yield Example("Rescaling", ((4, 5, 3),), {"scale": 0.0078125, "offset": -1.0})
        yield Example("Rescaling", ((4, 5, 3),), {"scale": 1 / 127.5, "offset": -1}, float64=False)
        yield Example("Rescaling", ((4, 5, 3),), {"scale": [0.5, 2.0, 4.0], "offset": [0.0, -1.0, 0.25]})


@dataclass(frozen=True, slots=True)
class Normalization(Spec):
    """(x - mean) / max(sqrt(variance), 1e-7) with statistics kept along the ascending axes `keep`; or the way back.

    Mean and variance are weights of the shape `sizes`, or constants in memory order.
    """

    keep: tuple[int, ...]
    sizes: tuple[int, ...]
    invert: bool = False
    mean: tuple[float, ...] | None = None
    variance: tuple[float, ...] | None = None

    order = Order.AXES
    keras_kinds = ("Normalization",)
    aten_ops = ("normalization",)
    holds = ("mean", "variance")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Variables mean, variance and the unused count; or a mean and a variance in the config."""
        given = layer["axis"]
        keep = () if given is None else places_of(given, len(layer.inputs[0]))
        sizes = known_sizes(layer.inputs[0], keep)
        invert, mean, variance = bool(layer["invert"]), layer["mean"], layer["variance"]
        if mean is not None and variance is not None:
            constants = (_spread(mean, sizes), _spread(variance, sizes))
            return Op(cls(keep, sizes, invert, *constants), layer.named())
        weights = layer.named("mean", "variance", "count")
        return Op(cls(keep, sizes, invert), {role: weights[role] for role in ("mean", "variance")})

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """Mean and variance with axes of size 1 between: xconv's own module, which torch.export sees as one call."""
        call.get("x")
        weights = call.named(mean="mean", variance="variance")
        shape, rank = weights["mean"].shape, len(call.inputs[0])
        keep = tuple(rank - len(shape) + place for place, size in enumerate(shape) if size != 1)
        sizes = tuple(size for size in shape if size != 1)
        held = {role: weight.reshape(sizes) for role, weight in weights.items()}
        return Op(cls(keep, sizes, bool(call["invert"])), held)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Normalization, with a count of 0 beside its statistics."""
        config: dict[str, Any] = {"axis": list(self.keep), "invert": self.invert, "mean": None, "variance": None}
        if self.mean is None or self.variance is None:
            arrays = (weights["mean"], weights["variance"], Weight.full((), 0, "int64"))
            return KerasLayer("Normalization", config, arrays, tuple(inputs))
        config |= {"mean": _nested(self.mean, self.sizes), "variance": _nested(self.variance, self.sizes)}
        return KerasLayer("Normalization", config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's Normalization; the statistics get axes of size 1 between."""
        first = self.keep[0] if self.keep else len(inputs[0])
        sizes = dict(zip(self.keep, self.sizes, strict=True))
        shape = tuple(sizes.get(axis, 1) for axis in range(first, len(inputs[0])))
        config: dict[str, Any] = {"sizes": shape, "invert": self.invert}
        if self.mean is not None:
            config |= {"mean": self.mean, "variance": self.variance}
        tensors = {role: weight.reshape(shape) for role, weight in weights.items()}
        return TorchCall("xconv.torch.modules.Normalization", config=config, tensors=tensors)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The kept axes by their new places; the statistics with their axes in the new sequence."""
        keep, sequence = renamed(self.keep, order)
        mean, variance = (_transposed(values, self.sizes, sequence) for values in (self.mean, self.variance))
        sizes = axes.apply(self.sizes, sequence)
        spec = replace(self, keep=keep, sizes=sizes, mean=mean, variance=variance)
        return Moved(spec, {role: weight.transpose(sequence) for role, weight in weights.items()}, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Adapted and given statistics, one axis, several, none, the way back."""
        yield Example("Normalization", ((4, 5, 3),), {}, ((3,), (3,), ()))
        yield Example("Normalization", ((4, 5, 3),), {"axis": [1, 3], "invert": True}, ((4, 3), (4, 3), ()))
        given = {"mean": [0.5, 1.0, 2.0], "variance": [0.25, 4.0, 16.0]}
        yield Example("Normalization", ((4, 5, 3),), given)
        yield Example("Normalization", ((4, 3),), {"axis": None, "mean": 0.5, "variance": 4.0})


def _numbers(value: Any) -> Numbers:
    """A number, or a tuple of them from a list, a NumPy array, or nested lists of one row."""
    value = value.tolist() if hasattr(value, "tolist") else value
    while isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], (list, tuple)):
        value = value[0]
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, (list, tuple)) for item in value):
            raise Unsupported("a scale of more than one axis", remedy="use Rescaling with a list for the last axis")
        return tuple(float(item) for item in value)
    return float(value)


def _spread(value: Any, sizes: tuple[int, ...]) -> tuple[float, ...]:
    """Numbers broadcast from the right to `sizes`, in memory order."""
    import numpy as np

    return tuple(np.broadcast_to(np.asarray(value, np.float64), sizes).ravel().tolist())


def _nested(values: tuple[float, ...], sizes: tuple[int, ...]) -> Any:
    """The numbers as nested lists of the shape `sizes`."""
    import numpy as np

    return np.reshape(values, sizes).tolist()


def _transposed(
    values: tuple[float, ...] | None, sizes: tuple[int, ...], sequence: tuple[int, ...]
) -> tuple[float, ...] | None:
    """The numbers in memory order after `transpose(sequence)`."""
    import numpy as np

    return None if values is None else tuple(np.reshape(values, sizes).transpose(sequence).ravel().tolist())
