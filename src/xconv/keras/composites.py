"""Layers that keep their weights in layers of their own: which, under which attribute, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from xconv.errors import Unreadable

__all__ = [
    "TENSORFLOW_KINDS",
    "Owner",
    "Part",
    "Path",
    "is_model",
    "is_operation",
    "is_sequence",
    "leaves",
    "name_of",
    "owners",
    "part_of",
    "public_name",
]

Path: TypeAlias = tuple[str, ...]
"""Names that lead to an object that owns variables: of layers, then of attributes; places in a list are digits."""

TENSORFLOW_KINDS = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})
"""Layers of Keras 2 that hold one TensorFlow function."""

_CELLS = {
    "LSTM": "LSTMCell",
    "GRU": "GRUCell",
    "SimpleRNN": "SimpleRNNCell",
    "ConvLSTM1D": "ConvLSTMCell",
    "ConvLSTM2D": "ConvLSTMCell",
    "ConvLSTM3D": "ConvLSTMCell",
}
_WRAPPERS = {"TimeDistributed", "SpectralNormalization", "Wrapper"}
_ATTENTION = {"MultiHeadAttention", "GroupQueryAttention"}
_PUBLIC = {"GroupedQueryAttention": "GroupQueryAttention"}
"""Public names of classes that .h5 files call by their private ones."""


@dataclass(frozen=True, slots=True)
class Part:
    """A layer as a config describes it, at whatever depth."""

    kind: str
    config: Mapping[str, Any]
    module: str | None = None
    """None where the config says nothing; '' for a custom class, whose module Keras leaves out."""
    build: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Owner:
    """An object that owns variables: its path, what it is, and whether all layers around it are trainable."""

    path: Path
    part: Part
    trainable: bool


def public_name(kind: str) -> str:
    """The name under which Keras exports a class of its own.

    >>> public_name("GroupedQueryAttention"), public_name("Dense")
    ('GroupQueryAttention', 'Dense')
    """
    return _PUBLIC.get(kind, kind)


def part_of(value: Any, where: str) -> Part:
    """The layer that a serialized object describes.

    Raises:
        Unreadable: no class name, or a config that is no object.
    """
    if isinstance(value, Mapping) and isinstance(value.get("class_name"), str):
        config = value.get("config")
        config = {"layers": config} if isinstance(config, list) else config
        module, build = value.get("module"), value.get("build_config")
        module = "" if module is None and value.get("registered_name") else module
        if isinstance(config, Mapping) and (module is None or isinstance(module, str)):
            kind: str = value["class_name"]
            kind = kind if module else public_name(kind)
            return Part(kind, config, module, build if isinstance(build, Mapping) else {})
    raise Unreadable(f"{where} is not a serialized layer with a class_name and a config", remedy="save the model again")


def is_sequence(part: Part) -> bool:
    """Whether this is a Sequential, or a class made of one."""
    return isinstance(part.config.get("layers"), list) and (
        part.kind == "Sequential" or ("input_layers" not in part.config and "build_input_shape" in part.config)
    )


def is_model(part: Part) -> bool:
    """Whether the config holds a graph of layers."""
    return isinstance(part.config.get("layers"), list) and ("input_layers" in part.config or is_sequence(part))


def is_operation(part: Part) -> bool:
    """Whether this is an operation of keras.ops; old .h5 files say so only by what the config lacks."""
    if part.module is not None:
        return part.module.startswith(("keras.src.ops", "keras.ops"))
    is_layer = "trainable" in part.config or "layers" in part.config or part.kind in ("InputLayer", *TENSORFLOW_KINDS)
    return not is_layer and "dtype" not in part.config


def name_of(raw: Any) -> str:
    """The name of a layer entry; '' where it has none."""
    if not isinstance(raw, Mapping):
        return ""
    config = raw.get("config")
    name = raw.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return name if isinstance(name, str) else ""


def leaves(part: Part, path: Path, trainable: bool = True) -> Iterator[Owner]:
    """All owners of variables in a layer or model, at every depth, in the order in which Keras lists their weights."""
    trainable = trainable and part.config.get("trainable") is not False
    if is_model(part):
        for place, raw in enumerate(part.config["layers"]):
            yield from leaves(part_of(raw, f"layer {place}"), (*path, name_of(raw)), trainable)
        return
    for owner in owners(part, path, trainable):
        if is_model(owner.part):
            yield from leaves(owner.part, owner.path, owner.trainable)
        else:
            yield owner


def owners(part: Part, path: Path, trainable: bool = True) -> Iterator[Owner]:
    """The layer itself, then the layers it keeps, in the order in which Keras lists their weights."""
    trainable = trainable and part.config.get("trainable") is not False
    yield Owner(path, part, trainable)
    for names, child in _children(part):
        yield from owners(child, (*path, *names), trainable)


def _children(part: Part) -> Iterator[tuple[Path, Part]]:
    kind, config = part.kind, part.config
    if kind in _CELLS:
        yield ("cell",), Part(_CELLS[kind], config, part.module, part.build)
    elif kind == "RNN":
        yield ("cell",), part_of(config.get("cell"), "the cell")
    elif kind == "StackedRNNCells":
        cells = config.get("cells")
        for place, cell in enumerate(cells if isinstance(cells, (list, tuple)) else ()):
            yield ("cells", str(place)), part_of(cell, f"cell {place}")
    elif kind == "Bidirectional":
        yield ("forward_layer",), part_of(config.get("layer"), "the forward layer")
        yield ("backward_layer",), part_of(config.get("backward_layer") or config.get("layer"), "the backward layer")
    elif kind in _WRAPPERS:
        yield ("layer",), part_of(config.get("layer"), "the wrapped layer")
    elif kind in _ATTENTION:
        yield from _projections(config)


def _projections(config: Mapping[str, Any]) -> Iterator[tuple[Path, Part]]:
    roles = (
        ("query", "key", "gate", "value", "output") if config.get("use_gate") else ("query", "key", "value", "output")
    )
    bias = "d" if config.get("use_bias", True) else None
    for role in roles:
        yield (f"{role}_dense",), Part("EinsumDense", {"bias_axes": bias, "name": role})
