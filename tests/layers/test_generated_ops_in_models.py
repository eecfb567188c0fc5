"""Law 3 over generated models around operations that take tensors without a batch: kernels, statistics, sequences.

The first sample of an input is such a tensor.
"""

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import xconv
from tests.comparison import assert_same, told
from tests.layers.reference import floats, of_keras, of_torch

few = settings(max_examples=5)
sides = st.integers(1, 4)
last = "channels_last"


def assert_same_model(build, *shapes):
    """Outputs and gradients agree; and the way back to Keras gives the outputs again."""
    with floats("float64"):
        inputs = [keras.Input(shape) for shape in shapes]
        model = keras.Model(inputs, build(*inputs))
        module = xconv.keras_to_torch(model).double()
        random, seeds = np.random.default_rng(0), []
        arrays = [random.normal(size=(3, *shape)) for shape in shapes]
        expected = of_keras(model, arrays, seeds, training=False)
        actual = of_torch(module, arrays, seeds, training=False)
    with told("outputs in inference"):
        for got, want in zip(actual.outputs, expected.outputs, strict=True):
            assert_same(got, want)
    with told("gradients of inputs in inference"):
        for got, want in zip(actual.inputs, expected.inputs, strict=True):
            if want is not None:
                assert_same(got, np.asarray(want))
    back = xconv.torch_to_keras(module)
    narrow = [array.astype("float32") for array in arrays]
    found = back(narrow if len(narrow) > 1 else narrow[0])
    for got, want in zip([found], expected.outputs, strict=True):
        assert_same(got, want, relative=1e-4, dtype=False)


@st.composite
def convolutions(draw):
    """A kernel's shape, the strides or the dilation, the padding."""
    kernel = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple))
    strided = draw(st.booleans())
    options = {"padding": draw(st.sampled_from(["valid", "same"])), "data_format": last}
    options |= {"strides": draw(st.integers(1, 2))} if strided else {"dilation_rate": draw(st.integers(1, 2))}
    return kernel, options


@few
@given(convolutions())
def test_convolutions(drawn):
    kernel, options = drawn
    image = (7, 8)[: len(kernel)]
    assert_same_model(lambda x, k: ops.conv(x, k[0], **options), (*image, 2), (*kernel, 2, 4))


@few
@given(convolutions())
def test_depthwise_and_separable_convolutions(drawn):
    kernel, options = drawn
    if len(kernel) == 1 or options.get("dilation_rate", 1) > 1:
        options = {"padding": options["padding"], "data_format": last}
    image = (7, 8)[: len(kernel)]
    shapes = (*image, 2), (*kernel, 2, 2)
    assert_same_model(lambda x, k: ops.depthwise_conv(x, k[0], **options), *shapes)
    ones = (1,) * len(kernel)
    assert_same_model(lambda x, k, p: ops.separable_conv(x, k[0], p[0], **options), *shapes, (*ones, 4, 5))


@few
@given(st.integers(1, 3), st.booleans())
def test_batch_normalization(axis, scaled):
    shape = (2, 4, 5)
    row = (shape[axis - 1],)

    def build(x, mean, variance, offset, scale):
        more = {"offset": offset[0], "scale": scale[0]} if scaled else {}
        place = -1 if axis == 3 else axis
        result = ops.batch_normalization(x, mean[0], ops.square(variance[0]) + 1.0, axis=place, **more)
        return result if scaled else result + ops.sum(offset) + ops.sum(scale)

    assert_same_model(build, shape, row, row, row, row)


@few
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(["full", "same", "valid"]))
def test_correlations(first, second, mode):
    long, short = (max(first, second),), (min(first, second),)
    assert_same_model(lambda x, y: ops.correlate(x[0], y[0], mode=mode), long, short)


@few
@given(st.tuples(sides, sides), st.booleans())
def test_what_is_blown_up(shape, whole):
    assert_same_model(lambda x: ops.broadcast_to(x[0], (4, *shape)), (1, shape[1]))
    assert_same_model(lambda x: ops.full((*shape, 2), ops.sum(x) if whole else ops.max(x)), (4,))


@few
@given(st.integers(-3, 3))
def test_diagonals_and_traces_of_single_matrices(offset):
    assert_same_model(lambda x: ops.diag(x[0], k=offset), (4,))
    assert_same_model(lambda x: ops.diag(x[0], k=offset), (4, 5))
    assert_same_model(lambda x: ops.trace(x[0], offset=offset), (4, 5))


def test_cross_entropy_of_shares_from_logits():
    """TensorFlow's gradient takes the targets for shares of one, so they must be."""
    assert_same_model(lambda x, y: ops.categorical_crossentropy(ops.softmax(x), y, from_logits=True), (4, 5), (4, 5))
