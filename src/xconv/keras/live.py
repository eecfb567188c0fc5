"""A live Keras model -> records: Functional, Sequential, nested; subclassed models and custom layers by tracing."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xconv.errors import InvalidInput, Unsupported
from xconv.graph import map_structure, values_in
from xconv.keras.records import Call, Entry, KerasModel, Ref, VariableRef
from xconv.registry import registered
from xconv.spec import Shape
from xconv.weights import Weight

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LiveVariable", "is_keras_model", "is_tf_keras_model", "read_live", "read_live_tf_keras"]

FOREIGN = {
    "Lambda": "a Lambda layer holds Python code, which has no meaning outside Keras",
    "TFSMLayer": "it runs a TensorFlow SavedModel",
    "TorchModuleWrapper": "it already wraps a torch module",
    "JaxLayer": "it runs JAX code",
    "FlaxLayer": "it runs JAX code",
}


def is_keras_model(source: object) -> bool:
    """Whether `source` is a live Keras 3 model or layer; imports nothing."""
    keras = sys.modules.get("keras")
    layer = getattr(getattr(keras, "layers", None), "Layer", None)
    return layer is not None and isinstance(source, layer)


def is_tf_keras_model(source: object) -> bool:
    """Whether `source` is a live model of tf_keras (Keras 2); imports nothing."""
    names = {f"{base.__module__}.{base.__name__}" for base in type(source).__mro__}
    return bool(names & {"tf_keras.src.engine.training.Model", "keras.engine.training.Model"})


def read_live(model: Any) -> KerasModel:
    """The records of a built Keras 3 model.

    Raises:
        InvalidInput: the model is not built, or has no layers.
        Unsupported: a subclassed model whose call cannot be traced.
    """
    source = f"the live model {model.name!r}"
    reading = _Reading()
    found = reading.model(model, "")
    return KerasModel(found.name, found.entries, found.inputs, found.outputs, reading.arrays, found.shapes, source=source)


def read_live_tf_keras(model: Any) -> KerasModel:
    """The records of a built tf_keras (Keras 2) model: its own config, and its variables by layer path.

    Raises:
        InvalidInput: the model is not built.
        Unsupported: a subclassed model; Keras 2 cannot trace one into layers.
    """
    from xconv.keras.parse import parse_model

    if not model.built:
        raise _unbuilt(model)

    def arrays_of(path: tuple[str, ...]) -> Sequence[LiveVariable]:
        part = model
        for name in path:
            if name.isdigit():
                part = part[int(name)]
            elif hasattr(part, "get_layer") and any(layer.name == name for layer in part.layers):
                part = part.get_layer(name)
            else:
                part = getattr(part, name, None)
            if part is None:
                return []  # the input layer of a Sequential, which is not among its layers
        return [LiveVariable(v) for v in (*part._trainable_weights, *part._non_trainable_weights)]

    try:
        config = json.loads(model.to_json())
    except NotImplementedError as error:
        raise Unsupported(
            "a subclassed tf_keras model has no graph", place=model.name, remedy="rebuild it with the functional API"
        ) from error
    return parse_model(config, arrays_of, source=f"the live model {model.name!r}")


@dataclass(frozen=True, slots=True)
class LiveVariable:
    """A Keras variable as an `ArraySource`, read without a copy where the backend allows."""

    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The variable's shape."""
        return tuple(self.variable.shape)

    @property
    def dtype(self) -> str:
        """The variable's dtype."""
        return str(getattr(self.variable.dtype, "name", self.variable.dtype))

    def blocks(self, multiple: int = 1) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The whole array as one block."""
        import numpy as np

        value = self.variable.value
        if callable(value):
            value = value()
        if hasattr(value, "read_value"):
            value = value.read_value()
        if type(value).__name__ == "EagerTensor" and self.dtype != "bfloat16":
            yield 0, np.asarray(memoryview(value))
        elif hasattr(value, "detach"):
            yield 0, value.detach().cpu().numpy()
        else:
            yield 0, np.asarray(value)


@dataclass(slots=True)
class _Reading:
    """One reading: the arrays found, and the key of every variable."""

    arrays: dict[str, LiveVariable] = field(default_factory=dict)
    keys: dict[int, VariableRef] = field(default_factory=dict)
    symbols: dict[int, VariableRef] = field(default_factory=dict)
    """Symbolic tensors that stand for variables in traced calls, by id; the function keeps them alive."""
    open: list[int] = field(default_factory=list)

    def model(self, model: Any, path: str) -> KerasModel:
        """A Functional or Sequential model as it is; any other by tracing its call."""
        self.weights(model, path.rstrip("/") or model.name)
        if type(model).__name__ == "Sequential" or hasattr(model, "_functional"):
            functional = model._functional
            if functional is None:
                raise _unbuilt(model)
            return self.function(functional, path, model.name)
        if hasattr(model, "_nodes") and hasattr(model, "_operations") and getattr(model, "inputs", None):
            return self.function(model, path, model.name)
        return self.traced(model, path, _input_shapes(model))

    def function(self, function: Any, path: str, name: str, inputs: Any = None) -> KerasModel:
        """A `keras.Function`: its operations, their calls inside it, its inputs (or those given) and outputs."""
        nodes = [node for depth in sorted(function._nodes_by_depth, reverse=True) for node in function._nodes_by_depth[depth]]
        numbers = _number_calls(nodes)
        calls: dict[int, list[Any]] = {}
        for node in sorted(nodes, key=lambda node: numbers[id(node)]):
            calls.setdefault(id(node.operation), []).append(node)
        refs = _Refs(numbers, _names(function.operations))
        shapes = {
            refs.of(tensor): tuple(tensor.shape) for node in nodes for tensor in node.outputs if tensor.shape is not None
        }
        for op in function.operations:
            self.weights(op, f"{path}{refs.names[id(op)]}")
        entries = tuple(
            self.entry(op, refs.names[id(op)], path, calls.get(id(op), []), refs) for op in function.operations
        )
        inputs = map_structure(refs.of, function._inputs_struct if inputs is None else inputs)
        return KerasModel(name, entries, inputs, map_structure(refs.of, function._outputs_struct), {}, shapes)

    def entry(self, op: Any, name: str, path: str, nodes: Sequence[Any], refs: _Refs) -> Entry:
        """One layer, operation or nested model."""
        kind, module, place = type(op).__name__, type(op).__module__, f"{path}{name}"
        is_op = not hasattr(op, "trainable")
        calls = () if kind == "InputLayer" else tuple(self.call(node, refs) for node in nodes)
        if is_op:
            return Entry(name, kind, module, is_op=True, config=_config(op), calls=calls)
        registered_name = None if module.startswith("keras.") else _registered_name(op)
        common = {"module": module, "registered_name": registered_name, "calls": calls, "trainable": bool(op.trainable)}
        if kind in FOREIGN and module.startswith("keras."):
            return Entry(name, kind, problem=FOREIGN[kind], **common)
        if _is_model(op):
            return Entry(name, kind, inner=self.model(op, f"{place}/"), **common)
        weights = self.weights(op, place)
        if _is_known(kind, module, registered_name):
            return Entry(name, kind, config=_config(op), weights=weights, **common)
        return self.opened(op, name, place, nodes, common)

    def opened(self, op: Any, name: str, place: str, nodes: Sequence[Any], common: dict[str, Any]) -> Entry:
        """A layer that no rule knows, opened by tracing its call."""
        if not nodes:
            return Entry(name, type(op).__name__, **common)
        arguments = nodes[0].arguments
        shapes = [tuple(tensor.shape) for tensor in arguments.keras_tensors]
        dtypes = [tensor.dtype for tensor in arguments.keras_tensors]
        try:
            inner = self.traced(op, f"{place}/", shapes, dtypes, arguments)
        except Unsupported as error:
            return Entry(name, type(op).__name__, problem=f"layer {type(op).__name__!r}: {error.summary}", **common)
        return Entry(name, type(op).__name__, inner=inner, **common)

    def traced(
        self, layer: Any, path: str, shapes: Any, dtypes: Sequence[str] | None = None, arguments: Any = None
    ) -> KerasModel:
        """The graph that `layer.call` makes of symbolic tensors.

        Raises:
            Unsupported: the call does something that symbolic tensors cannot.
        """
        import keras

        if id(layer) in self.open:
            raise Unsupported(f"{layer.name!r} calls itself")
        flat = list(shapes.values()) if isinstance(shapes, Mapping) else list(shapes)
        kinds = list(dtypes or ["float32"] * len(flat))
        tensors = [keras.Input(batch_shape=(None, *s[1:]), dtype=d) for s, d in zip(flat, kinds, strict=True)]
        given = dict(zip(shapes, tensors, strict=True)) if isinstance(shapes, Mapping) else tensors
        self.open.append(id(layer))
        try:
            try:
                outputs = _call_symbolically(layer, given, tensors, arguments)
                function = keras.Function(tensors, outputs)
            except Unsupported:
                with _symbolic_variables(layer) as symbols:
                    outputs = _call_symbolically(layer, given, tensors, arguments)
                function = keras.Function([*tensors, *symbols], outputs)
                self.symbols.update({id(tensor): self.keys[id(v)] for tensor, v in symbols.items()})
            return self.function(function, path, layer.name, tensors)
        finally:
            self.open.pop()

    def call(self, node: Any, refs: _Refs) -> Call:
        """A call's arguments with a `Ref` for each tensor and a `VariableRef` for each variable."""

        def leaf(item: Any) -> Any:
            if _is_tensor(item):
                return self.symbols.get(id(item)) or refs.of(item)
            if id(item) in self.keys:
                return self.keys[id(item)]
            if hasattr(item, "regularizer") and hasattr(item, "path"):
                raise Unsupported(f"{node.operation.name} uses the variable {item.path!r} of another layer")
            return item

        def walk(item: Any) -> Any:
            # slices and dtypes are leaves; tuples of slices are walked like any tuple
            return None if item is None else map_structure(leaf, item)

        return Call(
            tuple(walk(a) for a in node.arguments.args), {k: walk(a) for k, a in node.arguments.kwargs.items()}
        )

    def weights(self, layer: Any, place: str) -> tuple[Weight, ...]:
        """The layer's own variables in creation order, remembered under `place/index`."""
        own = [*getattr(layer, "_trainable_variables", ()), *getattr(layer, "_non_trainable_variables", ())]
        result = []
        for index, variable in enumerate(own):
            if id(variable) in self.keys:
                result.append(self.keys[id(variable)].weight)
                continue
            key = f"{place}/{index}"
            weight = Weight.of(key, tuple(variable.shape), str(variable.dtype))
            self.arrays[key] = LiveVariable(variable)
            self.keys[id(variable)] = VariableRef(weight, variable.name, bool(variable.trainable))
            result.append(weight)
        return tuple(result)


@dataclass(frozen=True, slots=True)
class _Refs:
    """How Keras tensors are named: by the entry and the number of the call that made them."""

    numbers: Mapping[int, int]
    names: Mapping[int, str]

    def of(self, tensor: Any) -> Ref:
        """The reference to a Keras tensor."""
        operation, node_index, tensor_index = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        return Ref(self.names[id(operation)], self.numbers.get(id(node), 0), tensor_index)


def _number_calls(nodes: Sequence[Any]) -> dict[int, int]:
    """For every node, the how-manieth call of its operation it is inside this function."""
    by_operation: dict[int, list[Any]] = {}
    for node in nodes:
        by_operation.setdefault(id(node.operation), []).append(node)
    numbers = {}
    for same in by_operation.values():
        order = {id(node): i for i, node in enumerate(same[0].operation._inbound_nodes)}
        for number, node in enumerate(sorted(same, key=lambda node: order[id(node)])):
            numbers[id(node)] = number
    return numbers


def _names(operations: Sequence[Any]) -> dict[int, str]:
    """A unique name for every operation; traced graphs may repeat one."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for op in operations:
        name, number = op.name, 0
        while name in taken:
            number += 1
            name = f"{op.name}_{number}"
        taken.add(name)
        names[id(op)] = name
    return names


def _call_symbolically(layer: Any, given: Any, tensors: Sequence[Any], arguments: Any) -> Any:
    """`layer.call` on symbolic tensors, as the model calls it."""
    call: Callable[..., Any] = layer.call
    try:
        if arguments is None:
            return call(given if isinstance(given, Mapping) or len(tensors) > 1 else tensors[0])
        symbols = {id(old): new for old, new in zip(arguments.keras_tensors, tensors, strict=True)}
        args, kwargs = arguments.fill_in(symbols)
        return call(*args, **{key: item for key, item in kwargs.items() if item is not None})
    except (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError, KeyError, IndexError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unsupported(
            f"its call cannot be traced with symbolic tensors ({first[:160]})",
            place=layer.name,
            remedy=f"teach it with xconv.register({type(layer).__name__!r}), or write its call with keras.ops",
        ) from error


class _Symbols(dict[Any, Any]):
    """Symbolic tensors and the variables that they stand for."""


@contextlib.contextmanager
def _symbolic_variables(layer: Any) -> Iterator[_Symbols]:
    """The layer with its own variables replaced by symbolic tensors, for calls that put the variable first.

    `self.gain * x` asks the variable to multiply, which needs a real tensor; with a symbolic one it becomes a node.
    """
    import keras

    own = {id(v): v for v in (*layer._trainable_variables, *layer._non_trainable_variables)}
    replaced = {name: item for name, item in vars(layer).items() if id(item) in own}
    symbols = _Symbols()
    for name, variable in replaced.items():
        tensor = keras.Input(batch_shape=tuple(variable.shape), dtype=str(variable.dtype))
        symbols[tensor] = variable
        vars(layer)[name] = tensor
    try:
        yield symbols
    finally:
        vars(layer).update(replaced)


def _is_model(op: Any) -> bool:
    import keras

    return isinstance(op, keras.Model)


def _is_tensor(item: Any) -> bool:
    import keras

    return isinstance(item, keras.KerasTensor)


def _is_known(kind: str, module: str, registered_name: str | None) -> bool:
    """Whether the layer is Keras's own or registered; any other is opened."""
    return module.startswith("keras.") or bool(registered(kind, registered_name))


def _registered_name(op: Any) -> str:
    import keras

    return str(keras.saving.get_registered_name(type(op)))


def _config(op: Any) -> dict[str, Any]:
    """The constructor arguments; an operation without any has none."""
    return dict(op.get_config())


def _input_shapes(model: Any) -> Any:
    """The shapes on which a subclassed model was built."""
    stored = getattr(model, "_build_shapes_dict", None)
    if not stored:
        raise _unbuilt(model)
    shapes: list[Shape] | dict[str, Shape] = list(stored.values())
    if len(stored) == 1:
        (only,) = stored.values()
        if isinstance(only, Mapping):
            return {key: tuple(shape) for key, shape in only.items()}
        shapes = [tuple(shape) for shape in only] if _is_list_of_shapes(only) else [tuple(only)]
    return shapes


def _is_list_of_shapes(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(item, (tuple, list)) for item in value)


def _unbuilt(model: Any) -> InvalidInput:
    """The error for a model that does not know its input."""
    if not list(values_in(getattr(model, "layers", []))):
        return InvalidInput("the model has no layers", place=model.name, remedy="add layers before converting")
    return InvalidInput(
        "the model is not built, so its shapes are unknown",
        place=model.name,
        remedy="call model.build(input_shape), or start it with keras.Input",
    )
