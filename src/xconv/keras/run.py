"""Running the Keras side of a verification: a live keras or tf_keras model in float64 and float32, layer by layer."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from xconv.errors import InvalidInput, Unsupported
from xconv.inputs import SIZES, Feed, leaves, noise, sized
from xconv.keras.adapters import adapter_of
from xconv.keras.evaluated import Evaluated
from xconv.keras.precision import global_policy, policies_of, rebuilt
from xconv.keras.states import afresh
from xconv.keras.walk import Key, all_layers, as_array, backend_of, family, graph_of, no_gradients, walk
from xconv.keras.widened import widened
from xconv.policies import LOW, compute_dtype
from xconv.sides import OWN, Named, NoKernel
from xconv.statistics import Array

__all__ = ["KerasSide"]

FRESH = {"moving_mean": 0.0, "moving_variance": 1.0}


class KerasSide:
    """A live Keras model, run in inference mode; the model itself is never changed.

    In another precision than its own a copy is run, rebuilt from its config. Only TensorFlow has float64: on any other
    backend Keras's dtype promotion turns it into float32 (and BatchNorm on torch asks for float32 by itself), so that
    float32 must decide there.
    """

    framework = "keras"

    def __init__(self, model: Any) -> None:
        self.model = model
        self.name = str(model.name)
        self.notes: list[str] = []
        self.backend = backend_of(model)
        self._models: dict[str, Any] = {}
        self._rounded = False
        self.evaluated: Evaluated | None = None
        if not model.built:
            raise InvalidInput("the model is not built", place=self.name, remedy="call it once, or build(input_shape)")

    def feeds(self) -> tuple[Feed, ...]:
        """The model's inputs, in the order in which its framework flattens them; empty where it does not say."""
        graph = graph_of(self.model)
        if graph is None:
            return self._feeds_of_subclassed()
        symbols = {id(tensor): tensor for tensor in graph.inputs}
        aliases = {id(leaf): path for path, leaf in leaves(_structure(graph)) if id(leaf) in symbols}
        names = [str(name) for name in getattr(graph, "input_names", ())] or [
            str(tensor.name) for tensor in graph.inputs
        ]
        return tuple(
            self._with_range(_feed(tensor, name, aliases.get(id(tensor), "")), tensor)
            for tensor, name in zip(graph.inputs, names, strict=True)
        )

    def _feeds_of_subclassed(self) -> tuple[Feed, ...]:
        shapes = getattr(self.model, "_build_shapes_dict", None) or {}
        found = [shape for shape in shapes.values() if isinstance(shape, (tuple, list))]
        if len(found) != 1 or not all(size is None or isinstance(size, int) for size in found[0]):
            return ()
        return (Feed("input", (None, *found[0][1:])),)

    def _with_range(self, feed: Feed, tensor: Any) -> Feed:
        """Integers below the vocabulary of the Embedding that they reach, 0..255 before a rescaling."""
        for layer in _consumers(self.model, tensor):
            kind = type(layer).__name__
            if kind == "Embedding":
                return replace(feed, high=int(layer.input_dim))
            if kind in ("Rescaling", "Normalization") and feed.dtype.startswith("float"):
                return replace(feed, pixels=_expects_pixels(layer))
        return feed

    def fitting(self, feeds: Sequence[Feed], batch: int) -> tuple[Feed, ...]:
        """The feeds with open sizes filled by the first of `SIZES` that the model accepts."""
        if all(None not in feed.shape[1:] for feed in feeds):
            return sized(feeds, SIZES[0], batch)
        return next(
            (s for s in (sized(feeds, z, batch) for z in SIZES) if self._accepts(s)), sized(feeds, SIZES[0], batch)
        )

    def _accepts(self, feeds: Sequence[Feed]) -> bool:
        """Whether the model runs on these sizes; shapes come first, because an empty pooling kills TensorFlow."""
        shapes = [feed.shape for feed in feeds]
        try:
            found = self.model.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
            sizes = [size for _, size in leaves(found)]
            if not all(isinstance(size, int) and size > 0 for size in sizes):
                return False
            self.outputs(noise([replace(feed, shape=(1, *feed.shape[1:])) for feed in feeds]), "float32")
        except (ValueError, TypeError, ArithmeticError, RuntimeError, NoKernel):
            return False
        return True

    def outputs(self, inputs: Sequence[Array], dtype: str) -> tuple[Named, ...]:
        """The model's outputs, flat, with their names, computed in `dtype`.

        Raises:
            NoKernel: TensorFlow has no kernel for this model in this precision.
        """
        model = self._in(dtype)
        with _foreign_errors(self, dtype), no_gradients(model), self._policy(dtype, inputs), afresh(model):
            result = model(self._packed(model, inputs), training=False)
            return tuple(Named(name, as_array(value, model)) for name, value in _named(model, result))

    def exportable(self, dtype: str) -> Any:
        """The model in `dtype`: itself, or a copy.

        Raises:
            NoKernel: there is none.
        """
        return self._in(dtype)

    def called(self, tensors: Sequence[Any]) -> list[tuple[str, Any]]:
        """The outputs with their names, for tensors of the framework's own, in the precision that the model has."""
        return list(_named(self.model, self.model(self._packed(self.model, tensors), training=False)))

    def layers(self, inputs: Sequence[Array], dtype: str) -> Iterator[tuple[Key, Array]]:
        """Every tensor of the graph in written layout, as it is computed; nothing for a subclassed model."""
        model = self._in(dtype)
        graph = graph_of(model)
        if graph is None:
            return
        tensors = [_tensor(array, model) for array in inputs]
        for symbol, tensor in zip(graph.inputs, tensors, strict=True):
            yield Key(_input_layer_name(symbol)), as_array(tensor, model)
        with _foreign_errors(self, dtype), afresh(model):
            values = walk(model, tensors)
            while True:
                with self._policy(dtype, inputs):
                    found = next(values, None)
                if found is None:
                    return
                yield found[0], as_array(found[1], model)

    def kinds(self) -> dict[str, str]:
        """The class name of every layer and operation, by path."""
        return dict(_kinds(self.model, ""))

    def is_fresh(self) -> bool:
        """Whether the model has BatchNorm layers and all of them have mean 0 and variance 1."""
        variables = [
            (FRESH[v.name.rpartition("/")[2].partition(":")[0]], v) for v in self.model.weights if _is_statistic(v)
        ]
        return bool(variables) and all(bool((as_array(v, self.model) == value).all()) for value, v in variables)

    def merge_lora(self, *, rounded: bool) -> bool:
        """From now on LoRA is added to the kernels, rounded to their own type or not; whether there is any."""
        if self._rounded != rounded:
            self._rounded = rounded
            self.release()
        return any(adapter_of(layer) is not None for layer in all_layers(self.model))

    def low_policies(self) -> tuple[str, ...]:
        """The dtype policies of less than float32 that layers of the model have."""
        return tuple(sorted(name for name in policies_of(self.model) if compute_dtype(name) in LOW))

    def _in(self, dtype: str) -> Any:
        if dtype == OWN:
            return self.model
        if dtype not in self._models:
            own = {name for name in policies_of(self.model) if "int" not in name}
            self._models[dtype] = self.model if own <= {dtype} else self._copy(dtype)
        return self._models[dtype]

    def evaluate(self, *, exactly: bool) -> Evaluated | None:
        """From now on float64 has float32 that kernels of resizing or layers' code ask for in float64, or as it is.

        What is returned tells afterwards which were; None where there is nothing to evaluate.
        """
        self.evaluated = Evaluated() if exactly and self.backend == "tensorflow" else None
        self.release()
        return self.evaluated

    @contextmanager
    def _policy(self, dtype: str, inputs: Sequence[Array]) -> Iterator[None]:
        """The policy of layers that are made while a copy is called, and TensorFlow's kernels as they are meant."""
        with ExitStack() as stack:
            if self._in(dtype) is not self.model:
                stack.enter_context(global_policy(self.model, dtype))
            if dtype == "float64" and self.evaluated is not None:
                stack.enter_context(self.evaluated.active())
                if family(self.model) == "keras" and self._in(dtype) is not self.model:
                    stack.enter_context(widened(self._in(dtype), self._open_sizes(inputs), self.evaluated.widened))
            yield

    def _open_sizes(self, inputs: Sequence[Array]) -> frozenset[int]:
        """What these inputs have along axes that the model leaves open."""
        pairs = ((feed.shape, array.shape) for feed, array in zip(self.feeds(), inputs, strict=False))
        return frozenset(size for stated, own in pairs for n, size in zip(stated, own, strict=False) if n is None)

    def _copy(self, dtype: str) -> Any:
        if dtype == "float64" and self.backend != "tensorflow":
            what = f"Keras turns float64 into float32 in its operations on the {self.backend} backend"
            raise NoKernel(what, place=self.name, remedy="set KERAS_BACKEND=tensorflow for a reference in float64")
        try:
            return rebuilt(self.model, dtype, rounded=self._rounded)
        except Unsupported as error:
            raise NoKernel(str(error)) from error

    def release(self) -> None:
        """Drops the rebuilt copies."""
        self._models.clear()

    def _packed(self, model: Any, inputs: Sequence[Array]) -> Any:
        tensors = [_tensor(array, model) for array in inputs]
        graph = graph_of(model)
        if graph is None:
            return tensors[0] if len(tensors) == 1 else tensors
        by_symbol = dict(zip((id(tensor) for tensor in graph.inputs), tensors, strict=True))
        return _mapped(_structure(graph), by_symbol)


def _structure(graph: Any) -> Any:
    """The structure of a graph's inputs, as its maker nested them."""
    for name in ("_inputs_struct", "_nested_inputs"):
        if hasattr(graph, name):
            return getattr(graph, name)
    return graph.inputs


def _mapped(structure: Any, tensors: Mapping[int, Any]) -> Any:
    if isinstance(structure, Mapping):
        return {key: _mapped(item, tensors) for key, item in structure.items()}
    if isinstance(structure, (tuple, list)):
        return type(structure)(_mapped(item, tensors) for item in structure)
    return tensors[id(structure)]


def _named(model: Any, result: Any) -> Iterator[tuple[str, Any]]:
    """The outputs with names: the path in the structure, or the model's own output names where it is flat."""
    pairs = list(leaves(result))
    names = [str(name) for name in getattr(graph_of(model), "output_names", None) or ()]
    for place, (path, value) in enumerate(pairs):
        use_path = path and not path.replace("/", "").isdigit()
        yield (path if use_path or len(names) != len(pairs) else names[place]) or "output", value


def _feed(tensor: Any, name: str, alias: str) -> Feed:
    dtype = str(getattr(tensor.dtype, "name", tensor.dtype))
    return Feed(name, tuple(tensor.shape), "float32" if "float" in dtype else dtype, alias)


def _input_layer_name(symbol: Any) -> str:
    owner = symbol._keras_history[0]
    return str(owner.name)


def _consumers(model: Any, tensor: Any) -> Iterator[Any]:
    """The layers that take an input tensor first, through nested models and casts."""
    graph = graph_of(model)
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth]
    for node in nodes:
        operation = node.operation if hasattr(node, "operation") else node.layer
        taken = node.input_tensors if hasattr(node, "operation") else node.keras_inputs
        if operation is None or not any(item is tensor for item in taken):
            continue
        inner = graph_of(operation)
        if inner is not None and len(inner.inputs) == len(taken):
            yield from _consumers(inner, next(i for i, t in zip(inner.inputs, taken, strict=True) if t is tensor))
        else:
            yield operation


def _expects_pixels(layer: Any) -> bool:
    import numpy as np

    if type(layer).__name__ == "Rescaling":
        return bool(np.max(np.abs(layer.scale)) < 0.1)
    return layer.mean is not None and bool(np.max(np.abs(np.asarray(layer.mean))) > 10)


def _tensor(array: Array, model: Any) -> Any:
    if family(model) == "tf_keras":
        return sys.modules["tensorflow"].convert_to_tensor(array)
    return sys.modules["keras"].ops.convert_to_tensor(array)


def _is_statistic(variable: Any) -> bool:
    return str(variable.name).rpartition("/")[2].partition(":")[0] in FRESH


def _kinds(model: Any, path: str) -> Iterator[tuple[str, str]]:
    graph = graph_of(model)
    for operation in getattr(graph, "operations", None) or getattr(graph, "layers", None) or all_layers(model)[1:]:
        yield f"{path}{operation.name}", type(operation).__name__
        if graph_of(operation) is not None:
            yield from _kinds(operation, f"{path}{operation.name}/")


class _foreign_errors:  # noqa: N801 - used as a function
    """Translates TensorFlow's errors: without a kernel NoKernel, otherwise InvalidInput."""

    def __init__(self, side: KerasSide, dtype: str) -> None:
        self.side, self.dtype = side, dtype

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or error is None or not isinstance(error, tensorflow.errors.OpError):
            return
        text = str(error).strip().partition("\n")[0]
        raise NoKernel(f"TensorFlow cannot run it in {self.dtype}: {text}", place=self.side.name) from error
