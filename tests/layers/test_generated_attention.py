"""Law 3 over generated attention, einsums and normalisations: shapes and options that no table would list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.reference import assert_same_numbers
from xconv.spec import Example, Slot

few = settings(max_examples=25)
small, several = st.integers(1, 4), st.integers(2, 4)
lengths = st.sampled_from([1, 4, 16])
"""Lengths of heads whose root has no rounding: TensorFlow takes it in float32."""

# Keras 3.15 on TensorFlow takes a second summand with one axis that is not 1 for a bias of the last axis or of axis 1
# where the sizes match, whichever axis it is (`keras.src.backend.tensorflow.numpy.add`): sizes here never do.

pytestmark = [
    pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning"),
]


@st.composite
def masks(draw, queries, keys, *, heads, roles):
    """Some masks of an attention: their shapes, and the words for what they hold.

    Keras joins a mask for each head with no other mask. With `heads` 0, there is none.
    """
    found = {}
    for role in roles:
        if draw(st.booleans()):
            found[role] = ((queries if role == "query_mask" else keys,), "boolean")
    if draw(st.booleans()):
        shape = draw(st.sampled_from([(queries, keys), (1, keys), (queries, 1), (queries, keys)]))
        front = (draw(st.sampled_from([1, heads])),) if heads and not found and draw(st.booleans()) else ()
        found["attention_mask"] = ((*front, *shape), draw(st.sampled_from(["boolean", "integers"])))
    return found


def called(kind, shapes, config, given, options, *, args, trains=True):
    """The example of a call with masks behind the other tensors."""
    words = ["normal"] * len(shapes) + [word for _, word in given.values()]
    kwargs = {name: Slot(len(shapes) + place) for place, name in enumerate(given)}
    shapes = (*shapes, *(shape for shape, _ in given.values()))
    return Example(kind, shapes, config, args=args, trains=trains, values=" ".join(words), kwargs={**kwargs, **options})


@st.composite
def multi_head_attentions(draw):
    queries, keys, features = draw(small), draw(small), draw(small)
    heads, dropout = draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.0, 0.2]))
    config = {"num_heads": heads, "key_dim": draw(st.sampled_from([4, 16])), "value_dim": draw(st.none() | several)}
    config |= {"use_bias": draw(st.booleans()), "use_gate": draw(st.booleans()), "dropout": dropout}
    config |= {"output_shape": draw(st.none() | small | st.tuples(several, several))}
    config |= {
        "sliding_window": draw(st.none() | st.integers(1, 3)),
        "attention_axes": draw(st.sampled_from([None, 1])),
    }
    options = {"use_causal_mask": draw(st.booleans())}
    options |= {"return_attention_scores": draw(st.booleans())} if queries == keys else {}
    shapes = [(queries, features), (keys, draw(small))]
    roles = ["value_mask"]
    if draw(st.booleans()):
        shapes.append((keys, draw(small)))
        roles.append("key_mask")
    plain = not options["use_causal_mask"] and config["sliding_window"] is None
    given = draw(masks(queries, keys, heads=heads if plain else 0, roles=roles))
    slots = tuple(Slot(place) for place in range(len(shapes)))
    return called("MultiHeadAttention", tuple(shapes), config, given, options, args=slots, trains=not dropout)


@st.composite
def attention_over_axes(draw):
    """Images, over both axes or one of them."""
    over = draw(st.sampled_from([None, (1, 2), (2,), (1,), (-2,)]))
    height, width = draw(small), draw(small)
    keys = [height, width]
    for axis in {None: (1, 2), (-2,): (2,)}.get(over, over):
        keys[axis - 1] = draw(small)
    config = {"num_heads": draw(st.integers(1, 2)), "key_dim": 4, "attention_axes": over}
    shapes = ((height, width, 3), (*keys, 2))
    return Example("MultiHeadAttention", shapes, config, args=(Slot(0), Slot(1)))


@st.composite
def grouped_attentions(draw):
    queries, keys, features, shared = draw(small), draw(small), draw(small), draw(st.integers(1, 2))
    config = {
        "head_dim": draw(st.sampled_from([4, 16])),
        "num_key_value_heads": shared,
        "num_query_heads": shared * draw(small),
    }
    config |= {"use_bias": draw(st.booleans()), "use_gate": draw(st.booleans())}
    config |= {"sliding_window": draw(st.none() | st.integers(1, 3))}
    options = {"use_causal_mask": draw(st.booleans()), "return_attention_scores": draw(st.booleans())}
    shapes = ((queries, features), (keys, features))
    plain = not options["use_causal_mask"] and config["sliding_window"] is None
    heads = config["num_query_heads"] if plain else 0
    given = draw(masks(queries, keys, heads=heads, roles=["query_mask", "value_mask"]))
    return called("GroupQueryAttention", shapes, config, given, options, args=(Slot(0), Slot(1)))


@st.composite
def plain_attentions(draw):
    """Attention and AdditiveAttention, over sequences."""
    kind = draw(st.sampled_from(["Attention", "Attention", "AdditiveAttention"]))
    queries, keys, features = draw(small), draw(small), draw(several)
    config = {"use_scale": draw(st.booleans())}
    if kind == "Attention":
        config["score_mode"] = draw(st.sampled_from(["dot", "concat"]))
    shapes = [(queries, features), (keys, draw(small)), (keys, features)]
    if draw(st.booleans()):
        shapes = [(queries, features), (keys, features)]
    listed = [Slot(place) for place in range(len(shapes))]
    words, given = ["normal"] * len(shapes), [None] * len(shapes)
    for place, size in enumerate((queries, keys)):
        if draw(st.booleans()):
            given[place] = Slot(len(words))
            shapes.append((size,))
            words.append("boolean")
    options = {"use_causal_mask": draw(st.booleans()), "return_attention_scores": draw(st.booleans())}
    options |= {"mask": given} if any(given) else {}
    return Example(kind, tuple(shapes), config, args=(listed,), values=" ".join(words), kwargs=options)


@st.composite
def dot_products(draw):
    """ops.dot_product_attention; TensorFlow adds a bias and looks at a mask, each of its own shape."""
    queries, keys, shared = draw(small), draw(small), draw(st.integers(2, 3))
    heads, length = shared * draw(st.integers(1, 2)), draw(lengths)
    shapes = [(queries, heads, length), (keys, shared, length), (keys, shared, length)]
    words, options = ["normal"] * 3, {}
    for role, word in (("bias", "normal"), ("mask", "boolean")):
        if draw(st.booleans()):
            options[role] = Slot(len(shapes))
            shapes.append((draw(st.sampled_from([1, heads])), queries, keys))
            words.append(word)
    options |= {"scale": draw(st.sampled_from([None, 0.5, 2.0]))}
    slots = (Slot(0), Slot(1), Slot(2))
    config = {"is_causal": draw(st.booleans())}
    return Example("ops.DotProductAttention", tuple(shapes), config, args=slots, values=" ".join(words), kwargs=options)


@st.composite
def einsums(draw):
    """EinsumDense: some letters of the input are summed, some stay, new ones come, in any order."""
    rank = draw(st.integers(1, 3))
    entering = "bcd"[:rank]
    summed = "".join(x for x in entering if draw(st.booleans()))
    new = "xyz"[: draw(st.integers(0, 2))]
    stays = "".join(x for x in entering if x not in summed)
    shared = "".join(x for x in stays if draw(st.booleans()))
    kernel = draw(st.permutations(summed + shared + new)) if summed + shared + new else ["x"]
    new = new or ("x" if kernel == ["x"] else "")
    result = "".join(draw(st.permutations(stays + new))) if stays + new else ""
    if not result:
        result, kernel = "x", [*kernel, "x"]
    sizes = dict(zip("bcdxyz", draw(st.permutations([1, 2, 4, 5, 6, 7])), strict=True))
    axes = "".join(x for x in result if draw(st.booleans()))
    config = {"equation": f"a{entering},{''.join(kernel)}->a{result}", "bias_axes": axes or None}
    config |= {"output_shape": tuple(sizes[x] for x in result), "activation": draw(st.sampled_from([None, "tanh"]))}
    return Example("EinsumDense", (tuple(sizes[x] for x in entering),), config)


@st.composite
def elided_einsums(draw):
    """EinsumDense with an ellipsis on either side."""
    left = draw(st.booleans())
    sizes = tuple(draw(st.lists(st.sampled_from([1, 2, 4, 5]), min_size=2, max_size=3, unique=True)))
    equation = draw(st.sampled_from(["...c,cx->...x", "...c,xc->...x", "...c,c->...c"])) if left else "ac...,cx->ax..."
    kept = equation.endswith("->...c")
    units = sizes[-1] if kept else draw(st.integers(6, 7))
    bias = draw(st.sampled_from([None, "c" if kept else "x"]))
    return Example("EinsumDense", (sizes,), {"equation": equation, "output_shape": units, "bias_axes": bias})


@st.composite
def softmaxes(draw):
    shape = tuple(draw(st.lists(small, min_size=1, max_size=3)))
    places = st.lists(st.integers(1, len(shape)), min_size=1, unique=True)
    config = {"axis": draw(st.integers(1, len(shape)) | places)}
    if not draw(st.booleans()):
        return Example("Softmax", (shape,), config)
    sizes = tuple(size if draw(st.booleans()) else 1 for size in shape)
    words = f"normal {draw(st.sampled_from(['boolean', 'unit', 'integers']))}"
    return Example("Softmax", (shape, sizes), config, args=(Slot(0),), values=words, kwargs={"mask": Slot(1)})


@st.composite
def norms(draw):
    """Every normalisation over some axes."""
    kind = draw(st.sampled_from(["LayerNormalization", "RMSNormalization", "UnitNormalization", "GroupNormalization"]))
    shape = tuple(draw(st.lists(st.integers(2, 4), min_size=1 if kind != "GroupNormalization" else 2, max_size=3)))
    places = sorted(draw(st.sets(st.integers(1, len(shape)), min_size=1)))
    epsilon = draw(st.sampled_from([1e-3, 1e-6, 0.25]))
    if kind == "UnitNormalization":
        return Example(kind, (shape,), {"axis": places})
    if kind == "RMSNormalization":
        count = draw(st.integers(1, len(shape)))
        last = list(range(len(shape) - count + 1, len(shape) + 1))
        return Example(kind, (shape,), {"axis": draw(st.sampled_from([last, -1])), "epsilon": epsilon})
    config = {"epsilon": epsilon, "scale": draw(st.booleans()), "center": draw(st.booleans())}
    if kind == "GroupNormalization":
        axis = draw(st.integers(1, len(shape)))
        groups = draw(st.sampled_from([-1, *(n for n in range(1, 5) if shape[axis - 1] % n == 0)]))
        return Example(kind, (shape,), {**config, "axis": axis, "groups": groups})
    if draw(st.booleans()):
        return Example(kind, (shape,), {"axis": places, "epsilon": epsilon, "rms_scaling": True})
    return Example(kind, (shape,), {**config, "axis": places})


@st.composite
def spectral_norms(draw):
    """SpectralNormalization around a layer with a kernel."""
    name = draw(st.sampled_from(["Dense", "Conv1D", "DepthwiseConv1D", "Conv1DTranspose"]))
    options = {"use_bias": draw(st.booleans()), "activation": draw(st.sampled_from(["linear", "tanh"]))}
    sized = {"DepthwiseConv1D": "depth_multiplier", "Dense": "units"}.get(name, "filters")
    options |= {sized: draw(small)} | ({} if name == "Dense" else {"kernel_size": draw(small), "padding": "same"})
    held = {"module": "keras.layers", "class_name": name, "config": options, "registered_name": None}
    config = {"layer": held, "power_iterations": draw(st.integers(1, 3))}
    return Example("SpectralNormalization", ((draw(st.integers(4, 6)), draw(st.integers(2, 3))),), config)


@few
@given(multi_head_attentions())
def test_multi_head_attention(example):
    assert_same_numbers(example)


@few
@given(attention_over_axes())
def test_attention_over_axes(example):
    assert_same_numbers(example)


@few
@given(grouped_attentions())
def test_grouped_attention(example):
    assert_same_numbers(example)


@few
@given(plain_attentions())
def test_plain_attention(example):
    assert_same_numbers(example)


@few
@given(dot_products())
def test_dot_products(example):
    assert_same_numbers(example)


@few
@given(einsums())
def test_einsums(example):
    assert_same_numbers(example)


@few
@given(elided_einsums())
def test_elided_einsums(example):
    assert_same_numbers(example)


@few
@given(softmaxes())
def test_softmax(example):
    assert_same_numbers(example)


@few
@given(norms())
def test_norms(example):
    assert_same_numbers(example, training=True)


@few
@given(spectral_norms())
def test_spectral_norms(example):
    assert_same_numbers(example, training=True)
