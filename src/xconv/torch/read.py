"""An ExportedProgram -> Graph: every ATen call becomes nodes, named after the module that owns its parameters."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeAlias

import torch
from torch import fx
from torch.utils import _pytree as pytree

from xconv.errors import Problem, Unknown, Unsupported, XConvError
from xconv.graph import Graph, Node, Value, values_in
from xconv.layers import ATEN_RULES
from xconv.layers.io import Input, Unsaid
from xconv.spec import Spec
from xconv.torch.arrays import dtype_name
from xconv.torch.decompose import decomposed, functional
from xconv.torch.inline import inlined
from xconv.torch.module_names import Names, source_of
from xconv.torch.reading.calls import Calls
from xconv.torch.reading.complex_numbers import REFUSED, UNREAD, real_only
from xconv.torch.reading.constants import Constants
from xconv.torch.reading.draft import Draft
from xconv.torch.reading.fillings import Fillings
from xconv.torch.reading.in_place import SharedWrite
from xconv.torch.reading.meanings import Counted, Filled, Held, Meanings
from xconv.torch.reading.open_numbers import OpenNumbers
from xconv.torch.reading.operators import (
    ASSERTIONS,
    COPIES,
    FACTORIES,
    REMEDIES,
    arguments_of,
    changes_nothing,
    draws,
    is_written,
    operator_of,
)
from xconv.torch.reading.sizes import exact, shape_of, size_of
from xconv.torch.regions import collapse_attention

__all__ = ["read", "survey"]

Found: TypeAlias = tuple[Problem, type[XConvError]]
"""A problem, and the error that it was or would be."""


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


def _read(program: Any, name: str, tried: frozenset[Any] = frozenset()) -> tuple[Graph, list[Found]]:
    """One reading; where it finds problems, another one of the program as torch rewrites it, if that helps."""
    reader = _Reader(program, _in_real_numbers(program))
    for node in reader.graph.nodes:
        reader.add(node)
    outputs = reader.outputs()
    other, now_tried = _rewritten(program, reader, tried)
    if other is not None:
        graph, problems = _read(other, name, now_tried)
        if not problems:
            return graph, problems
    reader.draft.without_plain_policies()
    nodes, arrays = tuple(reader.draft.nodes.values()), reader.draft.arrays
    computed = {weight.key: how for how, weight in reader.draft.computed.items()}
    graph = Graph(name or "model", nodes, tuple(reader.inputs), outputs, arrays, computed=computed)
    return graph if reader.problems else collapse_attention(graph, arrays, computed), reader.problems


def _in_real_numbers(program: Any) -> fx.Graph:
    """The program's graph, its regions laid open, every complex tensor as a pair of real ones."""
    held: dict[str, torch.Tensor] = {}
    learned: set[str] = set()
    for spec in program.graph_signature.input_specs:
        if spec.kind.name in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
            held[spec.arg.name] = _stored(program, spec)
            learned.update({spec.arg.name} if spec.kind.name == "PARAMETER" else ())
    return real_only(inlined(program), held, frozenset(learned))


def _stored(program: Any, spec: Any) -> torch.Tensor:
    """A tensor that the program holds."""
    stored: torch.Tensor = (program.state_dict if spec.target in program.state_dict else program.constants)[spec.target]
    return stored


def _rewritten(program: Any, reader: _Reader, tried: frozenset[Any]) -> tuple[Any, frozenset[Any]]:
    """The program with unknown operators decomposed, or without writes in place; and everything that was tried."""
    unknown = frozenset(reader.unknown) - tried
    if unknown:
        return decomposed(program, unknown), tried | unknown
    if functional not in tried and any(issubclass(kind, SharedWrite) for _, kind in reader.problems):
        return functional(program), tried | {functional}
    return None, tried


@dataclass(slots=True)
class _Reader:
    """The walk over a program: what every fx node means, and every problem with its place."""

    program: Any
    graph: fx.Graph
    """The program's graph, its regions laid open."""
    inputs: list[Value] = field(default_factory=list)
    problems: list[Found] = field(default_factory=list)
    unknown: set[Any] = field(default_factory=set)
    """The operators that no rule reads."""
    draft: Draft = field(default_factory=Draft)
    meanings: Meanings = field(default_factory=Meanings)
    specs: dict[str, Any] = field(init=False)
    """What torch.export says about each input of the program, by name."""
    constants: Constants = field(init=False)
    fillings: Fillings = field(init=False)
    calls: Calls = field(init=False)

    def __post_init__(self) -> None:
        specs = self.program.graph_signature.input_specs
        self.specs = {spec.arg.name: spec for spec in specs if hasattr(spec.arg, "name")}
        names = Names({name: spec.target for name, spec in self.specs.items() if spec.target})
        self.constants = Constants(self.draft, self.meanings)
        self.fillings = Fillings(self.draft, self.meanings)
        sizes = OpenNumbers(self.draft, self.fillings)
        self.calls = Calls(self.draft, names, self.constants, self.fillings, sizes)

    def add(self, node: fx.Node) -> None:
        """One fx node; what goes wrong is collected with its place."""
        if node.op == "placeholder":
            self._placeholder(node)
        elif node.op == "call_function":
            try:
                self._call(node)
            except XConvError as error:
                if REFUSED not in node.meta and self.constants.hold_computed(node):
                    return
                place = self.calls.names.path(node) or node.name
                self.problems += [(problem, type(error)) for problem in error.at(place).problems]
                self._unsaid(node, place)

    def outputs(self) -> Any:
        """The structure of values that the program returns."""
        output = next(node for node in self.graph.nodes if node.op == "output")
        changed = self.program.graph_signature.buffers_to_mutate
        if changed:
            what = f"it changes its buffers {', '.join(sorted(changed.values()))} in inference"
            self._refuse("", what, "export it in eval mode")
        kinds = [spec.kind.name for spec in self.program.graph_signature.output_specs]
        returned = [item for item, kind in zip(output.args[0], kinds, strict=True) if kind == "USER_OUTPUT"]
        leaves = [self._returned(item) for item in returned]
        return _without_none(pytree.tree_unflatten(leaves, self.program.call_spec.out_spec))

    # ------------------------------------------------------------------ inputs and outputs

    def _placeholder(self, node: fx.Node) -> None:
        """An input of the network, or a tensor that it holds."""
        spec = self.specs.get(node.name)
        kind = spec.kind.name if spec else "USER_INPUT"
        if kind == "USER_INPUT":
            self._input(node)
        elif spec is not None and kind in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
            stored = _stored(self.program, spec)
            if stored.is_complex() and not node.meta["val"].is_complex():
                stored = torch.view_as_real(stored)
            self.constants.hold(node, spec.target, stored, learned=kind == "PARAMETER")
        else:
            what = f"input {node.name} is a {kind.lower().replace('_', ' ')}"
            self._refuse(node.name, what, "give tensors only")
            self._unsaid(node, node.name)

    def _input(self, node: fx.Node) -> None:
        """A tensor that the network is called on, or a number."""
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor):
            shape = (None, *shape_of(value)[1:]) if value.dim() else ()
            self.meanings.batches.update(exact(value)[:1])
            said = source_of(node)
            name = said.name if said is not None else str(node.target)
            value = self.draft.append(Node(name, Input(shape, dtype_name(value.dtype))))[0]
            self.inputs.append(value)
        self.meanings.found[node] = value

    def _returned(self, item: Any) -> Value | None:
        """The value that the program returns in one place; None where it returns nothing."""
        found = self.meanings.now(item) if isinstance(item, fx.Node) else None
        if isinstance(found, Held):
            return self.draft.variable(found)
        if isinstance(found, Filled):
            return self.fillings.whole(item, found)
        if isinstance(found, Counted):
            return self.fillings.counted(item, found)
        if isinstance(found, Value):
            return found
        if isinstance(item, fx.Node):
            what = f"it returns {item.name}, which does not depend on its input"
            self._refuse(item.name, what, "return tensors that the network computes")
        return None

    def _refuse(self, place: str, what: str, remedy: str) -> None:
        self.problems.append((Problem(place, what, remedy), Unsupported))

    def _unsaid(self, node: fx.Node, place: str) -> None:
        """Stand something in for a call that failed, so that what else is wrong is found too."""
        meta = node.meta.get("val")
        spec = Unsaid(tuple(shape_of(item) for item in values_in(meta) if isinstance(item, torch.Tensor)))
        values = self.draft.append(Node(place, spec, kind=operator_of(node.target)[0]))
        self.meanings.found[node] = values[0] if isinstance(meta, torch.Tensor) else values

    # ------------------------------------------------------------------ calls

    def _call(self, node: fx.Node) -> None:
        """One call: a result among several, a size, a tensor that depends on no input, or what the network computes."""
        name, mutates = operator_of(node.target)
        value = node.meta.get("val")
        if REFUSED in node.meta:
            self.unknown.update({node.meta[UNREAD]} if UNREAD in node.meta else ())
            raise node.meta[REFUSED]
        if node.target is operator.getitem:
            self._item(node)
        elif name in ASSERTIONS:
            return
        elif not isinstance(value, (torch.Tensor, tuple, list)):
            self.meanings.found[node] = size_of(value)
        else:
            arguments = {key: fx.map_arg(item, self.meanings.now) for key, item in arguments_of(node).items()}
            if not self.constants.read(node, name, arguments):
                self._computed(node, name, arguments, mutates=mutates)
            elif not mutates or isinstance(self.meanings.found[node], Filled):
                self.meanings.aliases.call(node, name, mutates=mutates)

    def _computed(self, node: fx.Node, name: str, arguments: Mapping[str, Any], *, mutates: bool) -> None:
        """A call that depends on an input: a write of a whole tensor, one that changes nothing, or a layer."""
        aliases = self.meanings.aliases
        if mutates and name in ("copy", "fill", "zero"):
            self._check_kept(node)
            aliases.call(node, name, mutates=True)
            self._assigned(node)
            return
        if changes_nothing(name, arguments, node):
            self._nothing(node, name)
            return
        self.meanings.found[node] = self.calls.read(node, name, arguments, self._family(node, name))
        if mutates:
            self._check_kept(node)
        aliases.call(node, name, mutates=mutates)

    def _check_kept(self, node: fx.Node) -> None:
        """Refuse a write into a tensor that the network holds and has read: it is what its next call would read."""
        held = self.meanings.aliases.memory(node.all_input_nodes[0])
        spec = self.specs.get(held.name)
        if held.op != "placeholder" or spec is None or spec.kind.name == "USER_INPUT":
            return
        before = takewhile(lambda other: other is not node, self.graph.nodes)
        if {other for other in before if operator_of(other.target)[0] not in ASSERTIONS} & held.users.keys():
            what = f"{node.name} writes into {spec.target}, which the network has read: a second call would differ"
            raise Unsupported(what, remedy="take what is kept as an input, and give it back as an output")

    def _item(self, node: fx.Node) -> None:
        """One of several results of a call."""
        source = node.all_input_nodes[0]
        index: Any = node.args[1]
        results = self.meanings.now(source)
        if index < len(results):
            self.meanings.found[node] = results[index]
            self.meanings.aliases.view(node, source)
        elif node.users:
            name = operator_of(source.target)[0]
            raise Unsupported(f"result {index} of {name}, such as the indices of a pool", remedy="do without it")

    def _assigned(self, node: fx.Node) -> None:
        """A write of every place of a tensor: it means what was written from then on."""
        value, given = node.meta["val"], node.args[1] if len(node.args) > 1 else 0
        written = self.meanings.now(given) if isinstance(given, fx.Node) else given
        if isinstance(written, (int, float)):
            self.meanings.found[node] = Filled.like(value, written)
            return
        before = given.meta["val"] if isinstance(given, fx.Node) else value
        if written is None or exact(before) != exact(value) or before.dtype != value.dtype:
            raise Unsupported(f"{node.name} writes a tensor of another shape or dtype", remedy="write it out of place")
        self.meanings.found[node] = written

    def _nothing(self, node: fx.Node, name: str) -> None:
        """A call that gives its input back, or a copy of it."""
        source = self.meanings.aliases.now(node.all_input_nodes[0])
        if name in COPIES and isinstance(self.meanings.found[source], Held) and is_written(node):
            self.constants.copy(node, source)
            return
        self.meanings.same(node, source)
        if name not in COPIES:
            self.meanings.aliases.view(node, source)

    def _family(self, node: fx.Node, name: str) -> type[Spec]:
        """The family that reads an operator."""
        family = ATEN_RULES.get(name)
        if family is None and name in FACTORIES:
            what = f"{name} of numbers that are known only at run time"
            raise Unsupported(what, remedy="count from 0 by 1, and fill with a number")
        if family is None:
            self.unknown.add(node.target)
            if draws(node):
                what = f"operator aten.{name} draws random numbers at every call, in inference too"
                raise Unsupported(what, remedy="draw them outside of the network, and give them as an input")
            remedy = REMEDIES.get(name, "write it with other operators, or open an issue")
            raise Unknown(f"operator aten.{name} has no rule", remedy=remedy)
        return family


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
