"""Nodes that only one of two networks has, each given to one cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xconv.comparison.case import Case
from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.attention import Attention
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.concat import Concat, Stack
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.embedding import Embedding
from xconv.layers.expand import ExpandDims, Squeeze
from xconv.layers.group_norm import GroupNorm
from xconv.layers.io import Input, Variable
from xconv.layers.layer_norm import LayerNorm, UnitNorm
from xconv.layers.matmul import Einsum, MatMul
from xconv.layers.multi_head_attention import MultiHeadAttention
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.prelu import PReLU
from xconv.layers.recurrent import Recurrent
from xconv.layers.reduce import Reduce
from xconv.layers.resample import Resample
from xconv.layers.rescale import Normalization, Rescaling
from xconv.layers.reshape import Flatten, Permute, Regroup, Reshape, Unsqueeze
from xconv.layers.same import SamePad
from xconv.layers.scale import Scale
from xconv.layers.slicing import Slicing
from xconv.layers.softmax import GLU, Softmax
from xconv.layers.take import Take
from xconv.layers.tile import Flip
from xconv.layers.unary import Clip, Unary
from xconv.layers.upsample import Upsample
from xconv.spec import Slot, Spec

__all__ = ["OTHER", "Lone", "LoneNodes", "lone_nodes", "makes_probabilities"]

LEARNED = (Conv, ConvTranspose, Dense, Recurrent, MultiHeadAttention, Embedding, Attention)
"""What makes a group of lone nodes a missing layer or block, whatever else is in it."""
VECTORS = (GlobalPool, AdaptivePool, Flatten, Reshape, Reduce, Take, Slicing)
"""What makes a vector of a map."""
ATTENDING = (Attention, MultiHeadAttention, MatMul, Einsum)
"""What makes a group of lone nodes attention, where both networks have such a group."""
NONLINEAR = (Activation, Clip, PReLU)
POINTWISE = (*NONLINEAR, Elementwise, Unary)
SHIFTS = (Pad, PadAxes, SamePad, Slicing)
KINDS: tuple[tuple[str, tuple[type[Spec], ...]], ...] = (
    ("rescaling", (Rescaling, Normalization)),
    ("activation", (Activation, PReLU, Clip, GLU)),
    ("softmax", (Softmax,)),
    ("pooling", (Pool, GlobalPool, AdaptivePool)),
    ("padding", SHIFTS),
    ("reshaping", (Reshape, Regroup, Flatten, Permute, Unsqueeze, ExpandDims, Squeeze)),
    ("resizing", (Upsample, Resample)),
    ("missing_layers", (BatchNorm, LayerNorm, GroupNorm, UnitNorm, Scale, *LEARNED)),
    ("channel_order", (Flip,)),
    ("residual", (Elementwise, Concat, Stack)),
    ("attention", (MatMul, Einsum)),
)
"""The cause of a lone node by its family, where its surroundings do not say more; the first that fits."""
OTHER = "other_settings"


@dataclass(frozen=True, slots=True)
class Lone:
    """The lone nodes of one cause."""

    a: tuple[Node, ...] = ()
    b: tuple[Node, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.a or self.b)


@dataclass(frozen=True, slots=True)
class LoneNodes:
    """The lone nodes by cause, and the heads of both networks."""

    by_cause: Mapping[str, Lone]
    heads: frozenset[str]
    """The nodes of `a` that work on vectors, behind all maps."""


def lone_nodes(case: Case) -> LoneNodes:
    """Every lone node with its cause."""
    sides = [
        _Side(graph, tuple(lone), frozenset(paired))
        for graph, lone, paired in (
            (case.a.graph, case.only_a(), case.alignment.to_b),
            (case.b.graph, case.only_b(), case.alignment.to_a),
        )
    ]
    pools = _padded_pools(case)
    given = [side.causes(pool) for side, pool in zip(sides, pools, strict=True)]
    _name_moved(sides, given)
    _name_attention(sides, given)
    causes = {cause for found in given for cause in found.values()}
    lone = {
        cause: Lone(
            *(tuple(n for n in s.lone if found[n.name] == cause) for s, found in zip(sides, given, strict=True))
        )
        for cause in causes
    }
    return LoneNodes(lone, frozenset(sides[0].heads))


def _name_moved(sides: Sequence[_Side], given: Sequence[dict[str, str]]) -> None:
    """Activations that both networks have, at other places, are in another order."""
    words = [
        Counter(node.spec for node in side.lone if found[node.name] == "activation")
        for side, found in zip(sides, given, strict=True)
    ]
    moved = {spec for spec, number in words[0].items() if words[1][spec] == number}
    for side, found in zip(sides, given, strict=True):
        found.update({n.name: "layer_order" for n in side.lone if found[n.name] == "activation" and n.spec in moved})


def _name_attention(sides: Sequence[_Side], given: Sequence[dict[str, str]]) -> None:
    """Attention that both networks have, told in other operations, is the same layer computed otherwise."""
    groups = [[n for n in s.lone if any(isinstance(o.spec, ATTENDING) for o in s.group[n.name])] for s in sides]
    if all(groups):
        for nodes, found in zip(groups, given, strict=True):
            found.update({node.name: "attention" for node in nodes if found[node.name] != "features"})


def makes_probabilities(node: Node, graph: Graph) -> bool:
    """Whether it is a softmax, or a sigmoid at the network's end."""
    last = Value(node.name) in graph.output_values()
    return isinstance(node.spec, Softmax) or (
        last and isinstance(node.spec, Activation) and node.spec.name == "sigmoid"
    )


def _padded_pools(case: Case) -> tuple[frozenset[str], frozenset[str]]:
    """The max pools of either side that have a counterpart."""
    pairs = [(a, b) for a, b in case.pairs() if isinstance(a.spec, Pool) and isinstance(b.spec, Pool)]
    return frozenset(a.name for a, _ in pairs), frozenset(b.name for _, b in pairs)


class _Side:
    """The lone nodes of one network, in groups that hang together."""

    def __init__(self, graph: Graph, lone: tuple[Node, ...], paired: frozenset[str]) -> None:
        self.graph, self.lone, self.paired = graph, lone, paired
        self.names = {node.name for node in lone}
        self.known = graph.by_name()
        self.users = graph.consumers()
        self.heads = set(_heads(graph, self.users))
        self.tails = set(self._tails())
        self.group = self._groups()

    def causes(self, pools: Collection[str]) -> dict[str, str]:
        """The cause of every lone node; a free weight belongs to what it is used for."""
        found: dict[str, str] = {}
        for node in reversed(self.lone):
            if isinstance(node.spec, (Variable, Input)):
                users = [user.name for value in _made(node) for user in self.users.get(value, ())]
                found[node.name] = next((found[name] for name in users if name in found), OTHER)
            else:
                found[node.name] = self._cause(node, pools)
        return found

    def _cause(self, node: Node, pools: Collection[str]) -> str:
        group = self.group[node.name]
        attends = any(isinstance(other.spec, ATTENDING) for other in group)
        if makes_probabilities(node, self.graph) and not attends and not self._behind_lone_tail(node):
            return "softmax"
        if self._takes_steps(node):
            return "recurrent"
        if self._is_of_features(node, group):
            return "features"
        users = {user.name for value in _made(node) for user in self.users.get(value, ())}
        rules = (
            ("missing_layers", any(isinstance(other.spec, LEARNED) for other in group)),
            ("resizing", any(isinstance(other.spec, (Upsample, Resample)) for other in group)),
            ("rescaling", self._scales_input(node)),
            ("activation", self._is_function(group)),
            ("pooling", isinstance(node.spec, SHIFTS) and bool(users & {*pools})),
            ("padding", _is_padding(group)),
        )
        return next((cause for cause, holds in rules if holds), self._of_number(node) or _by_kind(node))

    def _of_number(self, node: Node) -> str:
        """The cause of a factor or summand: that of what it goes into."""
        if not _with_number(node.spec):
            return ""
        users = [user for value in _made(node) for user in self.users.get(value, ())]
        if any(isinstance(user.spec, (Attention, MultiHeadAttention)) for user in users):
            return "attention"
        joins = any(isinstance(user.spec, (Elementwise, Concat)) and len(user.inputs) > 1 for user in users)
        return "residual" if joins else OTHER

    def _behind_lone_tail(self, node: Node) -> bool:
        return any(value.node in self.names and value.node in self.tails for value in node.inputs)

    def _is_of_features(self, node: Node, group: tuple[Node, ...]) -> bool:
        """Whether it is part of a head that the other network lacks, or another way from maps to vectors."""
        if any(isinstance(other.spec, (Recurrent, MultiHeadAttention, Attention)) for other in group):
            return False
        learned = any(isinstance(other.spec, (*LEARNED, *VECTORS)) for other in group)
        if node.name in self.tails and learned:
            return True
        return node.name in self.heads and (learned or isinstance(node.spec, VECTORS))

    def _takes_steps(self, node: Node) -> bool:
        """Whether it makes one vector of the steps of a recurrent layer that has a counterpart."""
        before = [self.known[value.node] for value in node.inputs]
        after_recurrent = any(isinstance(other.spec, Recurrent) and other.name in self.paired for other in before)
        return isinstance(node.spec, (Reduce, Slicing, Take, Concat, GlobalPool)) and after_recurrent

    def _scales_input(self, node: Node) -> bool:
        """Whether it scales an input, before anything else is done to it."""
        scales = isinstance(node.spec, (Rescaling, Normalization)) or _with_number(node.spec)
        return scales and len(node.inputs) == 1 and self._is_raw(node.inputs[0])

    def _is_raw(self, value: Value) -> bool:
        node = self.known[value.node]
        if isinstance(node.spec, Input):
            return True
        scales = isinstance(node.spec, (Rescaling, Normalization, Flip)) or _with_number(node.spec)
        return scales and len(node.inputs) == 1 and self._is_raw(node.inputs[0])

    def _is_function(self, group: tuple[Node, ...]) -> bool:
        """Whether it computes a function of every element by itself: an activation that is spelled out.

        A factor or a summand alone is one where it stands beside an activation.
        """
        names = {node.name for node in group}
        outside = {value for node in group for value in node.inputs if value.node not in names}
        if not all(isinstance(node.spec, POINTWISE) for node in group) or len(outside) > 1:
            return False
        users = [user for node in group for value in _made(node) for user in self.users.get(value, ())]
        beside = (*group, *(self.known[value.node] for value in outside), *users)
        return any(isinstance(node.spec, NONLINEAR) for node in beside)

    def _tails(self) -> Iterator[str]:
        """The lone nodes behind which nothing has a counterpart."""
        ends: set[str] = set()
        for node in reversed(self.graph.nodes):
            if node.name in self.names and all(
                user.name in ends for value in _made(node) for user in self.users.get(value, ())
            ):
                ends.add(node.name)
                yield node.name

    def _groups(self) -> dict[str, tuple[Node, ...]]:
        """For every lone node, all lone nodes that it is connected with through lone nodes."""
        near: dict[str, set[str]] = {name: set() for name in self.names}
        for node in self.lone:
            for value in node.inputs:
                if value.node in self.names:
                    near[node.name].add(value.node)
                    near[value.node].add(node.name)
        found: dict[str, tuple[Node, ...]] = {}
        for first in near:
            if first not in found:
                reached, waiting = {first}, [first]
                while waiting:
                    new = near[waiting.pop()] - reached
                    reached |= new
                    waiting += new
                found.update(dict.fromkeys(reached, tuple(self.known[name] for name in reached)))
        return found


def _made(node: Node) -> Iterator[Value]:
    return (Value(node.name, index) for index in range(len(node.shapes)))


def _by_kind(node: Node) -> str:
    if isinstance(node.spec, Pool) and set(node.spec.kernel) == {1}:
        return "stride"  # it takes every n-th pixel
    return next((cause for cause, kinds in KINDS if isinstance(node.spec, kinds)), OTHER)


def _with_number(spec: Spec) -> bool:
    """Whether it is a sum, product ... of one tensor and a number."""
    return isinstance(spec, Elementwise) and any(not isinstance(operand, Slot) for operand in spec.operands)


def _is_padding(group: tuple[Node, ...]) -> bool:
    """Whether slices and joins of one map make it wider: a circular or reflecting pad."""
    return all(isinstance(node.spec, (*SHIFTS, Concat, Flip)) for node in group) and any(
        isinstance(node.spec, SHIFTS) for node in group
    )


def _heads(graph: Graph, users: Mapping[Value, list[Node]]) -> Iterator[str]:
    """The nodes that make vectors, and behind which there are only vectors; none where there were never maps."""
    vectors = len("NC")
    if all(len(shape) <= vectors for node in graph.nodes for shape in node.shapes):
        return
    found: set[str] = set()
    for node in reversed(graph.nodes):
        flat = all(len(shape) <= vectors for shape in node.shapes)
        if flat and all(user.name in found for value in _made(node) for user in users.get(value, ())):
            found.add(node.name)
            yield node.name
