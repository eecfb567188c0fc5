"""Law 3 over generated recurrent layers that keep their states: several calls in a row, and again after a reset."""

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import xconv
from tests.comparison import assert_same, told
from tests.layers.reference import (
    assert_same_answers,
    each,
    floats,
    model_of,
    noise,
    of_keras,
    of_torch,
    randomise,
)
from tests.layers.test_generated_recurrent import KINDS, called, cell_of, options, sizes, states_of, taken
from xconv.errors import InvalidInput, Unsupported
from xconv.layers.recurrent_examples import serialised
from xconv.spec import SAMPLES, Example, Slot
from xconv.torch.modules.states import Stateful

few = settings(max_examples=8)
CALLS = 4
RESET = 2
"""The call before which all states are zeros again."""


@st.composite
def one_way(draw):
    kind, units = draw(st.sampled_from(KINDS)), draw(sizes)
    config = {**taken(draw, options(draw, kind, units)), "stateful": True}
    inputs, values, kwargs = called(draw, draw(sizes), draw(sizes), [units] * states_of(kind))
    return Example(kind, inputs, config, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def both_ways(draw):
    """Of return_state Keras 3.15 cannot make a graph."""
    kind, units = draw(st.sampled_from(KINDS)), draw(sizes)
    config = {**options(draw, kind, units), "return_sequences": draw(st.booleans()), "stateful": True}
    layer = {"layer": serialised(kind, **config)}
    if draw(st.booleans()):
        other = draw(st.sampled_from([name for name in KINDS if states_of(name) == states_of(kind)]))
        shared = {"return_sequences": config["return_sequences"], "stateful": True, "go_backwards": True}
        layer["backward_layer"] = serialised(other, **options(draw, other, units), **shared)
    merge = draw(st.sampled_from(["concat", "sum", "mul", "ave", None]))
    inputs, values, kwargs = called(draw, draw(sizes), draw(sizes), [units] * (2 * states_of(kind)))
    whole = {"merge_mode": merge, **layer}
    return Example("Bidirectional", inputs, whole, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def stacks(draw):
    cells = [cell_of(draw)[0] for _ in range(draw(st.integers(1, 3)))]
    cell = cells[0] if len(cells) == 1 else serialised("StackedRNNCells", cells=cells)
    config = taken(draw, {"cell": cell, "stateful": True})
    inputs, values, kwargs = called(draw, draw(sizes), draw(sizes), [])
    kwargs.pop("initial_state", None)
    return Example("RNN", inputs, config, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 2))
    kernel = draw(st.tuples(*[st.integers(1, 3)] * rank))
    config = {"filters": draw(sizes), "kernel_size": kernel, "strides": draw(st.integers(1, 2)), "stateful": True}
    config |= {"padding": draw(st.sampled_from(["same", "valid"])), "use_bias": draw(st.booleans())}
    config = taken(draw, config)
    inputs, values, kwargs = called(draw, draw(sizes), 1, [])
    kwargs.pop("initial_state", None)
    image = (inputs[0][0], *(7, 6)[:rank], draw(sizes))
    return Example(f"ConvLSTM{rank}D", (image, *inputs[1:]), config, (), (Slot(0),), values=values, kwargs=kwargs)


def forget(model, module):
    """Zeros for all states; Keras's own reset_state fails on cells in a stack."""
    for layer in model.layers:
        for state in keras.tree.flatten(getattr(layer, "states", None) or []):
            state.assign(np.zeros(state.shape))
    for layer in module.modules():
        if isinstance(layer, Stateful):
            layer.reset_states()


def assert_same_calls(example, training):
    """Outputs and gradients of every call in a row."""
    random = np.random.default_rng(1)
    with floats("float64"):
        model = model_of(example.kind, example.config, example.args, example.inputs, example.values, **example.kwargs)
        randomise(model, random)
        module = xconv.keras_to_torch(model).double()
        for call in range(CALLS):
            if call == RESET:
                forget(model, module)
            shapes = zip(example.inputs, each(example.values, example.inputs), strict=True)
            arrays = [noise((SAMPLES, *shape), word, random) for shape, word in shapes]
            seeds = []
            expected = of_keras(model, arrays, seeds, training)
            actual = of_torch(module, arrays, seeds, training)
            with told(f"call {call}"):
                assert_same_answers(actual, expected, "float64", 1e-10, training)


@few
@given(one_way())
def test_layers(example):
    assert_same_calls(example, training=False)


@few
@given(one_way())
def test_layers_in_training(example):
    assert_same_calls(example, training=True)


@few
@given(both_ways())
def test_both_ways(example):
    assert_same_calls(example, training=False)


@few
@given(stacks())
def test_stacked_cells(example):
    assert_same_calls(example, training=False)


@few
@given(convolutions())
def test_maps(example):
    assert_same_calls(example, training=True)


# ---------------------------------------------------------------------------------------------------- by hand


def network(*layers):
    x = keras.Input((6, 5), SAMPLES)
    y = x
    for layer in layers:
        y = layer(y)
    return keras.Model(x, y)


def two_layers():
    first = keras.layers.GRU(3, stateful=True, return_sequences=True, name="first")
    return network(first, keras.layers.Bidirectional(keras.layers.LSTM(2, stateful=True), name="second"))


def run(model, x):
    return np.asarray(model(x) if isinstance(model, keras.Model) else model(torch.tensor(x)).detach())


def test_the_way_back_keeps_states_too():
    model = two_layers()
    randomise(model, np.random.default_rng(0))
    module = xconv.keras_to_torch(model)
    back = xconv.torch_to_keras(module)
    assert back.input_shape == (SAMPLES, 6, 5)
    assert [layer.stateful for layer in back.layers[1:]] == [True, True]
    random = np.random.default_rng(1)
    for _ in range(3):
        x = random.normal(size=(SAMPLES, 6, 5)).astype("float32")
        want = run(model, x)
        assert_same(run(module, x), want, relative=1e-5)
        assert_same(run(back, x), want, relative=1e-5)


def test_states_are_not_saved():
    """As in Keras, which holds them outside of its weights."""
    module = xconv.keras_to_torch(two_layers())
    x = torch.randn(SAMPLES, 6, 5)
    first, second = module(x), module(x)
    assert not torch.allclose(first, second)
    assert not any("state_" in name for name in module.state_dict())
    module.first.reset_state()
    module.second.reset_state()
    assert torch.equal(module(x), first)


def test_verification_begins_with_zeros_and_leaves_states_as_they_were():
    model = two_layers()
    randomise(model, np.random.default_rng(0))
    module = xconv.keras_to_torch(model)
    x = np.random.default_rng(1).normal(size=(SAMPLES, 6, 5)).astype("float32")
    run(model, x), run(module, x)
    held = [np.asarray(state) for layer in model.layers[1:] for state in layer.states]
    kept = [state.clone() for state in module.buffers()]
    assert xconv.verify(model, module, per_layer=True).verdict.ok
    assert all(np.array_equal(a, b) for a, b in zip(held, (s for y in model.layers[1:] for s in y.states), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, module.buffers(), strict=True))
    with torch.no_grad():
        module.second.weight_hh_l0[0, 0] += 0.1
    found = xconv.verify(model, module)
    assert not found.verdict.ok
    assert found.first_difference.layer == "second"


def test_another_number_of_samples_is_refused():
    module = xconv.keras_to_torch(two_layers())
    with pytest.raises(InvalidInput, match=r"stateful layer of 3 samples is given 2"):
        module(torch.zeros(2, 6, 5))


def test_a_layer_that_is_called_twice_is_refused():
    layer = keras.layers.LSTM(5, stateful=True, return_sequences=True)
    with pytest.raises(Unsupported, match=r"stateful LSTM that is called several times"):
        xconv.keras_to_torch(network(layer, layer))


def test_samples_that_are_not_those_of_the_inputs_are_refused():
    folded = keras.layers.Lambda(lambda x: keras.ops.reshape(x, (2 * SAMPLES, 3, 5)))
    with pytest.raises(Unsupported, match=r"stateful GRU, where the size of the batch is not fixed"):
        xconv.keras_to_torch(network(folded, keras.layers.GRU(2, stateful=True)))


def test_a_program_that_keeps_states_is_refused():
    """torch.export writes them as a write into a buffer."""
    module = torch.nn.Sequential(*list(xconv.keras_to_torch(two_layers()).children())[1:]).eval()
    program = torch.export.export(module, (torch.zeros(SAMPLES, 6, 5),))
    with pytest.raises(Unsupported, match=r"writes into 0.state_0, which the network has read"):
        xconv.torch_to_keras(program)


class Counting(torch.nn.Module):
    """Adds what it saw to what it holds, in inference too."""

    def __init__(self, scratch):
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))
        self.scratch = scratch

    def forward(self, x):
        y = x.sin() if self.scratch else x + self.seen
        self.seen.copy_(y.mean(0))
        return y


def test_only_a_module_whose_second_call_would_differ_is_refused():
    assert xconv.torch_to_keras(Counting(True).eval(), torch.ones(2, 3)).built
    with pytest.raises(Unsupported, match=r"copy_ writes into seen, which the network has read"):
        xconv.torch_to_keras(Counting(False).eval(), torch.ones(2, 3))


def test_what_keeps_nothing_is_not_written(tmp_path):
    """ONNX and exported programs: states would be lost without a word."""
    model = two_layers()
    module = xconv.keras_to_torch(model)
    with pytest.raises(Unsupported, match=r"stateful layers, and an ONNX model keeps nothing"):
        xconv.keras_to_onnx(model)
    with pytest.raises(Unsupported, match=r"stateful layers, and an ONNX model keeps nothing"):
        xconv.torch_to_onnx(module)
    with pytest.raises(Unsupported, match=r"stateful layers, whose states no file holds"):
        xconv.save(module, tmp_path / "network.pt2")


def test_a_diagnosis_begins_with_zeros_and_names_what_keeps_states():
    model = network(keras.layers.GRU(3, stateful=True, name="kept"))
    randomise(model, np.random.default_rng(0))
    module = xconv.keras_to_torch(model)
    x = np.random.default_rng(1).normal(size=(SAMPLES, 6, 5)).astype("float32")
    run(model, x), run(module, x)
    assert xconv.diagnose(model, module).findings == ()
    plain = network(keras.layers.GRU(3, name="plain"))
    plain.set_weights(model.get_weights())
    (found,) = xconv.diagnose(model, plain).findings
    assert "stateful" in found.text


class Subclassed(keras.Model):
    """A model whose call is traced."""

    def __init__(self):
        super().__init__()
        self.steps = keras.layers.LSTM(3, stateful=True)

    def call(self, x):
        return self.steps(2.0 * x)


@pytest.mark.filterwarnings("ignore:.*unbuilt state:UserWarning")
def test_a_subclassed_model_and_two_modules():
    model = Subclassed()
    model(np.zeros((SAMPLES, 6, 5), "float32"))
    model.build((SAMPLES, 6, 5))
    model.steps.reset_state()
    module = xconv.keras_to_torch(model)
    random = np.random.default_rng(1)
    for _ in range(2):
        x = random.normal(size=(SAMPLES, 6, 5)).astype("float32")
        assert_same(run(module, x), np.asarray(model(x)), relative=1e-5)
    assert xconv.verify(model, module).verdict.ok
    assert xconv.verify(module, xconv.keras_to_torch(model)).verdict.ok
