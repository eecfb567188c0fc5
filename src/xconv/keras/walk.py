"""A live Keras or tf_keras graph, step by step: which operation is called on what, and its outputs as they come."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from xconv.graph import map_structure, values_in
from xconv.statistics import Array

__all__ = ["Key", "Step", "all_layers", "as_array", "backend_of", "flat", "graph_of", "no_gradients", "steps", "walk"]


@dataclass(frozen=True, slots=True)
class Key:
    """A tensor of a model: the `tensor`-th output of the `call`-th call of the layer at path `layer`."""

    layer: str
    call: int = 0
    tensor: int = 0

    def __str__(self) -> str:
        call = f" call {self.call}" if self.call else ""
        return f"{self.layer}{call}" + (f" [{self.tensor}]" if self.tensor else "")


@dataclass(frozen=True, slots=True)
class Step:
    """One call in a Functional graph; tensors are named by the `id` of their symbolic tensor."""

    operation: Any
    call: int
    args: Any
    kwargs: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def family(model: Any) -> str:
    """'tf_keras' for models of tf_keras, else 'keras'."""
    return "tf_keras" if any(kind.__module__.startswith("tf_keras") for kind in type(model).__mro__) else "keras"


def backend_of(model: Any) -> str:
    """The backend that the model runs on: 'tensorflow', 'torch', 'jax' ..."""
    return "tensorflow" if family(model) == "tf_keras" else str(sys.modules["keras"].backend.backend())


def graph_of(model: Any) -> Any:
    """The Functional graph of a model or of a built Sequential; None for a subclassed model or a layer."""
    if getattr(model, "_functional", None) is not None:
        return model._functional
    return model if getattr(model, "_nodes_by_depth", None) is not None and getattr(model, "inputs", None) else None


def all_layers(model: Any) -> list[Any]:
    """Every layer of the model, nested ones too, the model itself first."""
    return list(model._flatten_layers())


def flat(structure: Any, model: Any) -> list[Any]:
    """The leaves of a structure in the order in which the model's framework flattens it (dicts by sorted key)."""
    name = "tensorflow" if family(model) == "tf_keras" else "keras"
    tree = sys.modules[name].nest if name == "tensorflow" else sys.modules[name].tree
    return list(tree.flatten(structure))


def _is_symbolic(item: Any) -> bool:
    return hasattr(item, "_keras_history")


def _arguments(node: Any) -> tuple[Any, Any]:
    if hasattr(node, "arguments"):
        return node.arguments.args, node.arguments.kwargs
    return node.call_args, node.call_kwargs


def steps(graph: Any) -> list[Step]:
    """The calls of a Functional graph in the order in which Keras runs them, without its inputs."""
    nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]
    own = {id(node) for node in nodes}
    result = []
    for node in nodes:
        operation = node.operation if hasattr(node, "operation") else node.layer
        if operation is None or node.is_input:
            continue
        args, kwargs = _arguments(node)
        siblings = [other for other in operation._inbound_nodes if id(other) in own]
        call = next(place for place, other in enumerate(siblings) if other is node)
        inputs = tuple(id(item) for item in values_in((args, kwargs)) if _is_symbolic(item))
        outputs = tuple(id(item) for item in flat(node.outputs, graph))
        result.append(Step(operation, call, args, kwargs, inputs, outputs))
    return result


def walk(
    model: Any, inputs: Sequence[Any], path: str = "", turn: int = 0
) -> Generator[tuple[Key, Any], None, list[Any]]:
    """Runs a Functional or Sequential model in inference and yields every tensor with its key as it is computed.

    Nested models are entered; their layers have the path `outer/inner`. A tensor is dropped after its last use.
    `turn` counts the calls of the nested model itself. The generator returns the outputs, flat.
    """
    graph = graph_of(model)
    plan = steps(graph)
    outputs = [id(tensor) for tensor in graph.outputs]
    uses = Counter([*(name for step in plan for name in step.inputs), *outputs])
    held = dict(zip((id(tensor) for tensor in graph.inputs), inputs, strict=True))
    for step in plan:
        args, kwargs = map_structure(lambda item: held.get(id(item), item), (step.args, step.kwargs))
        name = f"{path}{step.operation.name}"
        call = turn * len({s.call for s in plan if s.operation is step.operation}) + step.call
        if graph_of(step.operation) is not None:
            inner = flat(args[0] if args else next(iter(kwargs.values())), model)
            results = yield from walk(step.operation, inner, f"{name}/", call)
        else:
            results = flat(_run(step.operation, args, kwargs, model), model)
        for place, (symbol, value) in enumerate(zip(step.outputs, results, strict=False)):
            yield Key(name, call, place), value
            held[symbol] = value
        _drop(held, uses, step)
    return [held[name] for name in outputs]


def _run(operation: Any, args: Any, kwargs: Any, model: Any) -> Any:
    if "training" in inspect.signature(operation.call).parameters:
        kwargs = {**kwargs, "training": False}
    with no_gradients(model):
        return operation(*args, **kwargs)


def _drop(held: dict[int, Any], uses: Counter[int], step: Step) -> None:
    for name in step.inputs:
        uses[name] -= 1
    for name in (*step.inputs, *step.outputs):
        if uses[name] <= 0:
            held.pop(name, None)


def no_gradients(model: Any) -> AbstractContextManager[Any]:
    """A context in which the torch backend records no gradients; nothing elsewhere."""
    if backend_of(model) != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def as_array(tensor: Any, model: Any) -> Array:
    """A framework tensor as a NumPy array."""
    import numpy as np

    if family(model) == "tf_keras":
        return np.asarray(tensor)
    array = np.asarray(sys.modules["keras"].ops.convert_to_numpy(tensor))
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
