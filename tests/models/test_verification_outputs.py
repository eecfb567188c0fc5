"""verify() on models that return several tensors, also under one name, each judged by its own reference."""

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops

import xconv
from xconv.report.records import Verdict


def recurrent():
    steps = keras.Input((5, 3))
    return keras.Model(steps, layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(steps))


def bidirectional():
    steps = keras.Input((5, 3))
    return keras.Model(steps, layers.Bidirectional(layers.GRU(4, return_state=True), name="both")(steps))


def attention():
    steps = keras.Input((5, 3))
    both = layers.MultiHeadAttention(2, 3, name="heads")(steps, steps, return_attention_scores=True)
    return keras.Model(steps, list(both))


def largest():
    vector = keras.Input((7,))
    return keras.Model(vector, list(ops.top_k(layers.Dense(5)(vector), 3)))


def twice_called():
    left, right = keras.Input((7,), name="left"), keras.Input((7,), name="right")
    dense = layers.Dense(3, name="dense")
    return keras.Model([left, right], [dense(left), dense(right * 50)])


def returned_twice():
    vector = keras.Input((7,))
    made = layers.Dense(3, name="dense")(vector)
    return keras.Model(vector, [made, made])


def nested():
    vector = keras.Input((7,))
    inner = keras.Model(vector, [layers.Dense(3)(vector), layers.Dense(2)(vector)], name="inner")
    outer = keras.Input((7,))
    first, second = inner(outer)
    return keras.Model(outer, [second, first])


CASES = [recurrent, bidirectional, attention, largest, twice_called, returned_twice, nested]


@pytest.mark.parametrize("make", CASES)
def test_every_output_is_judged_by_its_own_reference(make):
    model = xconv.randomize(make())
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert report.verdict in (Verdict.EXACT, Verdict.CONSTANTS), str(report)
    for output in report.outputs:
        assert output.float64.max_rel < 1e-13
        assert np.isfinite(output.float32.rms_rel)
        assert output.reference_float32.rms_rel < 1e-5


def test_the_output_that_is_off_is_told():
    model = xconv.randomize(twice_called())
    module = xconv.keras_to_torch(model)
    _, second = (node for node in module.graph.nodes if node.target == "dense")
    with module.graph.inserting_after(second):
        larger = module.graph.call_function(torch.mul, (second, 1.001))
    second.replace_all_uses_with(larger, delete_user_cb=lambda user: user is not larger)
    module.recompile()
    report = xconv.verify(model, module)
    assert [output.verdict for output in report.outputs] == [Verdict.EXACT, Verdict.DIFFERS], str(report)


@pytest.mark.parametrize("name", ["in", "class", "lambda", "forward"])
def test_a_layer_with_a_name_that_python_or_torch_keeps_for_itself(name):
    vector = keras.Input((7,))
    model = xconv.randomize(keras.Model(vector, layers.Dense(3, name=name)(vector)))
    module = xconv.keras_to_torch(model)
    assert list(module.state_dict()) == [f"{name}%.weight", f"{name}%.bias"]
    assert xconv.verify(model, module).verdict is Verdict.EXACT
