"""AdaptiveAveragePooling1D-3D, AdaptiveMaxPooling1D-3D  <->  torch.nn.AdaptiveAvgPool1d-3d, AdaptiveMaxPool1d-3d."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.geometry import Sizes, channel_axis, check_batched, check_rank, data_format, sizes, windows
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.reduce import Reduce
from xconv.padding import zero_pads
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, TorchExample, Weights

__all__ = ["AdaptivePool"]


@dataclass(frozen=True, slots=True)
class AdaptivePool(Spec):
    """The maximum or the mean of windows that divide the input evenly into `size` places."""

    kind: str
    """'max' or 'average'."""
    size: Sizes
    axis: int = -1

    order = Order.SPATIAL
    keras_kinds = tuple(f"Adaptive{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3))
    aten_ops = tuple(f"adaptive_{kind}_pool{rank}d" for kind in ("avg", "max") for rank in (1, 2, 3))
    restrictions = dict.fromkeys(keras_kinds, "output sizes that are open")

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The size of the output."""
        rank = int(layer.kind[-2])
        check_rank(layer, rank)
        kind = "max" if "Max" in layer.kind else "average"
        return Op(cls(kind, sizes(layer["output_size"], rank, "output_size"), channel_axis(layer)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> tuple[Op, ...]:
        """A global pool for size 1, nothing where the size stays, an ordinary pool where it divides the input's."""
        for key in ("self", "input"):
            call.get(key)
        kind = "max" if "max" in call.op else "average"
        rank = int(call.op[-2])
        check_batched(call, rank)
        before, after = call.inputs[0][2:], call.outputs[0][2:]
        given: Sequence[int | None] = call.sizes("output_size", rank)
        kept = tuple(n is None or n == size for n, size in zip(given, before, strict=True))
        if all(size == 1 for size in after):
            return (Op(GlobalPool(kind, True, 1)),)
        if all(kept):
            return ()
        if all(stays or size == 1 for stays, size in zip(kept, after, strict=True)):
            over = tuple(axis for axis, stays in enumerate(kept, 2) if not stays)
            return (Op(Reduce("amax" if kind == "max" else "mean", over, True)),)
        known = tuple(size for size in after if size is not None)
        if len(known) != rank:
            raise Unsupported("adaptive pooling to an open size", remedy="give input_shape with all sizes")
        if all(n is not None and n % size == 0 for n, size in zip(before, known, strict=True)):
            window = tuple((n or 1) // size for n, size in zip(before, known, strict=True))
            return (Op(Pool(kind, window, window, zero_pads(rank), 1)),)
        return (Op(cls(kind, known, 1)),)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """AdaptiveMaxPooling or AdaptiveAveragePooling."""
        axis = axes.normal(self.axis, len(inputs[0]))
        config = {"output_size": self.size, "data_format": data_format(axis)}
        kind = f"Adaptive{self.kind.capitalize()}Pooling{len(self.size)}D"
        return KerasLayer(kind, config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.AdaptiveMaxPoolNd or nn.AdaptiveAvgPoolNd."""
        kind = "Max" if self.kind == "max" else "Avg"
        size = self.size[0] if len(self.size) == 1 else self.size
        return TorchCall(f"torch.nn.Adaptive{kind}Pool{len(self.size)}d", config={"output_size": size})

    def out_shape(self, *inputs: Shape) -> Shape:
        """The size."""
        return windows(inputs[0], axes.normal(self.axis, len(inputs[0])), self.size)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Both kinds, every rank, sizes that divide and that do not, a larger one."""
        for kind in ("Max", "Average"):
            yield Example(f"Adaptive{kind}Pooling2D", ((7, 6, 3),), {"output_size": (3, 2)})
            yield Example(f"Adaptive{kind}Pooling1D", ((5, 3),), {"output_size": 7})
            yield Example(f"Adaptive{kind}Pooling3D", ((4, 3, 5, 2),), {"output_size": (2, 2, 3)}, float64=False)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """One place, places that divide the size and that do not, more places than pixels, axes left alone."""
        flat, line, cube = ((3, 7, 6),), ((3, 7),), ((2, 4, 3, 5),)
        for kind in ("Max", "Avg"):
            name = f"torch.nn.Adaptive{kind}Pool"
            for size in (1, (7, 3), (3, 4), (9, 2), (1, 6), (None, 4), (None, 1), 6):
                yield TorchExample(f"{name}2d", flat, {"output_size": size})
            yield TorchExample(f"{name}1d", line, {"output_size": 3})
            yield TorchExample(f"{name}1d", line, {"output_size": 1})
            yield TorchExample(f"{name}3d", cube, {"output_size": 1})
            yield TorchExample(f"{name}3d", cube, {"output_size": (2, 2, 3)}, float64=False)
            yield TorchExample(f"{name}3d", cube, {"output_size": (2, 3, 1)}, float64=False)
