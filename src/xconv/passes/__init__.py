"""Passes: Graph -> Graph, each with its picture in its docstring. The pipelines are plain lists."""

from __future__ import annotations

from functools import reduce

from xconv.graph import Graph

__all__ = ["after_layout", "before_layout"]


def before_layout(graph: Graph) -> Graph:
    """What is the same in every framework: recovered idioms."""
    return reduce(lambda g, step: step(g), (), graph)


def after_layout(graph: Graph) -> Graph:
    """What makes the result fast and plain."""
    return reduce(lambda g, step: step(g), (), graph)
