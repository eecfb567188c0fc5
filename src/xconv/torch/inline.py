"""Regions of a program under torch.no_grad or a switched-off autocast, laid open in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

from xconv.errors import Unsupported

__all__ = ["inlined"]

REGIONS = frozenset({"wrap_with_autocast", "wrap_with_set_grad_enabled"})


def inlined(program: Any) -> fx.Graph:
    """The graph of a program with the calls of its regions in their places; what leaves a no_grad region is detached.

    Raises:
        Unsupported: a region under an autocast that is switched on, which computes in another dtype.
    """
    if not any(_is_region(node) for node in program.graph.nodes):
        graph: fx.Graph = program.graph
        return graph
    result = fx.Graph()
    known: dict[fx.Node, Any] = {}
    for node in program.graph.nodes:
        if node.op == "get_attr":
            continue
        if _is_region(node):
            known[node] = list(_opened(result, node, program.graph_module, known))
        elif isinstance(known.get(node.all_input_nodes[0] if node.all_input_nodes else node), list):
            known[node] = known[node.all_input_nodes[0]][node.args[1]]
        else:
            known[node] = result.node_copy(node, lambda item: known[item])
    return result


def _is_region(node: fx.Node) -> bool:
    return getattr(node.target, "__name__", "") in REGIONS


def _opened(result: fx.Graph, node: fx.Node, module: torch.nn.Module, known: dict[fx.Node, Any]) -> Iterator[fx.Node]:
    """The results of a region, its calls copied into the graph."""
    place = next(i for i, item in enumerate(node.args) if isinstance(item, fx.Node) and item.op == "get_attr")
    body = module.get_submodule(str(node.args[place].target))  # type: ignore[union-attr]
    name = str(getattr(node.target, "__name__", ""))
    enabled = node.args[0] if name == "wrap_with_set_grad_enabled" else node.args[2]
    if name == "wrap_with_autocast" and enabled:
        raise Unsupported(f"{node.name}: a region under torch.autocast", remedy="convert the module without autocast")
    graph: fx.Graph = body.graph  # type: ignore[assignment]
    inner = [item for item in graph.nodes if item.op == "placeholder"]
    given = [known[item] for item in node.args[place + 1 :]]  # type: ignore[index]
    returned = result.graph_copy(graph, dict(zip(inner, given, strict=True)))
    output = next(item for item in graph.nodes if item.op == "output")
    for value, source in zip(returned, output.args[0], strict=True):  # type: ignore[arg-type]
        if name == "wrap_with_set_grad_enabled" and not enabled and isinstance(value, fx.Node):
            detached = result.call_function(torch.ops.aten.detach.default, (value,))
            detached.meta = dict(source.meta)
            yield detached
        else:
            yield value
