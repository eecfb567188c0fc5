"""What a conversion returns: a torch.fx.GraphModule that is the same after copying and pickling, record included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.fx.node import map_aggregate

__all__ = ["Network"]


@dataclass(frozen=True, slots=True)
class _Reference:
    """In the arguments of a pickled node, the node of this name."""

    name: str


class Network(fx.GraphModule):
    """A `torch.fx.GraphModule`; copying, pickling and `torch.save` keep its graph, its name and `meta`.

    GraphModule itself pickles its code and traces it again, which loses `meta` and gives the nodes other names; and a
    copy of it is called GraphModule.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value for key, value in self.__dict__.items() if key != "_graph"}
        return _restored, (type(self).__name__, state, [_plain(node) for node in self.graph.nodes])

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        copied: Network = super().__deepcopy__(memo)  # type: ignore[assignment]
        type(copied).__name__ = type(self).__name__
        copied.__dict__["_graphmodule_cls_name"] = type(self).__name__
        return copied


def _plain(node: fx.Node) -> tuple[Any, ...]:
    """A node as data."""

    def leaf(item: Any) -> Any:
        return _Reference(item.name) if isinstance(item, fx.Node) else item

    return node.op, node.target, map_aggregate(node.args, leaf), map_aggregate(node.kwargs, leaf), node.name, node.type


def _restored(name: str, state: dict[str, Any], nodes: Sequence[tuple[Any, ...]]) -> Network:
    """The pickled network."""
    graph = fx.Graph()
    made: dict[str, fx.Node] = {}

    def leaf(item: Any) -> Any:
        return made[item.name] if isinstance(item, _Reference) else item

    for op, target, args, kwargs, node_name, kind in nodes:
        found = map_aggregate(args, leaf), map_aggregate(kwargs, leaf)
        made[node_name] = graph.create_node(op, target, *found, node_name, kind)
    root = nn.Module()
    root.__dict__.update(state)
    network = Network(root, graph, class_name=name)
    network.meta.update(state.get("meta", {}))
    return network
