"""Pipeline: its layers, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from xconv.errors import Unsupported
from xconv.layers.refused import REFUSED
from xconv.spec import Example, KerasLayer, Made, Op, Shape, Slot, Spec

__all__ = ["Pipeline"]

INERT = frozenset({"name", "trainable", "dtype", "activity_regularizer"})


@dataclass(frozen=True, slots=True)
class Pipeline(Spec):
    """Reads a Pipeline as the layers in it."""

    keras_kinds = ("Pipeline",)
    restrictions: ClassVar[Mapping[str, str]] = {"Pipeline": "layers with weights inside"}

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """What its layers mean, each fed with the result of the one before it."""
        if layer.weights:
            raise Unsupported("a Pipeline whose layers have weights", remedy="call these layers one after the other")
        ops: list[Op] = []
        shape = layer.inputs[0]
        for place, entry in enumerate(layer["layers"]):
            found = _read(KerasLayer(entry["class_name"], entry["config"], (), (shape,)))
            for number, op in enumerate(found):
                name = f"{place}.{op.name}" if op.name else str(place)
                ops.append(replace(op, name=name, inputs=_inputs(op, number, len(ops), len(ops) - number)))
            shape = _shape(ops, layer.inputs[0])
        if not ops:
            raise Unsupported("a Pipeline without layers", remedy="remove it")
        return ops

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Layers that act in inference, and one that does not."""
        settings = {
            "RandomFlip": {"seed": 1},
            "CenterCrop": {"height": 4, "width": 5},
            "Rescaling": {"scale": 0.5, "offset": -1.0},
        }
        told = {"module": "keras.layers", "registered_name": None}
        layers = [{"class_name": kind, "config": config, **told} for kind, config in settings.items()]
        # its configuration tells no dtype, which means float32
        yield Example("Pipeline", ((7, 8, 3),), {"layers": layers}, trains=False, float64=False)


def _read(layer: KerasLayer) -> Sequence[Op]:
    """What one of the layers means.

    Raises:
        Unsupported: no rule reads it, or it has settings that none reads.
    """
    from xconv.layers import RULES

    if layer.kind not in RULES:
        why = REFUSED.get(layer.kind)
        told = f"{layer.kind} in a Pipeline" + (f": {why.reason}" if why else "")
        raise Unsupported(told, remedy=why.remedy if why else "call the layers one after the other")
    found = RULES[layer.kind].from_keras(layer)
    unread = layer.unread - INERT
    if unread:
        raise Unsupported(f"{layer.kind} in a Pipeline has {', '.join(sorted(unread))}", remedy="leave it out")
    return (found,) if isinstance(found, Op) else found


def _inputs(op: Op, number: int, count: int, start: int) -> tuple[Slot | Made, ...]:
    """What the `number`-th Op of a layer takes, when `count` Ops are there and the layer's own begin at `start`."""
    before: Slot | Made = Made(start - 1) if start else Slot(0)
    if op.inputs is None:
        return (before if number == 0 else Made(count - 1),)
    return tuple(before if isinstance(item, Slot) else replace(item, op=item.op + start) for item in op.inputs)


def _shape(ops: Sequence[Op], given: Shape) -> Shape:
    """The shape that the last of these Ops makes."""
    shapes: list[Shape] = []
    for op in ops:
        taken = (given if isinstance(item, Slot) else shapes[item.op] for item in op.inputs or ())
        shapes.append(op.spec.out_shape(*taken))
    return shapes[-1]
