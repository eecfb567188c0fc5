"""Edits of a graph: the order of nodes, and a loop that is refused."""

from __future__ import annotations

import pytest

from xconv.comparison.edits import rewired
from xconv.errors import Mismatch
from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Input
from xconv.spec import Slot


def network() -> Graph:
    """Input, two activations, and the sum of both."""
    shape = (None, 3)
    both = Elementwise("add", (Slot(0), Slot(1)), merge=True)
    nodes = (
        Node("x", Input(shape), shapes=(shape,)),
        Node("first", Activation("relu"), (Value("x"),), shapes=(shape,)),
        Node("second", Activation("tanh"), (Value("first"),), shapes=(shape,)),
        Node("sum", both, (Value("first"), Value("second")), shapes=(shape,)),
    )
    return Graph("net", nodes, (Value("x"),), Value("sum"))


def test_nodes_are_put_behind_those_that_they_take_from() -> None:
    graph = rewired(network(), "second", {0: Value("x")})
    graph = rewired(graph, "first", {0: Value("second")})
    assert [node.name for node in graph.nodes] == ["x", "second", "first", "sum"]


def test_a_loop_is_refused() -> None:
    with pytest.raises(Mismatch, match="take what it makes itself"):
        rewired(network(), "first", {0: Value("sum")})
