"""Other names and other orders of axes for the inputs and outputs of an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xconv import axes
from xconv.graph import unique

__all__ = ["renamed", "turned"]


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


def turned(model: Any, inputs: Mapping[str, axes.Order], outputs: Mapping[str, axes.Order]) -> None:
    """Take these inputs, and return these outputs, as `written.transpose(order)`; the model is changed in place."""
    from onnx import helper

    graph = model.graph
    for item in graph.input:
        if order := inputs.get(item.name):
            inner = f"{item.name}__written"
            for node in graph.node:
                node.input[:] = [inner if name == item.name else name for name in node.input]
            node = helper.make_node("Transpose", [item.name], [inner], inner, perm=axes.inverse(order))
            graph.node.insert(0, node)
            _turn(item, order)
    for item in graph.output:
        if order := outputs.get(item.name):
            inner = f"{item.name}__written"
            for node in graph.node:
                node.input[:] = [inner if name == item.name else name for name in node.input]
                node.output[:] = [inner if name == item.name else name for name in node.output]
            graph.node.append(helper.make_node("Transpose", [inner], [item.name], f"{inner}_turned", perm=order))
            _turn(item, order)


def _turn(item: Any, order: axes.Order) -> None:
    """The stated shape in another order."""
    sizes = list(item.type.tensor_type.shape.dim)
    if len(sizes) == len(order):
        moved = axes.apply(sizes, order)
        del item.type.tensor_type.shape.dim[:]
        item.type.tensor_type.shape.dim.extend(moved)
