"""What integers name: keras.ops.one_hot, segment_sum ..., scatter, scatter_update  <->  xconv's own modules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.described import Described, frozen
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot

__all__ = ["OneHot", "Scatter", "ScatterUpdate", "Segments"]


def _tensors(layer: KerasLayer, *names: str) -> None:
    """Refuse constants."""
    if not all(isinstance(layer.argument(place, name), Slot) for place, name in enumerate(names)):
        raise Unsupported(f"{layer.kind} with a constant", remedy="hold the array in a layer's weight")


@dataclass(frozen=True, slots=True)
class OneHot(Described):
    """A 1 at the place that each number names along a new axis; none where there is no such place."""

    order = Order.WRITTEN
    keras_kinds: ClassVar[tuple[str, ...]] = ("ops.OneHot",)
    aten_ops: ClassVar[tuple[str, ...]] = ("one_hot",)

    @classmethod
    def made(cls, count: int, axis: int, dtype: str | None) -> OneHot:
        """The Spec with all its settings."""
        return cls("ops.OneHot", (("num_classes", count), ("axis", axis), ("dtype", dtype or "float32")))

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """How many places, the axis, counted in the result, and the dtype."""
        _tensors(layer, "x")
        if layer.get("sparse", False):
            raise Unsupported("a sparse one_hot", remedy="leave out sparse=True")
        rank = len(layer.inputs[0])
        axis = axes.normal(layer.get("axis", -1), rank + 1)
        return Op(cls.made(layer["num_classes"], -1 if axis == rank else axis, layer.get("dtype")))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The last axis, in 64-bit integers; how many places must be said."""
        call.get("self")
        count = call["num_classes"]
        if count < 0:
            raise Unsupported("one_hot with as many places as the numbers say", remedy="give num_classes")
        dtype = "int32" if call.dtype == "int64" else call.dtype
        return (Op(cls.made(count, -1, dtype)),)

    def out_shape(self, *inputs: Shape) -> Shape:
        """One more axis."""
        shape = inputs[0]
        axis = axes.normal(self.setting("axis"), len(shape) + 1)
        return (*shape[:axis], self.setting("num_classes"), *shape[axis:])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every place, dtypes, numbers that name nothing."""
        config: dict[str, Any] = {"num_classes": 3}
        yield Example("ops.OneHot", ((5,),), config, args=(Slot(0),), values="integers")
        yield Example("ops.OneHot", ((5, 2),), {**config, "axis": 1}, args=(Slot(0),), values="integers")
        yield Example("ops.OneHot", ((5,),), {**config, "dtype": "bool", "axis": 0}, args=(Slot(0),), values="integers")
        yield Example("ops.OneHot", ((5,),), {**config, "dtype": "int32"}, args=(Slot(0),), values="integers")


@dataclass(frozen=True, slots=True)
class Segments(Described):
    """What belongs to each segment along axis 0, as one."""

    order = Order.WRITTEN
    keras_kinds: ClassVar[tuple[str, ...]] = ("ops.SegmentMax", "ops.SegmentMin", "ops.SegmentProd", "ops.SegmentSum")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """How many segments there are."""
        _tensors(layer, "data", "segment_ids")
        count, ordered = layer.get("num_segments"), layer.get("sorted", False)
        if count is None or ordered or len(layer.inputs[1]) != 1:
            raise Unsupported(
                f"{layer.kind} of as many segments as the numbers say, or numbered along several axes",
                remedy="give num_segments without sorted=True, and a row of numbers",
            )
        return Op(cls(layer.kind, (("num_segments", count), ("sorted", False))))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The segments in the place of axis 0."""
        return (self.setting("num_segments"), *inputs[0][1:])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Each; numbers reach up to 3."""
        for kind in cls.keras_kinds:
            args, config = (Slot(0), Slot(1)), {"num_segments": 5}
            yield Example(kind, ((4, 3), ()), config, args=args, values="normal integers")
            yield Example(kind, ((), ()), config, args=args, values="integers")


@dataclass(frozen=True, slots=True)
class Scatter(Described):
    """Zeros with values added where the rows of the indices say."""

    order = Order.WRITTEN
    keras_kinds: ClassVar[tuple[str, ...]] = ("ops.Scatter",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The shape."""
        _tensors(layer, "indices", "values")
        return Op(cls("ops.Scatter", (("shape", frozen(layer["shape"])),)))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The shape."""
        shape: Shape = self.setting("shape")
        return shape

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Places along two axes, numbers and rows."""
        args = (Slot(0), Slot(1))
        yield Example("ops.Scatter", ((2,), ()), {"shape": (4, 5)}, args=args, values="integers normal")
        yield Example("ops.Scatter", ((1,), (3,)), {"shape": (4, 3)}, args=args, values="integers normal")


@dataclass(frozen=True, slots=True)
class ScatterUpdate(Described):
    """A tensor with updates where the rows of the indices say."""

    order = Order.WRITTEN
    keras_kinds: ClassVar[tuple[str, ...]] = ("ops.ScatterUpdate",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """How an update meets what stands there."""
        _tensors(layer, "inputs", "indices", "updates")
        return Op(cls("ops.ScatterUpdate", (("reduction", layer.get("reduction")),)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every reduction that TensorFlow has a gradient for; the others on integers."""
        args = (Slot(0), Slot(1), Slot(2))
        shapes = ((4, 5), (3,), ())
        for reduction in ("add", "max", "min", "mul"):
            values = "normal bits normal" if reduction == "add" else "integers bits integers"
            yield Example("ops.ScatterUpdate", shapes, {"reduction": reduction}, args=args, values=values)
