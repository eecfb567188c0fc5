"""Law 3 over generated layers: geometry that no table would list.

Sizes are guarded: TensorFlow can kill the process on an empty pooling output.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.reference import assert_same_numbers
from xconv.padding import effective
from xconv.spec import Example, Slot

few = settings(max_examples=25)
sides = st.integers(1, 4)
words = st.sampled_from(["valid", "same"])


def one_for_each(rank, numbers):
    return st.lists(numbers, min_size=rank, max_size=rank).map(tuple)


@st.composite
def images(draw, extents, channels, *, valid):
    """A shape in which each window of these extents fits; without padding it must not be larger than the image."""
    sizes = (draw(st.integers(extent if valid else 1, extent + 5)) for extent in extents)
    return (*sizes, channels)


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 2))
    kernel, padding = draw(one_for_each(rank, sides)), draw(words)
    strided = draw(st.booleans())
    strides = draw(one_for_each(rank, st.integers(1, 3))) if strided else (1,) * rank
    dilation = (1,) * rank if strided else draw(one_for_each(rank, st.integers(1, 3)))
    extents = [effective(k, d) for k, d in zip(kernel, dilation, strict=True)]
    if rank == 1 and draw(st.booleans()):
        padding = "causal"
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    shape = draw(images(extents, 2 * groups, valid=padding == "valid"))
    config = {"filters": 2 * groups, "kernel_size": kernel, "strides": strides, "dilation_rate": dilation}
    config |= {"padding": padding, "groups": groups, "use_bias": draw(st.booleans())}
    return Example(f"Conv{rank}D", (shape,), config, float64=draw(st.booleans()))


@st.composite
def depthwise(draw):
    kernel, padding, stride = draw(one_for_each(2, sides)), draw(words), draw(st.integers(1, 3))
    dilation = draw(one_for_each(2, st.integers(1, 2))) if stride == 1 else (1, 1)
    extents = [effective(k, d) for k, d in zip(kernel, dilation, strict=True)]
    shape = draw(images(extents, draw(st.integers(1, 3)), valid=padding == "valid"))
    config = {"kernel_size": kernel, "strides": stride, "padding": padding, "dilation_rate": dilation}
    return Example("DepthwiseConv2D", (shape,), {**config, "depth_multiplier": draw(st.integers(1, 3))})


@st.composite
def transposed(draw):
    """Keras lets a 'same' convolution of an even kernel have an output_padding of 0, which TensorFlow refuses."""
    rank, padding = draw(st.integers(1, 2)), draw(words)
    kernel, strides = draw(one_for_each(rank, sides)), draw(one_for_each(rank, st.integers(1, 3)))
    lowest = [int(padding == "same" and k % 2 == 0) for k in kernel]
    possible = all(low < s for low, s in zip(lowest, strides, strict=True))
    extra = None
    if possible and draw(st.booleans()):
        extra = tuple(draw(st.integers(low, s - 1)) for low, s in zip(lowest, strides, strict=True))
    config = {"filters": 2, "kernel_size": kernel, "strides": strides, "padding": padding, "output_padding": extra}
    return Example(f"Conv{rank}DTranspose", (draw(images((1,) * rank, 3, valid=True)),), config)


@st.composite
def poolings(draw):
    rank, padding, kind = draw(st.integers(1, 2)), draw(words), draw(st.sampled_from(["Max", "Average"]))
    window = draw(one_for_each(rank, sides))
    strides = draw(st.none() | one_for_each(rank, st.integers(1, 3)))
    config = {"pool_size": window, "strides": strides, "padding": padding}
    return Example(f"{kind}Pooling{rank}D", (draw(images(window, 2, valid=padding == "valid")),), config)


@st.composite
def batch_norms(draw):
    shape = tuple(draw(st.lists(sides, min_size=1, max_size=4)))
    config = {
        "axis": draw(st.sampled_from([-1, 1])),
        "scale": draw(st.booleans()),
        "center": draw(st.booleans()),
        "epsilon": draw(st.sampled_from([1e-3, 1e-5, 0.25])),
        "momentum": draw(st.floats(0.5, 0.999)),
    }
    return Example("BatchNormalization", (shape,), config)


@st.composite
def frames(draw):
    """Padding and cropping that leave a pixel."""
    rank, crops = draw(st.integers(1, 3)), draw(st.booleans())
    pairs = draw(one_for_each(rank, st.tuples(st.integers(0, 2), st.integers(0, 2))))
    shape = tuple(draw(st.integers(1, 4)) + (sum(pair) if crops else 0) for pair in pairs)
    kind = f"{'Cropping' if crops else 'ZeroPadding'}{rank}D"
    config = {"cropping" if crops else "padding": pairs[0] if rank == 1 else pairs}
    return Example(kind, ((*shape, 2),), config)


@st.composite
def denses(draw):
    shape = tuple(draw(st.lists(sides, min_size=1, max_size=3)))
    activation = draw(st.sampled_from([None, "relu", "softmax", "tanh"]))
    config = {"units": draw(st.integers(2, 4)), "use_bias": draw(st.booleans()), "activation": activation}
    return Example("Dense", (shape,), config)


@st.composite
def merges(draw):
    """Tensors of one shape, some with fewer axes or sizes of 1.

    No size is the batch's, 3: Keras 3.15 on an eager TensorFlow then takes a column of one number per sample for a
    bias and adds it along another axis (`keras.src.backend.tensorflow.numpy.add`).
    """
    shape = tuple(draw(st.lists(st.sampled_from([2, 4, 5]), min_size=1, max_size=3)))
    count = draw(st.integers(2, 3))
    kind = draw(st.sampled_from(["Add", "Multiply", "Average", "Maximum", "Minimum"]))
    shapes = [shape]
    for _ in range(count - 1):
        ones = [size if draw(st.booleans()) else 1 for size in shape]
        shapes.append(tuple(ones[draw(st.integers(0, len(ones) - 1)) :]))
    return Example(kind, tuple(shapes), args=([Slot(i) for i in range(count)],))


@few
@given(convolutions())
def test_convolutions(example):
    assert_same_numbers(example)


@few
@given(depthwise())
def test_depthwise_convolutions(example):
    assert_same_numbers(example)


@few
@given(transposed())
def test_transposed_convolutions(example):
    assert_same_numbers(example)


@few
@given(poolings())
def test_pooling(example):
    assert_same_numbers(example)


@few
@given(batch_norms(), st.booleans())
def test_batch_norm(example, training):
    assert_same_numbers(example, training=training)


@few
@given(frames())
def test_padding_and_cropping(example):
    assert_same_numbers(example)


@few
@given(denses())
def test_dense(example):
    assert_same_numbers(example)


@few
@given(merges())
def test_merging(example):
    assert_same_numbers(example)
