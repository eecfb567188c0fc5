"""Writes in place, followed through a program: which fx node holds what a name stands for now."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import fx

from xconv.errors import Unsupported

__all__ = ["VIEWS", "Aliases", "SharedWrite"]

VIEWS = frozenset(
    {"view", "permute", "transpose", "t", "unsqueeze", "squeeze", "slice", "select", "expand", "alias", "detach"}
    | {"chunk", "split", "split_with_sizes", "unbind", "narrow", "unflatten", "flatten", "reshape", "movedim"}
    | {"swapaxes", "view_as", "reshape_as", "expand_as", "diagonal", "unfold", "as_strided", "contiguous"}
)
"""Operators whose result may share memory with their input."""


class SharedWrite(Unsupported):
    """A write into memory that is read later under another name."""


@dataclass(slots=True)
class Aliases:
    """After `relu_(x)`, every later use of `x` means the result.

    A write to a tensor of which another view is used later cannot be said without memory of one's own, and is refused.
    """

    result: dict[fx.Node, fx.Node] = field(default_factory=dict)
    base: dict[fx.Node, fx.Node] = field(default_factory=dict)
    """For every view, the tensor whose memory it shares."""
    order: dict[fx.Node, int] = field(default_factory=dict)

    def now(self, node: fx.Node) -> fx.Node:
        """The fx node whose result this one stands for after the writes so far."""
        while node in self.result:
            node = self.result[node]
        return node

    def view(self, node: fx.Node, source: fx.Node) -> None:
        """Remember that a node gives its source, or a part of it, back."""
        self.base[node] = self._root(source)

    def call(self, node: fx.Node, name: str, *, mutates: bool) -> None:
        """Remember a call that shares its input's memory, or writes to it.

        Raises:
            Unsupported: another tensor that shares this memory is used after the write.
        """
        if not node.all_input_nodes:
            return
        source = node.all_input_nodes[0]
        if not mutates:
            if name in VIEWS:
                self.view(node, source)
            return
        written = self.now(source)
        self._check(node, written)
        self.result[written] = node

    def memory(self, node: fx.Node) -> fx.Node:
        """The tensor whose memory a node has."""
        return self._root(node)

    def _root(self, node: fx.Node) -> fx.Node:
        while node in self.base:
            node = self.base[node]
        return node

    def _check(self, node: fx.Node, written: fx.Node) -> None:
        """Refuse where memory that is shared with `written` is read later under another name."""
        if not self.order:
            self.order.update({item: place for place, item in enumerate(node.graph.nodes)})
        root = self._root(written)
        family = [other for other in (root, *self.base) if other is not written and self._root(other) is root]
        for other in family:
            if other in self.result or self.now(other) is written:
                continue
            if any(self.order[user] > self.order[node] for user in other.users):
                raise SharedWrite(
                    f"{node.name} writes into memory that {other.name} shares and that is read later",
                    remedy="write it without the trailing underscore (out of place)",
                )
