"""Keras records -> Graph: every call becomes nodes, nested models are laid open, shapes are inferred and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from xconv.errors import Mismatch, Problem, Unknown, Unreadable, Unsupported, XConvError
from xconv.graph import Graph, Node, Value, map_structure, unique, values_in
from xconv.keras.casting import Casting, has_policies
from xconv.keras.distributed import has_statistics, inner_of
from xconv.keras.masks import with_masks
from xconv.keras.records import Call, Entry, KerasModel, Ref, VariableRef
from xconv.keras.rules import check_unread, notes_on, rule_for, unreadable
from xconv.keras.sequence import sequence
from xconv.layers.io import Input, Variable
from xconv.policies import FLOATS
from xconv.spec import KerasLayer, Made, Op, Shape, Slot, Spec, keeps_states

__all__ = ["read", "survey"]


def read(model: KerasModel) -> Graph:
    """The graph of a Keras model, everything in the order in which Keras wrote it.

    Raises:
        Unknown, Unsupported: every layer that no rule can say, in one error.
        Unreadable: the graph has a cycle or refers to what is not there.
        Mismatch: shapes do not fit, or differ from what the source states.
    """
    model = with_masks(model)
    problems = list(unreadable(model, ""))
    if problems:
        kind = Unknown if all("no rule" in p.what for p in problems) else Unsupported
        raise kind(f"{model.source or model.name} cannot be converted", problems=problems)
    reader = _Reader(model)
    outputs = map_structure(reader.held, reader.inline(model, "", None, trainable=True))
    if reader.problems:
        raise reader.error()
    inputs = map_structure(lambda ref: reader.inputs[ref.layer], model.inputs)
    if not list(values_in(outputs)):
        raise Mismatch(f"{model.source or model.name} has no layers", remedy="add layers, or give the model an input")
    return Graph(model.name, tuple(reader.nodes), inputs, outputs, model.arrays, low_rank=model.low_rank)


def survey(model: KerasModel) -> tuple[Graph, tuple[Problem, ...]]:
    """As much of the graph as can be read, and every reason why the rest cannot."""
    problems = {problem.place: problem for problem in unreadable(model, "")}
    reader = _Reader(model)
    try:
        reader.model = model = with_masks(model)
        outputs = reader.inline(model, "", None, trainable=True)
    except XConvError as error:
        return Graph(model.name, tuple(reader.nodes), (), ()), (*problems.values(), *error.problems)
    found = [problem for problem, _ in reader.problems if problem.place not in problems]
    inputs = map_structure(lambda ref: reader.inputs.get(ref.layer), model.inputs)
    return Graph(model.name, tuple(reader.nodes), inputs, outputs, model.arrays), (*problems.values(), *found)


@dataclass(frozen=True, slots=True)
class _Visit:
    """One call that is being read; `number` counts the layer's calls over all calls of the models around it."""

    entry: Entry
    place: str
    number: int
    trainable: bool

    @property
    def call(self) -> Call:
        """What the layer is called with."""
        return self.entry.calls[self.number % len(self.entry.calls)] if self.entry.calls else Call()


@dataclass(slots=True)
class _Reader:
    """The state of one reading: nodes so far, names given, what went wrong."""

    model: KerasModel
    nodes: list[Node] = field(default_factory=list)
    by_name: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, Value] = field(default_factory=dict)
    problems: list[tuple[Problem, type[XConvError]]] = field(default_factory=list)
    casting: Casting = field(init=False)
    batch: int | None = None
    """The size of the batch, where every input fixes the same one."""

    def __post_init__(self) -> None:
        self.casting = Casting(has_policies(self.model))
        self.batch = fixed_batch(self.model)

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
            for name, value in zip(ports, given, strict=True):
                results[name, 0] = value and self._entering(value, entries[name], prefix)
        for name, index in sequence(model, entries, prefix):
            if (name, index) in results:
                continue
            entry = entries[name]
            number = turn * max(len(entry.calls), 1) + index
            visit = _Visit(entry, f"{prefix}{name}", number, trainable and entry.trainable)
            results[name, index] = self.call(visit, results, model)
        return map_structure(lambda ref: _picked(results, ref, prefix), model.outputs)

    def _entering(self, value: Value, port: Entry, prefix: str) -> Value:
        """What a nested model is called on, in the type of its input."""
        dtype = port.config.get("dtype") if port.kind == "InputLayer" else None
        place = f"{prefix}{port.name}"
        return self.casting.cast(value, dtype, partial(self._cast, place)) if dtype in FLOATS else value

    def _cast(self, place: str, op: Op, value: Value) -> Value:
        """The node of a cast that a layer makes of what it is called on."""
        unnamed = Node("", op.spec, (), {}, (), place, "_cast", 0, "Cast")
        return Value(self._node(replace(op, name="_cast"), [value], unnamed).name)

    def call(self, visit: _Visit, results: Mapping[tuple[str, int], Any], model: KerasModel) -> Any:
        """One call as nodes; None where it, or what it depends on, could not be read."""
        operands: list[Value | None] = []
        call = _by_key(visit.call, visit.entry.inner)
        args, kwargs = self._arguments(call, visit.place, results, operands)
        if any(value is None for value in operands):
            return None
        values = [value for value in operands if value is not None]
        try:
            each = inner_of(visit.entry)
            if each is not None:
                return self._distributed(visit, each, values[0])
            if visit.entry.inner is not None:
                return self._opened(visit, visit.entry.inner, values)
            result = self._nodes(visit, args, kwargs, values)
            self._check_shapes(result, visit.entry, model)
        except XConvError as error:
            self.problems += [(problem, type(error)) for problem in _placed(error, visit.place).problems]
            return None
        return result

    def _opened(self, visit: _Visit, inner: KerasModel, values: list[Value]) -> Any:
        """The nodes of a nested model; notes on its call go to the first of them."""
        start = len(self.nodes)
        result = self.inline(inner, f"{visit.place}/", values, trainable=visit.trainable, turn=visit.number)
        notes = notes_on(visit.entry, visit.call.kwargs)
        if notes and len(self.nodes) > start:
            first = replace(self.nodes[start], notes=(*notes, *self.nodes[start].notes))
            self.nodes[start] = self.by_name[first.name] = first
        return result

    def _distributed(self, visit: _Visit, inner: KerasModel, value: Value) -> Value:
        """A model for every step: all steps as samples, or one after the other where the batch counts."""
        outer, self.batch = self.batch, None  # the samples are others
        try:
            return self._each_step(visit, inner, value)
        finally:
            self.batch = outer

    def _each_step(self, visit: _Visit, inner: KerasModel, value: Value) -> Value:
        from xconv.layers.concat import Stack
        from xconv.layers.distributed import known_steps
        from xconv.layers.reshape import Regroup
        from xconv.layers.slicing import WHOLE, Slicing

        shape = self.shape(value)
        steps = known_steps(visit.entry.kind, shape)
        kind, live = visit.entry.kind, visit.trainable
        bare = Node("", Input(()), layer=visit.place, call=visit.number, kind=kind, trainable=live)

        def made(spec: Spec, name: str, *values: Value) -> Value:
            return Value(self._node(Op(spec, {}, name), values, replace(bare, spec=spec, part=name)).name)

        def called(given: Value, turn: int) -> Value:
            found = self.inline(inner, f"{visit.place}/", [given], trainable=live, turn=turn)
            results = list(values_in(found))
            if len(results) != 1:
                raise Unsupported("TimeDistributed around a model of several outputs", remedy="give it one output")
            only: Value = results[0]
            return only

        if has_statistics(inner, live):
            turns = [visit.number * steps + step for step in range(steps)]
            rest = (WHOLE,) * (len(shape) - 2)
            each = [made(Slicing((WHOLE, step, *rest)), f"step{step}", value) for step in range(steps)]
            return made(Stack(1), "steps", *(called(step, turn) for step, turn in zip(each, turns, strict=True)))
        result = called(made(Regroup((None, *shape[2:])), "samples", value), visit.number)
        return made(Regroup((None, steps, *self.shape(result)[1:])), "steps", result)

    def _arguments(
        self, call: Call, place: str, results: Mapping[tuple[str, int], Any], operands: list[Value | None]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call's arguments with a `Slot` for each tensor; fills `operands`."""

        def slot(leaf: Any) -> Any:
            found = _picked(results, leaf, place) if isinstance(leaf, (Ref, VariableRef)) else leaf
            if isinstance(found, VariableRef):
                found = self._variable(found)
            elif not isinstance(leaf, Ref):
                return leaf
            operands.append(found)
            return Slot(len(operands) - 1)

        args = tuple(map_structure(slot, call.args))
        kwargs = {key: map_structure(slot, item) for key, item in call.kwargs.items()}
        return args, {key: item for key, item in kwargs.items() if item is not None and key != "training"}

    def _nodes(self, visit: _Visit, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Value]) -> Any:
        """The nodes of one call of a layer with a rule; the value, or list of values, that it returns."""
        entry = visit.entry
        rule = rule_for(entry)
        if rule is None:
            raise Unknown(f"{entry.kind} has no rule")
        policy = self.casting.policy(entry)
        values = self.casting.inputs(entry, policy, values, partial(self._cast, visit.place))
        kind = f"ops.{entry.kind}" if entry.is_op else entry.kind
        config = {**entry.config, "trainable": visit.trainable}
        shapes = tuple(self.shape(value) for value in values)
        layer = KerasLayer(kind, config, entry.weights, shapes, args, kwargs, batch=self._batch(visit))
        ops = rule(layer)
        check_unread(layer)
        notes = notes_on(entry, visit.call.kwargs)
        given, last = values, Op(Input(()))
        made: list[list[Value]] = []
        for op in (ops,) if isinstance(ops, Op) else tuple(ops):
            place, turn, live = visit.place, visit.number, visit.trainable
            notes = (*notes, op.note) if op.note else notes
            values = values if op.inputs is None else _wired(op.inputs, given, made)
            spec = self.casting.spec(op.spec)
            unnamed = Node("", spec, (), op.weights, (), place, op.name, turn, kind, live, notes, policy)
            node = self._node(op, values, unnamed)
            notes, last = (), op
            values = [Value(node.name, index) for index in range(len(node.shapes))]
            made.append(values)
            if isinstance(op.spec, Input):
                self.inputs.setdefault(entry.name, values[0])
        values = values if last.returns is None else _wired(last.returns, given, made)
        return values[0] if len(values) == 1 else values

    def _batch(self, visit: _Visit) -> int | None:
        """The size of a layer's batch, which counts where it keeps states: then it is called once, on whole batches."""
        if not keeps_states(visit.entry.config):
            return self.batch
        if visit.number or len(visit.entry.calls) > 1:
            what = f"stateful {visit.entry.kind} that is called several times, each with the states of the one before"
            raise Unsupported(what, remedy="give each call a layer of its own, or pass and take the states")
        stated = self.model.shapes.get(Ref(visit.entry.name, 0, 0))
        return None if stated and stated[0] not in (None, self.batch) else self.batch

    def _node(self, op: Op, values: Sequence[Value], unnamed: Node) -> Node:
        """Add one node; its name is the layer's path, unique by suffix."""
        kind, place = unnamed.kind, unnamed.layer
        shapes = op.spec.out_shapes(*(self.shape(value) for value in values))
        for shape in shapes:
            if any(size is not None and size < 1 for size in shape):
                raise Mismatch(f"{kind} would give an empty tensor {shape}", remedy="give the model a larger input")
        separator = "" if not op.name or op.name.startswith("_") else "/"
        name = unique(f"{place}{separator}{op.name}", self.by_name)
        node = replace(unnamed, name=name, inputs=tuple(values), shapes=shapes)
        self.nodes.append(node)
        self.by_name[name] = node
        self.casting.note(node)
        return node

    def held(self, output: Value | VariableRef) -> Value:
        """What the model returns, where it is a variable too."""
        return self._variable(output) if isinstance(output, VariableRef) else output

    def _variable(self, ref: VariableRef) -> Value:
        """A free variable, in the type that the layer which owns it computes in."""
        value = self._free(ref)
        if not ref.compute:
            return value
        return self.casting.cast(value, ref.compute, partial(self._cast, ref.weight.key.rpartition("/")[0]))

    def _free(self, ref: VariableRef) -> Value:
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

    def _check_shapes(self, result: Any, entry: Entry, model: KerasModel) -> None:
        """Compare what was inferred with what the source states."""
        for index, value in enumerate(values_in(result)):
            stated = model.shapes.get(Ref(entry.name, 0, index))
            inferred = self.shape(value)
            if stated is None or len(entry.calls) > 1 or _is_misstated(entry, index):
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


def _is_misstated(entry: Entry, index: int) -> bool:
    """Whether Keras 3.15 infers another shape than it computes: several axes under an ellipsis, scores of attention."""
    if entry.kind == "EinsumDense":
        return "..." in str(entry.config.get("equation"))
    return entry.kind == "MultiHeadAttention" and index == 1


def fixed_batch(model: KerasModel) -> int | None:
    """The size of the batch that all inputs of a model state; None where one is open or they differ."""
    ports = {ref.layer for ref in values_in(model.inputs)}
    shapes = [entry.config.get("batch_shape") for entry in model.entries if entry.name in ports]
    sizes = {shape[0] if shape else None for shape in shapes}
    return sizes.pop() if len(sizes) == 1 else None


def _wired(wanted: Sequence[Slot | Made], given: Sequence[Value], made: Sequence[Sequence[Value]]) -> list[Value]:
    """The values that an Op takes: tensors of the call, and what earlier Ops of it made."""
    return [given[item.index] if isinstance(item, Slot) else made[item.op][item.index] for item in wanted]


def _picked(results: Mapping[tuple[str, int], Any], ref: Ref | VariableRef, place: str) -> Any:
    """The value that a reference names; a variable is made a value where it is used."""
    if isinstance(ref, VariableRef):
        return ref
    found = list(_in_order(results[ref.layer, ref.call]))
    if not found:
        return None
    if ref.tensor >= len(found):
        raise Unreadable(f"output {ref.tensor} of {ref.layer!r} does not exist", place=place.rstrip("/"))
    return found[ref.tensor]


def _in_order(structure: Any) -> Iterator[Any]:
    """The leaves in the order in which Keras counts the tensors that a call returns: dicts by sorted keys.

    >>> list(_in_order({"b": 1, "a": [2, 3]}))
    [2, 3, 1]
    """
    if isinstance(structure, Mapping):
        structure = [structure[key] for key in sorted(structure)]
    if isinstance(structure, (tuple, list)):
        for item in structure:
            yield from _in_order(item)
    elif structure is not None:
        yield structure


def _by_key(call: Call, inner: KerasModel | None) -> Call:
    """A call of a nested model on a dict in the order of the model's inputs."""
    given = call.args[0] if len(call.args) == 1 else None
    wanted = inner.inputs if inner is not None else None
    if not isinstance(given, Mapping) or not isinstance(wanted, Mapping) or set(given) != set(wanted):
        return call
    return Call(({key: given[key] for key in wanted},), call.kwargs)


def _placed(error: XConvError, place: str) -> XConvError:
    """The error at the layer's place, unless it already names one inside it."""
    if all(problem.place.startswith(place) for problem in error.problems):
        return error
    return error.at(place)
