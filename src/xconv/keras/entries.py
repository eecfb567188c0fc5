"""One layer of a config: name, class, config in current words, calls; and why it cannot be read, where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xconv.errors import Unreadable, Unsupported
from xconv.keras.composites import TENSORFLOW_KINDS, Part, is_model, is_operation, name_of, part_of
from xconv.keras.decoded import decode_config, read_shape, walk
from xconv.keras.defaults import DEFAULTS
from xconv.keras.keras2_config import current
from xconv.keras.nodes import Calls
from xconv.keras.quantized import DEQUANTIZE
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.keras.tensorflow_ops import as_operation
from xconv.spec import Shape
from xconv.weights import Weight

__all__ = ["EntryReader"]

_KNOWN_FIELDS = frozenset(
    [
        "module",
        "class_name",
        "config",
        "registered_name",
        "build_config",
        "compile_config",
        "name",
        "inbound_nodes",
        "shared_object_id",
    ]
)
_FOREIGN = {
    "TFSMLayer": "runs a TensorFlow SavedModel from another file; load that model itself",
    "TorchModuleWrapper": "wraps a torch module as pickled code; give xconv the torch module itself",
    "JaxLayer": "wraps a JAX function; rebuild it from Keras layers",
    "FlaxLayer": "wraps a Flax module; rebuild it from Keras layers",
    "CuDNNLSTM": "keeps its weights in cuDNN's order; load it in tf_keras and save it as LSTM",
    "CuDNNGRU": "keeps its weights in cuDNN's order; load it in tf_keras and save it as GRU",
}
_OWN_CODE = "holds Python code, which is never run; replace it by layers or keras.ops"
_VOCABULARY = ("vocabulary", "idf_weights", "file_name")
_QUANTIZED = (
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
    "GPTQDTypePolicy",
    "Int4DTypePolicy",
    "AWQDTypePolicy",
)


@dataclass(frozen=True, slots=True)
class EntryReader:
    """A layer entry of a config, its fields checked."""

    name: str
    part: Part
    registered_name: str | None
    is_op: bool
    nodes: tuple[Any, ...]
    problem: str

    @classmethod
    def of(cls, raw: Any, place: int) -> EntryReader:
        """Read the fields of the `place`-th layer.

        Raises:
            Unreadable: no name, no class, or calls that are no list.
        """
        part = part_of(raw, f"layer {place}")
        name = name_of(raw)
        if not name or len(name) > 4096:
            raise Unreadable(f"layer {place}, a {part.kind}, has no usable name", remedy="give every layer a name")
        nodes, registered = raw.get("inbound_nodes") or (), raw.get("registered_name")
        if not isinstance(nodes, (list, tuple)):
            raise Unreadable("inbound_nodes is not a list", place=name)
        unknown = sorted(set(raw) - _KNOWN_FIELDS)
        problem = f"has fields that xconv does not know: {', '.join(unknown)}" if unknown else _problem(part)
        registered = registered if isinstance(registered, str) else None
        return cls(name, part, registered, is_operation(part), tuple(nodes), problem)

    @classmethod
    def input_of(cls, model: Part, first: EntryReader, name: str, entering: Shape | None) -> EntryReader:
        """The InputLayer that a Sequential's config leaves out.

        Raises:
            Unsupported: the input's shape is said nowhere: the model was never built.
        """
        shape = _first_shape(model, first) or entering
        if shape is None:
            raise Unsupported(
                f"the Sequential {name!r} was never built: the shape of its input is not known",
                remedy="call model.build(input_shape), or begin it with keras.Input(shape), and save it again",
            )
        own = f"{name}_input"
        config = {"name": own, "batch_shape": shape, "dtype": "float32"}
        return cls(own, Part("InputLayer", config, "keras.layers"), None, False, (), "")

    @property
    def count(self) -> int:
        """How often the layer is called; an InputLayer's tensor counts as the result of one call."""
        return 1 if self.part.kind == "InputLayer" else len(self.nodes)

    @property
    def is_keras2(self) -> bool:
        """Whether the calls are recorded in Keras 2's form."""
        return any(not (isinstance(node, Mapping) and "args" in node) for node in self.nodes)

    @property
    def is_known(self) -> bool:
        """Whether the class is one of Keras' own."""
        return (
            self.is_op or self.part.kind in DEFAULTS or self.part.kind in TENSORFLOW_KINDS or self.part.kind in _FOREIGN
        )

    @property
    def wrapped(self) -> Part | None:
        """The layer inside a TimeDistributed."""
        return (
            part_of(self.part.config.get("layer"), "the wrapped layer") if self.part.kind == "TimeDistributed" else None
        )

    def calls(self, calls: Calls) -> tuple[Call, ...]:
        """The recorded calls."""
        made = tuple(calls.node(node) for node in self.nodes)
        return tuple(_as_key(call) for call in made) if self.part.kind == "GetItem" else made

    def note_shapes(self, calls: Calls, made: tuple[Call, ...] = ()) -> None:
        """Note what the entry says about shapes: an InputLayer its own, a layer that of its only input."""
        config = self.part.config
        if self.part.kind == "InputLayer":
            shape = config.get("batch_shape", config.get("batch_input_shape"))
            if shape is not None:
                calls.shapes[Ref(self.name)] = read_shape(shape)
            return
        given = self.part.build.get("input_shape")
        entering = made[0].args[0] if len(made) == 1 else None
        if isinstance(entering, Ref) and _is_shape(given):
            calls.shapes.setdefault(entering, read_shape(given))

    def config(self) -> dict[str, Any]:
        """The config with defaults filled in, in Keras 3's words, its values made real."""
        if is_model(self.part):
            return {key: value for key, value in self.part.config.items() if key != "layers"}
        if self.wrapped is not None and is_model(self.wrapped):
            return {key: value for key, value in self.part.config.items() if key != "layer"}
        config = current(self.part.kind, decode_config(self.part.config))
        if self.is_op or self.part.kind not in DEFAULTS:
            return config
        config = {**DEFAULTS[self.part.kind], **config}
        if "data_format" in config and config["data_format"] is None:
            config["data_format"] = "channels_last"
        return config

    def entry(self, made: tuple[Call, ...], weights: tuple[Weight, ...], inner: KerasModel | None) -> Entry:
        """The record."""
        part = self.part
        try:
            config = self.config()
        except Unreadable as error:
            raise error.at(self.name) from error.__cause__
        entry = Entry(
            name=self.name,
            kind=part.kind,
            module="keras.layers" if part.module is None else part.module or None,
            registered_name=self.registered_name,
            is_op=self.is_op,
            config=config,
            calls=made,
            weights=weights,
            inner=inner,
            trainable=part.config.get("trainable") is not False,
            problem=self.problem,
            remedy=_remedy(self.problem),
        )
        if part.kind in TENSORFLOW_KINDS and not self.problem:
            return as_operation(entry)
        return replace(entry, module="keras.src.ops.numpy") if self.is_op and not part.module else entry


def _remedy(problem: str) -> str:
    """What to do about a problem that the config tells of, where that is known."""
    if problem.startswith("is quantized"):
        return DEQUANTIZE
    return "or give the live model" if problem.endswith(_OWN_CODE) else ""


def _as_key(call: Call) -> Call:
    """A key of several axes is a tuple in Python; JSON made it a list."""
    args = tuple(tuple(arg) if place and isinstance(arg, list) else arg for place, arg in enumerate(call.args))
    return Call(args, call.kwargs)


def _problem(part: Part) -> str:
    """Why a class of Keras' own cannot be read, from its config."""
    if part.kind in _FOREIGN:
        return _FOREIGN[part.kind]
    if part.kind == "Lambda":
        return f"Lambda {_OWN_CODE}"
    if is_model(part):
        return ""
    for value in walk(part.config):
        if value.get("class_name") == "__lambda__":
            return _OWN_CODE
        if value.get("class_name") in _QUANTIZED:
            said = value.get("config")
            mode = said.get("mode", said.get("name", "")) if isinstance(said, Mapping) else ""
            return f"is quantized ({mode})"
    for key in _VOCABULARY:
        if isinstance(part.config.get(key), str):
            return (
                f"reads {key}={part.config[key]!r} from outside the model file, which is never opened; set the values"
            )
    return ""


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or type(size) is int for size in value)


def _first_shape(model: Part, first: EntryReader) -> Shape | None:
    config = first.part.config
    said = (
        model.config.get("build_input_shape"),
        model.build.get("input_shape"),
        config.get("batch_input_shape"),
        config.get("batch_shape"),
        first.part.build.get("input_shape"),
    )
    shape = next((shape for shape in said if shape is not None and _is_shape(shape)), None)
    return read_shape(shape) if shape is not None else None
