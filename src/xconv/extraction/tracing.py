"""The fx graph of a torch module in which its named submodules are single calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from xconv.torch.record import KEY, Record

__all__ = ["Traced", "graph_with_calls", "traced_around"]

UNTRACEABLE = (
    fx.proxy.TraceError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What code raises that does more with a tensor than to hand it on."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A graph, and the nodes that are calls of a name, in the order of the calls."""

    graph: fx.Graph
    calls: dict[str, list[fx.Node]] = field(default_factory=dict)


def graph_with_calls(module: fx.GraphModule) -> Traced:
    """The graph that a module has, its nodes by the source's layers, by module paths, and by their own names."""
    traced = Traced(module.graph)
    found = getattr(module, "meta", {}).get(KEY)
    places = found.places if isinstance(found, Record) else {}
    layers: dict[str, list[tuple[int, fx.Node]]] = {}
    for node in module.graph.nodes:
        if node.name in places and places[node.name].tensor == 0:
            layers.setdefault(places[node.name].layer, []).append((places[node.name].call, node))
        if node.op == "call_module":
            traced.calls.setdefault(str(node.target), []).append(node)
    by_name = {node.name: [node] for node in module.graph.nodes if node.op not in ("output", "placeholder")}
    by_layer = {name: [node for _, node in sorted(calls, key=_turn)] for name, calls in layers.items()}
    return Traced(module.graph, {**by_name, **traced.calls, **by_layer})


def _turn(call: tuple[int, fx.Node]) -> int:
    return call[0]


def traced_around(module: nn.Module, paths: Sequence[str], *, whole: bool = False) -> Traced | None:
    """A trace of the code around these submodules; None where it cannot be traced, or is other code in training.

    What comes behind the last of them does not matter, unless the `whole` is asked for.
    """
    traces: list[tuple[list[str], Traced]] = []
    around = [module.get_submodule(path) for path in sorted(_around(paths))]
    for training in (True, False):
        with _in_mode(around, training=training):
            try:
                tracer = _Tracer(module, paths)
                graph = tracer.trace(module)
            except UNTRACEABLE:
                return None
            traced = Traced(graph, tracer.calls)
            traces.append((_text(traced, whole=whole), traced))
    (first, traced), (second, _) = traces
    return traced if first == second else None


def _text(traced: Traced, *, whole: bool) -> list[str]:
    """The calls of a graph up to the last of those that are asked for."""
    asked = {node for calls in traced.calls.values() for node in calls}
    nodes = list(traced.graph.nodes)
    end = len(nodes) if whole else max((nodes.index(node) + 1 for node in asked), default=0)
    return [node.format_node() or str(node.args) for node in nodes[:end]]


def _around(paths: Sequence[str]) -> set[str]:
    """The paths of the modules that hold one of these."""
    found = {""}
    for path in paths:
        parts = path.split(".")
        found |= {".".join(parts[:end]) for end in range(1, len(parts))}
    return found


class _in_mode:  # noqa: N801 - used as a function
    """These modules, and none inside them, in training or in inference, and back again."""

    def __init__(self, modules: Sequence[nn.Module], *, training: bool) -> None:
        self.modes = [(module, module.training) for module in modules]
        self.training = training

    def __enter__(self) -> None:
        for module, _ in self.modes:
            module.training = self.training

    def __exit__(self, *_: object) -> None:
        for module, training in self.modes:
            module.training = training


class _Symbol(fx.Proxy):
    """A proxy that passes for a tensor where code asks `isinstance(x, torch.Tensor)`."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return torch.Tensor


class _Tracer(fx.Tracer):
    """Enters the modules around the named ones alone, and notes the calls of those."""

    def __init__(self, root: nn.Module, paths: Sequence[str]) -> None:
        super().__init__()
        self.names = {id(root.get_submodule(path)): path for path in paths}
        self.entered = {id(root.get_submodule(path)) for path in _around(paths)}
        self.calls: dict[str, list[fx.Node]] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) not in self.entered

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Symbol(node, self)

    def create_arg(self, a: Any) -> Any:
        return a.node if type(a) is _Symbol else super().create_arg(a)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        if id(m) in self.names:
            if type(result) is not _Symbol:
                raise fx.proxy.TraceError(f"{self.names[id(m)]} returns no single tensor")
            self.calls.setdefault(self.names[id(m)], []).append(result.node)
        return result
