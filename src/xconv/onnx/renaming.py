"""Other names for the inputs and outputs of an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xconv.graph import unique

__all__ = ["renamed"]


def renamed(model: Any, names: Mapping[str, str], title: str = "") -> Any:
    """The model with these tensors called otherwise everywhere, and the graph by its title; it is changed in place.

    A name that another tensor has already gets a number behind it.
    """
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)} | {
        item.name for item in (*graph.initializer, *graph.input, *graph.output)
    }
    chosen: dict[str, str] = {}
    for old, new in names.items():
        if old != new:
            chosen[old] = unique(new, taken - {old})
            taken.add(chosen[old])
    for node in graph.node:
        for held in (node.input, node.output):
            held[:] = [chosen.get(name, name) for name in held]
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = chosen.get(item.name, item.name)
    graph.name = title or graph.name
    return model
