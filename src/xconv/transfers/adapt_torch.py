"""adapt=True for a live torch module: its own layers changed in place (`adapt_module`).

Every layer stays the object that it is, with its parameters and its keys in the state_dict; where torch.nn has no
setting for what is needed, it becomes one of a subclass of its own class (`xconv.torch.modules.adapted`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from xconv.comparison.case import Case
from xconv.errors import Problem, Unsupported, XConvError
from xconv.graph import Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.geometry import flat_pads
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.padding import Pads
from xconv.torch.modules.adapted import Adapted, Alteration, Altered, Bare, Offset, Preceded, adapted, altered
from xconv.transfers.changes import Change, Edits
from xconv.transfers.shifts import shifts
from xconv.transfers.torch_calls import Calls
from xconv.transfers.torch_windows import (
    CONVS,
    POOLS,
    TIMM,
    before_window,
    layer_of,
    needs_other_class,
    outer_pads,
    pool_of,
)
from xconv.transfers.wishes import Put, Setting, Swap, Window, Wish, window_words

__all__ = ["adapt_module", "offset_layers"]

EPSILON = {"epsilon": "eps", "momentum": "momentum"}


def adapt_module(case: Case, wanted: Sequence[Wish], edits: Edits) -> list[Problem]:
    """Every wish carried out on the module that `case.b` was read from; what cannot be done is returned."""
    editor = _Editor(case, edits)
    if any(isinstance(wish, (Put, Swap)) or not editor.has_windows(wish.node) for wish in wanted):
        _ = editor.calls  # while the module still runs
    problems: list[Problem] = []
    for wish in wanted:
        try:
            editor.apply(wish)
        except XConvError as error:
            problems += error.at(wish.node.layer or wish.node.name).problems
        except AttributeError as error:
            problems.append(Problem(wish.node.layer or wish.node.name, f"it has no such setting: {error}"))
    return problems


def offset_layers(case: Case, edits: Edits) -> None:
    """A bias that goes into zero padding, where the target's convolution has none, becomes an offset of its own.

    Zeros around a stream from which a bias is missing are not the zeros of the source.
    """
    editor = _Editor(case, edits)
    for name, role in shifts(case).homeless:
        padded = [user for user in case.users_a.get(Value(name), []) if isinstance(user.spec, Pad)]
        other = case.alignment.to_b.get(name)
        if role == "bias" and padded and other is not None:
            editor.offset(case.nodes_a[name], case.nodes_b[other])


class _Editor:
    """Changes layers of one live module."""

    def __init__(self, case: Case, edits: Edits) -> None:
        self.case, self.edits = case, edits
        self.root: nn.Module = case.b.model
        self.done: set[tuple[int, str]] = set()

    def apply(self, wish: Wish) -> None:
        match wish:
            case Setting():
                self._setting(wish)
            case Window():
                self._window(wish)
            case Swap():
                module = nn.Identity() if wish.spec is None else layer_of(wish.spec)
                self._instead(wish.node, module, wish.like)
            case Put():
                self._put(wish)

    # ------------------------------------------------------------------ settings

    def _setting(self, wish: Setting) -> None:
        module = self._module(wish.node)
        name, value = EPSILON.get(wish.name, wish.name), wish.value
        if wish.name == "pads":
            name, value = "padding", flat_pads(wish.value)
        if isinstance(wish.node.spec, BatchNorm) and not hasattr(module, name):
            raise Unsupported(f"{type(module).__name__} has no {name}")
        if self._first(module, f"{name}={value}"):
            self._note(wish.node, f"{name} {getattr(module, name)}", f"{name} {value}", wish.like)
            self.edits.attributes(module, **{name: value})

    # ------------------------------------------------------------------ windows

    def _window(self, wish: Window) -> None:
        module = self._module(wish.node)
        if not isinstance(module, (*CONVS, *POOLS)):
            if isinstance(wish.spec, Conv):
                raise Unsupported(f"the windows of {type(module).__name__} stand in its code, not in its settings")
            self._instead(wish.node, pool_of(wish.spec, wish.zeros), wish.like)
            return
        spec, kind = _within(wish, outer_pads(module, wish.node.spec)), type(module)  # type: ignore[arg-type]
        if not self._first(module, repr(spec)):
            return
        if isinstance(spec, Pool) and needs_other_class(module, spec):
            self._replace(module, pool_of(spec, wish.zeros))
        else:
            self._set_window(module, spec, wish.zeros)
        before, after = window_words(wish)
        now = type(self._module(wish.node))
        self._note(wish.node, before, after + (f", as {now.__name__}" if now is not kind else ""), wish.like)

    def _set_window(self, module: nn.Module, spec: Conv | Pool, zeros: Pads) -> None:
        self.edits.whole(module)
        if TIMM & {kind.__name__ for kind in type(module).__mro__} and not isinstance(module, Adapted):
            adapted(module, Bare, plain=next(kind for kind in type(module).__mro__ if kind in (*CONVS, *POOLS)))
        first, padding = before_window(spec, zeros)
        values: dict[str, Any] = {"kernel_size": spec.kernel, "stride": spec.stride, "padding": padding}
        if isinstance(spec, Conv):
            values["dilation"] = spec.dilation
        else:
            values["ceil_mode"] = False
            if spec.kind == "average":
                values |= {"count_include_pad": spec.counts_pads, "divisor_override": None}
        for name, value in values.items():
            setattr(module, name, value)
        if isinstance(module, Preceded):
            module.before = first or nn.Identity()
        elif first is not None:
            adapted(module, Preceded, before=first)

    # ------------------------------------------------------------------ functions

    def _instead(self, node: Node, module: nn.Module, like: str) -> None:
        """Another layer, or another function where a forward method calls one."""
        old = self._module(node)
        if self._is_layer(old, node):
            if self._first(old, repr(module)):
                self._note(node, _line(old), _line(module), like)
                self._replace(old, module)
            return
        path = node.layer if any(True for _ in old.children()) or not node.layer else node.layer.rpartition(".")[0]
        function = self._alter(self.root.get_submodule(path), node, module, None)
        self._note(node, f"{function} in its forward method", f"{_line(module)} in its place", like)

    def _put(self, wish: Put) -> None:
        layers = [layer_of(spec) for spec in wish.specs]
        module = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
        old = self._module(wish.node)
        if self._is_layer(old, wish.node, weights=True):
            if isinstance(old, Preceded):
                raise Unsupported("something was put before it already")
            self.edits.whole(old)
            adapted(old, Preceded, before=module)
        else:
            self._alter(old, wish.node, module, wish.operand)
        self._note(wish.node, "nothing", f"{_line(module)} before input {wish.operand}", wish.like)

    def _alter(self, inside: nn.Module, node: Node, module: nn.Module, operand: int | None) -> str:
        """A call in the forward method of a module."""
        function, child, index = self.calls.place(node, inside)
        item = Alteration(function, index, module, operand, child)
        known: tuple[Alteration, ...] = inside.alterations if isinstance(inside, Altered) else ()
        if any((other.child, other.function, other.index) == (child, function, index) for other in known):
            raise Unsupported(f"this call of {function} was altered before")
        for part in inside.modules():
            self.edits.whole(part)
        altered(inside, item)
        return function

    # ------------------------------------------------------------------ biases

    def offset(self, a: Node, b: Node) -> None:
        """A vector that is added to what a convolution gives; the transfer fills it."""
        module = self._module(b)
        if not isinstance(module, CONVS) or module.bias is not None or not self._first(module, "offset"):
            return
        self.edits.whole(module)
        adapted(module, Offset)
        ones = (1,) * len(module.kernel_size)
        module.register_buffer("offset", torch.zeros(module.out_channels, *ones).to(module.weight), persistent=False)
        why = f"as {a.layer or a.name}: it goes into zero padding; a buffer that the state_dict does not hold"
        self._note(b, "no bias", "offset", why)

    # ------------------------------------------------------------------ the live module

    def has_windows(self, node: Node) -> bool:
        """Whether it is a layer of torch.nn, where it is a convolution or pool at all."""
        try:
            return not isinstance(node.spec, (Conv, Pool)) or isinstance(self._module(node), (*CONVS, *POOLS))
        except AttributeError:
            return True  # no module has this name: what is wished for it is refused

    @cached_property
    def calls(self) -> Calls:
        from xconv.comparison.opened import examples_like

        return Calls(self.root, self.case.b.whole, examples_like(self.root, self.case.b))

    def _module(self, node: Node) -> nn.Module:
        return self.root.get_submodule(node.layer)

    def _is_layer(self, module: nn.Module, node: Node, *, weights: bool = False) -> bool:
        """Whether a module does what the node says and nothing else, in all its calls."""
        nodes = [other for other in self.case.b.whole.nodes if other.layer == node.layer]
        if any(True for _ in module.children()) or (not weights and any(True for _ in module.parameters())):
            return False
        return bool(node.layer) and len(nodes) == 1

    def _replace(self, old: nn.Module, new: nn.Module) -> None:
        """Another module, wherever the old one is registered."""
        for parent in list(self.root.modules()):
            for name, child in parent._modules.items():
                if child is old:
                    back: Callable[[], None] = lambda parent=parent, name=name: parent._modules.update({name: old})  # type: ignore[misc]  # noqa: E731
                    self.edits.back.append(back)
                    parent._modules[name] = new
        new.train(old.training)

    def _first(self, module: nn.Module, what: str) -> bool:
        """Whether this is not done yet; a layer with several calls is changed once."""
        key = id(module), what
        new = key not in self.done
        self.done.add(key)
        return new

    def _note(self, node: Node, before: str, after: str, why: str) -> None:
        self.edits.changes.append(Change(node.layer or node.name, before, after, why))


def _within(wish: Window, outer: Pads) -> Conv | Pool:
    """The windows less the pads that stand outside the module."""
    if wish.spec.padding is None:
        return wish.spec
    pairs = zip(wish.spec.padding, outer, strict=True)
    return replace(wish.spec, padding=tuple((a - c, b - d) for (a, b), (c, d) in pairs))


def _line(module: nn.Module) -> str:
    """A module in one line."""
    return " ".join(str(module).split())
