"""keras.ops.pad: any axes, by a constant, by reflection, by the border  <->  aten.pad, torch.nn.functional.pad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.concat import Concat
from xconv.layers.geometry import flat_pads
from xconv.layers.pad import Pad
from xconv.layers.slicing import WHOLE, Item, Slicing
from xconv.padding import Pads
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Moved,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["PadAxes"]


@dataclass(frozen=True, slots=True)
class PadAxes(Spec):
    """Every axis longer by its (before, after) pads.

    `mode` is 'constant' (with `value`), 'reflect' (without the border) or 'replicate' (the border again and again).
    """

    pads: Pads
    mode: str = "constant"
    value: float = 0.0

    order = Order.AXES
    keras_kinds = ("ops.Pad",)
    aten_ops = (
        *("pad", "constant_pad_nd"),
        *(f"{word}_pad{rank}d" for word in ("reflection", "replication") for rank in (1, 2, 3)),
    )

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
        return Op(cls(pads, "replicate" if mode == "symmetric" else mode, float(value or 0.0)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Pads from the last axis on, negative ones cut; circular ones are slices of the other side."""
        for key in ("self", "input"):
            call.get(key)
        flat: list[Any] = list(call.get("pad") or call["padding"])
        value: float | None = call.get("value")
        if any(not isinstance(size, int) for size in flat) or not isinstance(value, (int, float, type(None))):
            raise Unsupported("pads that are computed", remedy="give input_shape with all sizes")
        mode = {"reflection": "reflect", "replication": "replicate"}.get(call.op.partition("_")[0])
        mode = mode or call.get("mode", "constant")
        pairs = tuple(zip(flat[-2::-2], flat[::-2], strict=True))
        pads = ((0, 0),) * (len(call.inputs[0]) - len(pairs)) + pairs
        if mode == "constant":
            return _constant(pads, value)
        if any(size < 0 for pair in pads for size in pair):
            raise Unsupported(f"negative pads with mode {mode!r}", remedy="slice, then pad")
        return _circular(pads) if mode == "circular" else (Op(cls(pads, mode)),)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation; 'symmetric' repeats the border where it pads by one, so it pads as often as needed."""
        if self.mode == "replicate":
            return replace(self._repeated(), inputs=tuple(inputs))
        config = {"pad_width": self.pads, "mode": self.mode}
        options = {"constant_values": self.value} if self.mode == "constant" else {}
        return KerasLayer("ops.Pad", config, inputs=tuple(inputs), args=(Slot(0),), kwargs=options)

    def _repeated(self) -> KerasLayer:
        """Pads by one place at a time."""
        source: Slot | KerasLayer = Slot(0)
        left = self.pads
        for step in range(max(map(max, self.pads)), 0, -1):
            now = tuple((min(before, 1), min(after, 1)) for before, after in left)
            left = tuple((a - c, b - d) for (a, b), (c, d) in zip(left, now, strict=True))
            config = {"pad_width": now, "mode": "symmetric"}
            source = KerasLayer("ops.Pad", config, args=(source,), name="" if step == 1 else f"more{step - 1}")
        return source if isinstance(source, KerasLayer) else KerasLayer("Identity")

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """F.pad over the axes behind the first that is padded; by reflection torch takes all but the first two."""
        if self.mode != "constant":
            return self._reflected()
        first = next((axis for axis, pair in enumerate(self.pads) if any(pair)), len(self.pads) - 1)
        options: dict[str, Any] = {"mode": "constant", "value": self.value} if self.value else {}
        return TorchCall("torch.nn.functional.pad", (Slot(0), flat_pads(self.pads[first:])), options)

    def _reflected(self) -> TorchCall:
        """F.pad by reflection, with an axis that is not padded brought to place 1."""
        rank = len(self.pads)
        still = next((axis for axis in range(1, rank) if not any(self.pads[axis])), None)
        if still is None:
            raise Unsupported("padding of all axes by reflection", remedy="pad one axis after the other")
        order = axes.move_axis(rank, still, 1)
        source = Slot(0) if still == 1 else TorchCall("torch.permute", (Slot(0), order))
        pads = flat_pads(axes.apply(self.pads, order)[2:])
        call = TorchCall("torch.nn.functional.pad", (source, pads), {"mode": self.mode})
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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every mode; uneven, negative and mixed pads; spatial axes, the channels, sequences."""
        flat, line, cube = ((3, 5, 6),), ((3, 7),), ((2, 3, 4, 5),)
        for size in ((1, 2, 3, 0), (-1, 2, 0, -2), (-1, -2, 0, 0)):
            yield TorchExample("torch.nn.ZeroPad2d", flat, {"padding": size})
            yield TorchExample("torch.nn.ConstantPad2d", flat, {"padding": size, "value": -1.5})
        for mode in ("Reflection", "Replication", "Circular"):
            yield TorchExample(f"torch.nn.{mode}Pad2d", flat, {"padding": (1, 3, 2, 0)})
            yield TorchExample(f"torch.nn.{mode}Pad1d", line, {"padding": (2, 1)})
            yield TorchExample(f"torch.nn.{mode}Pad3d", cube, {"padding": (1, 2, 0, 1, 1, 0)})
        function = "torch.nn.functional.pad"
        for places in ((1, 2), (0, 0, 1, 2), (2, 0, 0, 0, 0, 1)):
            yield TorchExample(function, flat, args=(Slot(0), places), kwargs={"value": 0.5})
            yield TorchExample(function, flat, args=(Slot(0), places))
        yield TorchExample(function, line, args=(Slot(0), (0, 2)))
        yield TorchExample(function, line, args=(Slot(0), (0, 0, -1, 2)))
        yield TorchExample(function, ((4,),), args=(Slot(0), (1, 2)))
        yield TorchExample("torch.nn.ZeroPad1d", line, {"padding": (1, 2)})
        yield TorchExample("torch.nn.ZeroPad3d", cube, {"padding": (1, 2, -1, 0, 1, 0)})


def _constant(pads: Pads, value: float | None) -> Sequence[Op]:
    """What is negative is cut off, then comes the constant.

    nn.ZeroPad2d and its kin, which mean an image, give 0.0; torch.nn.functional.pad, which means axes, gives nothing.
    """
    cut = tuple((min(before, 0), min(after, 0)) for before, after in pads)
    grown = tuple((max(before, 0), max(after, 0)) for before, after in pads)
    image = value == 0.0 and len(pads) in (3, 4, 5) and not any(map(any, pads[:2]))
    word = "crop" if any(map(any, grown)) else ""
    ops: list[Op] = []
    if image and any(map(any, cut)):
        ops.append(Op(Pad(cut[2:], 1), {}, word))
    elif not image:
        for axis, (before, after) in enumerate(cut):
            if before or after:
                item: Item = (-before or None, after or None, None)
                items = tuple(item if place == axis else WHOLE for place in range(len(cut)))
                ops.append(Op(Slicing(items), {}, word))
    if any(map(any, grown)):
        ops.append(Op(Pad(grown[2:], 1) if image else PadAxes(grown, "constant", float(value or 0.0))))
    return ops


def _circular(pads: Pads) -> Sequence[Op]:
    """Along one axis after the other, the end of the tensor before it and its beginning after it."""
    ops: list[Op] = []
    current: Slot | Made = Slot(0)
    for axis, (before, after) in enumerate(pads):
        parts: list[Slot | Made] = [current]
        for size, item in ((before, (-before, None, None)), (after, (None, after, None))):
            if size:
                items: tuple[Item, ...] = tuple(item if place == axis else WHOLE for place in range(len(pads)))
                ops.append(Op(Slicing(items), {}, f"axis{axis}.{'after' if item[0] is None else 'before'}", (current,)))
                made = Made(len(ops) - 1)
                parts = [made, *parts] if item[0] is not None else [*parts, made]
        if len(parts) > 1:
            ops.append(Op(Concat(axis), {}, f"axis{axis}", tuple(parts)))
            current = Made(len(ops) - 1)
    return ops


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
