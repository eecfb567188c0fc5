"""Keras's Attention, AdditiveAttention and ops.dot_product_attention as what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from string import ascii_lowercase

from xconv.axes import move_axis
from xconv.errors import Mismatch, Unsupported
from xconv.layers.activation import Activation
from xconv.layers.dropout import Dropout
from xconv.layers.elementwise import Elementwise
from xconv.layers.expand import ExpandDims
from xconv.layers.io import Variable
from xconv.layers.matmul import Einsum
from xconv.layers.reduce import Reduce
from xconv.layers.reshape import Permute
from xconv.layers.softmax import Softmax
from xconv.layers.steps import Steps, Taken
from xconv.layers.tile import Along
from xconv.layers.triangle import Triangle
from xconv.layers.unary import Unary
from xconv.layers.where import Where
from xconv.spec import KerasLayer, Op, Slot, Spec, Weights

__all__ = ["CONSTANT_MASKS", "dot_product_attention", "scored_attention"]

CONSTANT_MASKS = "masks that are constants"
"""What every layer of attention refuses."""

MASKED = -1e9
"""What Keras's layers add to the score of a key that is masked."""

NOWHERE = -0.7 * 3.38953e38
"""What ops.dot_product_attention puts in the place of a masked score."""

PAIR = Slot(0), Slot(1)

Fast = Callable[[float, bool], Spec]
"""The attention that torch has a kernel for, by its scale and whether it is causal."""


def scored_attention(layer: KerasLayer, fast: Fast) -> Sequence[Op]:
    """Scores of queries and keys, masked by the values' mask, and the values by their softmax."""
    query, value, key = _three(layer)
    masks = layer.argument(1, "mask") or (None, None)
    _check_tensors(layer, masks)
    layer.get("seed")
    rate, mode = float(layer.get("dropout") or 0.0), layer.get("score_mode", "dot")
    wanted = bool(layer.argument(3, "return_attention_scores", False))
    causal = bool(layer.argument(4, "use_causal_mask", False))
    weights = _weights(layer, mode)
    rank = len(layer.inputs[query.index])
    steps, lead = Steps(), ascii_lowercase[: rank - 2]
    if layer.kind == "Attention" and mode == "dot" and masks[1] is None and not (rate or wanted):
        scaled: Taken = query
        if weights:
            scaled = steps.add(Elementwise("multiply", PAIR), query, _free(steps, "scale", weights), name="scaled")
        mixed = steps.add(fast(1.0, causal), scaled, key, value)
        return _queried(steps, mixed, masks[0], rank)
    if mode == "dot" and layer.kind == "Attention":
        scores: Taken = steps.add(Einsum(f"{lead}xy,{lead}zy->{lead}xz"), query, key, name="scores")
        if weights:
            scores = steps.add(Elementwise("multiply", PAIR), scores, _free(steps, "scale", weights), name="scaled")
    else:
        scores = _sum_scores(steps, layer.kind, query, key, weights, rank)
    mask = _looks(steps, scores, masks[1], len(layer.inputs[masks[1].index]) if masks[1] else 0, causal)
    if mask is not None:
        away = steps.add(Elementwise("add", (Slot(0), MASKED)), scores, name="away")
        scores = steps.add(Where(Slot(1), Slot(2)), mask, scores, away, name="masked")
    shares = steps.add(Softmax(-1), scores, name="weights")
    if rate:
        shares = steps.add(Dropout(rate), shares, name="dropout")
    mixed = steps.add(Einsum(f"{lead}xz,{lead}zy->{lead}xy"), shares, value, name="sum" if masks[0] else "")
    ops = _queried(steps, mixed, masks[0], rank)
    return (*ops[:-1], replace(ops[-1], returns=(type(shares)(len(ops) - 1), shares))) if wanted else ops


def _three(layer: KerasLayer) -> tuple[Slot, Slot, Slot]:
    """Queries, values and keys, which are the values where there are none."""
    given = layer.argument(0, "inputs")
    if not isinstance(given, (list, tuple)) or not 2 <= len(given) <= 3:
        raise Mismatch(f"{layer.kind} is not called on a list [query, value] or [query, value, key]")
    _check_tensors(layer, given)
    query, value, *rest = given
    return query, value, rest[0] if rest and rest[0] is not None else value


def _check_tensors(layer: KerasLayer, items: Sequence[object]) -> None:
    """Refuse constants among the tensors."""
    if not all(item is None or isinstance(item, Slot) for item in items):
        raise Unsupported(f"{layer.kind} on a constant", remedy="compute it from an input")


def _weights(layer: KerasLayer, mode: str) -> Weights:
    """The scale, and the factor of sums, where they are."""
    roles = ["scale"] if layer.get("use_scale", layer.kind != "Attention") else []
    return layer.named(*roles, *(["concat_score_weight"] if mode == "concat" else []))


def _free(steps: Steps, role: str, weights: Weights) -> Taken:
    return steps.add(Variable(weights[role].shape), weights={role: weights[role]}, name=role)


def _sum_scores(steps: Steps, kind: str, query: Slot, key: Slot, weights: Weights, rank: int) -> Taken:
    """tanh(query + key), summed over the features, with weights."""
    rows = steps.add(ExpandDims((rank - 1,)), query, name="rows")
    columns = steps.add(ExpandDims((rank - 2,)), key, name="columns")
    pairs = steps.add(Elementwise("add", PAIR), rows, columns, name="pairs")
    additive = kind == "AdditiveAttention"
    if "scale" in weights and not additive:
        pairs = steps.add(Elementwise("multiply", PAIR), pairs, _free(steps, "scale", weights), name="scaled")
    pairs = steps.add(Activation("tanh"), pairs, name="bounded")
    if "scale" in weights and additive:
        pairs = steps.add(Elementwise("multiply", PAIR), pairs, _free(steps, "scale", weights), name="scaled")
    scores = steps.add(Reduce("sum", (rank,), keepdims=False), pairs, name="scores")
    if "concat_score_weight" in weights:
        factor = _free(steps, "concat_score_weight", weights)
        scores = steps.add(Elementwise("multiply", PAIR), scores, factor, name="weighted")
    return scores


def _looks(steps: Steps, scores: Taken, mask: Taken | None, rank: int, causal: bool) -> Taken | None:
    """Where a query may look: at values that the mask holds, and up to its own place where it is causal."""
    if mask is not None and (causal or rank == 2):
        mask = steps.add(ExpandDims((rank - 1,)), mask, name="values")
    if not causal:
        return mask
    before = steps.add(Triangle(), steps.add(Unary("ones_like"), scores, name="ones"), name="before")
    return before if mask is None else steps.add(Elementwise("logical_and", PAIR), mask, before, name="mask")


def _queried(steps: Steps, mixed: Taken, mask: Slot | None, rank: int) -> tuple[Op, ...]:
    """Zeros for queries that are masked."""
    if mask is not None:
        there = steps.add(ExpandDims((rank - 1,)), mask, name="queries")
        steps.add(Where(Slot(1), 0.0), there, mixed)
    return steps.done()


def dot_product_attention(layer: KerasLayer, fast: Fast) -> Sequence[Op]:
    """Queries, keys and values of shape (batch, steps, heads, length); a bias, a mask, a scale."""
    names = "query", "key", "value", "bias", "mask"
    query, key, value, bias, mask = given = [layer.argument(place, name) for place, name in enumerate(names)]
    _check_tensors(layer, given)
    layer.get("flash_attention")
    if layer.get("attn_logits_soft_cap") is not None:
        remedy = "leave it out: no backend but JAX's own kernel reads it"
        raise Unsupported(f"attn_logits_soft_cap={layer.get('attn_logits_soft_cap')!r}", remedy=remedy)
    causal, scale = bool(layer.get("is_causal")), layer.argument(5, "scale")
    shapes = [layer.inputs[slot.index] for slot in (query, key)]
    length = shapes[0][3]
    if not isinstance(scale, (int, float, type(None))) or (scale is None and length is None):
        raise Unsupported(f"attention with scale={scale!r}", remedy="give the scale as a number")
    steps = Steps()
    key, value = (_shared(steps, item, shapes, name) for item, name in ((key, "keys"), (value, "values")))
    number = float(scale if scale is not None else (length or 1) ** -0.5)
    scaled = steps.add(Elementwise("multiply", (Slot(0), number)), query, name="scaled")
    if bias is None and mask is None:
        turn = Permute(move_axis(4, 1, 2))
        turned = [steps.add(turn, item, name=name) for item, name in ((scaled, "q"), (key, "k"), (value, "v"))]
        steps.add(turn, steps.add(fast(1.0, causal), *turned, name="attention"))
        return steps.done()
    scores: Taken = steps.add(Einsum("btnh,bsnh->bnts"), scaled, key, name="scores")
    if bias is not None:
        scores = steps.add(Elementwise("add", PAIR), scores, bias, name="biased")
    looks = _looks(steps, scores, mask, 4, causal=False)
    if causal:
        before = _looks(steps, scores, None, 4, causal=True)
        looks = (
            before if mask is None else steps.add(Elementwise("logical_and", PAIR), mask, before or mask, name="mask")
        )
    if looks is not None:
        scores = steps.add(Where(Slot(1), NOWHERE), looks, scores, name="masked")
    shares = steps.add(Softmax(-1), scores, name="weights")
    steps.add(Einsum("bnts,bsnh->btnh"), shares, value)
    return steps.done()


def _shared(steps: Steps, item: Taken, shapes: Sequence[tuple[int | None, ...]], name: str) -> Taken:
    """Heads of keys and values as often as queries share them."""
    heads, own = (shape[2] for shape in shapes)
    if heads is None or own is None or heads == own:
        return item
    if heads % own:
        raise Mismatch(f"{heads} heads of queries over {own} of keys")
    return steps.add(Along("repeat", 2, heads // own), item, name=name)
