"""Two models, each read into a graph in canonical form: `open_pair(a, b)`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from xconv import axes
from xconv.errors import InvalidInput, XConvError
from xconv.graph import Graph, Value
from xconv.keras.opening import records_from
from xconv.keras.read import read
from xconv.keras.records import KerasModel, Ref
from xconv.layers.io import Input
from xconv.layout import resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, CANONICAL, run
from xconv.spec import Shape

__all__ = ["Opened", "canonical", "examples_like", "is_keras", "open_model", "open_pair"]

HALF = frozenset({"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"})
"""Keras's policies that compute in 16 bits; a quantised policy has a name of its own."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A model and its graph, held channels-first.

    The weights of `graph` lead to the model's own arrays: `layer/index` in a Keras model, the name in the state_dict of
    a torch module.
    """

    name: str
    framework: str
    """'keras' or 'torch'."""
    model: Any
    """What was given: a live model, or the path of a file."""
    whole: Graph
    """With all that acts in training alone."""
    graph: Graph
    """In canonical form (`passes.CANONICAL`)."""

    @property
    def inputs(self) -> tuple[tuple[Shape, str], ...]:
        """Shape and dtype of every input, channels-first."""
        nodes = self.graph.by_name()
        found = [nodes[value.node] for value in self.graph.input_values()]
        return tuple((node.shapes[0], node.spec.dtype) for node in found if isinstance(node.spec, Input))


def open_pair(a: Any, b: Any, *, input_shape: Any = None, meant: bool = False) -> tuple[Opened, Opened]:
    """Both models as graphs in one form.

    Args:
        a: a live Keras or tf_keras model, a torch module, an ExportedProgram, or the path of a file that holds one.
        b: the same.
        input_shape: the shape of the input without the batch, channels-first, or a list of shapes. By default what
            the one model says about its inputs is taken for the other; needed where neither says it.
        meant: read Keras models of mixed or half precision too, as what they mean in full precision.

    Raises:
        InvalidInput: neither model tells its input shape.
        Unreadable, Unknown, Unsupported: a model that cannot be read.
    """
    opened = partial(open_model, meant=meant)
    if input_shape is not None:
        return opened(a, input_shape=input_shape), opened(b, input_shape=input_shape)
    if is_keras(a) or _says_its_inputs(a):
        first = opened(a)
        return first, opened(b, like=first)
    if is_keras(b) or _says_its_inputs(b):
        second = opened(b)
        return opened(a, like=second), second
    raise InvalidInput(
        "neither model says what its input looks like", remedy="give input_shape=, such as (3, 224, 224)"
    )


def open_model(source: Any, *, input_shape: Any = None, like: Opened | None = None, meant: bool = False) -> Opened:
    """One model; a torch module is captured for `input_shape`, or for the inputs of `like`.

    `meant` reads a Keras model of mixed or half precision as what it means in full precision.
    """
    if is_keras(source):
        records = source if isinstance(source, KerasModel) else records_from(source)
        records = _in_full_precision(records) if meant else records
        shapes = _listed(input_shape) if input_shape is not None else _open_sizes(records, like)
        graph = read(_with_shapes(records, shapes) if shapes else records)
        return _opened(source, "keras", graph, records.name)
    said = like is None or _says_its_inputs(source)
    graph = _captured(source, like) if like is not None and not said else _read_torch(source, input_shape)
    return _opened(source, "torch", graph, graph.name)


def canonical(graph: Graph) -> Graph:
    """A graph as it was read, in the form in which graphs are compared."""
    return run(CANONICAL, _resolved(graph))


def is_keras(source: Any) -> bool:
    """Whether it is a Keras or tf_keras model, its records or its file; on the torch backend a torch module too."""
    if isinstance(source, KerasModel):
        return True
    if isinstance(source, (str, os.PathLike)):
        return Path(source).suffix.lower() in (".keras", ".h5", ".hdf5")
    return any(kind.__module__.partition(".")[0] in ("keras", "tf_keras") for kind in type(source).__mro__)


def _resolved(graph: Graph) -> Graph:
    return run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, graph), "first", "channels_first", sequences_as_written=True))


def _opened(source: Any, framework: str, graph: Graph, name: str) -> Opened:
    whole = _resolved(graph)
    return Opened(name, framework, source, whole, run(CANONICAL, whole))


def _in_full_precision(records: KerasModel) -> KerasModel:
    """The records with float32 for every policy that computes in 16 bits; quantised layers stay as they are."""
    entries = []
    for entry in records.entries:
        changed = entry if entry.inner is None else replace(entry, inner=_in_full_precision(entry.inner))
        policy = entry.config.get("dtype")
        name = policy.get("config", {}).get("name") if isinstance(policy, Mapping) else policy
        if name in HALF and not entry.is_op:
            changed = replace(changed, config={**entry.config, "dtype": "float32"})
        entries.append(changed)
    return replace(records, entries=tuple(entries))


def _says_its_inputs(source: Any) -> bool:
    """Whether a torch source tells its own inputs: a program, a file, a module that xconv made."""
    if isinstance(source, (str, os.PathLike)):
        return True
    return hasattr(source, "graph_signature") or "xconv" in getattr(source, "meta", {})


def _listed(input_shape: Any) -> list[Shape]:
    several = input_shape and isinstance(input_shape[0], (tuple, list))
    return [tuple(shape) for shape in (input_shape if several else [input_shape])]


def _open_sizes(records: KerasModel, like: Opened | None) -> list[Shape]:
    """The other model's sizes, where this one leaves some open and the other does not."""
    if like is None:
        return []
    ours = [entry.config.get("batch_shape") for entry in records.entries if entry.kind == "InputLayer"]
    theirs = [shape[1:] for shape, _ in like.inputs]
    opens = any(None in tuple(shape or ())[1:] for shape in ours)
    known = len(ours) == len(theirs) and not any(None in shape for shape in theirs)
    return theirs if opens and known else []


def _with_shapes(records: KerasModel, shapes: Sequence[Shape]) -> KerasModel:
    """The records for inputs of these channels-first shapes.

    Raises:
        InvalidInput: another number of inputs, or of axes.
    """
    ports = [entry for entry in records.entries if entry.kind == "InputLayer"]
    if len(ports) != len(shapes):
        raise InvalidInput(f"{records.name} has {len(ports)} inputs, {len(shapes)} shapes are given")
    held = resolve(run(BEFORE_LAYOUT, read(records)), "first", "channels_first").held
    changed = {}
    for port, shape in zip(ports, shapes, strict=True):
        order = held.get(Value(port.name), axes.identity(len(shape) + 1))
        if len(order) != len(shape) + 1:
            raise InvalidInput(f"it has {len(order) - 1} axes besides the batch, {shape} is given", place=port.name)
        written = axes.apply((None, *shape), axes.inverse(order))
        changed[port.name] = replace(port, config={**port.config, "batch_shape": written})
    entries = tuple(changed.get(entry.name, entry) for entry in records.entries)
    nothing: dict[Ref, Shape] = {}
    return replace(records, entries=entries, shapes=nothing)


def _read_torch(source: Any, input_shape: Any) -> Graph:
    from xconv.torch.capture import program_of
    from xconv.torch.read import read as read_program

    return read_program(*program_of(source, None, None if _says_its_inputs(source) else input_shape))


def _captured(source: Any, like: Opened) -> Graph:
    """The graph of a torch module that is called on inputs like the other model's.

    Where it takes no channels-first images, it is tried with the axes as the other model writes them.
    """
    from xconv.torch.capture import capture
    from xconv.torch.read import read as read_program

    kinds = [dtype for _, dtype in like.inputs]
    written = [_written(like.whole, value) for value in like.whole.input_values()]
    failed: XConvError | None = None
    for shapes in dict.fromkeys((tuple(shape for shape, _ in like.inputs), tuple(written))):
        free = [[axis for axis, size in enumerate(shape) if size is None and axis] for shape in shapes]
        try:
            return read_program(capture(source, _examples(source, shapes, kinds), free), type(source).__name__)
        except XConvError as error:
            failed = failed or error
    raise failed or InvalidInput(f"{like.name} has no inputs", remedy="give input_shape=")


def examples_like(module: Any, opened: Opened) -> list[Any]:
    """Tensors that a module takes whose graph was opened: noise in its own precision, ones for integers."""
    shapes = [_written(opened.whole, value) for value in opened.whole.input_values()]
    return _examples(module, shapes, [dtype for _, dtype in opened.inputs])


def _examples(source: Any, shapes: Sequence[Shape], kinds: Sequence[str]) -> list[Any]:
    """A tensor for each shape: noise in the module's own precision, ones for integers."""
    import torch

    from xconv.torch.capture import OPEN_SIZE

    generator = torch.Generator().manual_seed(0)
    dtype = next((tensor.dtype for tensor in source.parameters() if tensor.is_floating_point()), torch.float32)
    tensors = []
    for shape, kind in zip(shapes, kinds, strict=True):
        sizes = (2, *(OPEN_SIZE if size is None else size for size in shape[1:]))
        floats = torch.randn(sizes, generator=generator, dtype=dtype)
        tensors.append(floats if "float" in kind else torch.ones(sizes, dtype=getattr(torch, kind)))
    return tensors


def _written(graph: Graph, value: Value) -> Shape:
    """An input's shape as its source writes it."""
    shape, order = graph.shape(value), graph.held.get(value)
    return axes.apply(shape, axes.inverse(order)) if order else shape
