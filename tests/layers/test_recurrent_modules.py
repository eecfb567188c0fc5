"""Recurrent modules: compiled, exported, copied; torch's kernel where it can be; dropout of Keras's distribution."""

import copy
import pickle

import keras
import numpy as np
import pytest
import torch
from torch.export import Dim, export

import xconv
from tests.comparison import assert_same
from tests.layers.reference import floats
from xconv.errors import Unsupported
from xconv.torch import modules

MODULES = {
    "lstm": lambda: modules.LSTM(5, 3, masked=True),
    "both": lambda: modules.LSTM(5, 3, bidirectional=True, masked=True, zeros=True, states=True),
    "gru": lambda: modules.GRU(5, 3, masked=True, backward=True, states=True),
    "before": lambda: modules.GRU(5, 3, masked=True, reset_after=False, sequences=False),
    "rnn": lambda: modules.RNN(5, 3, nonlinearity=("elu", {"alpha": 0.5}), masked=True),
    "dropped": lambda: modules.LSTM(5, 3, masked=True, input_dropout=0.5, recurrent_dropout=0.25),
}
each_module = pytest.mark.parametrize("kind", MODULES)


def inputs(batch=4, steps=6):
    torch.manual_seed(1)
    return torch.randn(batch, steps, 5, dtype=torch.float64), torch.rand(batch, steps) > 0.4


def flat(result):
    return list(result) if isinstance(result, tuple) else [result]


def assert_alike(got, wanted):
    for actual, expected in zip(flat(got), flat(wanted), strict=True):
        assert_same(actual, expected, relative=1e-12)


@each_module
def test_a_copy_and_a_pickle(kind):
    module = MODULES[kind]().double().eval()
    wanted = module(*inputs())
    assert_alike(copy.deepcopy(module)(*inputs()), wanted)
    assert_alike(pickle.loads(pickle.dumps(module))(*inputs()), wanted)  # noqa: S301


@each_module
def test_one_graph_when_compiled(kind):
    """torch leaves its own recurrent classes out of its graphs unless it is told not to."""
    module = MODULES[kind]().double().eval()
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        assert_alike(torch.compile(module, fullgraph=True, backend="eager")(*inputs()), module(*inputs()))


@each_module
def test_exported_with_an_open_batch(kind):
    module = MODULES[kind]().double().eval()
    batch = Dim("n", min=2)
    program = export(module, inputs(), dynamic_shapes={"x": {0: batch}, "rest": ({0: batch},)})
    assert_alike(program.module()(*inputs(7)), module(*inputs(7)))


def kernel_calls(monkeypatch, module, *given):
    """How often torch's kernels of recurrent layers are called."""
    counts = []
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        original = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *a, _original=original, **k: counts.append(1) or _original(*a, **k))
    module(*given)
    return len(counts)


def test_a_mask_leaves_the_steps_to_the_kernel(monkeypatch):
    """One call for each direction, wherever the padding is; the states of an LSTM need c, which no output holds."""
    for made, calls in ((modules.LSTM(5, 3, masked=True), 1), (modules.GRU(5, 3, True, True, masked=True), 2)):
        with monkeypatch.context() as patch:
            assert kernel_calls(patch, made.double(), *inputs()) == calls
    with monkeypatch.context() as patch:
        assert not kernel_calls(patch, modules.LSTM(5, 3, masked=True, states=True).double(), *inputs())


def test_the_kernel_and_the_steps_agree():
    for make in (modules.LSTM, modules.GRU, modules.RNN):
        fast = make(5, 3, masked=True).double()
        slow = make(5, 3, masked=True).double()
        slow.load_state_dict(fast.state_dict())
        type_of = type(slow)
        slow.__class__ = type("Slow", (type_of,), {"has_kernel": False})
        assert_same(slow(*inputs()), fast(*inputs()), relative=1e-12)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("rates", [(0.4, 0.0), (0.0, 0.3), (0.4, 0.3)])
def test_dropout_is_of_the_same_distribution(kind, rates):
    """Means and deviations of the outputs over many samples of one sequence, with Keras's weights."""
    with floats("float64"):
        x = keras.Input((3, 4))
        layer = getattr(keras.layers, kind)(3, dropout=rates[0], recurrent_dropout=rates[1])
        model = keras.Model(x, layer(x))
        keras.utils.set_random_seed(3)
        torch.manual_seed(3)
        xconv.randomize(model)
        module = xconv.keras_to_torch(model).double()
        one = np.random.default_rng(5).normal(size=(1, 3, 4))
        many = np.repeat(one, 20_000, 0)
        wanted = np.asarray(model(many, training=True))
        got = module.train()(torch.tensor(many)).detach().numpy()
        assert_same(module.eval()(torch.tensor(one)), model(one, training=False), relative=1e-10)
    assert wanted.std(0).min() > 1e-3
    error = 6 * wanted.std(0) / np.sqrt(len(many))
    assert (np.abs(got.mean(0) - wanted.mean(0)) < error).all()
    assert np.allclose(got.std(0), wanted.std(0), rtol=0.05)


def test_the_same_features_are_dropped_in_all_steps():
    module = modules.RNN(4, 4, nonlinearity="linear", input_dropout=0.5).double()
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.eye(4))
        for other in (module.weight_hh_l0, module.bias_ih_l0, module.bias_hh_l0):
            other.zero_()
    dropped = module(torch.ones(8, 5, 4, dtype=torch.float64)) == 0
    assert bool((dropped == dropped[:, :1]).all())
    assert 0 < int(dropped.sum()) < dropped.numel()


class Leaky(keras.layers.Layer):
    """A cell of the user's own, with weights."""

    state_size = output_size = 3

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")
        self.rate = self.add_weight(shape=(3,), name="rate")

    def call(self, inputs, states):
        h = states[0] + self.rate * keras.ops.tanh(keras.ops.matmul(inputs, self.kernel) - states[0])
        return 2 * h, [h]


OWN = {
    "the last step": (Leaky, {}),
    "all steps backward": (Leaky, {"return_sequences": True, "go_backwards": True}),
    "states": (Leaky, {"return_state": True}),
    "a stack": (lambda: [keras.layers.GRUCell(4), Leaky()], {"return_sequences": True}),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("masked", [False, True])
def test_a_cell_of_the_users_own_is_unrolled(kind, masked):
    make, options = OWN[kind]
    with floats("float64"):
        x, mask = keras.Input((4, 2)), keras.Input((4,), dtype="bool")
        layer = keras.layers.RNN(make(), **options)
        model = keras.Model([x, mask], layer(x, mask=mask) if masked else layer(x))
        xconv.randomize(model)
        module = xconv.keras_to_torch(model).double().eval()
        array = np.random.default_rng(2).normal(size=(5, 4, 2))
        valid = np.random.default_rng(3).uniform(size=(5, 4)) > 0.5
        wanted = keras.tree.flatten(model([array, valid]))
        got = keras.tree.flatten(module(torch.tensor(array), torch.tensor(valid)))
    for actual, expected in zip(got, wanted, strict=True):
        assert_same(actual, expected, relative=1e-10)
    assert sum("rate" in name for name, _ in module.named_parameters()) == 1


def test_such_a_cell_over_an_open_number_of_steps():
    x = keras.Input((None, 2))
    model = keras.Model(x, keras.layers.RNN(Leaky())(x))
    with pytest.raises(Unsupported, match="needs a fixed number of steps"):
        xconv.keras_to_torch(model)
