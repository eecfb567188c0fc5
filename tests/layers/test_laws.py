"""Laws 2 to 4 over every example: closure, numbers, order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import xconv
from tests.comparison import assert_same
from tests.layers.interpreter import Interpreted
from tests.layers.reference import SIZES, Live, each, floats, model_of
from xconv import axes
from xconv.keras.defaults import DEFAULTS
from xconv.layers import RULES, families
from xconv.layout import resolve
from xconv.spec import Op, Order, Slot

CASES = [(family, example) for family in families() for example in family.examples()]
EXAMPLES = [example for _, example in CASES]
NAMES = [f"{family.__name__}-{example.kind}-{number}" for number, (family, example) in enumerate(CASES)]

pytestmark = [
    pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning"),
    pytest.mark.filterwarnings("ignore:NotImplemented should not be used:DeprecationWarning"),  # Keras's tensordot
]

WORDS = {"bool": "boolean", "int32": "integers"}


@pytest.fixture(scope="module", params=EXAMPLES, ids=NAMES)
def live(request):
    """Every example in turn; its model is made and converted once for all tests of it."""
    return Live(request.param)


@pytest.fixture(scope="module")
def graph(live):
    """What is read of a model of it in Keras's own dtype."""
    example = live.example
    return graph_of(example.kind, example.config, example.args, example.inputs, example.values, **example.kwargs)


def graph_of(*words, **options):
    """The graph of a model that calls one layer."""
    from xconv.api import read_keras

    return read_keras(model_of(*words, **options))


def specs(graph):
    return [node.spec for node in graph.nodes if type(node.spec).__name__ != "Input"]


def test_numbers_in_inference(live):
    for sizes in SIZES if any(None in shape for shape in live.example.inputs) else SIZES[:1]:
        live.assert_same_numbers(sizes)


def test_numbers_with_channels_last(live):
    live.assert_same_numbers(input_layout="channels_last")


def test_numbers_in_training(live):
    if live.example.trains and not live.example.kind.startswith("ops."):
        live.assert_same_numbers(training=True)


def test_what_we_say_in_keras_we_read_back(graph):
    nodes = graph.by_name()
    for node in graph.nodes:
        inputs = [nodes[value.node].shapes[value.index] for value in node.inputs]
        if type(node.spec).__name__ in ("Input", "Variable") or not all(shape[:1] == (None,) for shape in inputs):
            continue  # an input, a free weight, and what is done to a free weight alone: the whole says it
        said = node.spec.to_keras(node.weights, inputs)
        config = {key: item for key, item in said.config.items() if key != "trainable"}
        sizes = [shape[1:] for shape in inputs]
        words = [WORDS.get(getattr(nodes[value.node].spec, "dtype", ""), "normal") for value in node.inputs]
        again = graph_of(said.kind, config, said.args, sizes, " ".join(words), **said.kwargs)
        assert specs(again) == [node.spec]


def test_resolving_twice_is_resolving_once(graph):
    once = resolve(graph, "first")
    assert specs(resolve(once, "first")) == specs(once)


@pytest.mark.parametrize(
    "example", [e for f, e in CASES if f.order is Order.AXES], ids=[e.kind for f, e in CASES if f.order is Order.AXES]
)
def test_an_order_of_axes_changes_nothing(example):
    record = example.layer(DEFAULTS)
    ops = RULES[record.kind].from_keras(record)
    (op,) = (ops,) if isinstance(ops, Op) else ops[:1]
    random = np.random.default_rng(0)
    arrays = {weight.key: random.uniform(0.5, 2, weight.source) for weight in op.weights.values()}
    held = [torch.tensor(random.uniform(0.2, 2, (3, *shape))) for shape in example.inputs]
    words = each(example.values, held)
    held = [x.round().bool() if word == "boolean" else x for x, word in zip(held, words, strict=True)]
    rank = held[0].dim()
    written = Interpreted(op.spec.to_torch(op.weights, record.inputs), arrays)(*held)
    for inner in itertools.permutations(range(1, rank)):
        order = (0, *inner)
        moved = op.spec.moved(order, op.weights)
        after = moved.order
        shapes = [axes.apply(shape, order) for shape in record.inputs]
        got = Interpreted(moved.spec.to_torch(moved.weights, shapes), arrays)(*(x.permute(order) for x in held))
        pairs = zip(got, written, strict=True) if isinstance(got, (list, tuple)) else [(got, written)]
        for actual, expected in pairs:
            assert_same(actual, expected.permute(after) if after else expected, relative=1e-12)
        stated = [axes.apply(shape, after) for shape in op.spec.out_shapes(*record.inputs)]
        assert list(moved.spec.out_shapes(*shapes)) == stated


def test_a_wrong_weight_is_seen():
    """The comparison of this file can fail."""
    example = next(e for e in EXAMPLES if e.kind == "Dense")
    with floats("float64"):
        model = model_of(example.kind, example.config, example.args, example.inputs)
        module = xconv.keras_to_torch(model)
        before = module(torch.ones(2, 6, dtype=torch.float64))
        module.the_layer.weight.data[0, 0] += 1e-6
        with pytest.raises(AssertionError):
            assert_same(module(torch.ones(2, 6, dtype=torch.float64)), before)


def test_slots_and_records_are_plain_data():
    assert replace(EXAMPLES[0]) == EXAMPLES[0]
    assert Slot(0) == Slot(0)
