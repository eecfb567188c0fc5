"""A bias outside its convolution is inside; a pad that crops is a crop and a pad."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xconv.graph import Graph, Node, Value
from xconv.layers.conv import Conv
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Input, Variable
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.passes.outer_biases import outer_biases
from xconv.passes.plain_forms import split_crops
from xconv.spec import Slot
from xconv.weights import Weight

CONV = Conv(3, 5, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, 1)
KERNEL = {"kernel": Weight.of("k", (5, 3, 1, 1))}


def network(shape: tuple[int, ...], *, biased: bool = False, seen: bool = False) -> Graph:
    """A convolution, and a free vector of this shape that is added to what it gives."""
    weights = {**KERNEL, "bias": Weight.of("b", (5,))} if biased else KERNEL
    nodes = (
        Node("x", Input("float32", (None, 3, 7, 8)), shapes=((None, 3, 7, 8),)),
        Node("conv", CONV, (Value("x"),), weights, ((None, 5, 7, 8),)),
        Node("v", Variable(shape), (), {"value": Weight.of("v", shape)}, (shape,)),
        Node("sum", Elementwise("add", (Slot(0), Slot(1))), (Value("conv"), Value("v")), {}, ((None, 5, 7, 8),)),
    )
    outputs = (Value("sum"), Value("conv")) if seen else Value("sum")
    return Graph("net", nodes, Value("x"), outputs)


@pytest.mark.parametrize("shape", [(5, 1, 1), (1, 5, 1, 1)])
def test_a_vector_along_the_channels_is_a_bias(shape: tuple[int, ...]) -> None:
    found = outer_biases(network(shape))
    assert [node.name for node in found] == ["x", "conv"]
    bias = found.by_name()["conv"].weights["bias"]
    assert (bias.key, bias.shape) == ("v", (5,))
    assert found.outputs == Value("conv")


@pytest.mark.parametrize(
    "graph",
    [network((8,)), network((1, 1, 8)), network((5, 1, 1), biased=True), network((5, 1, 1), seen=True)],
    ids=["along the width", "along the width of a map", "a bias is there", "the convolution is an output"],
)
def test_what_is_no_bias_stays(graph: Graph) -> None:
    assert outer_biases(graph) == graph


def cropped(pads: tuple[tuple[int, int], ...], size: tuple[int, int]) -> Graph:
    nodes = (
        Node("x", Input("float32", (None, 3, 7, 8)), shapes=((None, 3, 7, 8),)),
        Node("pad", Pad(pads, 1), (Value("x"),), {}, ((None, 3, *size),)),
        Node("pool", Pool("max", (1, 1), (2, 2), ((0, 0), (0, 0)), 1), (Value("pad"),)),
    )
    return Graph("net", nodes, Value("x"), Value("pool"))


def test_a_pad_that_crops_is_a_crop_and_a_pad() -> None:
    found = split_crops(cropped(((-1, 2), (-3, 0)), (8, 5)))
    nodes = found.by_name()
    assert [node.name for node in found] == ["x", "pad/crop", "pad", "pool"]
    assert nodes["pad/crop"].spec == Pad(((-1, 0), (-3, 0)), 1)
    assert nodes["pad/crop"].shapes == ((None, 3, 6, 5),)
    assert nodes["pad"] == replace(nodes["pad"], spec=Pad(((0, 2), (0, 0)), 1), inputs=(Value("pad/crop"),))


@pytest.mark.parametrize(("pads", "size"), [(((1, 2), (0, 3)), (10, 11)), (((-1, 0), (-2, -1)), (6, 5))])
def test_a_pad_of_one_kind_stays(pads: tuple[tuple[int, int], ...], size: tuple[int, int]) -> None:
    graph = cropped(pads, size)
    assert split_crops(graph) == graph
