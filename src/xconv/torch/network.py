"""What a conversion returns: a torch.fx.GraphModule that keeps its record and node names when pickled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx
from torch.fx.node import map_arg

__all__ = ["Network"]


class Network(fx.GraphModule):
    """A `torch.fx.GraphModule`; copying, pickling and `torch.save` keep `meta`, and with it the record."""

    def __reduce__(self) -> tuple[Any, ...]:
        # GraphModule pickles its code and traces it again, which loses `meta` and gives the nodes other names.
        made, arguments = super().__reduce__()
        return _restored, (made, arguments, dict(self.meta), [node.name for node in self.graph.nodes])


def _restored(
    made: Callable[..., Any], arguments: Sequence[Any], meta: dict[str, Any], names: Sequence[str]
) -> Network:
    """The pickled network."""
    traced: fx.GraphModule = made(*arguments)
    graph = _renamed(traced.graph, names)
    module = Network(traced, graph, class_name=type(traced).__name__)
    module.meta.update(meta)
    return module


def _renamed(graph: fx.Graph, names: Sequence[str]) -> fx.Graph:
    """The same graph with other names for its nodes, in their order."""
    nodes = list(graph.nodes)
    if len(nodes) != len(names):
        return graph
    result = fx.Graph(tracer_cls=graph._tracer_cls)
    made: dict[fx.Node, fx.Node] = {}
    for node, name in zip(nodes, names, strict=True):
        args, kwargs = (map_arg(items, made.__getitem__) for items in (node.args, node.kwargs))
        made[node] = result.create_node(node.op, node.target, args, kwargs, name, node.type)
    return result
