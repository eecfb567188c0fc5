"""Where values are held, where permutes stand, and what the passes change; no framework."""

from __future__ import annotations

import pytest

from tests.words.networks import chain, image, layer, network, operation
from xconv.errors import InvalidInput, Mismatch, Unknown, Unreadable, Unsupported
from xconv.graph import Graph, Value
from xconv.keras.read import read
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.layers.activation import Activation
from xconv.layers.conv import Conv
from xconv.layers.reshape import Permute, Reshape
from xconv.layout import resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
from xconv.passes.fold_pads import fold_pads
from xconv.passes.recover_idioms import recover_idioms

CONV = {"filters": 4, "kernel_size": 3, "weights": ((3, 3, 3, 4), (4,))}
FIRST = (0, 3, 1, 2)


def names(graph: Graph, kind: type) -> list[str]:
    return [node.name for node in graph.nodes if isinstance(node.spec, kind)]


def converted(graph: Graph, layout: str = "channels_first") -> Graph:
    return run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, graph), "first", layout))  # type: ignore[arg-type]


def test_a_convolutional_chain_needs_no_permute() -> None:
    """The input is taken channels-first, every axis is renamed, the output is returned channels-first."""
    graph = chain(
        layer("conv", "Conv2D", "x", **CONV),
        layer("norm", "BatchNormalization", "conv", weights=((4,),) * 4),
        layer("soft", "Softmax", "norm"),
        layer("pool", "MaxPooling2D", "soft"),
    )
    held = resolve(graph, "first")
    assert names(held, Permute) == []
    assert [getattr(node.spec, "axis", None) for node in held.nodes] == [None, 1, 1, 1, 1]
    assert held.shape(Value("pool")) == (None, 4, 3, 3)
    assert held.returned == (FIRST,)


def test_resolving_twice_is_resolving_once() -> None:
    """Law 4, first half."""
    graph = chain(layer("conv", "Conv2D", "x", **CONV), layer("flat", "Flatten", "conv"))
    once = resolve(graph, "first")
    twice = resolve(once, "first")
    assert [(n.name, n.spec, n.shapes) for n in once.nodes] == [(n.name, n.spec, n.shapes) for n in twice.nodes]


@pytest.mark.parametrize("turned_first", [True, False])
def test_which_of_two_inputs_is_turned_does_not_change(turned_first: bool) -> None:
    """Two inputs that are held differently meet in the order of the first, whatever counts as written."""
    both = ("turn", "y") if turned_first else ("y", "turn")
    graph = network(
        image("x", 4, 6),
        image("y", 6, 4),
        layer("turn", "Permute", "x", dims=(2, 1)),
        layer("joined", "Concatenate", *both),
        inputs=("x", "y"),
        outputs=Ref("joined"),
    )
    once = resolve(graph, "last")
    assert names(once, Permute)[0] == ("y_permute" if turned_first else "x_permute")
    twice = resolve(once, "last")
    assert [(n.name, n.spec, n.inputs) for n in twice.nodes] == [(n.name, n.spec, n.inputs) for n in once.nodes]


def test_channels_last_permutes_only_at_the_doors() -> None:
    """One permute in, one out."""
    graph = chain(layer("conv", "Conv2D", "x", **CONV), layer("relu", "ReLU", "conv"))
    held = converted(graph, "channels_last")
    assert names(held, Permute) == ["x_permute", "relu_permute"]
    assert held.returned == ((0, 1, 2, 3),)
    with pytest.raises(InvalidInput, match="give 'channels_first' or 'channels_last'"):
        resolve(graph, "first", "nhwc")  # type: ignore[arg-type]


def test_a_channels_first_source_is_left_alone() -> None:
    """data_format='channels_first': nothing moves, in either input layout."""
    model = network(
        image("x", 3, 9, 8), layer("conv", "Conv2D", "x", **CONV, data_format="channels_first"), outputs=Ref("conv")
    )
    for layout in ("channels_first", "channels_last"):
        held = converted(model, layout)
        assert names(held, Permute) == []
        assert held.held == {}


def test_a_users_permute_is_a_fact_about_order() -> None:
    """(N,H,W,C) -> Permute to (N,C,H,W) -> a channels-first convolution: no permute at all."""
    graph = chain(
        layer("conv", "Conv2D", "x", **CONV),
        layer("turn", "Permute", "conv", dims=(3, 1, 2)),
        layer(
            "next",
            "Conv2D",
            "turn",
            filters=2,
            kernel_size=1,
            weights=((1, 1, 4, 2), (2,)),
            data_format="channels_first",
        ),
    )
    held = converted(graph)
    assert names(held, Permute) == []
    assert [node.name for node in held.nodes] == ["x", "conv", "next"]


def test_broadcasting_of_a_vector() -> None:
    """A merge layer puts new axes behind the batch, an operator in front of everything."""
    vector = Entry("v", "InputLayer", config={"batch_shape": (None, 4), "dtype": "float32"})
    graph = network(
        image(),
        vector,
        layer("conv", "Conv2D", "x", **CONV),
        layer("add", "Add", "conv", "v"),
        outputs=Ref("add"),
        inputs=("x", "v"),
    )
    held = resolve(graph, "first")
    assert names(held, Permute) == []
    assert held.shape(held.by_name()["add"].inputs[1]) == (None, 4, 1, 1)


def test_flatten_order_goes_into_the_dense_kernel() -> None:
    """Through dropout, activation and batch norm; another consumer keeps the permute."""
    entries = (
        layer("conv", "Conv2D", "x", **CONV),
        layer("flat", "Flatten", "conv"),
        layer("drop", "Dropout", "flat", rate=0.5),
        layer("norm", "BatchNormalization", "drop", weights=((168,),) * 4),
        layer("fc", "Dense", "norm", units=5, weights=((168, 5), (5,))),
    )
    held = converted(chain(*entries))
    assert names(held, Permute) == []
    kernel = held.by_name()["fc"].weights["kernel"]
    assert (kernel.split, kernel.order, kernel.shape) == ((7, 6, 4, 5), (3, 2, 0, 1), (5, 168))
    assert held.by_name()["norm"].weights["mean"].order == (2, 0, 1)
    both = network(image(), *entries, outputs=[Ref("fc"), Ref("flat")])
    assert names(converted(both), Permute) == ["conv_permute"]


def test_axes_of_size_one_are_reshaped() -> None:
    """Squeeze-and-excite: pool, reshape to (1, 1, C), convolution: one reshape, no permute."""
    graph = chain(
        layer("conv", "Conv2D", "x", **CONV),
        layer("pool", "GlobalAveragePooling2D", "conv"),
        layer("shape", "Reshape", "pool", target_shape=(1, 1, 4)),
        layer("gate", "Conv2D", "shape", filters=4, kernel_size=1, weights=((1, 1, 4, 4), (4,))),
        layer("scale", "Multiply", "conv", "gate"),
    )
    held = converted(graph)
    assert names(held, Permute) == []
    assert len(names(held, Reshape)) == 1


def test_pads_fold_into_convolutions_only_when_even() -> None:
    """And into max pools only behind a ReLU."""

    def after(pads: object, kind: str, **options: object) -> Graph:
        last = layer("last", kind, "pad", **options)  # type: ignore[arg-type]
        return fold_pads(chain(layer("pad", "ZeroPadding2D", "x", padding=pads), last))

    even = after(1, "Conv2D", **CONV)
    assert even.by_name()["last"].spec.padding == ((1, 1), (1, 1))  # type: ignore[attr-defined]
    assert "pad" not in even.by_name()
    assert "pad" in after(((0, 1), (0, 1)), "Conv2D", **CONV).by_name()
    assert "pad" in after(1, "MaxPooling2D", pool_size=3).by_name()
    relu = chain(
        layer("relu", "ReLU", "x"),
        layer("pad", "ZeroPadding2D", "relu", padding=1),
        layer("last", "MaxPooling2D", "pad", pool_size=3, strides=2),
    )
    assert "pad" not in fold_pads(relu).by_name()


@pytest.mark.parametrize(("shift", "scale", "found"), [(3.0, 1 / 6, True), (3.0, 0.1667, False), (2.0, 1 / 6, False)])
def test_hard_sigmoid_only_when_equal(shift: float, scale: float, found: bool) -> None:
    """Three and a sixth, and nothing near them; an inner value with another use stays."""
    entries = (
        operation("shifted", "Add", "x", shift),
        layer("six", "ReLU", "shifted", max_value=6.0),
        operation("scaled", "Multiply", "six", scale),
    )
    graph = recover_idioms(chain(*entries))
    assert (graph.by_name()["scaled"].spec == Activation("hard_sigmoid")) is found
    shared = network(image(), *entries, outputs=[Ref("scaled"), Ref("six")])
    assert "six" in recover_idioms(shared).by_name()


def test_every_problem_is_listed_with_its_place() -> None:
    """Unknown classes in one error, with the nearest names; then what rules refuse, in one error too."""
    with pytest.raises(Unknown) as caught:
        chain(layer("a", "Conv2DD", "x"), layer("b", "Foo", "a"))
    assert [problem.place for problem in caught.value.problems] == ["a", "b"]
    assert "did you mean Conv2D" in str(caught.value)
    with pytest.raises(Unsupported) as refused:
        chain(
            layer("norm", "BatchNormalization", "x", renorm=True, weights=((3,),) * 4),
            layer("conv", "Conv2D", "norm", **CONV),
        )
    assert [problem.place for problem in refused.value.problems] == ["norm"]


def test_an_argument_that_nobody_reads_is_refused() -> None:
    """Law 5: nothing is silently ignored."""
    with pytest.raises(Unsupported, match=r"conv: Conv2D has dilate=2, which xconv does not know"):
        chain(layer("conv", "Conv2D", "x", **CONV, dilate=2))


def test_shapes_are_checked() -> None:
    """An empty output, a kernel of another shape, a source that states another shape."""
    with pytest.raises(Mismatch, match="pool: MaxPooling2D would give an empty tensor"):
        chain(layer("pool", "MaxPooling2D", "x", pool_size=20))
    with pytest.raises(Mismatch, match="conv: the kernel has shape"):
        chain(layer("conv", "Conv2D", "x", filters=4, kernel_size=3, weights=((3, 3, 2, 4), (4,))))
    stated = {Ref("relu"): (None, 4, 4, 3)}
    entries = (image(), layer("relu", "ReLU", "x"))
    with pytest.raises(Mismatch, match=r"relu: its output is \(None, 4, 4, 3\) in the source"):
        read(KerasModel("net", entries, Ref("x"), Ref("relu"), shapes=stated))


def test_broken_graphs_are_unreadable() -> None:
    """A cycle, a missing layer, a call that is not there."""
    loop = (image(), layer("a", "Add", "x", "b"), layer("b", "ReLU", "a"))
    with pytest.raises(Unreadable, match="cycle"):
        network(*loop, outputs=Ref("b"))
    with pytest.raises(Unreadable, match="'gone' that is not there"):
        network(image(), layer("a", "ReLU", "gone"), outputs=Ref("a"))
    with pytest.raises(Unreadable, match="call 3, there are 1"):
        network(image(), layer("a", "ReLU", "x"), outputs=Ref("a", 3))


def test_a_shared_layer_keeps_its_name_and_counts_its_calls() -> None:
    """Two calls: two nodes, one layer."""
    shared = Entry(
        "relu",
        "ReLU",
        config={"max_value": None, "negative_slope": 0.0, "threshold": 0.0},
        calls=(
            Call((Ref("x"),)),
            Call((Ref("relu"),)),
        ),
    )
    graph = network(image(), shared, outputs=Ref("relu", 1))
    assert [(n.name, n.layer, n.call) for n in graph.nodes[1:]] == [("relu", "relu", 0), ("relu_1", "relu", 1)]


def test_out_shape_of_a_convolution() -> None:
    """Unknown sizes stay unknown, SAME divides."""
    spec = Conv(3, 8, (3, 3), (2, 2), None, (1, 1), axis=3)
    assert spec.out_shape((None, None, 9, 3)) == (None, None, 5, 8)
