"""Keras records -> Graph: every call becomes nodes, nested models are laid open, shapes are inferred and checked."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from xconv.errors import Mismatch, Problem, Unknown, Unreadable, Unsupported, XConvError
from xconv.graph import Graph, Node, Value, map_structure, values_in
from xconv.keras.records import Call, Entry, KerasModel, Ref, VariableRef
from xconv.layers import RULES
from xconv.layers.io import Input, Variable
from xconv.registry import Rule, registered
from xconv.spec import KerasLayer, Op, Shape, Slot

__all__ = ["read", "rule_for", "survey"]

NO_EFFECT = frozenset(
    {"name", "trainable", "dtype", "autocast", "build_config", "shared_object_id", "lora_rank", "lora_alpha"}
)
"""Config entries without effect on what a layer computes; dtype is checked by `_check_policy`."""

PENALTIES = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "gamma_regularizer", "beta_regularizer")

TRAINING_ONLY = ("_initializer", "_constraint", "_regularizer", "quantization_config", "_lora", "unit_forget_bias")

BUILT_IN = ("keras.", "keras", "tf_keras.", "tensorflow.keras.")


def read(model: KerasModel) -> Graph:
    """The graph of a Keras model, everything in the order in which Keras wrote it.

    Raises:
        Unknown, Unsupported: every layer that no rule can say, in one error.
        Unreadable: the graph has a cycle or refers to what is not there.
        Mismatch: shapes do not fit, or differ from what the source states.
    """
    problems = list(_unknown(model, ""))
    if problems:
        kind = Unknown if all("no rule" in p.what for p in problems) else Unsupported
        raise kind(f"{model.source or model.name} cannot be converted", problems=problems)
    reader = _Reader(model)
    outputs = reader.inline(model, "", None, trainable=True)
    if reader.problems:
        raise reader.error()
    inputs = map_structure(lambda ref: reader.inputs[ref.layer], model.inputs)
    if not list(values_in(outputs)):
        raise Mismatch(f"{model.source or model.name} has no layers", remedy="add layers, or give the model an input")
    return Graph(model.name, tuple(reader.nodes), inputs, outputs, model.arrays)


def survey(model: KerasModel) -> tuple[Graph, tuple[Problem, ...]]:
    """As much of the graph as can be read, and every reason why the rest cannot."""
    problems = {problem.place: problem for problem in _unknown(model, "")}
    reader = _Reader(model)
    try:
        outputs = reader.inline(model, "", None, trainable=True)
    except XConvError as error:
        return Graph(model.name, tuple(reader.nodes), (), ()), (*problems.values(), *error.problems)
    found = [problem for problem, _ in reader.problems if problem.place not in problems]
    inputs = map_structure(lambda ref: reader.inputs.get(ref.layer), model.inputs)
    return Graph(model.name, tuple(reader.nodes), inputs, outputs, model.arrays), (*problems.values(), *found)


def rule_for(entry: Entry) -> Rule | None:
    """The rule that says what an entry means: a registered one, or a family's where the class is Keras's own."""
    if entry.is_op:
        family = RULES.get(f"ops.{entry.kind}")
        return family.from_keras if family else None
    rule = registered(entry.kind, entry.registered_name)
    if rule or not (entry.module or "").startswith(BUILT_IN):
        return rule
    family = RULES.get(entry.kind)
    return family.from_keras if family else None


@dataclass(slots=True)
class _Reader:
    """The state of one reading: nodes so far, names given, what went wrong."""

    model: KerasModel
    nodes: list[Node] = field(default_factory=list)
    by_name: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, Value] = field(default_factory=dict)
    problems: list[tuple[Problem, type[XConvError]]] = field(default_factory=list)

    def inline(
        self, model: KerasModel, prefix: str, given: Sequence[Value | None] | None, *, trainable: bool, turn: int = 0
    ) -> Any:
        """Add the model's calls as nodes; the structure of values that it returns (None where a layer failed)."""
        entries = {entry.name: entry for entry in model.entries}
        results: dict[tuple[str, int], Any] = {}
        if given is not None:
            ports = [ref.layer for ref in values_in(model.inputs)]
            if len(ports) != len(given):
                raise Mismatch(
                    f"the nested model takes {len(ports)} inputs, it is called on {len(given)}", place=prefix
                )
            results.update({(name, 0): value for name, value in zip(ports, given, strict=True)})
        for name, index in _sequence(model, entries, prefix):
            if (name, index) in results:
                continue
            entry, place = entries[name], f"{prefix}{name}"
            number = turn * max(len(entry.calls), 1) + index
            results[name, index] = self.call(entry, number, place, results, model, trainable and entry.trainable)
        return map_structure(lambda ref: _pick(results, ref, prefix), model.outputs)

    def call(
        self,
        entry: Entry,
        number: int,
        place: str,
        results: Mapping[tuple[str, int], Any],
        model: KerasModel,
        live: bool,
    ) -> Any:
        """One call as nodes; None where it, or what it depends on, could not be read.

        `number` counts the layer's calls over all calls of the model that it is in.
        """
        call = entry.calls[number % len(entry.calls)] if entry.calls else Call()
        operands: list[Value | None] = []
        args, kwargs = self._arguments(call, place, results, operands)
        if any(value is None for value in operands):
            return None
        values = [value for value in operands if value is not None]
        try:
            if entry.inner is not None:
                return self.inline(entry.inner, f"{place}/", values, trainable=live, turn=number)
            result = self._nodes(entry, args, kwargs, values, place, live, number)
            self._check_shapes(result, entry, model, place)
        except XConvError as error:
            self.problems += [(problem, type(error)) for problem in _placed(error, place).problems]
            return None
        return result

    def _arguments(
        self, call: Call, place: str, results: Mapping[tuple[str, int], Any], operands: list[Value | None]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call's arguments with a `Slot` for each tensor; fills `operands`."""

        def slot(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                operands.append(_pick(results, leaf, place))
            elif isinstance(leaf, VariableRef):
                operands.append(self._variable(leaf))
            else:
                return leaf
            return Slot(len(operands) - 1)

        args = tuple(map_structure(slot, call.args))
        kwargs = {key: map_structure(slot, item) for key, item in call.kwargs.items()}
        return args, {key: item for key, item in kwargs.items() if item is not None and key != "training"}

    def _nodes(
        self,
        entry: Entry,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        values: list[Value],
        place: str,
        live: bool,
        number: int,
    ) -> Any:
        """The nodes of one call of a layer with a rule; the value, or list of values, that it returns."""
        rule = rule_for(entry)
        if rule is None:
            raise Unknown(f"{entry.kind} has no rule")
        _check_policy(entry)
        kind = f"ops.{entry.kind}" if entry.is_op else entry.kind
        config = {**entry.config, "trainable": live}
        shapes = tuple(self.shape(value) for value in values)
        layer = KerasLayer(kind, config, entry.weights, shapes, args, kwargs)
        ops = rule(layer)
        _check_unread(layer)
        notes = _notes(entry, kwargs)
        for op in (ops,) if isinstance(ops, Op) else tuple(ops):
            unnamed = Node("", op.spec, (), op.weights, (), place, op.name, number, kind, live, notes)
            node = self._node(op, values, unnamed)
            notes = ()
            values = [Value(node.name, index) for index in range(len(node.shapes))]
            if isinstance(op.spec, Input):
                self.inputs.setdefault(entry.name, values[0])
        return values[0] if len(values) == 1 else values

    def _node(self, op: Op, values: Sequence[Value], unnamed: Node) -> Node:
        """Add one node; its name is the layer's path, unique by suffix."""
        kind, place = unnamed.kind, unnamed.layer
        shapes = op.spec.out_shapes(*(self.shape(value) for value in values))
        for shape in shapes:
            if any(size is not None and size < 1 for size in shape):
                raise Mismatch(f"{kind} would give an empty tensor {shape}", remedy="give the model a larger input")
        separator = "" if not op.name or op.name.startswith("_") else "/"
        base = name = f"{place}{separator}{op.name}"
        number = 0
        while name in self.by_name:
            number += 1
            name = f"{base}_{number}"
        node = replace(unnamed, name=name, inputs=tuple(values), shapes=shapes)
        self.nodes.append(node)
        self.by_name[name] = node
        return node

    def _variable(self, ref: VariableRef) -> Value:
        """The node of a free variable, one for all its uses."""
        weight, name = ref.weight, ref.name
        place = weight.key.rpartition("/")[0]
        for node in self.nodes:
            if isinstance(node.spec, Variable) and node.weights == {name: weight}:
                return Value(node.name)
        op = Op(Variable(weight.shape), {name: weight}, name)
        unnamed = Node("", op.spec, (), op.weights, (), place, name, 0, "Variable", ref.trainable)
        return Value(self._node(op, (), unnamed).name)

    def shape(self, value: Value) -> Shape:
        """The shape of a value."""
        return self.by_name[value.node].shapes[value.index]

    def _check_shapes(self, result: Any, entry: Entry, model: KerasModel, place: str) -> None:
        """Compare what was inferred with what the source states."""
        for index, value in enumerate(values_in(result)):
            stated = model.shapes.get(Ref(entry.name, 0, index))
            inferred = self.shape(value)
            if stated is None or len(entry.calls) > 1:
                continue
            pairs = zip(stated[1:], inferred[1:], strict=False)
            if len(stated) != len(inferred) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
                raise Mismatch(f"its output is {stated} in the source, but its configuration gives {inferred}")

    def error(self) -> XConvError:
        """One error of the kind that all problems share, or Unsupported."""
        kinds = {kind for _, kind in self.problems}
        kind = kinds.pop() if len(kinds) == 1 else Unsupported
        name = self.model.source or self.model.name
        return kind(f"{name} cannot be converted", problems=[problem for problem, _ in self.problems])


def _sequence(model: KerasModel, entries: Mapping[str, Entry], prefix: str) -> Iterator[tuple[str, int]]:
    """The calls in an order in which each comes after what it needs; ties in the order of the model."""
    rank = {entry.name: number for number, entry in enumerate(model.entries)}
    sorter: TopologicalSorter[tuple[str, int]] = TopologicalSorter()
    wanted = [(ref.layer, ref.call) for ref in (*values_in(model.inputs), *values_in(model.outputs))]
    seen: set[tuple[str, int]] = set()
    while wanted:
        key = wanted.pop()
        if key in seen:
            continue
        seen.add(key)
        needs = _needs(key, entries, prefix)
        sorter.add(key, *needs)
        wanted += needs
    try:
        sorter.prepare()
    except CycleError as error:
        names = " -> ".join(name for name, _ in error.args[1])
        raise Unreadable(f"the graph has a cycle: {names}", place=prefix.rstrip("/")) from error
    ready: list[tuple[int, int, str]] = []
    while sorter.is_active():
        for name, index in sorter.get_ready():
            heapq.heappush(ready, (rank[name], index, name))
        _, index, name = heapq.heappop(ready)
        yield name, index
        sorter.done((name, index))


def _needs(key: tuple[str, int], entries: Mapping[str, Entry], prefix: str) -> list[tuple[str, int]]:
    """The calls whose results a call takes."""
    name, index = key
    if name not in entries:
        raise Unreadable(f"the graph refers to a layer {name!r} that is not there", place=prefix.rstrip("/"))
    calls = entries[name].calls
    if index > 0 and index >= len(calls):
        raise Unreadable(f"the graph refers to call {index}, there are {len(calls)}", place=f"{prefix}{name}")
    if not calls:
        return []
    call = calls[index]
    leaves = (*values_in(call.args), *values_in(call.kwargs))
    return [(leaf.layer, leaf.call) for leaf in leaves if isinstance(leaf, Ref)]


def _pick(results: Mapping[tuple[str, int], Any], ref: Ref, place: str) -> Value | None:
    """The value that a reference names."""
    found = list(values_in(results[ref.layer, ref.call]))
    if not found:
        return None
    if ref.tensor >= len(found):
        raise Unreadable(f"output {ref.tensor} of {ref.layer!r} does not exist", place=place.rstrip("/"))
    value: Value = found[ref.tensor]
    return value


def _unknown(model: KerasModel, prefix: str) -> Iterator[Problem]:
    """Every entry that no rule can read, nested ones included."""
    for entry in model.entries:
        place = f"{prefix}{entry.name}"
        if entry.problem:
            yield Problem(place, entry.problem, _advice(entry))
        elif entry.inner is not None:
            yield from _unknown(entry.inner, f"{place}/")
        elif rule_for(entry) is None:
            what = f"{'operation' if entry.is_op else 'layer'} {entry.kind!r} has no rule"
            yield Problem(place, what, _advice(entry))


def _advice(entry: Entry) -> str:
    """What to do about an entry that cannot be read."""
    names = [kind.removeprefix("ops.") for kind in RULES if kind.startswith("ops.") == entry.is_op]
    near = difflib.get_close_matches(entry.kind, names, n=2) if not entry.problem else []
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    if entry.is_op:
        return f"write it with other operations{hint}"
    return f"teach it with xconv.register({entry.kind!r}), or give the live model if it is made of known layers{hint}"


def _check_policy(entry: Entry) -> None:
    """Refuse mixed-precision and quantised layers, which would not compute the same."""
    policy = entry.config.get("dtype", "float32")
    if isinstance(policy, Mapping):
        config = policy.get("config", policy)
        if "Quantized" in str(policy.get("class_name")):
            raise Unsupported(f"a quantised layer ({config.get('mode') or policy['class_name']})", remedy=_KEEP_FLOAT)
        policy = config.get("name", "float32")
    if entry.kind == "InputLayer" or policy in ("float32", "float64", None) or entry.is_op:
        return
    raise Unsupported(f"dtype policy {policy!r}", remedy=_KEEP_FLOAT)


_KEEP_FLOAT = "rebuild the model under the float32 policy, load the weights, and convert that"


def _check_unread(layer: KerasLayer) -> None:
    """Nothing in a config or call is silently ignored."""
    given = {**layer.config, **layer.kwargs}
    left = sorted(key for key in layer.unread if given[key] is not None and not _without_effect(key))
    if left:
        said = ", ".join(f"{key}={given[key]!r}" for key in left)
        raise Unsupported(f"{layer.kind} has {said}, which xconv does not know", remedy="update xconv, or report it")


def _without_effect(key: str) -> bool:
    return key in NO_EFFECT or key.endswith(TRAINING_ONLY)


def _notes(entry: Entry, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader of the report should know about a layer."""
    del kwargs
    penalties = [key for key in PENALTIES if entry.config.get(key)]
    if entry.kind == "ActivityRegularization":
        penalties.append("its activity penalty")
    if not penalties:
        return ()
    return (f"{', '.join(penalties)}: the penalty is not part of a torch module; add it to the loss",)


def _placed(error: XConvError, place: str) -> XConvError:
    """The error at the layer's place, unless it already names one inside it."""
    if all(problem.place.startswith(place) for problem in error.problems):
        return error
    return error.at(place)
