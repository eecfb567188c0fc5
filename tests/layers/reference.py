"""Keras's answer for an `Example`: a live model of one layer, fed and differentiated, and what it becomes in torch."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from keras.src.activations import activations
from keras.src.applications import convnext, inception_resnet_v2
from keras.src.ops import core, image, linalg, math, nn
from keras.src.ops import numpy as keras_numpy

import xconv
from tests.comparison import assert_same, told
from xconv import axes
from xconv.graph import values_in
from xconv.keras.live import read_live
from xconv.spec import SAMPLES, Example, Sample, Slot, keeps_states

__all__ = ["SIZES", "Live", "assert_same_answers", "assert_same_numbers", "class_of", "each", "floats", "model_of"]

SIZES = ((7, 6, 5), (8, 9, 4))
"""What stands in for unknown sizes: odd and even, unequal."""

INTERVALS = {"positive": (0.5, 2), "above": (1.1, 3), "unit": (-0.9, 0.9)}

PRIVATE = (convnext, inception_resnet_v2)
OPERATIONS = (keras_numpy, nn, math, core, linalg, image, activations)


@contextmanager
def floats(dtype: str) -> Iterator[None]:
    """Keras's default dtype for a while."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def class_of(kind: str) -> Any:
    """The Keras class of a kind: a public layer, a private one of keras.applications, an operation."""
    places = OPERATIONS if kind.startswith("ops.") else (keras.layers, *PRIVATE)
    name = kind.removeprefix("ops.")
    return next(getattr(place, name) for place in places if hasattr(place, name))


def filled(item: Any, tensors: Any) -> Any:
    """The argument with tensors in the places of its slots and samples."""
    if isinstance(item, Sample):
        return tensors[item.index][0]
    if isinstance(item, Slot):
        return tensors[item.index]
    return type(item)(filled(part, tensors) for part in item) if isinstance(item, (list, tuple)) else item


def model_of(kind: str, config: Any, args: Any, inputs: Any, values: str = "normal", **options: Any) -> Any:
    """A Functional model that calls one layer, with `options` as the call's keyword arguments."""
    dtypes = [
        {"integers": "int32", "bits": "int32", "boolean": "bool"}.get(w, keras.config.floatx())
        for w in each(values, inputs)
    ]
    batch = SAMPLES if keeps_states(config) else None
    tensors = [keras.Input(shape, batch, dtypes[i], name=f"in{i}") for i, shape in enumerate(inputs)]
    named = {} if kind.startswith("ops.") else {"name": "the_layer"}
    inner = {key: wrapped(item) for key, item in config.items() if is_layer(item)}
    layer = class_of(kind)(**{**config, **inner}, **named)
    slots = args or tuple(Slot(i) for i in range(len(inputs)))
    named = {key: filled(item, tensors) for key, item in options.items()}
    return keras.Model(tensors, layer(*filled(slots, tensors), **named))


def each(values: str, inputs: Sequence[Any]) -> list[str]:
    """The word for every input: one for all, or one for each."""
    words = values.split()
    return words * len(inputs) if len(words) == 1 else words


def is_layer(item: Any) -> bool:
    """Whether an entry of a config describes a layer that is wrapped, or several."""
    if isinstance(item, list):
        return bool(item) and all(map(is_layer, item))
    return isinstance(item, dict) and "class_name" in item


def wrapped(item: Any) -> Any:
    """The live layer, or layers; Keras takes the config apart while it reads it."""
    if isinstance(item, list):
        return [wrapped(part) for part in item]
    return keras.saving.deserialize_keras_object(copy.deepcopy(item))


def randomise(model: Any, random: np.random.Generator) -> None:
    """Every variable another number; variances positive."""
    for variable in model.variables:
        if variable.dtype in ("float32", "float64"):
            positive = "variance" in variable.name
            shape = variable.shape
            variable.assign(random.uniform(0.5, 2, shape) if positive else random.normal(size=shape))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def noise(shape: Any, values: str, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """What the example asks to be fed."""
    match values:
        case "positive" | "above" | "unit":
            return random.uniform(*INTERVALS[values], shape)
        case "integers" | "bits" | "places":
            limit, dtype = {"integers": (4, np.int32), "bits": (2, np.int32), "places": (3, np.int64)}[values]
            return random.integers(0, limit, shape).astype(dtype)
        case "definite":
            matrices = random.normal(size=shape)
            return matrices @ matrices.swapaxes(-1, -2) + np.eye(shape[-1])
        case "corners":
            return np.array([[0, 0], [5, 0], [0, 6], [5, 6]]) + random.uniform(-0.4, 0.4, shape)
        case "sorted":
            return np.sort(random.normal(size=shape))
        case "holes":
            return np.where(random.uniform(size=shape) > 0.7, np.nan, random.normal(size=shape))
        case "boolean":
            return random.uniform(size=shape) > 0.5
    return random.normal(size=shape)


@dataclass
class Answer:
    """Outputs, and gradients of a random weighted sum of them; in Keras's order of axes where nothing is said."""

    outputs: list[Any]
    inputs: list[Any]
    weights: dict[str, Any]


def of_keras(model: Any, arrays: Any, seeds: Any, training: bool) -> Answer:
    """Keras's outputs and gradients; gradients of weights by their key."""
    arrays_of = read_live(model).arrays.items()
    variables = {key: source.variable for key, source in arrays_of if hasattr(source, "variable")}  # no constants
    trainable = {key: variable for key, variable in variables.items() if variable.trainable}
    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        for tensor in tensors:
            if tensor.dtype.is_floating:
                tape.watch(tensor)
        outputs = tf.nest.flatten(model(tensors, training=training))
        seeds.extend(np.random.default_rng(2).normal(size=y.shape).astype(array_type(y)) for y in outputs)
        loss = sum(tf.reduce_sum(y * s) for y, s in zip(outputs, seeds, strict=True) if y.dtype.is_floating)
    if not isinstance(loss, tf.Tensor):
        return Answer(outputs, [None] * len(tensors), {})
    wanted = [tensor if tensor.dtype.is_floating else tf.zeros(()) for tensor in tensors]
    gradients = tape.gradient(loss, [*wanted, *(v.value for v in trainable.values())])
    of_weights = dict(zip(trainable, gradients[len(tensors) :], strict=True))
    return Answer(outputs, gradients[: len(tensors)], of_weights)


def of_torch(module: Any, arrays: Any, seeds: Any, training: bool) -> Answer:
    """The module's outputs and gradients, brought back into Keras's order of axes."""
    record = xconv.record(module)
    tensors = [
        torch.tensor(np.ascontiguousarray(array.transpose(port.order)), requires_grad=array.dtype.kind == "f")
        for array, port in zip(arrays, record.inputs, strict=True)
    ]
    module.train(training)
    module.zero_grad()
    returned = module(*tensors)
    returned, ports = values_in(returned), values_in(record.outputs)
    outputs = [y.permute(axes.inverse(port.order)) for y, port in zip(returned, ports, strict=True)]
    loss = sum((y * torch.tensor(s)).sum() for y, s in zip(outputs, seeds, strict=True) if y.is_floating_point())
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        loss.backward()
    inputs = [
        None if tensor.grad is None else tensor.grad.permute(axes.inverse(port.order))
        for tensor, port in zip(tensors, record.inputs, strict=True)
    ]
    parameters = dict(module.named_parameters())
    weights = {
        mapped.weight.key: mapped.weight.undo(parameters[mapped.name].grad)
        for mapped in record.weights
        if mapped.name in parameters and parameters[mapped.name].grad is not None
    }
    return Answer(outputs, inputs, weights)


class Live:
    """An example's live model with random weights, its conversion and Keras's answers, each made once.

    A call in training, and any call of a model that keeps states, leaves it another one: the next call makes it anew.
    Where TensorFlow keeps a constant in float32 or has no float64 kernel, all run in float32.
    """

    def __init__(self, example: Example) -> None:
        self.example = example
        self.dtype, self.relative = ("float64", 1e-10) if example.float64 else ("float32", 4e-6)
        self.forget()

    def forget(self) -> None:
        """The next call begins with a new model."""
        self.model: Any = None
        self.random = np.random.default_rng(1)
        self.modules: dict[Any, Any] = {}
        self.answers: dict[Any, tuple[Any, list[Any], Answer]] = {}

    def assert_same_numbers(self, sizes: Any = SIZES[0], training: bool = False, **options: Any) -> None:
        """Law 3: outputs and gradients of the Keras layer and of its conversion agree."""
        with floats(self.dtype):
            module = self._module(options)
            arrays, seeds, expected = self._answer(sizes, training)
            actual = of_torch(module, arrays, seeds, training)
        if training or keeps_states(self.example.config):
            self.forget()
        assert_same_answers(actual, expected, self.dtype, self.relative, training)

    def _module(self, options: dict[str, Any]) -> Any:
        """The conversion with these options."""
        example, key = self.example, tuple(sorted(options.items()))
        if self.model is None:
            words = (example.kind, example.config, example.args, example.inputs, example.values)
            self.model = model_of(*words, **example.kwargs)
            randomise(self.model, self.random)
        if key not in self.modules:
            self.modules[key] = xconv.keras_to_torch(self.model, **options).to(getattr(torch, self.dtype))
        return self.modules[key]

    def _answer(self, sizes: Any, training: bool) -> tuple[Any, list[Any], Answer]:
        """What Keras is fed, what its outputs are weighed with, and what it answers."""
        if (sizes, training) not in self.answers:
            arrays, seeds = self._fed(sizes), []
            self.answers[sizes, training] = arrays, seeds, of_keras(self.model, arrays, seeds, training)
        return self.answers[sizes, training]

    def _fed(self, sizes: Any) -> list[Any]:
        arrays, inputs = [], self.example.inputs
        for shape, values in zip(inputs, each(self.example.values, inputs), strict=True):
            rest = iter(sizes)
            array = noise((3, *(next(rest) if n is None else n for n in shape)), values, self.random)
            arrays.append(array.astype(self.dtype) if array.dtype.kind == "f" else array)
        return arrays


def assert_same_numbers(example: Example, sizes: Any = SIZES[0], training: bool = False, **options: Any) -> None:
    """Law 3 for one call of a model of its own."""
    Live(example).assert_same_numbers(sizes, training, **options)


def assert_same_answers(actual: Answer, expected: Answer, dtype: str, relative: float, training: bool) -> None:
    """Outputs and gradients of one call agree."""
    what = "in training" if training else "in inference"
    with told(f"outputs {what}"):
        for got, want in zip(actual.outputs, expected.outputs, strict=True):
            assert_same(got, want, relative=relative, dtype=got.is_floating_point())
    with told(f"gradients of inputs {what}"):
        for got, want in zip(actual.inputs, expected.inputs, strict=True):
            if want is not None:
                none = torch.zeros(tuple(want.shape), dtype=getattr(torch, dtype))
                assert_same(none if got is None else got, tf.convert_to_tensor(want), relative=relative)
    with told(f"gradients of weights {what}"):
        _assert_same_gradients(actual.weights, expected.weights, dtype, relative)


def _assert_same_gradients(actual: dict[str, Any], expected: dict[str, Any], dtype: str, relative: float) -> None:
    """Of the weights, by key."""
    assert actual.keys() >= {key for key, want in expected.items() if want is not None}
    for key, got in actual.items():
        if expected.get(key) is None:
            continue
        want = tf.convert_to_tensor(expected[key])
        if tf.size(want) and dtype == "float64" and tf.reduce_max(tf.abs(want)) < 1e-12:
            assert got.abs().max() < 1e-12  # zero but for rounding, as for the bias of attention's keys
        else:
            assert_same(got, want, relative=relative)


def array_type(tensor: Any) -> str:
    """The NumPy dtype to weigh a tensor with."""
    return tensor.dtype.name if tensor.dtype.is_floating else "float32"
