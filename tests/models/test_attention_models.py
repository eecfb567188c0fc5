"""Transformers with masks and padding, both ways, exact in float64; what Keras makes of masks at run time."""

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from tests.comparison import assert_same

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SOURCE = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 1, 2, 3], [0] * 6])
TARGET = np.array([[1, 2, 0, 0, 0], [3, 3, 3, 3, 3], [0] * 5])
"""Padded at the end, whole, and nothing but padding."""


def encoder_decoder():
    """One layer that encodes and two that decode, which look at the padding as far as Keras does."""
    source, target = (keras.Input((n,), dtype="int32", name=name) for n, name in ((6, "source"), (5, "target")))
    seen = layers.Embedding(7, 8, mask_zero=True, name="words")(source)
    seen = layers.Add()([seen, layers.MultiHeadAttention(2, 4, name="self")(seen, seen)])
    seen = layers.LayerNormalization(name="seen")(seen)
    x = layers.Embedding(7, 8, mask_zero=True, name="said")(target)
    for place in range(2):
        causal = layers.MultiHeadAttention(2, 4, name=f"causal{place}")(x, x, use_causal_mask=True)
        x = layers.LayerNormalization(name=f"norm{place}")(layers.Add()([x, causal]))
        cross = layers.MultiHeadAttention(2, 4, dropout=0.1, name=f"cross{place}")(x, seen)
        x = layers.LayerNormalization(name=f"out{place}")(layers.Add()([x, cross]))
        x = layers.Dropout(0.1)(x)
    grouped = layers.GroupQueryAttention(4, 4, 2, name="grouped")(x, seen)
    dot = layers.Attention(use_scale=True, name="dot")([x, grouped])
    model = keras.Model([source, target], [layers.Dense(7, name="logits")(x), dot])
    xconv.randomize(model)
    return model


@pytest.fixture(scope="module")
def model():
    return encoder_decoder()


def assert_exact(reference, other, inputs):
    report = xconv.verify(reference, other, inputs=inputs)
    assert report.verdict == "exact", str(report)


def test_an_encoder_and_decoder_of_keras_is_exact(model):
    assert_exact(model, xconv.keras_to_torch(model), [SOURCE, TARGET])


def test_so_is_its_file(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    module = xconv.keras_to_torch(path).eval()
    expected = model([SOURCE, TARGET], training=False)
    for got, want in zip(module(torch.tensor(SOURCE), torch.tensor(TARGET)), expected, strict=True):
        assert_same(got.detach(), want, relative=1e-5)


def test_there_and_back(model):
    module = xconv.keras_to_torch(model)
    back = xconv.torch_to_keras(module)
    assert_exact(module, back, [SOURCE, TARGET])
    kinds = [type(layer).__name__ for layer in back.layers]
    assert kinds.count("MultiHeadAttention") == 5
    assert kinds.count("GroupedQueryAttention") == 1


def test_every_attention_of_a_keras_file_is_named_and_saved(tmp_path):
    x, y = keras.Input((5, 8), name="x"), keras.Input((4, 8), name="y")
    gated = layers.MultiHeadAttention(2, 4, use_gate=True, sliding_window=2, name="gated")(x, y)
    shared = layers.GroupQueryAttention(4, 4, 2, use_gate=True, name="shared")(gated, y)
    vectors = layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="e", name="heads")(shared)
    spectral = layers.SpectralNormalization(layers.Dense(3), name="spectral")(vectors)
    model = keras.Model([x, y], layers.AdditiveAttention(name="sums")([shared, y]) + 0.0)
    model = keras.Model([x, y], [model.output, spectral])
    xconv.randomize(model)
    module = xconv.keras_to_torch(model)
    model.save(tmp_path / "saved.keras")
    again = xconv.keras_to_torch(tmp_path / "saved.keras")
    for name, tensor in module.state_dict().items():
        assert_same(again.state_dict()[name], tensor, relative=0)
    arrays = [np.random.default_rng(i).normal(size=(3, n, 8)).astype("float32") for i, n in enumerate((5, 4))]
    assert_exact(model, again, arrays)


def test_a_mask_given_for_the_query_counts_as_in_keras():
    """MultiHeadAttention looks at the query's own mask alone, GroupQueryAttention at the one that it is given."""
    x, mask = keras.Input((5, 8), name="x"), keras.Input((5,), dtype="bool", name="mask")
    options = {"query_mask": mask, "value_mask": mask}
    several = layers.MultiHeadAttention(2, 4)(x, x, **options)
    shared = layers.GroupQueryAttention(4, 2, 1)(x, x, **options)
    model = keras.Model([x, mask], [several, shared])
    xconv.randomize(model)
    arrays = [np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32"), TARGET > 0]
    assert_exact(model, xconv.keras_to_torch(model), arrays)


def test_a_layer_finds_no_mask_where_an_earlier_one_took_it():
    ids = keras.Input((5,), dtype="int32", name="ids")
    x = layers.Embedding(7, 8, mask_zero=True)(ids)
    first = layers.MultiHeadAttention(2, 4, name="first")(x, x)
    second = layers.MultiHeadAttention(2, 4, name="second")(layers.Dense(8)(first), x)
    model = keras.Model(ids, [first, second])
    xconv.randomize(model)
    assert_exact(model, xconv.keras_to_torch(model), [TARGET])


SCALED = {
    "scores": lambda x, _: layers.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True)[1],
    "shared heads": lambda x, _: layers.GroupQueryAttention(3, 4, 2)(x, x),
    "the operation": lambda _, p: keras.ops.dot_product_attention(p, p, p),
    "its own scale": lambda _, p: keras.ops.dot_product_attention(p, p, p, is_causal=True, scale=0.3),
}


@pytest.mark.parametrize("name", SCALED)
def test_a_scale_that_tensorflow_rounds_is_told(name):
    x, p = keras.Input((5, 6), name="x"), keras.Input((5, 4, 3), name="p")
    model = keras.Model([x, p], [SCALED[name](x, p), layers.Dense(2)(x), p * 2.0])
    xconv.randomize(model)
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert "float32 constants" in str(report), str(report)


class Called(nn.Module):
    """Attention, called in some way, with masks that it holds."""

    def __init__(self, call, held=None, **parts):
        super().__init__()
        self.call = call
        self.register_buffer("mask", held)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *tensors):
        return self.call(self, *tensors)


def attention(**options):
    return nn.MultiheadAttention(8, 2, **{"batch_first": True, **options})


BLOCK = {"d_model": 8, "nhead": 2, "dim_feedforward": 7, "batch_first": True, "dropout": 0.1}
CAUSAL = nn.Transformer.generate_square_subsequent_mask(6)
SOME = torch.tensor([[False, True, False, True, True, False]] * 6).triu() & ~torch.eye(6, dtype=torch.bool)
NUMBERS = torch.linspace(-2, 2, 36).reshape(6, 6)
X, Y = torch.randn(3, 6, 8), torch.randn(3, 4, 8)
PADS = torch.tensor([[0, 0, 0, 0, 1, 1], [0] * 6, [0, 1, 0, 1, 0, 1]]).bool()

CASES = {
    "a causal hint": (lambda m, x: m.a(x, x, x, attn_mask=m.mask, is_causal=True, need_weights=False)[0], CAUSAL, (X,)),
    "numbers, weights too": (lambda m, x: m.a(x, x, x, attn_mask=m.mask), NUMBERS, (X,)),
    "truth values": (lambda m, x: m.a(x, x, x, attn_mask=m.mask, need_weights=False)[0], SOME, (X,)),
    "padding": (lambda m, x, p: m.a(x, x, x, key_padding_mask=p, need_weights=False)[0], None, (X, PADS)),
    "padding, weights": (lambda m, x, p: m.a(x, x, x, key_padding_mask=p), None, (X, PADS)),
    "padding, all weights": (
        lambda m, x, p: m.a(x, x, x, key_padding_mask=p, average_attn_weights=False),
        None,
        (X, PADS),
    ),
    "padding and a mask": (
        lambda m, x, y, p: m.a(x, y, y, key_padding_mask=p, attn_mask=m.mask, need_weights=False)[0],
        SOME[:, :4].contiguous(),
        (X, Y, PADS[:, :4].contiguous()),
    ),
    "padding of numbers": (lambda m, x, p: m.a(x, x, x, key_padding_mask=p)[0], None, (X, torch.randn(3, 6))),
    "a mask for each head": (
        lambda m, x, n: m.a(x, x, x, attn_mask=n.repeat_interleave(2, 0), need_weights=False)[0],
        None,
        (X, torch.randn(3, 6, 6)),
    ),
}


def assert_exact_in_keras(module, inputs):
    xconv.randomize(module, 0, inputs=inputs)
    module.eval()
    model = xconv.torch_to_keras(module, inputs)
    assert_exact(module, model, [tensor.numpy() for tensor in inputs])
    return model


@pytest.mark.parametrize("name", CASES)
def test_attention_of_torch_with_masks(name):
    call, held, inputs = CASES[name]
    assert_exact_in_keras(Called(call, held, a=attention()), inputs)


@pytest.mark.parametrize("options", [{"add_zero_attn": True}, {"add_bias_kv": True}, {"kdim": 5, "vdim": 3}], ids=str)
def test_attention_of_torch_with_options(options):
    narrow = (torch.randn(3, 4, 5), torch.randn(3, 4, 3)) if "kdim" in options else (Y, Y)
    assert_exact_in_keras(Called(lambda m, x, k, v: m.a(x, k, v)[0], a=attention(**options)), (X, *narrow))


def test_attention_of_torch_with_time_first():
    def call(module, x, pads):
        turned = x.transpose(0, 1)
        return module.a(turned, turned, turned, key_padding_mask=pads, need_weights=False)[0].transpose(0, 1)

    assert_exact_in_keras(Called(call, a=attention(batch_first=False)), (X, PADS))


def test_an_encoder_and_decoder_of_torch_is_exact():
    """Stacks with masks and padding, also of a source that is nothing but padding in some places."""

    def call(module, x, y, pads):
        memory = module.encoder(x, src_key_padding_mask=pads)
        return module.decoder(y, memory, tgt_mask=module.mask, memory_key_padding_mask=pads)

    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**BLOCK), 2, enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**BLOCK, norm_first=True), 2, nn.LayerNorm(8))
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    assert_exact_in_keras(Called(call, mask, encoder=encoder, decoder=decoder), (X, Y, PADS))


def test_a_whole_transformer_with_causal_targets():
    def call(module, x, y):
        return module.whole(x, y, tgt_mask=module.mask, tgt_is_causal=True)

    mask = nn.Transformer.generate_square_subsequent_mask(4)
    whole = nn.Transformer(8, 2, 1, 1, 7, batch_first=True)
    model = assert_exact_in_keras(Called(call, mask, whole=whole), (X, Y))
    assert [type(layer).__name__ for layer in model.layers].count("MultiHeadAttention") == 3


def test_kernels_of_torch_with_a_scale_and_shared_heads():
    def call(_, query, key, mask):
        attend = nn.functional.scaled_dot_product_attention
        return attend(query, key, key, attn_mask=mask, scale=0.3, enable_gqa=True)

    heads = torch.randn(3, 4, 6, 8), torch.randn(3, 2, 5, 8), torch.rand(3, 1, 6, 5) > 0.7
    assert_exact_in_keras(Called(call), heads)
