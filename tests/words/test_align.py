"""Which node of one network is which of another: other names, another order, layers that one side lacks, twins."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.words.networks import image, layer, network
from xconv.alignment import Alignment, align
from xconv.comparison.opened import canonical
from xconv.graph import Graph, Node, Value
from xconv.keras.records import Entry, Ref
from xconv.layers.activation import Activation
from xconv.layers.concat import Concat
from xconv.layers.io import Input
from xconv.weights import NumpySource

WIDTH = 6


def conv(name: str, source: str, wide: int = WIDTH, out: int = WIDTH, size: int = 3, *, bias: bool = True) -> Entry:
    """A convolution with 'same' pads."""
    weights = ((size, size, wide, out), (out,))[: 1 + bias]
    config = {"filters": out, "kernel_size": (size, size), "padding": "same", "use_bias": bias}
    return layer(name, "Conv2D", source, weights=weights, **config)


def norm(name: str, source: str, width: int = WIDTH) -> Entry:
    """A BatchNorm over the channels."""
    return layer(name, "BatchNormalization", source, weights=((width,),) * 4)


def relu(name: str, source: str) -> Entry:
    """A ReLU."""
    return layer(name, "ReLU", source)


def dense(name: str, source: str, wide: int, out: int) -> Entry:
    """A Dense layer with a bias."""
    return layer(name, "Dense", source, weights=((wide, out), (out,)), units=out)


def add(name: str, *sources: str) -> Entry:
    """A sum."""
    return layer(name, "Add", *sources)


def graph(*entries: Entry, output: str = "") -> Graph:
    """The network of these entries over an image of 9 x 8, in the form in which graphs are compared."""
    return canonical(network(image(), *entries, outputs=Ref(output or entries[-1].name)))


def block(prefix: str, source: str, *, swapped: bool = False) -> Iterator[Entry]:
    """A residual block; `swapped` lists the shortcut first."""
    yield conv(f"{prefix}1", source)
    yield norm(f"{prefix}2", f"{prefix}1")
    yield relu(f"{prefix}3", f"{prefix}2")
    yield conv(f"{prefix}4", f"{prefix}3")
    yield norm(f"{prefix}5", f"{prefix}4")
    both = (f"{prefix}5", source)
    yield add(f"{prefix}6", *(both[::-1] if swapped else both))
    yield relu(f"{prefix}7", f"{prefix}6")


def residual(prefix: str = "", depth: int = 2, *, swapped: bool = False, classes: int = 4) -> Graph:
    """A stem, residual blocks and a head."""
    entries = [conv(f"{prefix}stem", "x", 3), relu(f"{prefix}act", f"{prefix}stem")]
    for number in range(depth):
        entries += block(f"{prefix}b{number}_", entries[-1].name, swapped=swapped)
    entries.append(layer(f"{prefix}gap", "GlobalAveragePooling2D", entries[-1].name))
    return graph(*entries, dense(f"{prefix}fc", f"{prefix}gap", WIDTH, classes))


def names(found: Alignment) -> dict[str, str]:
    """The pairs as a dict."""
    return {pair.a: pair.b for pair in found.pairs}


def assert_prefixed(found: Alignment, prefix: str, lacking: Sequence[str] = ()) -> None:
    """Every node is its own counterpart under another name, but for some that one side lacks."""
    for a, b in names(found).items():
        assert b == ("x" if a == "x" else f"{prefix}{a}"), found
    assert not set(found.only_a) ^ set(lacking), found
    assert found.unsure == ()


def test_names_that_share_nothing() -> None:
    found = align(residual(), residual("zq_"))
    assert_prefixed(found, "zq_")
    assert found.only_b == ()


def test_the_same_network_is_its_own_counterpart() -> None:
    one = residual()
    assert all(a == b for a, b in names(align(one, one)).items())


def test_sums_that_list_their_branches_in_another_order() -> None:
    assert_prefixed(align(residual(), residual("other_", swapped=True)), "other_")


def test_branches_that_are_listed_in_another_order() -> None:
    def inception(prefix: str, order: Sequence[int]) -> Graph:
        branches = {
            1: [conv(f"{prefix}one", "x", 3, 4, 1)],
            3: [conv(f"{prefix}three", "x", 3, 5, 3)],
            5: [conv(f"{prefix}five", "x", 3, 7, 5)],
        }
        ends = [f"{prefix}one", f"{prefix}three", f"{prefix}five"]
        join = layer(f"{prefix}join", "Concatenate", *ends)
        return graph(*(entry for size in order for entry in branches[size]), join)

    assert_prefixed(align(inception("", (1, 3, 5)), inception("k_", (5, 1, 3))), "k_")


def test_a_bias_that_one_side_lacks() -> None:
    ours = graph(conv("c", "x", 3), norm("n", "c"), relu("r", "n"))
    theirs = graph(conv("k_c", "x", 3, bias=False), norm("k_n", "k_c"), relu("k_r", "k_n"))
    assert_prefixed(align(ours, theirs), "k_")


def test_dropout_is_no_node_of_either() -> None:
    ours = graph(conv("c", "x", 3), layer("d", "Dropout", "c", rate=0.3), relu("r", "d"))
    found = align(ours, graph(conv("k_c", "x", 3), relu("k_r", "k_c")))
    assert_prefixed(found, "k_")


def test_preprocessing_and_another_head_are_left_over() -> None:
    scaled = layer("s", "Rescaling", "x", scale=0.5, offset=-1.0)
    ours = graph(scaled, conv("c", "s", 3), relu("r", "c"), layer("g", "GlobalAveragePooling2D", "r"))
    theirs = graph(
        conv("k_c", "x", 3),
        relu("k_r", "k_c"),
        layer("k_g", "GlobalAveragePooling2D", "k_r"),
        dense("k_h", "k_g", WIDTH, 9),
        relu("k_hr", "k_h"),
        dense("k_fc", "k_hr", 9, 4),
    )
    found = align(ours, theirs)
    assert_prefixed(found, "k_", ["s"])
    assert found.only_b == ("k_h", "k_hr", "k_fc")


def test_a_normalisation_that_one_side_lacks() -> None:
    ours = graph(conv("c", "x", 3), norm("n", "c"), relu("r", "n"), conv("e", "r"), norm("m", "e"))
    theirs = graph(conv("k_c", "x", 3), relu("k_r", "k_c"), conv("k_e", "k_r"), norm("k_m", "k_e"))
    assert_prefixed(align(ours, theirs), "k_", ["n"])


def test_another_activation_is_the_same_layer() -> None:
    ours = graph(conv("c", "x", 3), relu("r", "c"), conv("e", "r"))
    theirs = graph(conv("k_c", "x", 3), layer("k_r", "LeakyReLU", "k_c"), conv("k_e", "k_r"))
    assert_prefixed(align(ours, theirs), "k_")


def test_another_number_of_classes_is_the_same_layer() -> None:
    assert_prefixed(align(residual(), residual("k_", classes=7)), "k_")


@pytest.mark.parametrize(("ours", "theirs"), [(2, 3), (3, 2), (2, 5)])
def test_another_depth_leaves_whole_blocks_over(ours: int, theirs: int) -> None:
    found = align(residual(depth=ours), residual("k_", depth=theirs))
    pairs = names(found)
    for number in range(min(ours, theirs)):
        assert all(pairs[f"b{number}_{part}"] == f"k_b{number}_{part}" for part in range(1, 8)), found
    more = found.only_b if theirs > ours else found.only_a
    assert len(more) == 7 * abs(ours - theirs)
    assert pairs["fc"] == "k_fc"


def test_a_hidden_layer_leaves_the_last_one_its_counterpart() -> None:
    ours = graph(layer("g", "GlobalAveragePooling2D", "x"), dense("fc", "g", 3, 4))
    hidden = [dense("k_h", "k_g", 3, 5), relu("k_r", "k_h"), dense("k_fc", "k_r", 5, 4)]
    found = align(ours, graph(layer("k_g", "GlobalAveragePooling2D", "x"), *hidden))
    assert names(found)["fc"] == "k_fc"
    assert found.only_b == ("k_h", "k_r")


def twins(prefix: str, joined: str = "Add") -> Graph:
    """Two branches of one shape that nothing tells apart, where they are added."""
    left, right = conv(f"{prefix}left", "x", 3), conv(f"{prefix}right", "x", 3)
    return graph(left, right, layer(f"{prefix}join", joined, left.name, right.name))


def test_twins_that_are_added_are_one_network_either_way() -> None:
    found = align(twins(""), twins("k_"))
    assert {found.to_b["left"], found.to_b["right"]} == {"k_left", "k_right"}
    assert found.unsure == ()


def test_twins_that_are_joined_are_told_apart_by_their_place() -> None:
    assert_prefixed(align(twins("", "Concatenate"), twins("k_", "Concatenate")), "k_")


def norms(prefix: str, *, first: bool) -> Graph:
    """Two norms, one before a convolution and one behind the sum; or both behind the sum."""
    one, two, mix, both, end = (f"{prefix}{word}" for word in ("one", "two", "mix", "sum", "end"))
    start = [norm(one, "x", 3), conv(mix, one, 3, 3), add(both, "x", mix), norm(two, both, 3)]
    if not first:
        start = [conv(mix, "x", 3, 3), add(both, "x", mix), norm(one, both, 3), norm(two, one, 3)]
    made = graph(*start, conv(end, two, 3, 3))
    numbers = np.random.default_rng(0)
    held = {f"{word}/{index}": numbers.random(3, dtype=np.float32) for word in ("one", "two") for index in range(4)}
    return replace(made, arrays={f"{prefix}{key}": NumpySource(array) for key, array in held.items()})


def test_of_two_that_fit_as_well_the_one_with_the_same_numbers() -> None:
    found = names(align(norms("", first=True), norms("k_", first=False)))
    assert found["one"] == "k_one"
    assert found["two"] == "k_two"
    again = names(align(norms("", first=False), norms("k_", first=True)))
    assert again["one"] == "k_one"
    assert again["two"] == "k_two"


def test_a_graph_that_is_built_by_hand() -> None:
    def by_hand(word: str, function: str) -> Graph:
        shape = (None, 3, 5)
        nodes = (
            Node(f"{word}0", Input(shape), shapes=(shape,)),
            Node(f"{word}1", Activation(function), (Value(f"{word}0"),), shapes=(shape,)),
            Node(f"{word}2", Activation("tanh"), (Value(f"{word}0"),), shapes=(shape,)),
            Node(f"{word}3", Concat(1), (Value(f"{word}2"), Value(f"{word}1")), shapes=((None, 6, 5),)),
        )
        return Graph(word, nodes, Value(f"{word}0"), Value(f"{word}3"))

    found = align(by_hand("a", "relu"), by_hand("b", "gelu"))
    assert names(found) == {f"a{place}": f"b{place}" for place in range(4)}
    assert found.unsure == ()


def test_a_node_with_no_counterpart_nearby_takes_what_is_left_and_is_told() -> None:
    ours = graph(conv("c", "x", 3), norm("n", "c"), relu("r", "n"), conv("e", "r"))
    theirs = graph(conv("k_c", "x", 3), relu("k_r", "k_c"), conv("k_e", "k_r"), norm("k_n", "k_e"))
    found = align(ours, theirs)
    assert names(found)["n"] == "k_n"
    assert [pair.a for pair in found.unsure] == ["n"]
    assert "not sure" in str(found)


def test_what_one_side_lacks_is_in_the_text() -> None:
    found = align(graph(conv("c", "x", 3), norm("n", "c")), graph(conv("k_c", "x", 3)))
    assert "n  has no counterpart" in str(found)
    assert "c  <->  k_c" in str(found)


def test_two_networks_without_anything_in_common_have_their_inputs_alone() -> None:
    found = align(graph(conv("c", "x", 3)), graph(layer("g", "GlobalAveragePooling2D", "x")))
    assert names(found) == {"x": "x"}
    assert found.only_a == ("c",)
    assert found.only_b == ("g",)
