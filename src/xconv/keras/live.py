"""A live Keras model -> records: Functional, Sequential, nested; subclassed models and custom layers by tracing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xconv.errors import Unsupported
from xconv.graph import map_structure
from xconv.keras.adapters import Options, float_policy, mode_of
from xconv.keras.composites import Part, public_name
from xconv.keras.live_calls import ACTIVATION, Refs, is_model, is_tensor, named, numbered, own_activation, parted
from xconv.keras.live_weights import LiveWeights
from xconv.keras.quantized import note_on
from xconv.keras.records import Call, Entry, KerasModel, Ref, VariableRef
from xconv.keras.trace import InputShapes, Traced, input_shapes, trace, unbuilt
from xconv.keras.unrolled import Unrolled, is_own
from xconv.layers.refused import REFUSED
from xconv.registry import registered

__all__ = ["is_keras_model", "read_live"]


def is_keras_model(source: object) -> bool:
    """Whether `source` is a live Keras 3 model or layer; imports nothing."""
    keras = sys.modules.get("keras")
    layer = getattr(getattr(keras, "layers", None), "Layer", None)
    return layer is not None and isinstance(source, layer)


def read_live(model: Any, options: Options | None = None) -> KerasModel:
    """The records of a built Keras 3 model; `options` say how, where there is more than one way.

    Raises:
        InvalidInput: the model is not built, or has no layers.
        Unsupported: a subclassed model whose call cannot be traced.
    """
    source = f"the live model {model.name!r}"
    held = LiveWeights(options or Options())
    found = _Reading(held).model(model, "")
    return replace(found, arrays=held.arrays, source=source, low_rank=held.low_rank)


@dataclass(slots=True)
class _Reading:
    """One reading: the variables met, and the graphs that are open."""

    held: LiveWeights
    symbols: dict[int, VariableRef] = field(default_factory=dict)
    """Symbolic tensors that stand for variables in traced calls, by id; `alive` keeps them from being reused."""
    alive: list[Traced] = field(default_factory=list)
    open: list[int] = field(default_factory=list)

    def model(self, model: Any, path: str) -> KerasModel:
        """A Functional or Sequential model as it is; any other by tracing its call."""
        self.held.weights(model, path.rstrip("/") or model.name)
        if type(model).__name__ == "Sequential" or hasattr(model, "_functional"):
            functional = model._functional
            if functional is None:
                raise unbuilt(model)
            return self.function(functional, path, model.name)
        if hasattr(model, "_nodes") and hasattr(model, "_operations") and getattr(model, "inputs", None):
            return self.function(model, path, model.name)
        return self.traced(model, path, input_shapes(model))

    def function(self, function: Any, path: str, name: str, inputs: Any = None) -> KerasModel:
        """A `keras.Function`: its operations, their calls inside it, its inputs (or those given) and outputs."""
        by_depth = function._nodes_by_depth
        nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
        numbers = numbered(nodes)
        calls: dict[int, list[Any]] = {}
        for node in sorted(nodes, key=lambda node: numbers[id(node)]):
            calls.setdefault(id(node.operation), []).append(node)
        opened = frozenset(id(op) for op in function.operations if own_activation(op) is not None)
        names = named(function.operations)
        refs = Refs(numbers, names, path, opened, parted(function.operations, calls, names))
        shapes = {refs.of(tensor): tuple(tensor.shape) for node in nodes for tensor in node.outputs}
        for op in function.operations:
            if mode_of(op) is None or self.held.options.dequantize:
                self.held.weights(op, f"{path}{refs.names[id(op)]}")
        entries: list[Entry] = []
        for op in function.operations:
            for name_of, nodes_of in refs.parts(op, calls.get(id(op), [])).items():
                made = self.entry(op, name_of, path, nodes_of, refs)
                entries += self.apart(op, made, path, nodes_of) if id(op) in opened else [made]
        inputs = map_structure(refs.of, function._inputs_struct if inputs is None else inputs)
        outputs = map_structure(lambda item: self.symbols.get(id(item)) or refs.of(item), function._outputs_struct)
        return KerasModel(name, tuple(entries), inputs, outputs, {}, shapes)

    def entry(self, op: Any, name: str, path: str, nodes: Sequence[Any], refs: Refs) -> Entry:
        """One layer, operation or nested model."""
        kind, module, place = type(op).__name__, type(op).__module__, f"{path}{name}"
        is_op = not hasattr(op, "trainable")
        calls = () if kind == "InputLayer" else tuple(self.call(node, refs) for node in nodes)
        if is_op:
            return Entry(name, kind, module, is_op=True, config=_config(op), calls=calls)
        registered_name = None if module.startswith("keras.") else _registered_name(op)
        kind = kind if registered_name else public_name(kind)
        bare = Entry(name, kind, module, registered_name, calls=calls, trainable=bool(op.trainable))
        if registered_name is None and (kind == "Lambda" or (kind == "RNN" and is_own(op))):
            layer = Unrolled(op) if kind == "RNN" else op
            return self.opened(layer, replace(bare, calls=self.flat(nodes, refs)), place, nodes)
        if kind in REFUSED and registered_name is None:
            return bare
        if is_model(op):
            return replace(bare, inner=self.model(op, f"{place}/"))
        if kind == "TimeDistributed" and registered_name is None and self.is_opened(op.layer):
            return replace(bare, config={"name": name}, inner=self.wrapped(op.layer, f"{place}/layer/"))
        if _is_known(kind, module, registered_name):
            config = _config(op)
            try:
                weights = self.held.kept(op, Part(kind, config, module), place)
            except Unsupported as error:
                remedy = error.problems[0].remedy
                return replace(bare, problem=f"layer {kind!r}: {error.problems[0].what}", remedy=remedy)
            mode = mode_of(op)
            if mode is not None:
                bare = replace(bare, notes=(note_on(mode),))
                config = {**config, "dtype": float_policy(op)}
            return replace(bare, config=config, weights=weights)
        return self.opened(op, replace(bare, calls=self.flat(nodes, refs)), place, nodes)

    def is_opened(self, layer: Any) -> bool:
        """Whether a layer is a model, or one that no rule knows."""
        kind, module = type(layer).__name__, type(layer).__module__
        own = None if module.startswith("keras.") else _registered_name(layer)
        return is_model(layer) or not _is_known(kind, module, own)

    def wrapped(self, layer: Any, path: str) -> KerasModel:
        """What a TimeDistributed calls for every step: a model, or a layer that is traced."""
        if is_model(layer):
            return self.model(layer, path)
        self.held.weights(layer, path.rstrip("/"))
        return self.traced(layer, path, input_shapes(layer))

    def apart(self, op: Any, made: Entry, path: str, nodes: Sequence[Any]) -> Sequence[Entry]:
        """A layer without its activation, which is a function of the user's, and this function opened."""
        import keras

        name = f"{made.name}{ACTIVATION}"
        calls = tuple(Call((Ref(made.name, number),)) for number in range(len(nodes)))
        last = Entry(name, "Lambda", type(op).__module__, calls=calls)
        tensor = nodes[0].outputs[0]
        function = keras.layers.Lambda(op.activation, name=getattr(op.activation, "__name__", "activation"))
        try:
            inner = self.traced(function, f"{path}{name}/", [tuple(tensor.shape)], [tensor.dtype])
        except Unsupported as error:
            return made, replace(last, problem=f"activation {function.name!r}: {error.summary}")
        return replace(made, config={**made.config, "activation": "linear"}), replace(last, inner=inner)

    def flat(self, nodes: Sequence[Any], refs: Refs) -> tuple[Call, ...]:
        """The calls of a layer that is opened: their tensors alone, in the order in which its trace takes them."""
        given = [[self.symbols.get(id(t)) or refs.of(t) for t in node.arguments.keras_tensors] for node in nodes]
        training = [{key: v for key, v in node.arguments.kwargs.items() if key == "training"} for node in nodes]
        return tuple(Call(tuple(tensors), kwargs) for tensors, kwargs in zip(given, training, strict=True))

    def opened(self, op: Any, bare: Entry, place: str, nodes: Sequence[Any]) -> Entry:
        """A layer that no rule knows, opened by tracing its call."""
        if not nodes:
            return bare
        arguments = nodes[0].arguments
        shapes = [tuple(tensor.shape) for tensor in arguments.keras_tensors]
        dtypes = [_taken_as(tensor.dtype, op) for tensor in arguments.keras_tensors]
        try:
            inner = self.traced(op, f"{place}/", shapes, dtypes, arguments)
        except Unsupported as error:
            remedy = "write its function with keras.ops" if bare.kind == "Lambda" else error.problems[0].remedy
            return replace(bare, problem=f"layer {bare.kind!r}: {error.summary}", remedy=remedy)
        return replace(bare, inner=inner, config={"dtype": str(op.dtype_policy.name)})

    def traced(
        self,
        layer: Any,
        path: str,
        shapes: InputShapes,
        dtypes: Sequence[str] | None = None,
        arguments: Any = None,
    ) -> KerasModel:
        """The graph that `layer.call` makes of symbolic tensors.

        Raises:
            Unsupported: the call does something that symbolic tensors cannot.
        """
        if id(layer) in self.open:
            raise Unsupported(f"{layer.name!r} calls itself")
        self.open.append(id(layer))
        try:
            found = trace(layer, shapes, dtypes, arguments)
            self.alive.append(found)
            self.symbols.update({id(tensor): self.held.keys[id(variable)] for tensor, variable in found.variables})
            for place, (tensor, array) in enumerate(found.constants):
                self.symbols[id(tensor)] = self.held.constant(array, f"{path}constant_{place}")
            return self.function(found.function, path, layer.name, found.inputs)
        finally:
            self.open.pop()

    def call(self, node: Any, refs: Refs) -> Call:
        """A call's arguments with a `Ref` for each tensor and a `VariableRef` for each variable."""

        def leaf(item: Any) -> Any:
            if is_tensor(item):
                return self.symbols.get(id(item)) or refs.of(item)
            if id(item) in self.held.keys:
                return self.held.keys[id(item)]
            if hasattr(item, "regularizer") and hasattr(item, "path"):
                return self.held.foreign(item)
            if _is_backend_tensor(item):
                number = _number(item)
                key = refs.constant(node, len(self.held.arrays))
                return self.held.constant(item, key) if number is None else number
            if type(item).__name__ == "ndarray" and item.ndim:
                return self.held.array(item, refs.constant(node, len(self.held.arrays)))
            return item

        args, kwargs = node.arguments.args, node.arguments.kwargs
        return Call(tuple(map_structure(leaf, item) for item in args), map_structure(leaf, dict(kwargs)))


def _taken_as(dtype: str, layer: Any) -> str:
    """The type in which a layer takes a tensor that it is called on."""
    casts = layer.autocast and layer._convert_input_args and "float" in dtype
    return str(layer.compute_dtype) if casts else dtype


def _is_backend_tensor(item: Any) -> bool:
    import keras

    return bool(keras.ops.is_tensor(item))


def _number(tensor: Any) -> float | int | None:
    """The number of a tensor without axes."""
    import keras

    if len(tensor.shape) or "bool" in str(tensor.dtype):
        return None
    number: float | int = keras.ops.convert_to_numpy(tensor).item()
    return number


def _is_known(kind: str, module: str, registered_name: str | None) -> bool:
    """Whether the layer is Keras's own or registered; any other is opened."""
    return module.startswith("keras.") or bool(registered(kind, registered_name))


def _registered_name(op: Any) -> str:
    import keras

    return str(keras.saving.get_registered_name(type(op)))


def _config(op: Any) -> dict[str, Any]:
    """The constructor arguments; an operation without any has none."""
    return dict(op.get_config())
