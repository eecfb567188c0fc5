"""The cases of attention that its family is held to, in Keras's words and in torch's."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.spec import Example, Shape, Slot, TorchExample

__all__ = ["keras_examples", "scored_examples", "torch_examples"]

TWO, THREE = (Slot(0), Slot(1)), (Slot(0), Slot(1), Slot(2))


def _arrays(
    inputs: tuple[int, int, int], heads: tuple[int, int], lengths: tuple[int, int], output: Shape, gate: bool = False
) -> tuple[tuple[int, ...], ...]:
    """The shapes of the weights: of kernels and biases of query, key, (gate), value and output."""
    (query, key, value), (own, shared), (length, width) = inputs, heads, lengths
    cut = tuple(size for size in output if size is not None)
    found = [(query, own, length), (own, length), (key, shared, length), (shared, length)]
    found += [(query, own, width), (own, width)] if gate else []
    return (*found, (value, shared, width), (shared, width), (own, width, *cut), cut)


def keras_examples() -> Iterator[Example]:
    """Self and cross attention, heads of other lengths, masks of every kind, every option of both layers."""
    kind, same, self_, cross = "MultiHeadAttention", {"num_heads": 2, "key_dim": 4}, ((6, 8),) * 2, ((6, 8), (4, 8))
    plain = _arrays((8, 8, 8), (2, 2), (4, 4), (8,))
    yield Example(kind, self_, same, plain, TWO)
    wide = _arrays((8, 3, 5), (2, 2), (4, 5), (7,))
    wide = (*wide[:2], *_arrays((8, 5, 3), (2, 2), (4, 5), (7,))[2:])
    yield Example(kind, ((6, 8), (4, 3), (4, 5)), {**same, "value_dim": 5, "output_shape": [7]}, wide, THREE)
    yield Example(kind, cross, {**same, "use_bias": False}, plain[::2], TWO)
    yield Example(kind, cross, {**same, "output_shape": [2, 3]}, (*plain[:6], (2, 4, 2, 3), (2, 3)), TWO)
    gated = _arrays((8, 8, 8), (2, 2), (4, 3), (8,), gate=True)
    causal = {"use_causal_mask": True}
    yield Example(kind, self_, {**same, "value_dim": 3, "use_gate": True}, gated, TWO, kwargs=causal)
    yield Example(kind, cross, same, plain, TWO, kwargs=causal)
    yield Example(kind, cross, {**same, "sliding_window": 2}, plain, TWO)
    yield Example(kind, self_, {**same, "sliding_window": 3, "dropout": 0.2}, plain, TWO, trains=False, kwargs=causal)
    yield from _masked(same, plain)
    yield from _several_axes(same)
    yield from _grouped()


def _masked(config: dict[str, int], arrays: tuple[tuple[int, ...], ...]) -> Iterator[Example]:
    """Masks of truth values and of numbers, of which some queries see nothing."""
    kind, cross, causal = "MultiHeadAttention", ((6, 8), (4, 8)), {"use_causal_mask": True}
    given = {"attention_mask": Slot(2)}
    words = "normal normal boolean"
    yield Example(kind, (*cross, (6, 4)), config, arrays, TWO, values=words, kwargs=given)
    yield Example(kind, (*cross, (2, 6, 4)), config, arrays, TWO, values=words, kwargs={**given, **causal})
    yield Example(kind, (*cross, (6, 4)), config, arrays, TWO, values="normal normal integers", kwargs=given)
    steps = {"value_mask": Slot(2)}
    yield Example(kind, (*cross, (4,)), config, arrays, TWO, values=words, kwargs=steps)
    keys = {"value_mask": Slot(3), "key_mask": Slot(4), "attention_mask": Slot(5)}
    every = (*cross, (4, 8), (4,), (4,), (6, 4))
    truths = "normal normal normal boolean boolean boolean"
    yield Example(kind, every, config, arrays, THREE, values=truths, kwargs={**keys, **causal})
    dropped = {**config, "dropout": 0.3}
    yield Example(kind, (*cross, (6, 4)), dropped, arrays, TWO, trains=False, values=words, kwargs=given)


def _several_axes(config: dict[str, int]) -> Iterator[Example]:
    """Images attended over as a whole and row by row, with the weights returned, with masks."""
    kind, arrays = "MultiHeadAttention", _arrays((8, 8, 8), (2, 2), (4, 4), (8,))
    scores, maps = {"return_attention_scores": True}, ((3, 5, 8), (3, 5, 8))
    yield Example(kind, ((6, 8), (6, 8)), config, arrays, TWO, kwargs={**scores, "use_causal_mask": True})
    yield Example(kind, maps, config, arrays, TWO)
    yield Example(kind, maps, {**config, "attention_axes": [2]}, arrays, TWO)
    mask = {"attention_mask": Slot(2)}
    words = "normal normal boolean"
    yield Example(kind, (*maps, (3, 5, 3, 5)), config, arrays, TWO, values=words, kwargs=mask)
    sequences = ((6, 8), (6, 8), (6, 6))
    yield Example(kind, sequences, config, arrays, TWO, values=words, kwargs={**scores, **mask})


def _grouped() -> Iterator[Example]:
    """Heads of queries that share heads of keys and values; a mask of numbers between 0 and 1."""
    kind, config = "GroupQueryAttention", {"head_dim": 4, "num_query_heads": 6, "num_key_value_heads": 2}
    arrays = _arrays((8, 8, 8), (6, 2), (4, 4), (8,))
    cross, causal, mask = ((6, 8), (4, 8)), {"use_causal_mask": True}, {"attention_mask": Slot(2)}
    yield Example(kind, cross, config, arrays, TWO)
    yield Example(kind, cross, {**config, "use_bias": False, "sliding_window": 3}, arrays[::2], TWO, kwargs=causal)
    gated = _arrays((8, 8, 8), (6, 2), (4, 4), (8,), gate=True)
    yield Example(kind, cross, {**config, "use_gate": True}, gated, TWO, kwargs={"return_attention_scores": True})
    words = "normal normal boolean boolean boolean"
    steps = {"query_mask": Slot(2), "value_mask": Slot(3), "attention_mask": Slot(4)}
    yield Example(kind, (*cross, (6,), (4,), (6, 4)), config, arrays, TWO, values=words, kwargs=steps)
    numbers = {**mask, "return_attention_scores": True}
    yield Example(kind, (*cross, (6, 4)), config, arrays, TWO, values="normal normal unit", kwargs=numbers)
    yield Example(kind, (*cross, (6, 4)), config, arrays, TWO, values="normal normal integers", kwargs=mask)
    dropped = {**config, "dropout": 0.3}
    yield Example(kind, (*cross, (6, 4)), dropped, arrays, TWO, trains=False, values="normal normal unit", kwargs=mask)


def scored_examples() -> Iterator[Example]:
    """Attention, AdditiveAttention and ops.dot_product_attention: scores of every kind, masks, what is returned."""
    two, three = ([Slot(0), Slot(1)],), ([Slot(0), Slot(1), Slot(2)],)
    cross, own = ((6, 5), (4, 5)), ((6, 5), (4, 3), (4, 5))
    yield Example("Attention", cross, args=two)
    yield Example("Attention", own, {"use_scale": True}, ((),), three, kwargs={"use_causal_mask": True})
    concat = {"score_mode": "concat"}
    yield Example("Attention", own, {**concat, "use_scale": True}, ((), ()), three)
    yield Example("Attention", cross, concat, ((),), two, kwargs={"return_attention_scores": True})
    both, words = {"mask": [Slot(2), Slot(3)]}, "normal normal boolean boolean"
    every = {**both, "use_causal_mask": True, "return_attention_scores": True}
    for options in (both, every):
        yield Example("Attention", (*cross, (6,), (4,)), {"use_scale": True}, ((),), two, values=words, kwargs=options)
    steps = {"mask": [None, Slot(2)]}
    yield Example("Attention", (*cross, (4,)), {}, (), two, values="normal normal boolean", kwargs=steps)
    yield Example(
        "Attention", (*cross, (4,)), {"dropout": 0.3}, (), two, False, values="normal normal boolean", kwargs=steps
    )
    queries = {"mask": [Slot(2), None]}
    yield Example("Attention", (*cross, (6,)), {}, (), two, values="normal normal boolean", kwargs=queries)
    yield Example("AdditiveAttention", own, {}, ((5,),), three)
    options = {**both, "return_attention_scores": True}
    yield Example("AdditiveAttention", (*cross, (6,), (4,)), {}, ((5,),), two, values=words, kwargs=options)
    yield Example("AdditiveAttention", cross, {"use_scale": False}, (), two, kwargs={"use_causal_mask": True})
    yield from _products()


def _products() -> Iterator[Example]:
    """ops.dot_product_attention over (steps, heads, length)."""
    kind, cross = "ops.DotProductAttention", ((6, 2, 4), (5, 2, 4), (5, 2, 4))
    yield Example(kind, cross, {"is_causal": True}, args=THREE)
    yield Example(kind, ((6, 4, 4), (5, 2, 4), (5, 2, 4)), {}, args=THREE, kwargs={"scale": 0.25})
    bias, mask = {"bias": Slot(3)}, {"mask": Slot(3)}
    yield Example(kind, (*cross, (2, 6, 5)), {"is_causal": True}, args=THREE, kwargs=bias)
    words = "normal normal normal boolean"
    yield Example(kind, (*cross, (1, 6, 5)), {}, args=THREE, values=words, kwargs=mask)
    yield Example(kind, (*cross, (2, 6, 5)), {"is_causal": True}, args=THREE, values=words, kwargs=mask)


def torch_examples() -> Iterator[TorchExample]:
    """Self and cross attention, with and without the weights, joint and separate projections, whole blocks."""
    same, cross = (Slot(0), Slot(0), Slot(0)), THREE
    target, heads = "torch.nn.MultiheadAttention", {"embed_dim": 8, "num_heads": 2, "batch_first": True}
    for options in ({}, {"bias": False}):
        yield TorchExample(target, ((6, 8),), {**heads, **options}, same, {"need_weights": False})
    yield TorchExample(target, ((6, 8),), heads, same)
    apart = {**heads, "kdim": 5, "vdim": 3}
    yield TorchExample(target, ((6, 8), (4, 5), (4, 3)), apart, cross, {"need_weights": False})
    yield TorchExample(target, ((6, 8), (4, 5), (4, 3)), {**apart, "add_bias_kv": True}, cross)
    block = {"d_model": 8, "nhead": 2, "dim_feedforward": 7, "dropout": 0.0, "batch_first": True}
    yield TorchExample("torch.nn.TransformerEncoderLayer", ((6, 8),), block)
    yield TorchExample("torch.nn.TransformerDecoderLayer", ((6, 8), (4, 8)), {**block, "norm_first": True})
