"""What a target's layers should say instead, so that it computes what the source does: `wishes(case)`.

Setting    another epsilon, another momentum
Window     another stride, padding, dilation or kernel of a convolution or pool
Swap       another function at one place, or none
Put        something without weights before one input of a layer
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from xconv.comparison.case import Case
from xconv.comparison.differences import differences, effective_pads, reach_of
from xconv.graph import Node, Value
from xconv.layers.activation import Activation
from xconv.layers.conv import Conv
from xconv.layers.geometry import spatial
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.padding import Pads, zero_pads
from xconv.passes.not_negative import not_negative
from xconv.spec import Shape, Spec

__all__ = ["Put", "Setting", "Swap", "Window", "Wish", "plainest", "window_words", "wishes"]

GEOMETRY = frozenset({"stride", "padding", "dilation", "kernel", "counts_pads", "kind"})
FUNCTIONS = frozenset({"name", "parameters"})
SETTINGS = frozenset({"epsilon", "momentum", "pads"})
MOVABLE = (Activation, Pad, Pool)
"""What can be put into a network or taken out: one input, no weights."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One number of a layer."""

    node: Node
    """The target's."""
    name: str
    value: Any
    like: str


@dataclass(frozen=True, slots=True)
class Window:
    """The windows of a convolution or pool; `zeros` are put around its input before, where padding means another."""

    node: Node
    spec: Conv | Pool
    zeros: Pads
    like: str
    shape: Shape
    """What goes into it, in the source."""
    safe: bool = False
    """Whether its input is never negative, so that zeros are as good as -inf to a maximum."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Another function; None for none at all."""

    node: Node
    spec: Spec | None
    like: str


@dataclass(frozen=True, slots=True)
class Put:
    """Functions before one input of a layer, in order."""

    node: Node
    operand: int
    specs: tuple[Spec, ...]
    like: str


Wish: TypeAlias = Setting | Window | Swap | Put


def wishes(case: Case) -> list[Wish]:
    """Everything that differs and that a setting of the target can mend, in the order of the source.

    Where a node stands for several that compute the same, each of them is to be changed.
    """
    return [
        replace(wish, node=node)
        for wish in _Wishes(case).all()
        for node in (replace(wish.node, also=()), *wish.node.also)
    ]


class _Wishes:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.safe = not_negative(case.a.graph)
        self.windows: dict[str, Window] = {}
        self.swapped: set[str] = set()

    def all(self) -> Iterator[Wish]:
        for item in differences(self.case):
            if item.a and item.b:
                a, b = self.case.nodes_a[item.a], self.case.nodes_b[item.b]
                if item.kind in SETTINGS:
                    yield Setting(b, item.kind, item.says_a, _said(a))
                elif item.kind in FUNCTIONS and isinstance(a.spec, Activation):
                    if b.name not in self.swapped:
                        yield Swap(b, a.spec, _said(a))
                    self.swapped.add(b.name)
                elif item.kind in GEOMETRY and isinstance(a.spec, (Conv, Pool)) and b.name not in self.windows:
                    self.windows[b.name] = self._window(a, b)
                    yield self.windows[b.name]
        yield from self._puts()
        for node in self.case.only_b():
            if isinstance(node.spec, MOVABLE) and not self._around(node):
                yield Swap(node, None, f"{self.case.a.name} has no such layer")

    def _window(self, a: Node, b: Node) -> Window:
        assert isinstance(a.spec, (Conv, Pool))  # noqa: S101  told by the caller
        pads = _before(self.case, a)
        value = a.inputs[0] if pads is None else pads.inputs[0]
        zeros = pads.spec.pads if pads is not None and isinstance(pads.spec, Pad) else zero_pads(len(a.spec.kernel))
        shape = self.case.nodes_a[a.inputs[0].node].shapes[a.inputs[0].index]
        return Window(b, plainest(a.spec, shape), zeros, _said(a), shape, value in self.safe)

    def _around(self, node: Node) -> bool:
        """Whether it is a pad of the target that the windows behind it take into account."""
        return isinstance(node.spec, Pad) and any(user.name in self.windows for user in self._users_b(node))

    def _users_b(self, node: Node) -> list[Node]:
        return self.case.users_b.get(Value(node.name), [])

    def _puts(self) -> Iterator[Put]:
        """What the source has in the way to a layer that both have."""
        for a, b in self.case.pairs():
            for value in dict.fromkeys(a.inputs):
                lone, start = self._lone(value)
                if not lone or any(not isinstance(node.spec, MOVABLE) for node in lone):
                    continue
                if b.name in self.windows and len(lone) == 1 and isinstance(lone[0].spec, Pad):
                    continue
                operand = self._operand(b, start)
                if operand is not None:
                    like = ", ".join(_said(node) for node in lone)
                    yield Put(b, operand, tuple(node.spec for node in lone), like)

    def _lone(self, value: Value) -> tuple[list[Node], Value]:
        """The nodes that the target lacks just before a value, the first one first, and where they begin."""
        found: list[Node] = []
        while value.node not in self.case.alignment.to_b:
            node = self.case.nodes_a[value.node]
            if len(node.inputs) != 1:
                break
            found.insert(0, node)
            (value,) = node.inputs
        return found, value

    def _operand(self, b: Node, start: Value) -> int | None:
        """Which input of the target's layer it is that takes this value of the source."""
        wanted = self.case.in_b(start)
        places = [place for place, value in enumerate(b.inputs) if value == wanted]
        return places[0] if len(places) == 1 else None


def plainest(spec: Conv | Pool, shape: Shape) -> Conv | Pool:
    """The same windows over a map of this shape, with pads as even as they can be said.

    >>> plainest(Conv(3, 8, (3, 3), (2, 2), ((1, 2), (1, 2)), (1, 1), axis=1), (None, 3, 7, 7)).padding
    ((1, 1), (1, 1))
    """
    if spec.padding is None:
        return spec
    even = tuple((before, before) for before, _ in spec.padding)
    sizes = spatial(shape, spec.axis % len(shape))
    dilation = spec.dilation if isinstance(spec, Conv) else (1,) * len(sizes)
    if None in sizes:
        return spec
    same = effective_pads(even, spec.kernel, spec.stride, dilation, sizes) == reach_of(spec, shape)
    return replace(spec, padding=even) if same else spec


def window_words(wish: Window) -> tuple[str, str]:
    """What the windows say before and after, as far as it differs."""
    before, after = [], []
    for entry in fields(wish.spec):
        old, new = getattr(wish.node.spec, entry.name, None), getattr(wish.spec, entry.name)
        if old != new and entry.name in GEOMETRY:
            before.append(f"{entry.name} {_pads(old)}")
            after.append(f"{entry.name} {_pads(new)}")
    if any(map(any, wish.zeros)):
        after.append(f"zeros {wish.zeros} around its input")
    return ", ".join(before) or "no pads", ", ".join(after)


def _pads(value: Any) -> str:
    return "'same'" if value is None else str(value)


def _before(case: Case, node: Node) -> Node | None:
    """The pad before a layer that the target lacks."""
    before = case.nodes_a[node.inputs[0].node]
    lone = before.name not in case.alignment.to_b and isinstance(before.spec, Pad)
    return before if lone else None


def _said(node: Node) -> str:
    return f"as {node.layer or node.name}"
