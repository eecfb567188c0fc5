"""torch's answer for an example: a live module, fed and differentiated, and the Keras model that it becomes.

A case is a `TorchExample`, or an `Example` in Keras's words whose module xconv itself writes.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn
from torch.utils import _pytree as pytree

from tests.comparison import assert_same, told
from tests.layers.reference import Answer, each, noise
from xconv import axes
from xconv.api import for_keras
from xconv.graph import Graph, Value, map_structure
from xconv.keras.build import build, variables_of
from xconv.keras.read import read as read_records
from xconv.keras.records import KerasModel
from xconv.keras.states import afresh
from xconv.keras.write import records_of
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.io import Variable
from xconv.layout import resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
from xconv.spec import Example, Slot, TorchExample
from xconv.support import model_of
from xconv.torch.capture import capture
from xconv.torch.read import read
from xconv.torch.write import write
from xconv.weights import NumpySource

__all__ = [
    "BATCH",
    "SIZES",
    "Case",
    "Converted",
    "assert_same_answers",
    "case_of",
    "convert",
    "graph_of_example",
    "numbers_of",
    "of_keras",
    "told",
    "turned_to_torch",
]

BATCH, TRACED_BATCH = 3, 5
"""How many samples are compared, and how many are traced: enough to cut some off."""
SIZES = (9, 8, 7)
"""What stands in for open sizes when the numbers are compared."""
TRACED = (12, 13, 14)
"""What stands in for them when the module is traced."""


# ---------------------------------------------------------------------------------------------------- modules


class Calling(nn.Module):
    """A function called on the inputs, with `Slot`s where they go."""

    def __init__(self, example: TorchExample) -> None:
        super().__init__()
        self.example = example

    def forward(self, a: Any, b: Any = None, c: Any = None, d: Any = None, e: Any = None) -> Any:
        example, tensors = self.example, [tensor for tensor in (a, b, c, d, e) if tensor is not None]
        args = [_filled(item, tensors) for item in example.args or tuple(Slot(i) for i in range(len(tensors)))]
        kwargs = {key: _filled(item, tensors) for key, item in example.kwargs.items()}
        if example.target.startswith("Tensor."):
            return getattr(args[0], example.target.removeprefix("Tensor."))(*args[1:], **kwargs)
        return _lookup(example.target)(*args, **kwargs)


class Layer(nn.Module):
    """An nn class under a name of its own, called on the inputs."""

    def __init__(self, example: TorchExample) -> None:
        super().__init__()
        self.layer = _lookup(example.target)(**example.config)
        self.example = example

    def forward(self, a: Any, b: Any = None, c: Any = None, d: Any = None, e: Any = None) -> Any:
        tensors = [tensor for tensor in (a, b, c, d, e) if tensor is not None]
        args = self.example.args or tuple(Slot(i) for i in range(len(tensors)))
        kwargs = {key: _filled(item, tensors) for key, item in self.example.kwargs.items()}
        return self.layer(*(_filled(item, tensors) for item in args), **kwargs)


def _filled(item: Any, tensors: Sequence[Any]) -> Any:
    """The argument with tensors in the places of its slots."""
    if isinstance(item, Slot):
        return tensors[item.index]
    if isinstance(item, dict):
        return {key: _filled(part, tensors) for key, part in item.items()}
    return type(item)(_filled(part, tensors) for part in item) if isinstance(item, (list, tuple)) else item


def _lookup(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def randomised(module: nn.Module) -> nn.Module:
    """Every parameter and buffer of floating point another number; variances positive."""
    random = np.random.default_rng(1)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point():
                positive = "var" in name.rpartition(".")[2]
                shape = tuple(tensor.shape)
                tensor.copy_(torch.tensor(random.uniform(0.5, 2, shape) if positive else random.normal(size=shape)))
    return module


# ---------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    """A module, and what to feed it: shapes without the batch, None where a size is open."""

    name: str
    module: nn.Module
    inputs: tuple[tuple[int | None, ...], ...]
    trains: bool
    float64: bool
    values: str
    still: int | None = None
    """The row of a table that torch does not train (padding_idx), which Keras cannot say."""
    graph: Graph | None = None
    """For an example in Keras's words, the graph that the module was written from, resolved to channels-first."""

    @property
    def dtype(self) -> torch.dtype:
        """What the numbers are compared in."""
        return torch.float64 if self.float64 else torch.float32

    @property
    def relative(self) -> float:
        """How far they may differ."""
        return 1e-10 if self.float64 else 4e-6

    def arrays(self, batch: int, sizes: Sequence[int]) -> list[np.ndarray[Any, Any]]:
        """Noise for every input, in torch's order of axes."""
        random, found = np.random.default_rng(5), []
        for shape, values in zip(self.inputs, each(self.values, self.inputs), strict=True):
            rest = iter(sizes)
            array = noise((batch, *(next(rest) if n is None else n for n in shape)), values, random)
            wanted = str(self.dtype).removeprefix("torch.") if array.dtype.kind == "f" else array.dtype
            found.append(array.astype(wanted))
        return found

    @cached_property
    def captured(self) -> Graph:
        """The module as torch.export says it, read."""
        tensors = [torch.tensor(array) for array in self.arrays(TRACED_BATCH, TRACED)]
        free = [tuple(place + 1 for place, n in enumerate(shape) if n is None) for shape in self.inputs]
        return read(capture(self.module, tensors, free), "example")


def case_of(example: Example | TorchExample) -> Case:
    """The case that an example makes."""
    if isinstance(example, TorchExample):
        module = Layer(example) if example.target.rpartition(".")[2][:1].isupper() else Calling(example)
        return _case(example, randomised(module), example.inputs)
    graph = run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, graph_of_example(example)), "first"))
    module = write(graph, "channels_first")
    return _case(example, module, tuple(graph.shape(value)[1:] for value in graph.input_values()), graph)


def turned_to_torch(case: Case, graph: Graph) -> Case:
    """The case of the module that xconv writes for a graph which was resolved to channels-first."""
    module = write(_flat(graph), "channels_first").to(case.dtype)
    shapes = tuple(graph.shape(value)[1:] for value in graph.input_values())
    return Case(case.name, module, shapes, case.trains, case.float64, case.values, graph=graph)


def _flat(graph: Graph) -> Graph:
    """The graph with every node a layer of its own, none below another: torch's paths nest where the names do."""

    def value(item: Value) -> Value:
        return replace(item, node=item.node.replace(".", "_"))

    nodes = (
        replace(n, name=n.name.replace(".", "_"), layer="", part="", inputs=tuple(map(value, n.inputs)))
        for n in graph.nodes
    )
    held = {value(item): order for item, order in graph.held.items()}
    inputs, outputs = map_structure(value, graph.inputs), map_structure(value, graph.outputs)
    return replace(graph, nodes=tuple(nodes), held=held, inputs=inputs, outputs=outputs)


def _case(
    example: Example | TorchExample, module: nn.Module, inputs: tuple[tuple[int | None, ...], ...], graph: Any = None
) -> Case:
    name = example.target if isinstance(example, TorchExample) else example.kind
    dtype = torch.float64 if example.float64 else torch.float32
    still = example.config.get("padding_idx")
    return Case(name, module.to(dtype), inputs, example.trains, example.float64, example.values, still, graph)


def graph_of_example(example: Example) -> Graph:
    """The graph of a model that calls one Keras layer, with random weights; no Keras is needed."""
    model = model_of(example)
    random = np.random.default_rng(1)
    arrays = {
        weight.key: NumpySource(random.uniform(0.5, 2, weight.source).astype("float32"))
        for entry in model.entries
        for weight in entry.weights
    }
    return read_records(replace(model, arrays=arrays))


# ---------------------------------------------------------------------------------------------------- conversion


@dataclass
class Converted:
    """A graph in Keras's order, its records, and the live model."""

    graph: Graph
    records: KerasModel
    model: Any
    taken: list[tuple[int, ...]] = field(default_factory=list)
    """The order in which each input is taken."""

    def __post_init__(self) -> None:
        ranks = [len(self.graph.shape(value)) for value in self.graph.input_values()]
        pairs = zip(self.graph.input_values(), ranks, strict=True)
        self.taken = [self.graph.held.get(value, axes.identity(rank)) for value, rank in pairs]

    def variables(self) -> Iterator[tuple[Any, Any]]:
        """Every weight of the records with the variable that holds it."""
        layers = {layer.name: layer for layer in self.model.layers}
        for entry in self.records.entries:
            if entry.weights and entry.name in layers:
                layer = layers[entry.name]
                yield from zip(entry.weights, variables_of(layer), strict=True)


def convert(graph: Graph, dtype: str, layout: str = "channels_last") -> Converted:
    """The Keras model of a graph that was read from torch."""
    resolved = for_keras(graph, layout)
    records = records_of(resolved)
    keras.utils.clear_session(free_memory=False)
    return Converted(resolved, records, build(records, dtype))


def numbers_of(graph: Graph) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """The weights of every node by role, as they are used; a free weight has a name and no role."""
    found = []
    for node in graph.nodes:
        for role, weight in sorted(node.weights.items()):
            if isinstance(node.spec, Variable):
                role = ""  # noqa: PLW2901
            if weight.constant is not None:
                found.append((role, np.full(weight.shape, weight.constant, "float32")))
            else:
                whole = np.concatenate([np.atleast_1d(block) for _, block in graph.arrays[weight.key].blocks()])
                found.append((role, weight.apply(whole.reshape(weight.source))))
    return found


# ---------------------------------------------------------------------------------------------------- answers


@dataclass
class StatefulAnswer(Answer):
    """In torch's order of axes, with the buffers after the run."""

    buffers: dict[str, Any]


def of_torch(module: nn.Module, arrays: Sequence[Any], training: bool) -> StatefulAnswer:
    """The module's answer; its buffers are put back to what they were."""
    before = {name: tensor.detach().clone() for name, tensor in module.named_buffers()}
    tensors = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    module.train(training)
    module.zero_grad()
    outputs = [y for y in pytree.tree_leaves(module(*tensors)) if y is not None]
    seeds = _seeds([tuple(y.shape) for y in outputs])
    terms = [(y * torch.tensor(s).to(y.dtype)).sum() for y, s in zip(outputs, seeds, strict=True) if y.requires_grad]
    if terms:
        sum(terms).backward()
    after = {name: tensor.detach().clone() for name, tensor in module.named_buffers()}
    with torch.no_grad():
        for name, tensor in module.named_buffers():
            tensor.copy_(before[name])
    gradients = {name: _gradient(tensor) for name, tensor in module.named_parameters(remove_duplicate=False)}
    return StatefulAnswer([y.detach() for y in outputs], [_gradient(tensor) for tensor in tensors], gradients, after)


def _gradient(tensor: torch.Tensor) -> torch.Tensor | None:
    return None if tensor.grad is None else tensor.grad.detach().clone()


def of_keras(found: Converted, arrays: Sequence[Any], training: bool) -> StatefulAnswer:
    """The model's answer, its variables back as they were; gradients by the key of the weight."""
    variables = list(found.variables())
    before = [np.array(variable) for _, variable in variables]
    tensors = [
        tf.constant(np.ascontiguousarray(array.transpose(order)))
        for array, order in zip(arrays, found.taken, strict=True)
    ]
    with tf.GradientTape() as tape, afresh(found.model):
        for tensor in tensors:
            if tensor.dtype.is_floating:
                tape.watch(tensor)
        returned = tf.nest.flatten(found.model(_nested(tensors), training=training))
        outputs = [_turned(y, axes.inverse(order)) for y, order in zip(returned, found.graph.returned, strict=True)]
        seeds = _seeds([tuple(y.shape) for y in outputs])
        terms = [
            tf.reduce_sum(y * s.astype(y.dtype.name))
            for y, s in zip(outputs, seeds, strict=True)
            if y.dtype.is_floating
        ]
        loss = tf.add_n(terms) if terms else tf.zeros(())
    watched = [tensor if tensor.dtype.is_floating else tf.zeros(()) for tensor in tensors]
    gradients = tape.gradient(loss, [*watched, *(variable.value for _, variable in variables)])
    inputs = [
        None if g is None else np.asarray(tf.convert_to_tensor(g)).transpose(axes.inverse(order))
        for g, order in zip(gradients[: len(tensors)], found.taken, strict=True)
    ]
    weights: dict[str, Any] = {}
    buffers: dict[str, Any] = {}
    for (weight, variable), gradient, old in zip(variables, gradients[len(tensors) :], before, strict=True):
        if not weight.key:
            continue
        buffers[weight.key] = weight.undo(np.array(variable))
        variable.assign(old)
        if gradient is not None:
            weights[weight.key] = weights.get(weight.key, 0) + weight.undo(np.asarray(tf.convert_to_tensor(gradient)))
    return StatefulAnswer([np.asarray(y) for y in outputs], inputs, weights, buffers)


def _nested(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def _turned(tensor: Any, order: Sequence[int]) -> Any:
    return tensor if axes.is_identity(tuple(order)) else tf.transpose(tensor, order)


def _seeds(shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(2)
    return [random.normal(size=shape) for shape in shapes]


def assert_same_answers(case: Case, found: Converted, training: bool) -> None:
    """Law 3: outputs, gradients and, after a step in training, the running statistics agree."""
    arrays = case.arrays(BATCH, SIZES)
    expected, actual = of_torch(case.module, arrays, training), of_keras(found, arrays, training)
    what = "in training" if training else "in inference"
    with told(f"outputs {what}"):
        assert len(actual.outputs) == len(expected.outputs)
        for got, want in zip(actual.outputs, expected.outputs, strict=True):
            floats = want.is_floating_point()
            assert_same(got, want, relative=case.relative, dtype=floats)
    known = [g for g in (*expected.inputs, *expected.weights.values()) if g is not None and g.numel()]
    scale = max((float(g.abs().max()) for g in known), default=0.0)
    with told(f"gradients of inputs {what}"):
        for got, want in zip(actual.inputs, expected.inputs, strict=True):
            _same_gradient(case, got, want, scale)
    with told(f"gradients of weights {what}"):
        _join_rows(actual.weights, expected.weights)
        for name, want in expected.weights.items():
            got = _whole(name, actual.weights, want)
            if case.still is not None and got is not None:
                got[case.still] = 0
            if name in found.records.arrays or not _computes(found.records):
                _same_gradient(case, got, want, scale)
    if training:
        with told("running statistics"):
            _same_statistics(case, found, actual, expected)


def _join_rows(actual: dict[str, Any], expected: Mapping[str, Any]) -> None:
    """The gradients of some rows of a weight, `name[0:8]`, as that of the whole."""
    for key in [key for key in actual if key.endswith("]")]:
        name, _, rows = key.removesuffix("]").partition("[")
        start, stop = map(int, rows.split(":"))
        gradient = actual.pop(key)
        if name in expected:
            actual.setdefault(name, np.zeros(tuple(expected[name].shape)))[start:stop] += gradient


def _whole(name: str, weights: dict[str, Any], like: Any) -> Any:
    """The gradient of a parameter, put together where Keras holds it in parts: `in_proj_weight[0:8]`."""
    parts = {key: part for key, part in weights.items() if key.startswith(f"{name}[")}
    if not parts:
        return weights.get(name)
    whole = np.zeros(tuple(like.shape))
    for key, part in parts.items():
        first, last = map(int, key.removeprefix(f"{name}[").removesuffix("]").split(":"))
        whole[first:last] += part
    return whole


def _computes(records: KerasModel) -> bool:
    """Whether a weight is computed from several parameters, such as the sum of two biases."""
    return any(key.startswith("constant:") for key in records.arrays)


def _same_gradient(case: Case, got: Any, want: Any, scale: float) -> None:
    """No gradient counts as zero; one that is nothing but rounding beside the others is compared with those."""
    if got is None and want is None:
        return
    got = np.zeros(tuple(want.shape)) if got is None else got
    want = np.zeros(got.shape) if want is None else want.numpy()
    if np.abs(want).max(initial=0.0) < 1e-6 * scale:
        assert np.abs(got - want).max(initial=0.0) <= scale * case.relative
        return
    assert_same(got, want, relative=10 * case.relative, dtype=False)


def _same_statistics(case: Case, found: Converted, actual: StatefulAnswer, expected: StatefulAnswer) -> None:
    """Means agree; torch's variance takes the unbiased variance of the batch, Keras's the biased one."""
    before = dict(case.module.named_buffers())
    shapes = {Value(n.name, i): shape for n in found.graph.nodes for i, shape in enumerate(n.shapes)}
    for node in found.graph.nodes:
        if not isinstance(node.spec, BatchNorm) or node.spec.frozen:
            continue
        mean, variance = node.weights["mean"].key, node.weights["variance"].key
        if not mean:
            continue
        assert_same(actual.buffers[mean], expected.buffers[mean], relative=case.relative)
        sizes = iter(SIZES)
        given = shapes[node.inputs[0]]
        count = BATCH * math.prod(next(sizes) if n is None else n for n in given[1:]) / node.spec.features
        kept = (1 - node.spec.momentum) * before[variance]
        biased = (expected.buffers[variance] - kept) * (1 if node.spec.masked else (count - 1) / count)
        assert_same(actual.buffers[variance], kept + biased, relative=case.relative)
