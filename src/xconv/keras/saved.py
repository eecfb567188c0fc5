"""Keras records -> a `.keras` file, without Keras: the config is JSON, the arrays are HDF5, and a zip holds both."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from typing import IO, Any

from xconv.atomic import replacing
from xconv.errors import Mismatch, Problem, Unsupported, XConvError
from xconv.frameworks import require
from xconv.graph import Graph, map_structure
from xconv.keras.composites import Owner, Part, Path, owners
from xconv.keras.encoded import encode, plain_tensor
from xconv.keras.entry_weights import shape_problem
from xconv.keras.expected_weights import expected, fits
from xconv.keras.layer_configs import described, dtype_of, layer_dtype
from xconv.keras.model_order import CallKey, ordered, tensors_in
from xconv.keras.numbers import array_of, numbers
from xconv.keras.read import survey
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.keras.weight_groups import group_of, kept_groups
from xconv.spec import Shape
from xconv.weights import Weight

__all__ = ["write_file"]

KERAS_VERSION = "3.15.1"
"""The release in whose words the config is written."""

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The date of every member: the same model gives the same bytes."""

TRUTHS = frozenset(
    {"All", "Any", "Equal", "Greater", "GreaterEqual", "IsClose", "IsFinite", "IsInf", "IsNan", "Less", "LessEqual"}
    | {"LogicalAnd", "LogicalNot", "LogicalOr", "LogicalXor", "NotEqual"}
)
"""The operations that give booleans."""


def write_file(graph: Graph | KerasModel, path: str | PathLike[str]) -> None:
    """Write a model as a `.keras` file, which Keras 3 loads in safe mode on every backend.

    Neither Keras nor TensorFlow is imported. Weights are read one at a time from where they are, rearranged and
    written. The same model gives the same bytes.

    Keras walks a graph by recursion: before it loads one of more than about 900 layers in a row,
    `sys.setrecursionlimit` must be raised, as a note of the record says.

    Args:
        graph: a graph as its source wrote it, or one that is resolved to channels-last; or records.
        path: the file; Keras asks for the suffix `.keras`.

    Raises:
        Unsupported: what Keras cannot say; records of nested models or of layers that are not Keras's own.
        Mismatch: a weight has another shape than its layer.
        IsDirectory, NotFound, Unwritable: the path cannot be written to; a full disk. An older file stays as it was.
    """
    model = graph if isinstance(graph, KerasModel) else _records(graph)
    _check(model)
    dtype = dtype_of(model)
    entries, numbering = ordered(model)
    config = _Config(model, dtype, numbering, _shapes(model)).whole(entries)
    arrays = list(_arrays(entries, model))
    with replacing(path) as temporary, tempfile.TemporaryFile(dir=temporary.parent) as scratch:
        _write_arrays(scratch, model, arrays, dtype)
        scratch.seek(0)
        with zipfile.ZipFile(temporary, "w") as archive:
            _write_text(archive, "metadata.json", {"keras_version": KERAS_VERSION, "date_saved": "1980-01-01@00:00:00"})
            _write_text(archive, "config.json", config)
            with archive.open(_member("model.weights.h5"), "w", force_zip64=True) as member:
                shutil.copyfileobj(scratch, member, 1 << 20)


def _records(graph: Graph) -> KerasModel:
    """The records of a graph, which is resolved first where it is still as its source wrote it."""
    from xconv.api import for_keras
    from xconv.keras.write import records_of

    return records_of(graph if graph.returned else for_keras(graph))


def _check(model: KerasModel) -> None:
    """Refuse records that came from elsewhere and hold more than layers and operations of Keras."""
    problems = [Problem(entry.name, entry.problem) for entry in model.entries if entry.problem]
    problems += [
        Problem(entry.name, f"a nested {entry.kind} cannot be written", "convert it to torch and back, which opens it")
        for entry in model.entries
        if entry.inner is not None
    ]
    if problems:
        raise Unsupported(f"{model.name} cannot be written as a .keras file", problems=problems)


def _shapes(model: KerasModel) -> dict[Ref, Shape]:
    """The shapes of all tensors: those that the records state, the others as their layers infer them."""
    found, _ = survey(model)
    inferred = {
        Ref(node.layer, node.call, index): shape for node in found.nodes for index, shape in enumerate(node.shapes)
    }
    return {**inferred, **model.shapes}


@dataclass(frozen=True, slots=True)
class _Config:
    """Writes the config of one model."""

    model: KerasModel
    dtype: str
    numbering: Mapping[CallKey, int]
    shapes: Mapping[Ref, Shape]

    def whole(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """The whole file's object."""
        by_name = {entry.name: entry for entry in entries}
        ends = {
            f"{end}_layers": map_structure(
                lambda ref: [ref.layer, self.numbering[ref.layer, ref.call], ref.tensor], refs
            )
            for end, refs in (("input", self.model.inputs), ("output", self.model.outputs))
        }
        layers = [self.layer(entry, by_name) for entry in entries]
        config = {"name": self.model.name, "trainable": True, "layers": layers, **ends}
        return {
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "config": config,
            "registered_name": "Functional",
        }

    def layer(self, entry: Entry, entries: Mapping[str, Entry]) -> dict[str, Any]:
        """One layer or operation with its calls."""
        held = described(entry, self.dtype)
        if not entry.is_op and entry.kind != "InputLayer":
            held["config"] = {"name": entry.name, "trainable": entry.trainable, **held["config"]}
            held["config"]["trainable"] = entry.trainable

        def tensor(ref: Ref) -> Any:
            number = self.numbering[ref.layer, ref.call]
            return plain_tensor(ref, number, self.shapes.get(ref, ()), self.dtype_of(ref, entries))

        def node(call: Call) -> dict[str, Any]:
            return {"args": encode(list(call.args), tensor), "kwargs": encode(call.kwargs, tensor)}

        try:
            held = encode(held)
            calls = [node(call) for index, call in enumerate(entry.calls) if (entry.name, index) in self.numbering]
        except XConvError as error:
            raise error.at(entry.name) from error
        return {**held, "name": entry.name, "inbound_nodes": calls}

    def dtype_of(self, ref: Ref, entries: Mapping[str, Entry]) -> str:
        """The dtype of a tensor, which Keras only notes beside its history."""
        while True:
            entry = entries[ref.layer]
            own = entry.config.get("dtype")
            if isinstance(own, str):
                return own
            if entry.is_op and entry.kind in TRUTHS:
                return "bool"
            before = tensors_in(entry.calls[ref.call]) if entry.is_op else []
            if not before:
                return layer_dtype(entry, self.dtype)
            ref = before[0]


@dataclass(frozen=True, slots=True)
class _Group:
    """The variables of one layer, and where the file keeps them."""

    place: str
    name: str
    """The name of a layer of the model; those that a layer keeps have none."""
    weights: tuple[Weight, ...]
    entry: Entry


def _arrays(entries: Sequence[Entry], model: KerasModel) -> Iterator[_Group]:
    """The groups of the weights file: `layers/conv2d_3`, and below it those of the layers that a layer keeps.

    Raises:
        Mismatch: another number of weights, or other shapes, than the configs ask for; all are listed.
    """
    used: Counter[tuple[Path, str]] = Counter()
    problems: list[Problem] = []
    for entry in entries:
        if entry.is_op:
            continue
        part = Part(entry.kind, entry.config, entry.module)
        group, path = f"layers/{group_of(entry.kind, used)}", (entry.name,)
        held = [(next(owners(part, path)), group), *kept_groups(part, group, path, _attribute_of(entry))]
        left = iter(entry.weights)
        for owner, place in held:
            own = _own(owner, entry, model, left, alone=len(held) == 1, problems=problems)
            yield _Group(place, entry.name if owner.path == path else "", own, entry)
        surplus = len(list(left))
        if surplus:
            problems.append(Problem(entry.name, f"{entry.kind} is given {surplus} weights too many"))
    if problems:
        raise Mismatch(f"the weights do not fit the layers of {model.name}", problems=problems)


def _attribute_of(entry: Entry) -> Any:
    """Under which name Keras keeps an attribute: one class has private ones, and the gate of attention is."""
    private = entry.kind == "GroupQueryAttention"
    return lambda group, name: f"{group}/{'_' if private or name == 'gate_dense' else ''}{name}"


def _own(
    owner: Owner, entry: Entry, model: KerasModel, left: Iterator[Weight], *, alone: bool, problems: list[Problem]
) -> tuple[Weight, ...]:
    """The next weights that belong to an owner."""
    place = "/".join(owner.path)
    entering = tensors_in(entry.calls[0]) if alone and entry.calls else []
    roles = expected(owner.part, model.shapes.get(entering[0]) if entering else None)
    if roles is None:
        return tuple(left)
    own = tuple(islice(left, len(roles)))
    if len(own) < len(roles):
        names = ", ".join(role.name for role in roles)
        problems.append(Problem(place, f"{owner.part.kind} needs {len(roles)} weights ({names}), it has {len(own)}"))
    for role, weight in zip(roles, own, strict=False):
        if not fits(role, weight.shape):
            problems.append(shape_problem(place, owner.part.kind, role, weight.shape))
    return own


def _write_arrays(file: IO[bytes], model: KerasModel, groups: Sequence[_Group], dtype: str) -> None:
    """The weights file; one array at a time is in memory."""
    h5py = require("h5py", "", "a .keras file")
    with h5py.File(file, "w") as tree:
        tree.create_group("vars").attrs["name"] = model.name
        for group in groups:
            held = tree.create_group(f"{group.place}/vars")
            if group.name:
                held.attrs["name"] = group.name
            kept_as = layer_dtype(group.entry, dtype)
            for index, weight in enumerate(group.weights):
                array = held.create_dataset(str(index), data=array_of(numbers(weight, model.arrays, kept_as)))
                if kept_as == "bfloat16":
                    array.attrs["dtype"] = kept_as


def _write_text(archive: zipfile.ZipFile, name: str, content: Mapping[str, Any]) -> None:
    archive.writestr(_member(name), json.dumps(content))


def _member(name: str) -> zipfile.ZipInfo:
    """A member of the archive, stored as it is."""
    member = zipfile.ZipInfo(name, LONG_AGO)
    member.external_attr = 0o600 << 16
    return member
