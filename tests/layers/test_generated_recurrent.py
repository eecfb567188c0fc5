"""Law 3 over generated recurrent layers: kinds, options, masks and states in combinations that no table would list."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.reference import assert_same_numbers
from xconv.layers.recurrent_examples import serialised
from xconv.padding import effective
from xconv.spec import Example, Slot

few = settings(max_examples=25)

KINDS = ("LSTM", "GRU", "SimpleRNN")
ACTIVATIONS = st.sampled_from(["tanh", "tanh", "tanh", "relu", "sigmoid", "softsign", "elu", "linear"])
GATES = st.sampled_from(["sigmoid", "sigmoid", "sigmoid", "tanh", "softsign"])
sizes = st.integers(1, 4)


def states_of(kind):
    return 2 if kind == "LSTM" else 1


def options(draw, kind, units):
    """What a cell and a layer have in common."""
    config = {"units": units, "activation": draw(ACTIVATIONS), "use_bias": draw(st.booleans())}
    if kind != "SimpleRNN":
        config["recurrent_activation"] = draw(GATES)
    if kind == "GRU":
        config["reset_after"] = draw(st.booleans())
    return config


def taken(draw, config):
    """How a layer reads its steps, and what it returns."""
    for key in ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask"):
        config[key] = draw(st.booleans())
    return config


def called(draw, steps, features, states):
    """Inputs and arguments of a call: perhaps a mask, perhaps initial states of these sizes, nested as they are."""
    inputs, words, kwargs = [(steps, features)], ["normal"], {}
    if draw(st.booleans()):
        inputs.append((steps,))
        words.append("boolean")
        kwargs["mask"] = Slot(1)
    if draw(st.booleans()):

        def slot(size):
            if isinstance(size, list):
                return [slot(item) for item in size]
            inputs.append((size,))
            words.append("normal")
            return Slot(len(inputs) - 1)

        kwargs["initial_state"] = [slot(size) for size in states]
    return tuple(inputs), " ".join(words), kwargs


@st.composite
def layers(draw):
    kind, units = draw(st.sampled_from(KINDS)), draw(sizes)
    config = taken(draw, options(draw, kind, units))
    inputs, values, kwargs = called(draw, draw(sizes), draw(sizes), [units] * states_of(kind))
    return Example(kind, inputs, config, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def unrolled(draw):
    """Unrolled, Keras repeats the output before a masked step where it should give zeros, so none asks for them."""
    example = draw(layers())
    config = {**example.config, "unroll": True, "zero_output_for_mask": False}
    return Example(example.kind, example.inputs, config, (), example.args, values=example.values, kwargs=example.kwargs)


@st.composite
def both_ways(draw):
    kind, units = draw(st.sampled_from(KINDS)), draw(sizes)
    config = {
        **options(draw, kind, units),
        "return_sequences": draw(st.booleans()),
        "return_state": draw(st.booleans()),
    }
    merge = draw(st.sampled_from(["concat", "sum", "mul", "ave", None]))
    inputs, values, kwargs = called(draw, draw(sizes), draw(sizes), [units] * (2 * states_of(kind)))
    whole = {"merge_mode": merge, "layer": serialised(kind, **config)}
    return Example("Bidirectional", inputs, whole, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def unlike_ways(draw):
    """Two layers of one size; Keras states the shape of the second as if it were the first."""
    ahead, back, units = draw(st.sampled_from(KINDS)), draw(st.sampled_from(KINDS)), draw(sizes)
    sequences, turned = draw(st.booleans()), draw(st.booleans())
    shared = {
        "return_sequences": sequences,
        "return_state": draw(st.booleans()) and states_of(ahead) == states_of(back),
    }
    first = serialised(ahead, **options(draw, ahead, units), **shared, go_backwards=turned)
    second = serialised(back, **options(draw, back, units), **shared, go_backwards=not turned)
    merge = draw(st.sampled_from(["concat", "sum", "mul", "ave", None]))
    whole = {"merge_mode": merge, "layer": first, "backward_layer": second}
    sizes_of_states = [units] * (states_of(ahead) + states_of(back))
    if states_of(ahead) != states_of(back):
        sizes_of_states = []
    inputs, values, kwargs = called(draw, draw(sizes), draw(sizes), sizes_of_states)
    if not kwargs.get("initial_state"):
        kwargs.pop("initial_state", None)
    return Example("Bidirectional", inputs, whole, (), (Slot(0),), values=values, kwargs=kwargs)


def cell_of(draw):
    """A cell and the sizes of its states."""
    kind, units = draw(st.sampled_from(KINDS)), draw(sizes)
    return serialised(f"{kind}Cell", **options(draw, kind, units)), [units] * states_of(kind)


@st.composite
def stacks(draw):
    """RNN around cells, some of them stacked in a stack.

    Such a stack is of two cells, for Keras takes the states of a lone one wrongly; and it cannot state their shapes.
    """
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        if parts and draw(st.booleans()):
            inner = [cell_of(draw), cell_of(draw)]
            parts.append(
                (serialised("StackedRNNCells", cells=[cell for cell, _ in inner]), [size for _, size in inner])
            )
        else:
            parts.append(cell_of(draw))
    whole, states = parts[0]
    if len(parts) > 1:
        whole, states = serialised("StackedRNNCells", cells=[cell for cell, _ in parts]), [size for _, size in parts]
    inputs, values, kwargs = called(draw, draw(sizes), draw(sizes), states)
    config = taken(draw, {"cell": whole})
    nests = len(parts) > 1 and any(cell["class_name"] == "StackedRNNCells" for cell, _ in parts)
    config["return_state"] = config["return_state"] and not nests
    return Example("RNN", inputs, config, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def cells(draw):
    kind, units = draw(st.sampled_from(KINDS)), draw(sizes)
    count = states_of(kind)
    args = (Slot(0), [Slot(place + 1) for place in range(count)])
    return Example(f"{kind}Cell", ((draw(sizes),), *((units,),) * count), options(draw, kind, units), (), args)


@st.composite
def convolutional(draw):
    rank, channels = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    strided, padding = draw(st.booleans()), draw(st.sampled_from(["valid", "same"]))
    stride = tuple(draw(st.integers(1, 2)) if strided else 1 for _ in range(rank))
    dilation = tuple(1 if strided else draw(st.integers(1, 2)) for _ in range(rank))
    extents = [effective(k, d) for k, d in zip(kernel, dilation, strict=True)]
    maps = tuple(draw(st.integers(extent, extent + 3)) for extent in extents)
    config = taken(draw, {"filters": draw(st.integers(1, 3)), "kernel_size": kernel, "strides": stride})
    config |= {"dilation_rate": dilation, "padding": padding, "use_bias": draw(st.booleans())}
    config |= {"activation": draw(ACTIVATIONS), "recurrent_activation": draw(GATES)}
    steps, masked = draw(st.integers(1, 3)), draw(st.booleans())
    inputs, values = ((steps, *maps, channels),), "normal"
    if masked:
        inputs, values = (*inputs, (steps,)), "normal boolean"
    kwargs = {"mask": Slot(1)} if masked else {}
    return Example(f"ConvLSTM{rank}D", inputs, config, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def distributed(draw):
    """A layer for every step."""
    steps, features = draw(st.integers(1, 4)), draw(sizes)
    kind = draw(st.sampled_from(["Dense", "Conv1D", "GlobalMaxPooling1D", "LayerNormalization", *KINDS]))
    shape: tuple[int, ...] = (steps, draw(st.integers(2, 5)), features)
    config = {
        "Dense": {"units": draw(sizes), "activation": draw(ACTIVATIONS)},
        "Conv1D": {"filters": draw(sizes), "kernel_size": 2, "padding": draw(st.sampled_from(["valid", "same"]))},
        "LayerNormalization": {"axis": draw(st.sampled_from([-1, 1]))},
    }
    chosen = config.get(kind, {})
    if kind in KINDS:
        chosen = {**options(draw, kind, draw(sizes)), "return_sequences": draw(st.booleans())}
    inputs, values, kwargs = (shape,), "normal", {}
    if kind in KINDS and draw(st.booleans()):
        inputs, values, kwargs = (shape, shape[:2]), "normal boolean", {"mask": Slot(1)}
    whole = {"layer": serialised(kind, **chosen)}
    return Example("TimeDistributed", inputs, whole, (), (Slot(0),), values=values, kwargs=kwargs)


@st.composite
def maskings(draw):
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 2)))
    return Example("Masking", (shape,), {"mask_value": float(draw(st.integers(0, 3)))}, values="integers")


@few
@given(layers())
def test_layers(example):
    assert_same_numbers(example, training=True)


@few
@given(unrolled())
def test_unrolled(example):
    assert_same_numbers(example)


@few
@given(both_ways())
def test_both_ways(example):
    assert_same_numbers(example)


@few
@given(unlike_ways())
def test_both_ways_of_unlike_layers(example):
    assert_same_numbers(example)


@few
@given(stacks())
def test_stacks_of_cells(example):
    assert_same_numbers(example)


@few
@given(cells())
def test_cells(example):
    assert_same_numbers(example)


@few
@given(convolutional())
def test_convolutional(example):
    assert_same_numbers(example)


@few
@given(distributed())
def test_every_step(example):
    assert_same_numbers(example)


@few
@given(maskings())
def test_masking(example):
    assert_same_numbers(example)
