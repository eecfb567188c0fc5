"""An ExportedProgram -> Graph: every ATen call becomes nodes, named after the module that owns its parameters."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import torch
from torch import fx
from torch.utils import _pytree as pytree

from xconv.errors import Mismatch, Problem, Unknown, Unsupported, XConvError
from xconv.graph import Graph, Node, Value, values_in
from xconv.layers import ATEN_RULES
from xconv.layers.io import Input, Unsaid, Variable
from xconv.layers.unary import Cast, Unary
from xconv.passes.keep_names import idiom_notes
from xconv.passes.unfold_pads import pad_notes
from xconv.spec import AtenCall, Computed, Numbers, Op, Shape, Slot, Spec
from xconv.torch.arrays import TensorSource, computed_tensor, dtype_name
from xconv.torch.decompose import decomposed
from xconv.torch.held import FACTORIES, FILLS, REARRANGED, RESHAPES, Filled, Held, rearranged
from xconv.torch.in_place import VIEWS, Aliases
from xconv.torch.indexing import FEW, picked
from xconv.torch.module_names import Names, source_of
from xconv.torch.open_sizes import carrier, exact, filling, opened, vector
from xconv.torch.regions import collapse_attention
from xconv.weights import Weight

__all__ = ["read", "survey"]

NOTHING = frozenset({"alias", "clone", "contiguous", "lift_fresh_copy", "detach_", "positive", "lift_fresh"})
"""Operators that give their input back."""

COPIES = frozenset({"clone", "lift_fresh_copy"})
"""Those of them whose result has memory of its own."""

ASSERTIONS = frozenset({"_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size"})
"""Operators that give nothing."""

NO_EFFECT = frozenset(
    {"cudnn_enabled", "cudnn_enable", "memory_format", "non_blocking", "copy", "layout", "device", "pin_memory"}
    | {"train", "requires_grad"}
)
"""Arguments without effect on the numbers in inference; `train` is what the layer is in later."""

Found: TypeAlias = Any
"""What an fx node stands for: a Value, a sequence of them, Held, Filled, a number, or None (a size that is open)."""


def read(program: Any, name: str = "") -> Graph:
    """The graph of an exported program, everything in the order of axes in which torch wrote it.

    Raises:
        Unknown, Unsupported: every call that no rule can say, in one error.
        Mismatch: a rule gives another shape than torch does.
    """
    graph, problems = _read(program, name)
    if problems:
        kinds = {kind for _, kind in problems}
        kind = kinds.pop() if len(kinds) == 1 else Unsupported
        raise kind(f"{graph.name} cannot be converted", problems=[problem for problem, _ in problems])
    return graph


def survey(program: Any, name: str = "") -> tuple[Graph, tuple[Problem, ...]]:
    """As much of the graph as can be read, and every reason why the rest cannot."""
    graph, problems = _read(program, name)
    return graph, tuple(problem for problem, _ in problems)


def _read(
    program: Any, name: str, tried: frozenset[Any] = frozenset()
) -> tuple[Graph, list[tuple[Problem, type[XConvError]]]]:
    """One reading; where operators have no rule, another one of the program with these decomposed, if that helps."""
    reader = _Reader(program)
    for node in program.graph.nodes:
        reader.add(node)
    outputs = reader.outputs()
    unknown = frozenset(reader.unknown) - tried
    other = decomposed(program, unknown) if unknown else None
    if other is not None:
        graph, problems = _read(other, name, tried | unknown)
        if not problems:
            return graph, problems
    graph = Graph(name or "model", tuple(reader.nodes), tuple(reader.inputs), outputs, reader.arrays)
    return graph if reader.problems else collapse_attention(graph, reader.arrays), reader.problems


@dataclass(slots=True)
class _Reader:
    """The state of one reading."""

    program: Any
    nodes: list[Node] = field(default_factory=list)
    by_name: dict[str, Node] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    arrays: dict[str, TensorSource] = field(default_factory=dict)
    found: dict[fx.Node, Found] = field(default_factory=dict)
    tensors: dict[fx.Node, torch.Tensor] = field(default_factory=dict)
    """The tensors of nodes that do not depend on the network's input, where they were needed."""
    problems: list[tuple[Problem, type[XConvError]]] = field(default_factory=list)
    unknown: set[Any] = field(default_factory=set)
    """The operators that no rule reads."""
    variables: dict[Weight, Value] = field(default_factory=dict)
    filled: dict[Any, Value] = field(default_factory=dict)
    """Tensors of one number that were asked for, by the number, dtype and sizes."""
    dtypes: dict[Value, str] = field(default_factory=dict)
    computed: dict[Computed, Weight] = field(default_factory=dict)
    """The weights that are made of several arrays; a layer that is called twice has them once."""
    aliases: Aliases = field(default_factory=Aliases)
    names: Names = field(init=False)
    specs: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        signature = self.program.graph_signature
        self.specs = {spec.arg.name: spec for spec in signature.input_specs if hasattr(spec.arg, "name")}
        owners = {name: spec.target for name, spec in self.specs.items() if spec.target}
        self.names = Names(owners)

    def add(self, node: fx.Node) -> None:
        """One fx node; what goes wrong is collected with its place."""
        if node.op == "placeholder":
            self._placeholder(node)
            return
        if node.op != "call_function":
            return
        try:
            self._call(node)
        except XConvError as error:
            place = self.names.path(node) or node.name
            self.problems += [(problem, type(error)) for problem in error.at(place).problems]
            self._unsaid(node, place)

    def _unsaid(self, node: fx.Node, place: str) -> None:
        """Stand something in for a call that failed, so that what else is wrong is found too."""
        results = [item for item in values_in(node.meta.get("val")) if isinstance(item, torch.Tensor)]
        spec = Unsaid(tuple(map(_shape, results)))
        made = self._append(Op(spec), (), Node(place, spec, kind=_operator(node.target)[0]))
        values = [Value(made.name, index) for index in range(len(results))]
        self.found[node] = values[0] if isinstance(node.meta.get("val"), torch.Tensor) else values

    def _placeholder(self, node: fx.Node) -> None:
        """An input of the network, or a tensor that it holds."""
        spec = self.specs.get(node.name)
        kind = spec.kind.name if spec else "USER_INPUT"
        if kind == "USER_INPUT":
            value = node.meta.get("val")
            if not isinstance(value, torch.Tensor):
                self.found[node] = value
                return
            shape = (None, *_shape(value)[1:]) if value.dim() else ()
            said = source_of(node)
            name = said.name if said is not None else str(node.target)
            made = self._append(Op(Input(shape, dtype_name(value.dtype))), (), Node(name, Input(shape)))
            self.inputs.append(Value(made.name))
            self.found[node] = self.inputs[-1]
        elif spec is not None and kind in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
            self._hold(node, spec.target, self._stored(spec.target), learned=kind == "PARAMETER")
        else:
            what = f"input {node.name} is a {kind.lower().replace('_', ' ')}"
            self.problems.append((Problem(node.name, what, "give tensors only"), Unsupported))
            self._unsaid(node, node.name)

    def _stored(self, name: str) -> torch.Tensor:
        """A parameter, buffer or constant of the program."""
        if name in self.program.state_dict:
            return self.program.state_dict[name]  # type: ignore[no-any-return]
        return self.program.constants[name]  # type: ignore[no-any-return]

    def _hold(self, node: fx.Node, key: str, tensor: torch.Tensor, *, learned: bool) -> None:
        """Remember a tensor that the network holds."""
        self.arrays[key] = TensorSource(tensor)
        weight = Weight.of(key, tuple(tensor.shape), dtype_name(tensor.dtype))
        self.found[node] = Held(weight, learned, learned and tensor.requires_grad)
        self.tensors[node] = tensor.detach()

    def _call(self, node: fx.Node) -> None:
        """One call: sizes, tensors that depend on no input, calls that change nothing, and layers."""
        if node.target is operator.getitem:
            source = node.all_input_nodes[0]
            index: Any = node.args[1]
            results = self.found[self.aliases.now(source)]
            if index >= len(results):
                if not node.users:
                    return
                name = _operator(source.target)[0]
                raise Unsupported(f"result {index} of {name}, such as the indices of a pool", remedy="do without it")
            self.found[node] = results[index]
            self.aliases.view(node, source)
            return
        name, mutates = _operator(node.target)
        if name in ASSERTIONS:
            return
        if not isinstance(node.meta.get("val"), (torch.Tensor, tuple, list)):
            self.found[node] = _size(node.meta.get("val"))
            return
        arguments = self._bound(node)
        if self._constant(node, name):
            if node.all_input_nodes and (not mutates or isinstance(self.found[node], Filled)):
                self.aliases.call(node, name, mutates=mutates)
            return
        if self._assigned(node, name, mutates=mutates):
            return
        _check_known(node, name)
        if name in NOTHING or _changes_nothing(name, arguments, node):
            self._nothing(node, name)
            return
        self.found[node] = self._layer(node, name, arguments)
        self._note_dtypes(self.found[node], node.meta["val"])
        self.aliases.call(node, name, mutates=mutates)

    def _bound(self, node: fx.Node) -> dict[str, Any]:
        """The arguments under the schema's names, defaults filled in, fx nodes replaced by what they now stand for."""
        schema = node.target._schema.arguments if hasattr(node.target, "_schema") else ()
        bound: dict[str, Any] = {}
        for place, argument in enumerate(schema):
            given = node.args[place] if place < len(node.args) else node.kwargs.get(argument.name)
            missing = place >= len(node.args) and argument.name not in node.kwargs
            bound[argument.name] = argument.default_value if missing else given
        return {key: fx.map_arg(item, self._now) for key, item in bound.items()}

    def _now(self, node: fx.Node) -> Found:
        """What an fx node stands for now, after writes in place."""
        return self.found.get(self.aliases.now(node))

    # ------------------------------------------------------------------ tensors that depend on no input

    def _constant(self, node: fx.Node, name: str) -> bool:
        """Hold the result where it does not depend on the input; learned ones only where they are rearrangements."""
        value = node.meta["val"]
        found = [self._now(argument) for argument in node.all_input_nodes]
        if name in FACTORIES and isinstance(value, torch.Tensor):
            shape = _shape(value)
            number = FACTORIES[name](self._bound(node))
            if number is not None and (None in shape):
                self.found[node] = Filled(shape, number, dtype_name(value.dtype), exact(value))
                return True
            if None not in shape and name != "eye":
                self._keep(node, _made(node, shape, number))
                return True
        if found and isinstance(found[0], Filled) and self._refilled(node, name, found):
            return True
        if any(_depends(item) for item in found) or not isinstance(value, (torch.Tensor, tuple, list)):
            return False
        if any(isinstance(item, Held) and item.learned for item in found):
            return self._rearrange(node, name, found)
        if None in (_shape(value) if isinstance(value, torch.Tensor) else ()):
            return False
        result = self.fold(node)
        if isinstance(result, torch.Tensor):
            self._keep(node, result, found)
        else:
            self.found[node] = [self._held(f"{node.name}_{i}", item) for i, item in enumerate(result)]
        return True

    def _rearrange(self, node: fx.Node, name: str, found: Sequence[Found]) -> bool:
        """A view of a learned tensor as the same weight in another order, where a weight can say it."""
        if name not in REARRANGED or len(found) != 1:
            return False
        weight = rearranged(found[0].weight, name, self._bound(node), _shape(node.meta["val"]))
        if weight is None:
            return False
        self.found[node] = replace(found[0], weight=weight)
        return True

    def _nothing(self, node: fx.Node, name: str) -> None:
        """A call that gives its input back, or a copy of it."""
        source = self.aliases.now(node.all_input_nodes[0])
        if name in COPIES and isinstance(self.found[source], Held) and _is_written(node):
            self._copy(node, source)
            return
        self.found[node] = self.found[source]
        if source in self.tensors:
            self.tensors[node] = self.tensors[source]
        if name not in COPIES:
            self.aliases.view(node, source)

    def _copy(self, node: fx.Node, source: fx.Node) -> None:
        """A copy of a learned tensor that is written to later: from then on it is a tensor of its own."""
        tensor = cast("torch.Tensor", self.fold(source)).clone()
        note = f"{node.name} is computed from a parameter; it is held as computed, and trains by itself"
        self.tensors[node] = tensor
        self.found[node] = replace(self._held(node.name, tensor), trains=True, note=note)

    def _assigned(self, node: fx.Node, name: str, *, mutates: bool) -> bool:
        """A write of every place of a tensor: the tensor means what was written from then on."""
        if not mutates or name not in ("copy", "fill", "zero"):
            return False
        self.aliases.call(node, name, mutates=True)
        value, given = node.meta["val"], node.args[1] if len(node.args) > 1 else 0
        number = self._now(given) if isinstance(given, fx.Node) else given
        if isinstance(number, (int, float)):
            self.found[node] = Filled(_shape(value), number, dtype_name(value.dtype), exact(value))
            return True
        before = given.meta["val"] if isinstance(given, fx.Node) else value
        if number is None or exact(before) != exact(value) or before.dtype != value.dtype:
            raise Unsupported(f"{node.name} writes a tensor of another shape or dtype", remedy="write it out of place")
        self.found[node] = number
        return True

    def _refilled(self, node: fx.Node, name: str, found: Sequence[Found]) -> bool:
        """One number in other sizes, or another number: what is computed of tensors of one number."""
        value = node.meta["val"]
        if name in RESHAPES or name in REARRANGED:
            number = found[0].number
        elif name in FILLS and all(isinstance(item, (Filled, int, float)) for item in found):
            full = {item: torch.full((1,), item.number, dtype=getattr(torch, item.dtype)) for item in _filled_in(found)}
            args, kwargs = fx.map_arg(
                (node.args, dict(node.kwargs)), lambda item: full.get(self._now(item), self._now(item))
            )
            number = node.target(*args, **kwargs).item()  # type: ignore[operator]
        else:
            return False
        self.found[node] = Filled(_shape(value), number, dtype_name(value.dtype), exact(value))
        return True

    def _keep(self, node: fx.Node, tensor: torch.Tensor, made_of: Sequence[Found] = ()) -> None:
        """A tensor that was computed while reading; one number counts as a number."""
        self.tensors[node] = tensor
        if tensor.dim() == 0 and not tensor.is_complex():
            self.found[node] = tensor.item()
        else:
            learned = next((item for item in made_of if isinstance(item, Held) and item.note), None)
            made = self._held(node.name, tensor)
            self.found[node] = replace(made, trains=True, note=learned.note) if learned else made

    def _held(self, name: str, tensor: torch.Tensor) -> Held:
        key = base = f"constant:{name}"
        number = 0
        while key in self.arrays:
            number += 1
            key = f"{base}_{number}"
        self.arrays[key] = TensorSource(tensor)
        return Held(Weight.of(key, tuple(tensor.shape), dtype_name(tensor.dtype)), learned=False, trains=False)

    def fold(self, node: Any) -> Any:
        """The value of an fx node that depends on no input, computed by torch."""
        if not isinstance(node, fx.Node):
            return node
        if node not in self.tensors:
            if node.op == "placeholder":
                return self.found[node]
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), self.fold)
            shared = self._written(node, cast("torch.Tensor", args[0])) if _operator(node.target)[1] else []
            with torch.no_grad():
                self.tensors[node] = node.target(*args, **kwargs)  # type: ignore[operator]
            for other in shared:
                self._keep(other, self.tensors[other], [self.found.get(other)])
        return self.tensors[node]

    def _written(self, node: fx.Node, target: torch.Tensor) -> list[fx.Node]:
        """The constants that a write changes; who asked for them before keeps them as they were.

        Raises:
            Unsupported: a write into a parameter or buffer: the network would not be the same at its second call.
        """
        memory = target.untyped_storage().data_ptr()
        shared = [other for other, held in self.tensors.items() if held.untyped_storage().data_ptr() == memory]
        for other in shared:
            if other.op == "placeholder":
                name = self.specs[other.name].target
                raise Unsupported(f"{node.name} writes into {name}", remedy="keep running sums out of inference")
            found = self.found.get(other)
            if isinstance(found, Held):
                self.arrays[found.weight.key] = TensorSource(self.tensors[other].clone())
        return shared

    # ------------------------------------------------------------------ layers

    def _layer(self, node: fx.Node, name: str, arguments: Mapping[str, Any]) -> Found:
        """The nodes of one call; the value, or the sequence of values, that it gives."""
        family = ATEN_RULES.get(name)
        if family is None:
            self.unknown.add(node.target)
            raise Unknown(f"operator aten.{name} has no rule", remedy="write it with other operators, or open an issue")
        values: list[Value] = []
        held: list[Held] = []

        def slot(item: Any, *, keep: bool, spare: bool = False) -> Any:
            if isinstance(item, (list, tuple)):
                return type(item)(slot(part, keep=keep, spare=spare) for part in item)
            if spare and isinstance(item, Filled) and item.number == 0:
                return None
            if isinstance(item, Held):
                if keep:
                    held.append(item)
                    return item.weight
                item = self._variable(item)
            if isinstance(item, Filled):
                item = self._whole(node, item)
            if isinstance(item, Value):
                values.append(item)
                return Slot(len(values) - 1)
            return item

        arguments = self._with_index(node, name, arguments)
        size = opened(node, name)
        if size is not None:
            arguments = {**arguments, "zeros": self._zeros(node, size)}
        given = {
            key: slot(item, keep=key in family.holds, spare=key in family.spares_zeros)
            for key, item in arguments.items()
        }
        given = self._folded(node, family.holds, given, values, held)
        outputs = tuple(_shape(item) for item in values_in(node.meta["val"]))
        dtype = next((dtype_name(item.dtype) for item in values_in(node.meta["val"])), "float32")
        shapes = tuple(self._shape_of(value) for value in values)
        dtypes = tuple(self._dtype_of(value) for value in values)
        call = AtenCall(name, given, shapes, outputs, dtypes, dtype)
        ops = family.from_torch(call)
        unread = call.unread - NO_EFFECT
        if unread:
            raise Unsupported(f"{name} has {', '.join(sorted(unread))}, which its rule does not read")
        return self._nodes(node, (ops,) if isinstance(ops, Op) else tuple(ops), values, held, outputs)

    def _folded(
        self, node: fx.Node, holds: Sequence[str], given: dict[str, Any], values: list[Value], held: list[Held]
    ) -> dict[str, Any]:
        """Weights that the network computes from its own parameters, computed once: a rule cannot take them so."""
        schema = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
        for key in holds:
            item = given.get(key)
            place = schema.index(key) if key in schema else 0
            source = node.args[place] if place < len(node.args) else node.kwargs.get(key)
            if isinstance(item, Slot):
                given = self._fold_one(node, key, source, given, values, held)
            elif isinstance(item, list) and isinstance(source, (list, tuple)):
                for index, part in enumerate(source):
                    if isinstance(given[key][index], Slot):
                        given = self._fold_one(node, key, part, given, values, held, index)
        return given

    def _fold_one(
        self,
        node: fx.Node,
        key: str,
        source: Any,
        given: dict[str, Any],
        values: list[Value],
        held: list[Held],
        index: int | None = None,
    ) -> dict[str, Any]:
        """One of them, under its key or at a place of the list there; as it was where it depends on the input."""
        if self._from_input(source):
            return given
        made = self._held(f"{node.name}_{key}{'' if index is None else f'_{index}'}", self.fold(source))
        note = f"its {key} is computed from other parameters; it is held as computed, and trains by itself"
        held.append(replace(made, trains=True, note=note))
        gone: Slot = given[key] if index is None else given[key][index]
        del values[gone.index]
        given = {name: _renumbered(item, gone.index) for name, item in given.items()}
        if index is None:
            return given | {key: made.weight}
        return given | {key: [*given[key][:index], made.weight, *given[key][index + 1 :]]}

    def _with_index(self, node: fx.Node, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments of `x[...]`: the axes that are indexed, and a list of numbers or a tensor that is computed."""
        if name not in ("index", "index_select"):
            return arguments
        if name == "index":
            given = list(arguments["indices"])
        else:
            given = [*(None,) * (arguments["dim"] % node.meta["val"].dim()), arguments["index"]]
        given = [self._whole(node, item) if isinstance(item, Filled) else item for item in given]
        asked = [item for item in given if item is not None]
        if any(isinstance(item, Value) for item in asked):
            if len(asked) > 1:
                raise Unsupported("several axes by indices that the network computes", remedy="use torch.gather")
            return {"self": arguments["self"], "over": (given.index(asked[0]),), "index": asked[0]}
        shape = _shape(node.all_input_nodes[0].meta["val"])
        result = picked(shape, [None if item is None else self._number_tensor(item) for item in given])
        numbers: Any = result.places.flatten().tolist()
        if len(numbers) > FEW:
            numbers = self._held(f"{node.name}_places", result.places.flatten())
        return {"self": arguments["self"], "over": result.over, "index": numbers}

    def _number_tensor(self, item: Any) -> torch.Tensor:
        """A constant as the tensor that it is."""
        if isinstance(item, Held):
            return cast("torch.Tensor", item.weight.apply(self.arrays[item.weight.key].tensor))
        return torch.as_tensor(item)

    def _zeros(self, node: fx.Node, size: Any, *, like: bool = False) -> Value:
        """As many zeros as an open size says, made from a tensor that has it: integers, or `like` that tensor."""
        if (size, like) in self.filled:
            return self.filled[size, like]
        source = carrier(node, lambda sizes: size in sizes, self._value_of)
        if source is None:
            raise Unsupported(f"a tensor of the open size {size}, which no tensor has", remedy="give known sizes")
        value: Value = self._now(source)
        axis = exact(source.meta["val"]).index(size)
        for spec in vector(self._shape_of(value), axis):
            value = self._plain(spec, value, f"{value.node.partition('.')[0]}.zeros")
        self.dtypes[value] = dtype_name(source.meta["val"].dtype)
        self.filled[size, True] = value
        self.filled[size, False] = self._plain(Cast("int32"), value, value.node)
        return self.filled[size, like]

    def _whole(self, node: fx.Node, filled: Filled) -> Value:
        """A tensor of one number, made from one of its sizes or from one that has its open size."""
        if filled in self.filled:
            return self.filled[filled]
        source = carrier(node, lambda sizes: sizes == filled.sizes, self._value_of)
        if source is not None:
            value = self._plain(Unary("zeros_like"), self._now(source), f"{node.name}.filled")
            steps = filling((None,), filled.number, filled.dtype, dtype_name(source.meta["val"].dtype))
        elif filled.shape.count(None) > 1:
            raise Unsupported(f"a tensor of shape {filled.shape} made of one number", remedy="give known sizes")
        else:
            value = self._zeros(node, filled.sizes[filled.shape.index(None)], like=True)
            steps = filling(filled.shape, filled.number, filled.dtype, self._dtype_of(value))
        for spec in steps:
            value = self._plain(spec, value, f"{node.name}.filled")
        self.dtypes[value] = filled.dtype
        self.filled[filled] = value
        return value

    def _plain(self, spec: Spec, value: Value, name: str) -> Value:
        """One more node that no call of the program stands for."""
        return Value(self._append(Op(spec), (value,), Node(name, spec, kind="size")).name)

    def _value_of(self, node: fx.Node) -> Value | None:
        """The value that an fx node stands for, if the network computes it."""
        found = self._now(node)
        return found if isinstance(found, Value) and not isinstance(self.by_name[found.node].spec, Variable) else None

    def _from_input(self, node: fx.Node) -> bool:
        """Whether an fx node depends on an input of the network."""
        seen: set[fx.Node] = set()
        wanted = [node]
        while wanted:
            item = wanted.pop()
            if item in seen:
                continue
            seen.add(item)
            if item.op == "placeholder" and item not in self.tensors:
                return True
            wanted += item.all_input_nodes
        return False

    def _variable(self, held: Held) -> Value:
        """The node of a free tensor, one for all its uses."""
        weight = held.weight
        if weight not in self.variables:
            name = weight.key.removeprefix("constant:")
            op = Op(Variable(weight.shape), {name.rpartition(".")[2]: weight})
            owner = name.rpartition(".")[0]
            node = Node(name, op.spec, layer=owner, kind="Variable", trainable=held.trains)
            self.variables[weight] = Value(self._append(op, (), node).name)
        return self.variables[weight]

    def _nodes(
        self,
        node: fx.Node,
        ops: Sequence[Op],
        values: Sequence[Value],
        held: Sequence[Held],
        outputs: tuple[Shape, ...],
    ) -> Found:
        base, owner, said = self.names.name(node), self.names.owner(node), source_of(node)
        learned = [item for item in held if item.learned]
        trains = not learned or any(item.trains for item in learned)
        notes = tuple(item.note for item in held if item.note)
        if trains and not all(item.trains for item in learned):
            notes += ("only some of its parameters are frozen; Keras freezes whole layers",)
        notes += (*pad_notes(said.notes), *idiom_notes(said.notes)) if said is not None else ()
        made: list[list[Value]] = []
        for op in ops:
            taken = op.inputs if op.inputs is not None else None
            if taken is None:
                inputs = list(values) if not made else made[-1]
            else:
                inputs = [values[i.index] if isinstance(i, Slot) else made[i.op][i.index] for i in taken]
            name = f"{base}.{op.name}" if op.name else base
            learns = trains and not any(isinstance(item, Numbers) for item in op.computed.values())
            bare = Node(name, op.spec, layer=owner, part=op.name, kind=_operator(node.target)[0], trainable=learns)
            if said is not None:
                bare = replace(bare, part=said.part or op.name, kind=said.kind)
            full, notes = self._computed(op, name, notes + ((op.note,) if op.note else ()))
            added = self._append(full, inputs, replace(bare, call=self.names.call(node), notes=notes))
            notes = ()
            made.append([Value(added.name, index) for index in range(len(added.shapes))])
        if not ops:
            return values[0]
        last = made[-1]
        if ops[-1].returns is not None:
            last = [values[i.index] if isinstance(i, Slot) else made[i.op][i.index] for i in ops[-1].returns]
        self._check(last, outputs)
        several = not isinstance(node.meta["val"], torch.Tensor)
        return last if several else last[0]

    def _computed(self, op: Op, name: str, notes: tuple[str, ...]) -> tuple[Op, tuple[str, ...]]:
        """The Op with the weights that are made of several arrays, and what there is to say about them."""
        weights = dict(op.weights)
        for role, computed in op.computed.items():
            if isinstance(computed, Numbers):
                weights[role] = self._held(f"{name}.{role}", computed_tensor(computed, self.arrays)).weight
                continue
            if computed not in self.computed:
                held = self._held(f"{name}.{role}", computed_tensor(computed, self.arrays))
                self.computed[computed] = held.weight
            weights[role] = self.computed[computed]
            notes += (computed.note,) if computed.note and computed.note not in notes else ()
        return replace(op, weights=weights, computed={}), notes

    def _append(self, op: Op, inputs: Iterable[Value], unnamed: Node) -> Node:
        """Add one node; its name is made unique by a suffix."""
        inputs = tuple(inputs)
        shapes = op.spec.out_shapes(*(self._shape_of(value) for value in inputs))
        base = name = unnamed.name
        number = 0
        while name in self.by_name:
            number += 1
            name = f"{base}_{number}"
        node = replace(unnamed, name=name, spec=op.spec, inputs=inputs, weights=op.weights, shapes=shapes)
        self.nodes.append(node)
        self.by_name[name] = node
        return node

    def _check(self, values: Sequence[Value], outputs: Sequence[Shape]) -> None:
        """Compare the shapes that the Specs infer with torch's."""
        for value, stated in zip(values, outputs, strict=False):
            inferred = self._shape_of(value)
            pairs = zip(stated, inferred, strict=False)
            if len(stated) != len(inferred) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
                raise Mismatch(f"its result is {stated} in torch, but its rule gives {inferred}")

    def _shape_of(self, value: Value) -> Shape:
        return self.by_name[value.node].shapes[value.index]

    def _note_dtypes(self, found: Found, meta: Any) -> None:
        """Remember the dtypes of what a call gives."""
        for value, tensor in zip(values_in(found), values_in(meta), strict=False):
            if isinstance(value, Value) and isinstance(tensor, torch.Tensor):
                self.dtypes[value] = dtype_name(tensor.dtype)

    def _dtype_of(self, value: Value) -> str:
        node = self.by_name[value.node]
        if isinstance(node.spec, Variable):
            return next(iter(node.weights.values())).dtype
        return node.spec.dtype if isinstance(node.spec, Input) else self.dtypes.get(value, "float32")

    def outputs(self) -> Any:
        """The structure of values that the program returns."""
        output = next(node for node in self.program.graph.nodes if node.op == "output")
        if self.program.graph_signature.buffers_to_mutate:
            names = ", ".join(sorted(self.program.graph_signature.buffers_to_mutate.values()))
            what = f"it changes its buffers {names} in inference"
            self.problems.append((Problem("", what, "export it in eval mode"), Unsupported))
        leaves = [self._returned(item) for item in output.args[0]]
        return _without_none(pytree.tree_unflatten(leaves, self.program.call_spec.out_spec))

    def _returned(self, item: Any) -> Value | None:
        if not isinstance(item, fx.Node):
            return None
        found = self._now(item)
        if isinstance(found, Held):
            return self._variable(found)
        if isinstance(found, Filled):
            return self._whole(item, found)
        if isinstance(found, Value):
            return found
        what = f"it returns {item.name}, which does not depend on its input"
        self.problems.append((Problem(item.name, what, "return tensors that the network computes"), Unsupported))
        return None


def _without_none(structure: Any) -> Any:
    """What a network returns without the places where it returns nothing; a Keras model cannot.

    >>> _without_none((1, None, [2, 3])), _without_none((1, None))
    ((1, [2, 3]), 1)
    """
    if isinstance(structure, Mapping):
        return {key: _without_none(item) for key, item in structure.items() if item is not None}
    if not isinstance(structure, (tuple, list)):
        return structure
    kept = [_without_none(item) for item in structure if item is not None]
    if len(kept) == 1 < len(structure):
        return kept[0]
    return kept if isinstance(structure, list) else tuple(kept)


def _operator(target: Any) -> tuple[str, bool]:
    """The operator without overload and underscore, and whether it writes in place."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return getattr(target, "__name__", str(target)), False
    name = schema.name.partition("::")[2]
    mutates = bool(schema.is_mutable)
    return (name.removesuffix("_") if mutates and not name.startswith("_") else name), mutates


def _is_written(node: fx.Node) -> bool:
    """Whether a tensor, or a view of it, is written to later."""
    for user in node.users:
        name, mutates = _operator(user.target)
        if user.args and user.args[0] is node and (mutates or (name in VIEWS and _is_written(user))):
            return True
    return False


def _check_known(node: fx.Node, name: str) -> None:
    """Refuse to cut a tensor at a place that is known only at run time: in a record it would count as left out."""
    if name not in ("narrow", "select", "slice"):
        return
    for item in node.all_input_nodes[1:]:
        value = item.meta.get("val")
        if not isinstance(value, torch.Tensor) and _size(value) is None:
            raise Unsupported(f"{name} at {value}, which is known only at run time", remedy="give known sizes")


def _shape(tensor: torch.Tensor) -> Shape:
    return tuple(_size(size) for size in tensor.shape)


def _size(size: Any) -> Any:
    """A number, or None for one that is known only at run time."""
    if isinstance(size, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        node = size.node
        return node.maybe_as_int() if isinstance(size, torch.SymInt) else None
    return size


def _depends(item: Found) -> bool:
    """Whether it depends on the network's input: a value, or a size that is open."""
    return isinstance(item, (Value, Filled)) or item is None or (isinstance(item, list) and any(map(_depends, item)))


def _filled_in(found: Sequence[Found]) -> list[Filled]:
    return [item for item in found if isinstance(item, Filled)]


def _renumbered(item: Any, gone: int) -> Any:
    """Slots after one that disappeared."""
    if isinstance(item, Slot) and item.index > gone:
        return Slot(item.index - 1)
    return [_renumbered(part, gone) for part in item] if isinstance(item, list) else item


def _made(node: fx.Node, shape: Shape, number: float | None) -> torch.Tensor:
    """The tensor of a factory whose size is known."""
    value = node.meta["val"]
    if number is not None:
        return torch.full(shape, number, dtype=value.dtype)  # type: ignore[arg-type]
    args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda item: _size(item.meta["val"]))
    result: torch.Tensor = node.target(*args, **{**kwargs, "device": "cpu"})  # type: ignore[operator]
    return result


def _changes_nothing(name: str, arguments: Mapping[str, Any], node: fx.Node) -> bool:
    """Whether a call gives its input back for these arguments."""
    value = node.meta["val"]
    if not isinstance(value, torch.Tensor) or not node.all_input_nodes:
        return False
    before = node.all_input_nodes[0].meta.get("val")
    if not isinstance(before, torch.Tensor) or before.dtype != value.dtype or exact(before) != exact(value):
        return False
    match name:
        case "dropout" | "feature_dropout" | "alpha_dropout" | "feature_alpha_dropout":
            return bool(arguments["p"] == 0)
        case "pad" | "constant_pad_nd":
            return not any(arguments["pad"])
        case "to" | "_to_copy" | "type_as" | "float" | "view_as" | "reshape_as" | "expand_as":
            return True
        case "view" | "reshape" | "expand" | "flatten" | "squeeze":
            return True
        case "slice":
            return bool(arguments["step"] == 1)
    return False
