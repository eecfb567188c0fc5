"""A live Keras model -> records: Functional, Sequential, nested; subclassed models and custom layers by tracing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xconv.errors import Unsupported
from xconv.graph import LowRank, map_structure, unique
from xconv.keras.adapters import Adapter, Merged, Options, adapter_of, float_policy, float_sources, mode_of
from xconv.keras.composites import Part, owners, public_name
from xconv.keras.quantized import DEQUANTIZE, note_on
from xconv.keras.records import Call, Entry, KerasModel, Ref, VariableRef
from xconv.keras.trace import InputShapes, Traced, input_shapes, trace, unbuilt
from xconv.keras.unrolled import Unrolled, is_own
from xconv.keras.variables import LiveConstant, LiveVariable
from xconv.layers.refused import REFUSED
from xconv.registry import registered
from xconv.weights import ArraySource, NumpySource, Weight

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
    reading = _Reading(options or Options())
    found = reading.model(model, "")
    return replace(found, arrays=reading.arrays, source=source, low_rank=reading.low_rank)


@dataclass(slots=True)
class _Reading:
    """One reading: the arrays found, and the key of every variable."""

    options: Options
    arrays: dict[str, ArraySource] = field(default_factory=dict)
    low_rank: dict[str, LowRank] = field(default_factory=dict)
    keys: dict[int, VariableRef] = field(default_factory=dict)
    symbols: dict[int, VariableRef] = field(default_factory=dict)
    """Symbolic tensors that stand for variables in traced calls, by id; `alive` keeps them from being reused."""
    alive: list[Traced] = field(default_factory=list)
    open: list[int] = field(default_factory=list)

    def model(self, model: Any, path: str) -> KerasModel:
        """A Functional or Sequential model as it is; any other by tracing its call."""
        self.weights(model, path.rstrip("/") or model.name)
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
        numbers = _number_calls(nodes)
        calls: dict[int, list[Any]] = {}
        for node in sorted(nodes, key=lambda node: numbers[id(node)]):
            calls.setdefault(id(node.operation), []).append(node)
        opened = frozenset(id(op) for op in function.operations if _own_activation(op) is not None)
        names = _names(function.operations)
        refs = _Refs(numbers, names, path, opened, _parted(function.operations, calls, names))
        shapes = {refs.of(tensor): tuple(tensor.shape) for node in nodes for tensor in node.outputs}
        for op in function.operations:
            if mode_of(op) is None or self.options.dequantize:
                self.weights(op, f"{path}{refs.names[id(op)]}")
        entries: list[Entry] = []
        for op in function.operations:
            for name_of, nodes_of in refs.parts(op, calls.get(id(op), [])).items():
                made = self.entry(op, name_of, path, nodes_of, refs)
                entries += self.apart(op, made, path, nodes_of) if id(op) in opened else [made]
        inputs = map_structure(refs.of, function._inputs_struct if inputs is None else inputs)
        outputs = map_structure(lambda item: self.symbols.get(id(item)) or refs.of(item), function._outputs_struct)
        return KerasModel(name, tuple(entries), inputs, outputs, {}, shapes)

    def entry(self, op: Any, name: str, path: str, nodes: Sequence[Any], refs: _Refs) -> Entry:
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
        if _is_model(op):
            return replace(bare, inner=self.model(op, f"{place}/"))
        if kind == "TimeDistributed" and registered_name is None and self.is_opened(op.layer):
            return replace(bare, config={"name": name}, inner=self.wrapped(op.layer, f"{place}/layer/"))
        if _is_known(kind, module, registered_name):
            config = _config(op)
            try:
                weights = self.kept(op, Part(kind, config, module), place)
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
        return _is_model(layer) or not _is_known(kind, module, own)

    def wrapped(self, layer: Any, path: str) -> KerasModel:
        """What a TimeDistributed calls for every step: a model, or a layer that is traced."""
        if _is_model(layer):
            return self.model(layer, path)
        self.weights(layer, path.rstrip("/"))
        return self.traced(layer, path, input_shapes(layer))

    def apart(self, op: Any, made: Entry, path: str, nodes: Sequence[Any]) -> Sequence[Entry]:
        """A layer without its activation, which is a function of the user's, and this function opened."""
        import keras

        name = f"{made.name}{_ACTIVATION}"
        calls = tuple(Call((Ref(made.name, number),)) for number in range(len(nodes)))
        last = Entry(name, "Lambda", type(op).__module__, calls=calls)
        tensor = nodes[0].outputs[0]
        function = keras.layers.Lambda(op.activation, name=getattr(op.activation, "__name__", "activation"))
        try:
            inner = self.traced(function, f"{path}{name}/", [tuple(tensor.shape)], [tensor.dtype])
        except Unsupported as error:
            return made, replace(last, problem=f"activation {function.name!r}: {error.summary}")
        return replace(made, config={**made.config, "activation": "linear"}), replace(last, inner=inner)

    def flat(self, nodes: Sequence[Any], refs: _Refs) -> tuple[Call, ...]:
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
            self.symbols.update({id(tensor): self.keys[id(variable)] for tensor, variable in found.variables})
            for place, (tensor, array) in enumerate(found.constants):
                self.symbols[id(tensor)] = self.constant(array, f"{path}constant_{place}")
            return self.function(found.function, path, layer.name, found.inputs)
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
                return self.foreign(item)
            if _is_backend_tensor(item):
                number = _number(item)
                return self.constant(item, refs.constant(node, len(self.arrays))) if number is None else number
            if type(item).__name__ == "ndarray" and item.ndim:
                return self.array(item, refs.constant(node, len(self.arrays)))
            return item

        args, kwargs = node.arguments.args, node.arguments.kwargs
        return Call(tuple(map_structure(leaf, item) for item in args), map_structure(leaf, dict(kwargs)))

    def constant(self, array: Any, key: str) -> VariableRef:
        """A tensor of the backend that a call holds, as a variable that does not train."""
        self.arrays[key] = source = LiveConstant(array)
        return VariableRef(Weight.of(key, source.shape, source.dtype), key.rpartition("/")[2], trainable=False)

    def array(self, array: Any, key: str) -> VariableRef:
        """An array that a call computes with, as a variable that does not train."""
        self.arrays[key] = NumpySource(array)
        return VariableRef(Weight.of(key, array.shape, array.dtype.name), key.rpartition("/")[2], trainable=False)

    def foreign(self, variable: Any) -> VariableRef:
        """A variable that no layer of the model owns, or one that is yet to be met: a weight under its own path."""
        array = LiveVariable(variable)
        weight = Weight.of(variable.path, array.shape, array.dtype)
        self.arrays[weight.key] = array
        self.keys[id(variable)] = found = VariableRef(weight, variable.name, bool(variable.trainable))
        return found

    def kept(self, layer: Any, part: Part, place: str) -> tuple[Weight, ...]:
        """The layer's own variables, then those of the layers that it keeps, as `layer.weights` lists them."""
        result = list(self.weights(layer, place))
        if part.kind == "SpectralNormalization":  # it lists the kernel of the layer inside as its own
            result = result[-1:]
        for owner in list(owners(part, ()))[1:]:
            inside = layer
            for name in owner.path:
                inside = inside[int(name)] if name.isdecimal() else _attribute(inside, name)
            result += self.weights(inside, "/".join((place, *owner.path)))
        return tuple(result)

    def weights(self, layer: Any, place: str) -> tuple[Weight, ...]:
        """The layer's own variables in creation order, remembered under `place/index`.

        Raises:
            Unsupported: a quantised layer, where it is not to be read as the float layer that it stands for.
        """
        mode = mode_of(layer)
        if mode is not None:
            return self.dequantized(layer, mode, place)
        own = [*getattr(layer, "_trainable_variables", ()), *getattr(layer, "_non_trainable_variables", ())]
        result = []
        for index, variable in enumerate(own):
            if id(variable) in self.keys:
                result.append(self.keys[id(variable)].weight)
                continue
            key = f"{place}/{index}"
            array = self.arrays[key] = LiveVariable(variable)
            weight = Weight.of(key, array.shape, array.dtype)
            compute = str(layer.compute_dtype) if getattr(variable, "_autocast", False) else ""
            self.keys[id(variable)] = VariableRef(weight, variable.name, bool(variable.trainable), compute)
            result.append(weight)
        adapter = adapter_of(layer)
        return tuple(result) if adapter is None else self.adapted(adapter, result)

    def adapted(self, adapter: Adapter, held: Sequence[Weight]) -> tuple[Weight, ...]:
        """The variables without the matrices of LoRA, which are added to the kernel or kept beside it."""
        base, a, b = (self.keys[id(item)].weight for item in (adapter.variable, adapter.a, adapter.b))
        if self.options.keep_lora:
            self.low_rank[base.key] = LowRank(a, b, adapter.factor)
        elif not isinstance(self.arrays[base.key], Merged):
            first, second = self.arrays.pop(a.key), self.arrays.pop(b.key)
            self.arrays[base.key] = Merged(self.arrays[base.key], first, second, adapter.factor)
        return tuple(weight for weight in held if weight not in (a, b))

    def dequantized(self, layer: Any, mode: str, place: str) -> tuple[Weight, ...]:
        """The weights of the float layer that a quantised one stands for."""
        if not self.options.dequantize:
            raise Unsupported(f"it is quantised in {mode}", remedy=DEQUANTIZE)
        weights = []
        for index, source in enumerate(float_sources(layer, mode)):
            key = f"{place}/{index}"
            self.arrays.setdefault(key, source)
            weights.append(Weight.of(key, tuple(source.shape), source.dtype))
        adapter = adapter_of(layer)
        if adapter is not None:
            first, second = LiveVariable(adapter.a), LiveVariable(adapter.b)
            a, b = (Weight.of(f"{place}/lora_{n}", x.shape, x.dtype) for n, x in (("a", first), ("b", second)))
            if self.options.keep_lora:
                self.low_rank[weights[0].key] = LowRank(a, b, adapter.factor)
                self.arrays.update({a.key: first, b.key: second})
            elif not isinstance(self.arrays[weights[0].key], Merged):
                self.arrays[weights[0].key] = Merged(self.arrays[weights[0].key], first, second, adapter.factor)
        return tuple(weights)


@dataclass(frozen=True, slots=True)
class _Refs:
    """How Keras tensors are named: by the entry and the number of the call that made them."""

    numbers: Mapping[int, int]
    names: Mapping[int, str]
    path: str = ""
    opened: frozenset[int] = frozenset()
    """Layers whose activation is an entry of its own: what they return is what that makes."""

    parted: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """For calls of a layer that differ in more than their tensors, by node: an entry of their own, the number in it."""

    def of(self, tensor: Any) -> Ref:
        """The reference to a Keras tensor."""
        operation, node_index, tensor_index = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        name, number = self.parted.get(id(node), (self.names[id(operation)], self.numbers.get(id(node), 0)))
        return Ref(name + (_ACTIVATION if id(operation) in self.opened else ""), number, tensor_index)

    def constant(self, node: Any, number: int) -> str:
        """The key of a constant that a call holds."""
        return f"{self.path}{self.names[id(node.operation)]}/constant_{number}"

    def parts(self, operation: Any, nodes: Sequence[Any]) -> dict[str, list[Any]]:
        """The nodes of an operation by the name of their entry."""
        found: dict[str, list[Any]] = {self.names[id(operation)]: []}
        for node in nodes:
            name, _ = self.parted.get(id(node), (self.names[id(operation)], 0))
            found.setdefault(name, []).append(node)
        return found


_ACTIVATION = "/activation"


def _own_activation(op: Any) -> Any:
    """The function that a layer of Keras's applies last, where it is none of Keras's; None for all others."""
    function, module = getattr(op, "activation", None), type(op).__module__
    if not callable(function) or not module.startswith("keras.") or module.startswith("keras.src.layers.rnn"):
        return None
    own = str(getattr(function, "__module__", "keras.")).startswith("keras.")
    return None if own or hasattr(function, "trainable") else function


def _attribute(layer: Any, name: str) -> Any:
    """A layer that a layer keeps, under its public name or a private one."""
    return getattr(layer, name) if hasattr(layer, name) else getattr(layer, f"_{name}")


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
        names[id(op)] = unique(op.name, taken)
        taken.add(names[id(op)])
    return names


def _taken_as(dtype: str, layer: Any) -> str:
    """The type in which a layer takes a tensor that it is called on."""
    casts = layer.autocast and layer._convert_input_args and "float" in dtype
    return str(layer.compute_dtype) if casts else dtype


def _parted(
    operations: Sequence[Any], calls: Mapping[int, Sequence[Any]], names: Mapping[int, str]
) -> dict[int, tuple[str, int]]:
    """The calls of layers that are opened, by what they are opened for: shapes, and arguments that are no tensors."""
    taken, found = set(names.values()), {}
    for op in operations:
        nodes = calls.get(id(op), ())
        if len(nodes) < 2 or not hasattr(op, "trainable") or type(op).__module__.startswith("keras.") or _is_model(op):
            continue
        kinds: dict[str, tuple[str, list[Any]]] = {}
        for node in nodes:
            kind = _said(node)
            if kind not in kinds:
                kinds[kind] = (unique(names[id(op)], taken) if kinds else names[id(op)], [])
                taken.add(kinds[kind][0])
            name, same = kinds[kind]
            found[id(node)] = name, len(same)
            same.append(node)
    return found


def _said(node: Any) -> str:
    """What a call says besides its tensors: their shapes, and all other arguments."""

    def leaf(item: Any) -> Any:
        if _is_tensor(item):
            return f"tensor {tuple(item.shape)} {item.dtype}"
        return f"array {id(item)}" if hasattr(item, "shape") else repr(item)

    return repr(map_structure(leaf, [list(node.arguments.args), dict(node.arguments.kwargs)]))


def _is_model(op: Any) -> bool:
    import keras

    return isinstance(op, keras.Model)


def _is_tensor(item: Any) -> bool:
    import keras

    return isinstance(item, keras.KerasTensor)


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
