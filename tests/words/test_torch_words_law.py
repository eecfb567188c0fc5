"""Laws 1 and 5 of torch to Keras without a framework: what is written as records is read back, and rules read all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.words.networks import chain, image, layer, network, operation
from xconv.errors import Unsupported
from xconv.graph import Graph
from xconv.keras.names import layer_name
from xconv.keras.read import read
from xconv.keras.records import Ref
from xconv.keras.write import records_of
from xconv.layers import ATEN_FILES, ATEN_RULES, families
from xconv.layers.activation import Activation
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layout import resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
from xconv.spec import AtenCall, Op, Slot
from xconv.weights import NumpySource, Weight

CONV = {"filters": 4, "kernel_size": 3, "weights": ((3, 3, 3, 4), (4,))}
NORM = {"weights": ((4,),) * 4}
FIRST = {"data_format": "channels_first"}


def plain() -> Graph:
    """A convolutional network as they are."""
    return chain(
        layer("conv", "Conv2D", "x", **CONV, strides=2, padding="same", use_bias=True),
        layer("norm", "BatchNormalization", "conv", **NORM, momentum=0.9, epsilon=1e-5),
        layer("act", "ReLU", "norm"),
        layer("pool", "MaxPooling2D", "act", pool_size=2),
        layer("flat", "Flatten", "pool"),
        layer("drop", "Dropout", "flat", rate=0.5),
        layer("fc", "Dense", "drop", units=5, weights=((16, 5), (5,))),
    )


def channels_first() -> Graph:
    """A network written as torch writes it, flattened in torch's order."""
    return network(
        image("x", 3, 9, 8),
        layer("conv", "Conv2D", "x", **CONV, **FIRST),
        layer("norm", "BatchNormalization", "conv", axis=1, **NORM),
        layer("soft", "Softmax", "norm", axis=1),
        layer("flat", "Reshape", "soft", target_shape=(168,)),
        layer("fc", "Dense", "flat", units=5, weights=((168, 5), (5,))),
        outputs=Ref("fc"),
    )


def branches() -> Graph:
    """Two inputs, a residual sum, outputs by name."""
    return network(
        image("x", 9, 8, 4),
        image("y", 5),
        layer("left", "Conv2D", "x", filters=4, kernel_size=1, weights=((1, 1, 4, 4), (4,))),
        layer("sum", "Add", "left", "x"),
        layer("deep", "DepthwiseConv2D", "sum", kernel_size=3, weights=((3, 3, 4, 1), (4,))),
        layer("mean", "GlobalAveragePooling2D", "deep"),
        layer("side", "Dense", "y", units=4, weights=((5, 4), (4,))),
        layer("both", "Concatenate", "mean", "side"),
        operation("scaled", "Multiply", "both", 0.5),
        outputs={"map": Ref("deep"), "scores": [Ref("scaled")]},
        inputs=("x", "y"),
    )


def several_operations() -> Graph:
    """Layers that mean several: a separable convolution, a fused activation."""
    return chain(
        layer("sep", "SeparableConv2D", "x", filters=4, kernel_size=3, weights=((3, 3, 3, 1), (1, 1, 3, 4), (4,))),
        layer("act", "Conv2D", "sep", filters=2, kernel_size=1, activation="tanh", weights=((1, 1, 4, 2), (2,))),
    )


def open_sizes() -> Graph:
    """Height and width unknown."""
    return network(
        image("x", None, None, 3),
        layer("conv", "Conv2D", "x", **CONV),
        layer("pool", "AveragePooling2D", "conv", pool_size=2),
        layer("up", "UpSampling2D", "pool", size=2),
        outputs=Ref("up"),
    )


NETWORKS = [plain, channels_first, branches, several_operations, open_sizes]

every_network = pytest.mark.parametrize(
    "graph", [make() for make in NETWORKS], ids=[make.__name__ for make in NETWORKS]
)


def for_keras(graph: Graph) -> Graph:
    return run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, with_arrays(graph)), "last"))


def with_arrays(graph: Graph) -> Graph:
    """The graph with an array behind every weight."""
    held = [weight for node in graph.nodes for weight in node.weights.values()]
    return replace(graph, arrays={weight.key: NumpySource(np.zeros(weight.source, "float32")) for weight in held})


def said(graph: Graph) -> list[Any]:
    """Names, Specs, shapes, weights and wiring."""
    return [
        (layer_name(n.name), n.spec, n.shapes, dict(n.weights), [(layer_name(v.node), v.index) for v in n.inputs])
        for n in graph.nodes
    ]


@every_network
def test_what_is_written_is_read_back(graph: Graph) -> None:
    """Law 1 for whole networks; what is in Keras's order already is left alone."""
    resolved = for_keras(graph)
    again = for_keras(read(records_of(resolved)))
    assert said(again) == said(resolved)
    assert layer_name(str(again.outputs)) == layer_name(str(resolved.outputs))


@every_network
def test_what_is_read_back_is_written_the_same(graph: Graph) -> None:
    """The records of the records."""
    records = records_of(for_keras(graph))
    again = records_of(for_keras(read(records)))
    assert again.entries == records.entries
    assert again.outputs == records.outputs


def test_a_shared_layer_is_one_entry_with_two_calls() -> None:
    """And the other way round: two calls of it are two nodes of one layer."""
    graph = chain(
        layer("one", "Conv2D", "x", filters=3, kernel_size=1, weights=((1, 1, 3, 3), (3,))),
        layer("two", "Conv2D", "one", filters=3, kernel_size=1, weights=((1, 1, 3, 3), (3,))),
    )
    first, second = graph.nodes[1], graph.nodes[2]
    shared = replace(second, weights=first.weights, layer="one", call=1)
    records = records_of(resolve(with_arrays(graph).rebuilt({"two": shared}), "last"))
    assert [(entry.name, len(entry.calls)) for entry in records.entries] == [("x", 0), ("one", 2)]
    assert [(node.layer, node.call) for node in read(records).nodes[1:]] == [("one", 0), ("one", 1)]


def test_weights_that_layers_of_different_kinds_share_are_refused() -> None:
    """Keras shares whole layers only."""
    graph = chain(
        layer("one", "Conv2D", "x", filters=3, kernel_size=1, weights=((1, 1, 3, 3), (3,))),
        layer("two", "Conv2D", "one", filters=3, kernel_size=1, strides=2, weights=((1, 1, 3, 3), (3,))),
    )
    tied = replace(graph.nodes[2], weights=graph.nodes[1].weights)
    with pytest.raises(Unsupported, match="is shared by one, two"):
        records_of(resolve(graph.rebuilt({"two": tied}), "last"))


# ------------------------------------------------------------------------------------------------- rules of ATen


def weight(name: str, *shape: int) -> Weight:
    return Weight.of(name, shape)


CALLS = {
    "conv2d": (
        {"input": Slot(0), "weight": weight("w", 4, 3, 3, 2), "bias": weight("b", 4), "stride": [2, 1]}
        | {"padding": [1, 0], "dilation": [1, 1], "groups": 1},
        (None, 3, 9, 8),
        Conv(3, 4, (3, 2), (2, 1), ((1, 1), (0, 0)), (1, 1), 1, 1),
    ),
    "linear": (
        {"input": Slot(0), "weight": weight("w", 4, 3), "bias": None},
        (None, 3),
        Dense(3, 4, 1),
    ),
    "batch_norm": (
        {"input": Slot(0), "weight": weight("w", 3), "bias": weight("b", 3), "running_mean": weight("m", 3)}
        | {"running_var": weight("v", 3), "training": False, "momentum": 0.1, "eps": 1e-5},
        (None, 3, 9, 8),
        BatchNorm(3, 1e-5, 0.1, 1),
    ),
    "relu": ({"self": Slot(0)}, (None, 3), Activation("relu")),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_read_and_every_argument_of_it(name: str) -> None:
    """The Spec, and nothing left over but what nobody knows."""
    arguments, shape, spec = CALLS[name]
    call = AtenCall(name, {**arguments, "surprise": 1}, (shape,), (None,), ("float32",))
    found = ATEN_RULES[name].from_torch(call)
    (op,) = (found,) if isinstance(found, Op) else found
    assert op.spec == spec
    assert call.unread - {"cudnn_enabled"} == {"surprise"}


@pytest.mark.parametrize(("name", "words"), [("conv2d", "computed kernel, with a bias"), ("batch_norm", "weight")])
def test_a_weight_that_the_network_computes_is_refused(name: str, words: str) -> None:
    """What another layer makes is no weight."""
    arguments, shape, _ = CALLS[name]
    call = AtenCall(name, {**arguments, "weight": Slot(1)}, (shape, (4, 3)), (None,), ("float32",) * 2)
    with pytest.raises(Unsupported, match=words):
        ATEN_RULES[name].from_torch(call)


def test_a_linear_layer_whose_weight_is_computed_is_a_product() -> None:
    """The transposed weight, the product, the bias as a tensor."""
    arguments, shape, _ = CALLS["linear"]
    call = AtenCall("linear", {**arguments, "weight": Slot(1)}, (shape, (4, 3)), (None,), ("float32",) * 2)
    found = ATEN_RULES["linear"].from_torch(call)
    assert not isinstance(found, Op)
    assert [type(op.spec).__name__ for op in found][:2] == ["Permute", "MatMul"]
    assert not call.unread


def test_no_operator_belongs_to_two_families() -> None:
    """Each is read in one place."""
    operators = [name for family in families() for name in family.aten_ops]
    assert sorted(operators) == sorted(set(operators))


def test_the_table_of_operators_is_what_the_files_say() -> None:
    """`ATEN_FILES` tells which file to load."""
    found: dict[str, set[str]] = {}
    for family in families():
        found.setdefault(family.__module__.rpartition(".")[2], set()).update(family.aten_ops)
    assert {name: set(operators.split()) for name, operators in ATEN_FILES.items()} == {
        name: operators for name, operators in found.items() if operators
    }


def test_a_family_that_reads_operators_holds_what_is_an_argument() -> None:
    """`aten_ops` and `holds` are tuples of names, not one name."""
    for family in families():
        assert isinstance(family.aten_ops, tuple)
        assert isinstance(family.holds, tuple)
