"""keras.ops.pad: any axes, by a constant or by reflection  <->  torch.nn.functional.pad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.geometry import flat_pads
from xconv.padding import Pads
from xconv.spec import Example, KerasLayer, Moved, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["PadAxes"]


@dataclass(frozen=True, slots=True)
class PadAxes(Spec):
    """Every axis longer by its (before, after) pads.

    `mode` is 'constant' (with `value`), 'reflect' (without the border) or 'symmetric' (with the border).
    """

    pads: Pads
    mode: str = "constant"
    value: float = 0.0

    order = Order.AXES
    keras_kinds = ("ops.Pad",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Pads for every axis, the batch included."""
        pads = _pairs(layer.argument(1, "pad_width"), len(layer.inputs[0]))
        mode, value = layer.argument(2, "mode", "constant"), layer.argument(3, "constant_values")
        if mode not in ("constant", "reflect", "symmetric"):
            raise Unsupported(f"padding mode {mode!r}", remedy="use 'constant', 'reflect' or 'symmetric'")
        if mode == "symmetric" and max(map(max, pads)) > 1:
            raise Unsupported("symmetric padding of more than one pixel, which torch lacks", remedy="use 'reflect'")
        if pads[0] != (0, 0) or not isinstance(value, (int, float, type(None))):
            raise Unsupported(f"padding {pads[0]} of the batch by {value!r}", remedy="pad other axes by a number")
        return Op(cls(pads, mode, float(value or 0.0)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"pad_width": self.pads, "mode": self.mode}
        options = {"constant_values": self.value} if self.mode == "constant" else {}
        return KerasLayer("ops.Pad", config, inputs=tuple(inputs), args=(Slot(0),), kwargs=options)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """F.pad over the axes behind the first that is padded; by reflection torch takes all but the first two."""
        if self.mode != "constant":
            return self._reflected()
        first = next((axis for axis, pair in enumerate(self.pads) if any(pair)), len(self.pads) - 1)
        options: dict[str, Any] = {"mode": "constant", "value": self.value} if self.value else {}
        return TorchCall("torch.nn.functional.pad", (Slot(0), flat_pads(self.pads[first:])), options)

    def _reflected(self) -> TorchCall:
        """F.pad by reflection, with an axis that is not padded brought to place 1."""
        rank, mode = len(self.pads), "reflect" if self.mode == "reflect" else "replicate"
        still = next((axis for axis in range(1, rank) if not any(self.pads[axis])), None)
        if still is None:
            raise Unsupported("padding of all axes by reflection", remedy="pad one axis after the other")
        order = axes.move_axis(rank, still, 1)
        source = Slot(0) if still == 1 else TorchCall("torch.permute", (Slot(0), order))
        pads = flat_pads(axes.apply(self.pads, order)[2:])
        call = TorchCall("torch.nn.functional.pad", (source, pads), {"mode": mode})
        return call if still == 1 else TorchCall("torch.permute", (call, axes.inverse(order)))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The sizes and their pads."""
        return tuple(None if n is None else n + sum(pair) for n, pair in zip(inputs[0], self.pads, strict=True))

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The pads in the order of the axes."""
        return Moved(replace(self, pads=axes.apply(self.pads, order)), weights, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Uneven pads, the channels too, reflection."""
        spatial = {"pad_width": ((0, 0), (1, 2), (0, 3), (0, 0)), "mode": "constant"}
        yield Example("ops.Pad", ((4, 5, 3),), spatial, args=(Slot(0),))
        deep = {"pad_width": ((0, 0), (0, 0), (0, 1), (2, 0)), "mode": "constant"}
        yield Example("ops.Pad", ((4, 5, 3),), deep, args=(Slot(0),))
        yield Example("ops.Pad", ((4, 5, 3),), {**spatial, "mode": "reflect"}, args=(Slot(0),))
        edges = {"pad_width": ((0, 0), (1, 0), (1, 1), (0, 0)), "mode": "symmetric"}
        yield Example("ops.Pad", ((4, 5, 3),), edges, args=(Slot(0),))


def _pairs(given: Any, rank: int) -> Pads:
    """(before, after) for every axis from what Keras accepts.

    >>> _pairs(1, 2), _pairs(((1, 2),), 2)
    (((1, 1), (1, 1)), ((1, 2), (1, 2)))
    """
    if isinstance(given, int):
        return ((given, given),) * rank
    pairs = tuple((pair, pair) if isinstance(pair, int) else tuple(pair) for pair in given)
    if pairs and len(pairs) == 1:
        pairs *= rank
    if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
        raise Mismatch(f"pad_width={given!r} must be {rank} (before, after) pairs")
    return pairs
