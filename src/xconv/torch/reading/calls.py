"""From one call of a program to nodes of the graph: the record that its rule reads, and the Ops that the rule gives."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from xconv.errors import Mismatch, Unsupported
from xconv.graph import Node, Value, values_in
from xconv.passes.keep_names import idiom_notes
from xconv.passes.unfold_pads import pad_notes
from xconv.policies import policy_for
from xconv.spec import AtenCall, Computed, Made, Numbers, Op, Shape, Slot, Spec
from xconv.torch.arrays import dtype_name
from xconv.torch.module_names import OPERATION, Names, source_of
from xconv.torch.reading.arguments import Arguments
from xconv.torch.reading.constants import Constants
from xconv.torch.reading.draft import Draft
from xconv.torch.reading.fillings import Fillings
from xconv.torch.reading.meanings import Held, Meaning
from xconv.torch.reading.open_numbers import OpenNumbers
from xconv.torch.reading.operators import NO_EFFECT, operator_of
from xconv.torch.reading.sizes import shape_of
from xconv.torch.record import Source

__all__ = ["Calls"]

_UNASKED = Value("")
"""In the place of a result that nobody takes."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Reads calls into the draft."""

    draft: Draft
    names: Names
    constants: Constants
    fillings: Fillings
    sizes: OpenNumbers

    def read(self, node: fx.Node, name: str, arguments: Mapping[str, Any], family: type[Spec]) -> Meaning:
        """The value, or the sequence of values, that a call gives.

        Raises:
            Unsupported: the family has no such rule, or leaves an argument unread.
            Mismatch: the shape that it infers is not torch's.
        """
        taken = Arguments(node, self.constants, self.fillings, self.sizes)
        taken.take(name, arguments, family)
        call = self._record(node, name, taken)
        ops = family.from_torch(call)
        unread = call.unread - NO_EFFECT
        if unread:
            raise Unsupported(f"{name} has {', '.join(sorted(unread))}, which its rule does not read")
        result = self._result(node, (ops,) if isinstance(ops, Op) else ops, taken, call.outputs)
        self.draft.note_dtypes(result, node.meta["val"])
        return result

    def _record(self, node: fx.Node, name: str, taken: Arguments) -> AtenCall:
        """The call in plain data."""
        results = tuple(values_in(node.meta["val"]))
        inputs = tuple(map(self.draft.shape_of, taken.values))
        dtypes = tuple(map(self.draft.dtype_of, taken.values))
        dtype = dtype_name(results[0].dtype) if results else "float32"
        return AtenCall(name, taken.given, inputs, tuple(map(shape_of, results)), dtypes, dtype)

    def _result(self, node: fx.Node, ops: Sequence[Op], taken: Arguments, outputs: Sequence[Shape]) -> Meaning:
        """What the Ops of a call give; nothing but its input where there are none."""
        if not ops:
            return taken.values[0]
        made = self._nodes(node, ops, taken, _asked(node, ops))
        returns = ops[-1].returns
        values = made[-1] if returns is None else _wired(returns, taken.values, made)
        self._check(values, outputs)
        return values[0] if isinstance(node.meta["val"], torch.Tensor) else values

    def _nodes(self, node: fx.Node, ops: Sequence[Op], taken: Arguments, asked: frozenset[int]) -> list[list[Value]]:
        """The values that each Op makes; none where nobody asks for them."""
        bare = self._bare(node, ops[0].spec, taken.held)
        made: list[list[Value]] = []
        for place, op in enumerate(ops):
            if place not in asked:
                made.append([_UNASKED])
                continue
            if op.inputs is not None:
                inputs = _wired(op.inputs, taken.values, made)
            else:
                inputs = made[-1] if made else taken.values
            named = _said(bare, op, source_of(node))
            weights = self.draft.weights_of(op, named.name)
            made.append(self.draft.append(replace(named, spec=op.spec, inputs=tuple(inputs), weights=weights)))
            bare = replace(bare, notes=())
        return made

    def _bare(self, node: fx.Node, spec: Spec, held: Sequence[Held]) -> Node:
        """What all nodes of a call have in common; the notes belong to the first."""
        said = source_of(node)
        learned = [item.trains for item in held if item.learned]
        notes = [item.note for item in held if item.note]
        if any(learned) and not all(learned):
            notes.append("only some of its parameters are frozen; Keras freezes whole layers")
        if said is not None:
            notes += [*pad_notes(said.notes), *idiom_notes(said.notes)]
        return Node(
            name=self.names.name(node),
            spec=spec,
            layer=self.names.owner(node),
            call=self.names.call(node),
            kind=said.kind if said is not None else node.meta.get(OPERATION, operator_of(node.target)[0]),
            trainable=not learned or any(learned),
            notes=tuple(notes),
            policy=_policy(node, held),
        )

    def _check(self, values: Sequence[Value], outputs: Sequence[Shape]) -> None:
        """Compare the shapes that the Specs infer with torch's."""
        for value, stated in zip(values, outputs, strict=False):
            if value is _UNASKED:
                continue
            inferred = self.draft.shape_of(value)
            pairs = zip(stated, inferred, strict=False)
            if len(stated) != len(inferred) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
                raise Mismatch(f"its result is {stated} in torch, but its rule gives {inferred}")


def _policy(node: fx.Node, held: Sequence[Held]) -> str:
    """The dtype policy of a call: what it gives, and what its weights are held in.

    Raises:
        Unsupported: no layer of Keras computes so.
    """
    results = [item for item in values_in(node.meta["val"]) if isinstance(item, torch.Tensor)]
    if not results or not results[0].is_floating_point():
        return ""
    compute = dtype_name(results[0].dtype)
    types = {item.weight.dtype for item in held if "float" in item.weight.dtype}
    if len(types) > 1:
        remedy = "give them one type"
        raise Unsupported(f"it has weights of several types ({', '.join(sorted(types))})", remedy=remedy)
    return policy_for(compute, types.pop() if types else None)


def _wired(wanted: Sequence[Slot | Made], values: Sequence[Value], made: Sequence[Sequence[Value]]) -> list[Value]:
    """The values that an Op takes or gives: of the call's, and of what earlier Ops made."""
    return [values[item.index] if isinstance(item, Slot) else made[item.op][item.index] for item in wanted]


def _asked(node: fx.Node, ops: Sequence[Op]) -> frozenset[int]:
    """Which of the Ops of a call are behind the results that somebody takes."""
    returns = ops[-1].returns
    if returns is None or any(user.target is not operator.getitem for user in node.users):
        return frozenset(range(len(ops)))
    taken = {user.args[1] for user in node.users if user.users}
    found: set[int] = set()
    left = [item for place, item in enumerate(returns) if place in taken]
    while left:
        item = left.pop()
        if isinstance(item, Made) and item.op not in found:
            found.add(item.op)
            inputs = ops[item.op].inputs
            left += [Made(item.op - 1)] if inputs is None and item.op else inputs or ()
    return frozenset(found)


def _said(bare: Node, op: Op, source: Source | None) -> Node:
    """The node of one Op of a call: its name, part and notes; what a rule makes itself does not train."""
    computed = dict.fromkeys(item.note for item in op.computed.values() if isinstance(item, Computed))
    return replace(
        bare,
        name=f"{bare.name}.{op.name}" if op.name else bare.name,
        part=(source.part if source is not None else "") or op.name,
        trainable=bare.trainable and not any(isinstance(item, Numbers) for item in op.computed.values()),
        notes=tuple(dict.fromkeys(filter(None, (*bare.notes, op.note, *computed)))),
    )
