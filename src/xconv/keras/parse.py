"""The config of a Keras model, as its file or `get_config()` gives it, to a `KerasModel`. Nothing is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from xconv.errors import Mismatch, Problem, Unreadable, Unsupported, XConvError
from xconv.keras.composites import Part, Path, is_model, is_sequence, part_of
from xconv.keras.entries import EntryReader
from xconv.keras.entry_weights import WeightReader
from xconv.keras.nodes import Calls, references
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.keras.zip_window import Limits
from xconv.weights import ArraySource

__all__ = ["ArraysOf", "ModelParser", "parse_model"]

ArraysOf = Callable[[Path], Sequence[ArraySource]]


def parse_model(
    config: Mapping[str, Any],
    arrays_of: ArraysOf | Mapping[Path, Sequence[ArraySource]] | None = None,
    *,
    source: str = "",
    keras_version: str = "",
) -> KerasModel:
    """The model that `config` describes: `to_json()`'s object, `get_config()`'s, of Keras 2 or 3.

    `arrays_of` gives for the path of an object the variables that it owns itself, in the order of their creation. A
    path is a layer's name, after the names of the models around it, then attributes and places in lists:
    `("dense",)`, `("outer", "dense")`, `("bi", "forward_layer", "cell")`, `("rnn", "cell", "cells", "0")`. Without
    `arrays_of` the model has no weights.

    Raises:
        Unreadable: not a config of Keras: layers without names, references to what is not there.
        Unsupported: a subclassed model, which has no graph; a Sequential that is empty or has no input shape.
        Mismatch: a layer's variables are not those that its config asks for; all are listed.
    """
    parser = ModelParser(
        partial(_held, arrays_of) if isinstance(arrays_of, Mapping) else arrays_of, source, keras_version
    )
    model = parser.model(config)
    if parser.weights.problems:
        raise Mismatch("the weights do not fit the configuration", problems=parser.weights.problems)
    return model


def _held(table: Mapping[Path, Sequence[ArraySource]], path: Path) -> Sequence[ArraySource]:
    return table.get(path, ())


class ModelParser:
    """Reads one config; collects what is wrong with the weights in `weights.problems`."""

    def __init__(
        self, arrays_of: ArraysOf | None, source: str, keras_version: str, limits: Limits | None = None
    ) -> None:
        self.source, self.keras_version = source, keras_version
        self.weights = WeightReader(arrays_of)
        self._left = (limits or Limits()).layers

    def model(self, config: Mapping[str, Any]) -> KerasModel:
        """The top-level model."""
        part = part_of(config, "the configuration") if "class_name" in config else Part("Functional", config)
        if not is_model(part):
            raise _no_graph(part, self.source)
        try:
            model = self._inner(part, (), None)
        except RecursionError as error:
            raise Unreadable("the configuration is nested too deeply", place=self.source) from error
        except XConvError as error:
            raise (error.at(self.source) if self.source else error) from error.__cause__
        return KerasModel(
            model.name, model.entries, model.inputs, model.outputs, self.weights.arrays, model.shapes,
            self.keras_version, self.source,
        )  # fmt: skip

    def _inner(self, part: Part, path: Path, entering: Any) -> KerasModel:
        raws = part.config["layers"]
        self._left -= len(raws)
        if self._left < 0:
            raise Unreadable("the model has too many layers", remedy="raise Limits.layers")
        if is_sequence(part):
            return self._sequence(part, path, entering)
        return self._functional(part, path)

    def _functional(self, part: Part, path: Path) -> KerasModel:
        readers = [EntryReader.of(raw, place) for place, raw in enumerate(part.config["layers"])]
        counts = {reader.name: reader.count for reader in readers}
        if len(counts) != len(readers):
            names = [reader.name for reader in readers]
            repeated = sorted({name for name in names if names.count(name) > 1})
            raise Unreadable(f"two layers have the same name: {', '.join(repeated[:5])}", remedy="rename one of them")
        calls = Calls(counts)
        ends = part.config.get("input_layers"), part.config.get("output_layers")
        keras2 = any(reader.is_keras2 for reader in readers)
        _find_shifts(calls, readers, ends, keras2)
        read = [_located(reader.name, partial(reader.calls, calls)) for reader in readers]
        for reader, made in zip(readers, read, strict=True):
            reader.note_shapes(calls, made)
        entries = tuple(self._entry(reader, made, path, calls) for reader, made in zip(readers, read, strict=True))
        inputs, outputs = (_located("", partial(calls.structure, end)) for end in ends)
        if keras2:
            inputs, outputs = _unwrapped(inputs), _unwrapped(outputs)
        return KerasModel(_name(part, path), entries, inputs, outputs, shapes=calls.shapes)

    def _entry(self, reader: EntryReader, made: tuple[Call, ...], path: Path, calls: Calls) -> Entry:
        entering = _entering(made, calls)
        inner, own = None, (*path, reader.name)
        wrapped = reader.wrapped
        if is_model(reader.part):
            inner = _located(reader.name, lambda: self._inner(reader.part, own, entering))
        elif wrapped is not None and is_model(wrapped):
            inner = _located(reader.name, lambda: self._inner(wrapped, (*own, "layer"), None))
        weights = () if is_model(reader.part) else self.weights.read(reader, own, entering)
        return reader.entry(made, weights, inner)

    def _sequence(self, part: Part, path: Path, entering: Any) -> KerasModel:
        readers = [EntryReader.of(raw, place) for place, raw in enumerate(part.config["layers"])]
        name = _name(part, path)
        if not [reader for reader in readers if reader.part.kind != "InputLayer"]:
            raise Unsupported(f"the Sequential {name!r} has no layers", remedy="add layers before saving it")
        if readers[0].part.kind != "InputLayer":
            readers.insert(0, EntryReader.input_of(part, readers[0], name, entering))
        if len({reader.name for reader in readers}) != len(readers):
            raise Unreadable(f"two layers of the Sequential {name!r} have the same name", remedy="rename one of them")
        calls = Calls({reader.name: 1 for reader in readers})
        entries: list[Entry] = []
        for place, reader in enumerate(readers):
            made = (Call((Ref(readers[place - 1].name),)),) if place else ()
            reader.note_shapes(calls, made)
            entries.append(self._entry(reader, made, path, calls))
        first, last = Ref(readers[0].name), Ref(readers[-1].name)
        return KerasModel(name, tuple(entries), first, last, shapes=calls.shapes)


def _find_shifts(calls: Calls, readers: list[EntryReader], ends: Sequence[Any], keras2: bool) -> None:
    nested = [reader for reader in readers if is_model(reader.part) or not reader.is_known]
    if not nested:
        return
    inner: dict[str, set[int]] = {}
    outer: dict[str, set[int]] = {}
    for found, values in ((inner, [reader.nodes for reader in readers]), (outer, list(ends))):
        for layer, call in references(values):
            found.setdefault(layer, set()).add(call)
    for reader in nested:
        functional = not is_sequence(reader.part) and (reader.is_known or 0 not in outer.get(reader.name, set()))
        calls.shift(reader.name, inner.get(reader.name, set()), outer.get(reader.name, set()), keras2, functional)


def _located(name: str, read: Callable[[], Any]) -> Any:
    """What `read` returns; an error gets the layer's name in front."""
    try:
        return read()
    except XConvError as error:
        raise (error.at(name) if name else error) from error.__cause__


def _entering(made: tuple[Call, ...], calls: Calls) -> Any:
    first = made[0].args[0] if made and made[0].args else None
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    return calls.shapes.get(first) if isinstance(first, Ref) else None


def _unwrapped(structure: Any) -> Any:
    """Keras 2 lists even a single input or output; its call returns the tensor itself."""
    return structure[0] if isinstance(structure, (list, tuple)) and len(structure) == 1 else structure


def _name(part: Part, path: Path) -> str:
    name = part.config.get("name") or (path[-1] if path else part.kind.lower())
    if not isinstance(name, str):
        raise Unreadable(f"the model's name is {name!r}, not text")
    return name


def _no_graph(part: Part, source: str) -> XConvError:
    if part.kind == "Sequential":
        return Unsupported("the Sequential has no layers", place=source, remedy="add layers before saving it")
    return Unsupported(
        f"{part.kind} is a subclassed model: its file holds no graph, only its configuration and weights",
        problems=[
            Problem(
                source,
                f"{part.kind} is a subclassed model, whose file holds no graph of layers",
                "build it in Python, load its weights, and give xconv the live model",
            )
        ],
    )
