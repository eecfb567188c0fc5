"""A program with complex numbers inside as one of real numbers alone: every complex tensor becomes a pair.

before   z = view_as_complex(x), w = z * freqs, y = view_as_real(w)
after    a, b = x[..., 0], x[..., 1], then a * c - b * d and a * d + b * c, stacked

What depends on no input stays complex until it meets something that does: it is computed while reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx
from torch._guards import detect_fake_mode
from torch.utils import _pytree as pytree

from xconv.errors import Unknown, Unsupported, XConvError
from xconv.torch.reading.complex_rules import RULES
from xconv.torch.reading.fourier_calls import TRANSFORMS
from xconv.torch.reading.in_place import VIEWS, SharedWrite
from xconv.torch.reading.operators import ASSERTIONS, NO_EFFECT, arguments_of, operator_of
from xconv.torch.reading.parts import Asked, Complex, Part, Writer, is_complex
from xconv.torch.reading.short_time import istft, stft
from xconv.torch.reading.sizes import shape_of

__all__ = ["REFUSED", "UNREAD", "real_only"]

REFUSED = "xconv_refused"
"""Under which the stand-in for a call that real numbers cannot say has its error, in its metadata."""

UNREAD = "xconv_unread"
"""Under which it has its operator, where no rule reads that."""

ALL: Mapping[str, Callable[[Asked], Any]] = {**RULES, **TRANSFORMS, "stft": stft, "istft": istft}

TRANSFORMING = frozenset(getattr(torch.ops.aten, name).default for name in (*TRANSFORMS, "stft"))
"""Operators with complex numbers in between, whatever they take and give."""

SHARING = VIEWS | {"imag", "real", "view_as_complex", "view_as_real"}
"""Operators whose result has its input's memory, those between complex and real numbers too."""

PARTS = "keep the real and the imaginary part apart, as torch.view_as_real gives them"


def real_only(graph: fx.Graph, stored: Mapping[str, torch.Tensor], learned: frozenset[str]) -> fx.Graph:
    """The graph in real numbers; the graph itself where it has no others.

    Args:
        graph: that of a program; it stays as it is.
        stored: the tensors that the program holds, by the names of their placeholders.
        learned: the names of those that are parameters.
    """
    if not any(node.target in TRANSFORMING or is_complex(node) for node in graph.nodes):
        return graph
    constants = {name: tensor for name, tensor in stored.items() if name not in learned}
    mode = detect_fake_mode([node.meta.get("val") for node in graph.nodes])
    walk = _Walk(Writer(fx.Graph(), constants, mode), learned)
    for node in graph.nodes:
        walk.add(node)
    walk.writer.without_unused()
    return walk.writer.graph


@dataclass(slots=True)
class _Walk:
    """The walk over a program with complex numbers."""

    writer: Writer
    learned: frozenset[str]
    known: dict[fx.Node, Any] = field(default_factory=dict)
    """What every node of the program is in the new one: a node, a Complex, or several of them."""
    constant: set[fx.Node] = field(default_factory=set)
    """The nodes of the program that depend on no input and no parameter."""
    viewed: set[fx.Node] = field(default_factory=set)
    """The real tensors whose memory is viewed as complex numbers."""

    def add(self, node: fx.Node) -> None:
        """One node; what cannot be said is stood in for."""
        name = operator_of(node.target)[0] if node.op == "call_function" else ""
        self.writer.call_for(node, name or node.name)
        if self._is_constant(node):
            self.constant.add(node)
        try:
            self.known[node] = self._read(node, name)
        except XConvError as error:
            self.known[node] = self._stand_in(node, error)

    def _read(self, node: fx.Node, name: str) -> Any:
        """What a node is in real numbers."""
        if node.op == "placeholder":
            return self._placeholder(node)
        if node.op == "output":
            for item in filter(is_complex, node.all_input_nodes):
                self._refuse_returned(item)
            return self.writer.graph.node_copy(node, self._plain)
        if node in self.constant or not (node.target in TRANSFORMING or self._is_touched(node)):
            return self._copied(node, name)
        return self._written(node, name)

    def _is_touched(self, node: fx.Node) -> bool:
        """Whether a call takes or gives complex numbers, as one of several perhaps."""
        taken = pytree.tree_leaves([self.known[item] for item in node.all_input_nodes])
        return any(map(is_complex, (node, *node.all_input_nodes))) or any(isinstance(item, Complex) for item in taken)

    # ------------------------------------------------------------------ what stays as it is

    def _is_constant(self, node: fx.Node) -> bool:
        """Whether it is computed while reading: of buffers and constants, in known sizes."""
        if node.op == "placeholder":
            return node.name in self.writer.stored
        value = node.meta.get("val")
        tensors = [item for item in pytree.tree_leaves(value) if isinstance(item, torch.Tensor)]
        known = tensors and not any(None in shape_of(item) for item in tensors)
        return node.op == "call_function" and bool(known) and self.constant.issuperset(node.all_input_nodes)

    def _placeholder(self, node: fx.Node) -> Any:
        """A tensor that the network holds or is called on; a complex parameter is held as its two parts."""
        copied = self.writer.graph.node_copy(node)
        if not is_complex(node) or node in self.constant:
            return copied
        if node.name not in self.learned:
            raise Unsupported("an input of complex numbers", place=node.name, remedy=f"{PARTS}, and give these")
        copied.meta = {**node.meta, "val": torch.view_as_real(node.meta["val"])}
        return copied

    def _copied(self, node: fx.Node, name: str) -> fx.Node:
        """A call of real numbers, or of constants."""
        mutates = node.op == "call_function" and operator_of(node.target)[1]
        if node not in self.constant and mutates and self._is_shared(node.all_input_nodes[0]):
            raise SharedWrite(f"{name} writes into a part of complex numbers", remedy="write it out of place")
        return self.writer.graph.node_copy(node, self._plain)

    def _is_shared(self, node: fx.Node) -> bool:
        """Whether a real tensor has the memory of a complex one."""
        memory = _memory(node)
        return is_complex(memory) or memory in self.viewed

    def _plain(self, node: fx.Node) -> fx.Node:
        """The node that stands for a real tensor, or a constant one."""
        found: Any = self.known[node]
        return found.node if isinstance(found, Part) else found

    def _refuse_returned(self, node: fx.Node) -> None:
        """Complex numbers that the program returns."""
        self.writer.call_for(node, operator_of(node.target)[0])
        error = Unsupported("it returns complex numbers", remedy="return torch.view_as_real of them")
        (self.known[node],) = self.writer.standing_in(_refused, (_real(node.meta["val"]),), {REFUSED: error})

    # ------------------------------------------------------------------ what becomes pairs

    def _written(self, node: fx.Node, name: str) -> Any:
        """A call that has to do with complex numbers, in calls of real ones."""
        if name in ASSERTIONS:
            return None
        value = node.meta["val"]
        if name == "getitem":
            (first,) = node.all_input_nodes
            if isinstance(self.known[first], fx.Node):
                raise Unknown(f"operator aten.{operator_of(first.target)[0]} has no rule", remedy=PARTS)
            return self.known[first][node.args[1]]
        if not isinstance(value, (torch.Tensor, list, tuple)):
            (first,) = node.all_input_nodes
            return self.writer(node.target, self.operand(first).real, *node.args[1:])
        if operator_of(node.target)[1]:
            raise SharedWrite(f"{name} writes into complex numbers", remedy="write it out of place")
        if name == "view_as_complex":
            self.viewed.add(_memory(node.all_input_nodes[0]))
        rule = ALL.get(name)
        if rule is None:
            raise Unknown(f"operator aten.{name} of complex numbers has no rule", remedy=PARTS)
        given = {key: fx.map_arg(item, self.operand) for key, item in arguments_of(node).items()}
        call = Asked(name, given, target=node.target, writer=self.writer, result=value)
        result = rule(call)
        unread = call.unread - NO_EFFECT
        if unread:
            raise Unsupported(f"{name} of complex numbers has {', '.join(sorted(unread))}", remedy=PARTS)
        return result

    def operand(self, node: fx.Node) -> Any:
        """A node as rules take it: Complex, Part, or the node of a size."""
        found = self.known[node]
        if not isinstance(found, fx.Node) or not isinstance(found.meta.get("val"), torch.Tensor):
            return found
        if not is_complex(node):
            return Part(self.writer, found)
        if node in self.constant:
            plain = self.writer.part(torch.ops.aten.resolve_conj.default, Part(self.writer, found))
            return _unviewed(self.writer.part(torch.ops.aten.view_as_real.default, plain))
        self.known[node] = _unviewed(Part(self.writer, found))
        return self.known[node]

    def _stand_in(self, node: fx.Node, error: XConvError) -> Any:
        """Something for a call that failed, so that what else is wrong is found too."""
        value = node.meta["val"]
        several = list(value) if isinstance(value, (list, tuple)) else [value]
        said = {REFUSED: error, **({UNREAD: node.target} if isinstance(error, Unknown) else {})}
        parts = self.writer.standing_in(_refused, tuple(map(_real, several)), said)
        found = [_unviewed(part) if is_complex(item) else part for part, item in zip(parts, several, strict=True)]
        return found if isinstance(value, (list, tuple)) else found[0]


def _refused() -> None:
    """What stands for a call that real numbers cannot say."""


def _unviewed(pairs: Part) -> Complex:
    """The parts of complex numbers that a last axis of two numbers holds."""
    return Complex(*(pairs.writer.part(torch.ops.aten.select.int, pairs, -1, place) for place in (0, 1)))


def _real(tensor: torch.Tensor) -> torch.Tensor:
    """A stand-in with its parts as a last axis of two numbers."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _memory(node: fx.Node) -> fx.Node:
    """The tensor of which a real one is a view, up to complex numbers."""
    while not is_complex(node) and operator_of(node.target)[0] in SHARING and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node
