"""TimeDistributed: a layer for every step, which is the layer with the steps as samples of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from xconv.errors import Mismatch, Unsupported
from xconv.layers.reshape import Regroup
from xconv.spec import Example, KerasLayer, Made, Op, Shape, Slot, Spec

__all__ = ["TimeDistributed", "known_steps"]

ANY_RANK = frozenset(
    {"Activation", "ActivityRegularization", "Dense", "ELU", "Embedding", "GaussianDropout", "GaussianNoise"}
    | {"Identity", "LeakyReLU", "ReLU"}
)
"""Layers that treat every step by itself anyway."""

MASKED = frozenset({"BatchNormalization", "GlobalAveragePooling1D", "GRU", "LSTM", "Bidirectional", "RNN", "SimpleRNN"})
MASKED_TOO = frozenset({"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Softmax", "TimeDistributed"})
"""Layers that take a mask; all others are called without."""

NO_EFFECT = frozenset({"name", "trainable", "dtype", "autocast", "build_config", "shared_object_id", "lora_rank"})
TRAINING_ONLY = ("_initializer", "_constraint", "_regularizer", "quantization_config", "_lora", "unit_forget_bias")


@dataclass(frozen=True, slots=True)
class TimeDistributed(Spec):
    """A layer for every step; never one layer in a graph."""

    keras_kinds = ("TimeDistributed",)
    restrictions: ClassVar[Mapping[str, str]] = {
        "TimeDistributed": "an open number of steps, unless the layer inside takes any rank; several results"
    }

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """The layer itself where it works on any number of axes, otherwise between two reshapes."""
        from xconv.layers import RULES

        inner = layer["layer"]
        kind, config = inner.get("class_name"), inner.get("config")
        if kind not in RULES or not isinstance(config, Mapping):
            raise Unsupported(
                f"TimeDistributed around {kind!r}", remedy="give the live model, or wrap a layer that xconv converts"
            )
        mask = layer.argument(2, "mask")
        mask = mask if kind in MASKED | MASKED_TOO else None
        plain = kind in ANY_RANK or (kind == "Dropout" and not config.get("noise_shape"))
        config = {**config, "trainable": layer.get("trainable", True)}
        if plain:
            return _read(KerasLayer(kind, config, layer.weights, layer.inputs[:1], (Slot(0),)), RULES)
        return _folded(layer, kind, config, mask, RULES)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Layers with and without weights, with one axis, images and sequences inside; a mask of steps of steps."""
        for example in _wrapped_examples():
            inner = {"module": "keras.layers", "class_name": example.kind, "registered_name": None}
            config = {"layer": {**inner, "config": {"name": "inner", **example.config}}}
            inputs = tuple((4, *shape) for shape in example.inputs)
            yield replace(example, kind="TimeDistributed", config=config, inputs=inputs)


def known_steps(kind: str, shape: Shape) -> int:
    """How many steps there are.

    Raises:
        Unsupported: that is known at run time only.
    """
    if len(shape) < 3:
        raise Mismatch(f"TimeDistributed gets an input of shape {shape}, which has no steps")
    if shape[1] is None:
        raise Unsupported(
            f"TimeDistributed around {kind} over an open number of steps", remedy="give the input a fixed length"
        )
    return shape[1]


def _folded(layer: KerasLayer, kind: str, config: Mapping[str, Any], mask: Any, rules: Mapping[str, Any]) -> list[Op]:
    """Steps into samples, the layer, samples into steps."""
    steps = known_steps(kind, layer.inputs[0])
    given: tuple[Any, ...] = (Slot(0),) if mask is None else (Slot(0), mask)
    ops: list[Op] = []
    inputs: list[Shape] = []
    for slot, part in zip(given, ("samples", "valid"), strict=False):
        shape = layer.inputs[slot.index]
        if len(shape) < 3:
            raise Unsupported(f"TimeDistributed around {kind} with a mask of steps, which Keras cannot give it either")
        inputs.append((None, *shape[2:]))
        ops.append(Op(Regroup((None, *shape[2:])), {}, part, (slot,)))
    kwargs = {} if mask is None else {"mask": Slot(1)}
    inner = _read(KerasLayer(kind, config, layer.weights, tuple(inputs), (Slot(0),), kwargs), rules)
    offset = len(ops)
    shapes: list[tuple[Shape, ...]] = [(shape,) for shape in inputs]
    for place, op in enumerate(inner):
        taken = op.inputs
        if taken is None:
            before = shapes[-1] if place else ()
            taken = tuple(Made(place - 1, i) for i in range(len(before))) if place else (Slot(0),)
        wired = tuple(Made(i.index) if isinstance(i, Slot) else Made(i.op + offset, i.index) for i in taken)
        ops.append(replace(op, inputs=wired, returns=None, name=op.name or "layer"))
        shapes.append(op.spec.out_shapes(*(shapes[item.op][item.index] for item in wired)))
    last = (inner[-1].returns or (Made(len(inner) - 1),)) if inner else (Slot(0),)
    if len(last) != 1 or (inner and inner[-1].returns is None and len(shapes[-1]) != 1):
        raise Unsupported(f"TimeDistributed around {kind} that returns several tensors", remedy="ask it for one")
    made = Made(0) if isinstance(last[0], Slot) else Made(last[0].op + offset, last[0].index)
    ops.append(Op(Regroup((None, steps, *shapes[made.op][made.index][1:])), {}, "steps", (made,)))
    return ops


def _read(layer: KerasLayer, rules: Mapping[str, Any]) -> list[Op]:
    """What a wrapped layer means; nothing in its config is silently ignored."""
    ops = rules[layer.kind].from_keras(layer)
    known = {**layer.config, **layer.kwargs}
    left = sorted(
        key
        for key in layer.unread
        if known[key] is not None and key not in NO_EFFECT and not key.endswith(TRAINING_ONLY)
    )
    if left:
        raise Unsupported(f"{layer.kind} has {', '.join(left)}, which xconv does not know")
    return [ops] if isinstance(ops, Op) else list(ops)


def _wrapped_examples() -> Iterator[Example]:
    """Examples of what is wrapped, without the steps."""
    yield Example("Dense", ((5,),), {"units": 3, "activation": "relu"}, ((5, 3), (3,)))
    yield Example("Dropout", ((5,),), {"rate": 0.3}, trains=False)
    yield Example("Embedding", ((5,),), {"input_dim": 4, "output_dim": 3}, ((4, 3),), values="integers")
    yield Example("Flatten", ((3, 2),))
    images = {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "tanh"}
    yield Example("Conv2D", ((7, 6, 3),), images, ((3, 3, 3, 4), (4,)))
    yield Example("MaxPooling2D", ((6, 5, 3),))
    yield Example("GlobalAveragePooling1D", ((5, 3),))
    yield Example("LSTM", ((6, 5),), {"units": 3, "return_sequences": True}, ((5, 12), (3, 12), (12,)))
    masked: dict[str, Any] = {"args": (Slot(0),), "kwargs": {"mask": Slot(1)}, "values": "normal boolean"}
    yield Example("GRU", ((6, 5), (6,)), {"units": 3}, ((5, 9), (3, 9), (2, 9)), **masked)
    yield Example("LayerNormalization", ((5, 3),), {"axis": (1, 2)}, ((5, 3), (5, 3)))
