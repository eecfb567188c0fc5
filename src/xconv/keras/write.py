"""Graph -> Keras records: every node is a layer or an operation that Keras has, named after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xconv.errors import Problem, Unsupported, XConvError
from xconv.graph import Graph, Node, Value, map_structure, unique
from xconv.keras.names import layer_name
from xconv.keras.policies import value_types, with_policies, written_policy
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.keras.wording import joined, worded
from xconv.layers.io import Input
from xconv.spec import KerasLayer, Shape, Slot

__all__ = ["records_of"]


def records_of(graph: Graph) -> KerasModel:
    """The records of a Functional model that computes a graph which was resolved to channels-last.

    `build` makes a live model of them and `write_file` a file; reading them again gives the graph.

    Raises:
        Unsupported: every node that Keras cannot say, and weights that two layers of different kinds share.
    """
    graph = with_policies(graph)
    writer = _Writer(graph)
    for node in graph.nodes:
        try:
            writer.add(node)
        except XConvError as error:
            writer.problems += error.at(node.name).problems
            writer.stand_in(node)
    writer.check_sharing()
    if writer.problems:
        raise Unsupported(f"{graph.name} cannot be said in Keras", problems=writer.problems)
    inputs = map_structure(lambda value: writer.refs[value], graph.inputs)
    inputs = inputs[0] if isinstance(inputs, (tuple, list)) and len(inputs) == 1 else inputs
    outputs = map_structure(lambda value: writer.refs[value], graph.outputs)
    arrays = {key: graph.arrays[key] for entry in writer.entries.values() for key in _keys(entry)}
    model = KerasModel(
        layer_name(graph.name),
        tuple(writer.entries.values()),
        inputs,
        outputs,
        arrays,
        writer.shapes,
        source=graph.name,
        origins={ref: value for value, ref in writer.refs.items()},
    )
    return joined(model, graph)


def _keys(entry: Entry) -> list[str]:
    return [weight.key for weight in entry.weights if weight.key]


@dataclass(slots=True)
class _Writer:
    """The entries so far, and which of them holds every value."""

    graph: Graph
    entries: dict[str, Entry] = field(default_factory=dict)
    refs: dict[Value, Ref] = field(default_factory=dict)
    shapes: dict[Ref, Shape] = field(default_factory=dict)
    owners: dict[tuple[Any, ...], str] = field(default_factory=dict)
    """The entry of every layer with weights, so that another call of it is a call and not a copy."""
    problems: list[Problem] = field(default_factory=list)
    held: Mapping[Value, Shape] = field(default_factory=dict)
    types: Mapping[Value, str] = field(default_factory=dict)
    """The floating-point type of every value, where not all is of one."""
    batch: int | None = None
    """The size of the batch, where a layer keeps states of as many samples."""

    def __post_init__(self) -> None:
        nodes = self.graph.nodes
        self.types = value_types(self.graph)
        self.batch = self.graph.batch
        self.held = {Value(n.name, i): shape for n in nodes for i, shape in enumerate(n.shapes)}

    def add(self, node: Node) -> None:
        """The layers of one node."""
        layer = worded(node.spec.to_keras(node.weights, [self.held[value] for value in node.inputs]), node.kind)
        refs = [self.refs[value] for value in node.inputs]
        name = layer_name(node.name)
        ref = self._layer(layer, node, refs, name)
        for index, shape in enumerate(node.shapes):
            self.refs[Value(node.name, index)] = replace(ref, tensor=index)
            self.shapes[replace(ref, tensor=index)] = shape

    def stand_in(self, node: Node) -> None:
        """Stand something in for a node that cannot be said, so that what else is wrong is found too."""
        for index, shape in enumerate(node.shapes):
            ref = Ref(layer_name(node.name), 0, index)
            self.refs[Value(node.name, index)], self.shapes[ref] = ref, shape

    def _layer(self, layer: KerasLayer, node: Node, refs: Sequence[Ref], name: str) -> Ref:
        """One layer, after those in its arguments; a second call of a layer that is there is a call of it."""

        def argument(item: Any) -> Any:
            if isinstance(item, Slot):
                return refs[item.index]
            if isinstance(item, KerasLayer):
                return self._layer(item, node, refs, layer_name(f"{node.name}.{item.name or _word(item.kind)}"))
            if isinstance(item, (list, tuple)):
                return type(item)(argument(part) for part in item)
            return item

        if isinstance(node.spec, Input):
            shape = (self.batch, *layer.config["batch_shape"][1:])
            self.entries[name] = Entry(name, layer.kind, config={**layer.config, "batch_shape": shape, "name": name})
            return Ref(name)
        given = layer.args or tuple(Slot(place) for place in range(len(refs)))
        args = tuple(argument(item) for item in given)
        call = Call(args, {key: argument(item) for key, item in layer.kwargs.items()})
        same = (layer.kind, repr(sorted(layer.config.items(), key=lambda pair: pair[0])), layer.weights, node.layer)
        owner = self.owners.get(same) if layer.weights else None
        if owner is not None:
            entry = self.entries[owner]
            self.entries[owner] = replace(entry, calls=(*entry.calls, call))
            return Ref(owner, len(entry.calls))
        name = unique(name, self.entries)
        is_op = layer.kind.startswith("ops.")
        config = {"name": name, **{key: item for key, item in layer.config.items() if key != "trainable"}}
        policy = written_policy(node, self.types)
        if policy and not is_op:
            config = {"dtype": policy, **config}
        trainable = node.trainable and layer.config.get("trainable", True)
        registered, (module, kind) = _home(layer.kind)
        self.entries[name] = Entry(
            name,
            kind,
            module,
            registered,
            is_op=is_op,
            config=config,
            calls=(call,),
            weights=layer.weights,
            trainable=trainable,
        )
        if layer.weights:
            self.owners[same] = name
        return Ref(name)

    def check_sharing(self) -> None:
        """Note the weights that layers of different kinds share, which Keras cannot say."""
        users: dict[str, list[str]] = {}
        for entry in self.entries.values():
            for weight in entry.weights:
                if weight.key:
                    users.setdefault(weight.key, []).append(entry.name)
        for key, names in users.items():
            if len(names) > 1:
                what = f"{key} is shared by {', '.join(names)}, and Keras shares whole layers only"
                self.problems.append(Problem(names[0], what, "untie the weights before the conversion"))


def _home(kind: str) -> tuple[str | None, tuple[str | None, str]]:
    """The registered name of a user's class, and the module and class of any."""
    if ">" in kind:
        return kind, ("builtins", kind.rpartition(">")[2])
    return None, (None, kind.removeprefix("ops.")) if kind.startswith("ops.") else ("keras.layers", kind)


def _word(kind: str) -> str:
    """The part that a nested layer adds to a name: its class in lower case."""
    return kind.removeprefix("ops.").lower()
