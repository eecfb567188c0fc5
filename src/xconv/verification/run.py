"""Whether two models are the same function: `verify(a, b)`, in float64 for the meaning and in float32 for rounding."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xconv.errors import InvalidInput
from xconv.inputs import SIZES, Feed, arrange, as_dtype, leaves, noise, sized
from xconv.report.records import Difference, LayerReport, OutputReport, Report, Verdict
from xconv.sides import Side
from xconv.statistics import Array, spread
from xconv.verification import rounding
from xconv.verification.layerwise import first_difference, layer_reports
from xconv.verification.meaning import Inputs, Meaning, judge, with_layers
from xconv.verification.opening import open_side
from xconv.verification.pairing import paired
from xconv.verification.witness import heard

__all__ = ["verify"]

DULL = 1e-4
"""Below this relative change under another input, an output says little about what lies before it."""
LOCAL32 = 2e-5
"""The local tolerance of a layer in float32: a few hundred units in the last place for long sums."""
ORDER = (
    Verdict.NOT_FINITE,
    Verdict.DIFFERS,
    Verdict.INCONCLUSIVE,
    Verdict.IMPRECISE,
    Verdict.FLOAT32,
    Verdict.CONSTANTS,
    Verdict.EXACT,
)


def verify(  # noqa: PLR0913 - every option has a name of its own
    a: Any,
    b: Any,
    inputs: Any = None,
    *,
    per_layer: bool = False,
    seed: int = 0,
    batch: int = 2,
    rtol: float = 1e-10,
    input_size: int | Sequence[int] | None = None,
    witness: str | None = None,
) -> Report:
    """Compares two models on the same inputs, and says whether they are the same function.

    The meaning is judged in float64: a relative error (max|a-b| / max|b|) of at most `rtol`, or of at most the model's
    own noise floor (how far the reference's outputs move when its inputs move by 1e-15), is exact. A floor above 1e-8
    proves nothing: then every layer must be exact on the reference's activations. Constants that TensorFlow keeps in
    float32 are imitated where that is needed, and named. So is float32 that a torch network's own text asks for: it is
    read as float64, as in Keras. Rounding is judged in float32, against the reference's own float32 error. Both sides
    run in inference mode, without TF32; neither model is changed.

    Args:
        a: A live Keras or tf_keras model, a torch module, an ExportedProgram, an ONNX model (run by onnxruntime), a
            callable of arrays, or the path of a file that holds one (.keras, .h5, .pt2, .safetensors, .pt, .onnx). The
            Keras side is the reference, else `a`.
        b: The same.
        inputs: Arrays, nested as the reference takes them and in its layout (Keras: channels-last); by default seeded
            noise.
        per_layer: Also compare every tensor that both sides know. This happens anyway where they differ.
        seed: Of the noise.
        batch: Its number of examples; with at least two, the sensitivity costs nothing.
        rtol: The relative error in float64 up to which two outputs are the same.
        input_size: For axes that the model leaves open; by default odd and unequal, such as 65 by 79.
        witness: 'onnxruntime' asks for a third opinion: the reference is exported to ONNX (the other side too, where
            they differ) and run there. The report's `witness` says with which side it agrees, and which is off.

    Returns:
        A `Report`: `ok` and `verdict`, the errors of every output, and the first layer that differs where any does.

    Raises:
        InvalidInput: something that cannot be run, a path without a model, or inputs that do not fit.
        Unreadable: a file that is not what it should be.
        Mismatch: the two sides have other numbers of outputs.
    """
    started = time.perf_counter()
    reference, other = paired(open_side(a), open_side(b))
    feeds = _agreed(reference.feeds(), other.feeds())
    given = _given(reference, feeds, inputs, seed, batch, input_size)
    both = given, _in_order(given, feeds, other.feeds())
    meaning = judge(reference, other, both, rtol)
    wanted = per_layer or not (meaning.verdict is None or meaning.verdict.ok)
    layers = _layers(reference, other, both, meaning, rtol) if wanted else ()
    meaning = with_layers(meaning, layers)
    _release(reference, other)
    outputs = rounding.judge(reference, other, both, meaning, rtol)
    if not layers and any(not output.verdict.ok for output in outputs):
        layers = _layers(reference, other, both, meaning, rtol)
    sensitivity = _sensitivity(reference, given, meaning, seed)
    third = heard(witness, reference, other, both, meaning, rtol) if witness is not None else None
    _release(reference, other)
    verdict = _overall(meaning, outputs)
    return Report(
        verdict=verdict,
        reference=f"{reference.name} ({reference.framework})",
        other=f"{other.name} ({other.framework})",
        outputs=outputs,
        layers=layers,
        first_difference=None if verdict.ok else first_difference(layers) or _unlocated(layers, outputs),
        tolerance=rtol,
        noise_floor=meaning.floor,
        sensitivity=sensitivity,
        constants=meaning.constants,
        notes=_notes(reference, other, meaning, sensitivity),
        seconds=time.perf_counter() - started,
        witness=third,
    )


def _given(
    reference: Any, feeds: tuple[Feed, ...], inputs: Any, seed: int, batch: int, size: int | Sequence[int] | None
) -> tuple[Array, ...]:
    """The arrays for the reference: the user's, or noise."""
    if inputs is not None:
        return arrange(inputs, feeds) if feeds else tuple(np.asarray(leaf) for _, leaf in leaves(inputs))
    if not feeds:
        raise InvalidInput("neither side says what inputs it takes", remedy="give inputs=")
    if size is not None:
        return noise(sized(feeds, (size,) if isinstance(size, int) else size, batch), seed)
    fitting = getattr(reference, "fitting", None)
    return noise(fitting(feeds, batch) if fitting else sized(feeds, SIZES[0], batch), seed)


def _agreed(feeds: tuple[Feed, ...], others: tuple[Feed, ...]) -> tuple[Feed, ...]:
    """The reference's feeds, sizes that it leaves open as the other side fixes them."""
    if len(feeds) != len(others):
        return feeds or others
    by_name = {feed.name: feed for feed in others}
    named = set(by_name) == {feed.name for feed in feeds}
    pairs = [(feed, by_name[feed.name] if named else other) for feed, other in zip(feeds, others, strict=True)]
    return tuple(_narrowed(*pair) for pair in pairs)


def _narrowed(feed: Feed, other: Feed) -> Feed:
    if len(feed.shape) != len(other.shape):
        return feed
    sizes = zip(feed.shape, other.shape, strict=True)
    return replace(feed, shape=tuple(mine if mine is not None else yours for mine, yours in sizes))


def _in_order(arrays: tuple[Array, ...], feeds: Sequence[Feed], others: Sequence[Feed]) -> tuple[Array, ...]:
    """The arrays in the order in which the other side takes them: by name where the names are the same."""
    by_name = {feed.name: array for feed, array in zip(feeds, arrays, strict=False)}
    if len(by_name) == len(arrays) and {feed.name for feed in others} == set(by_name):
        return tuple(by_name[feed.name] for feed in others)
    return arrays


def _layers(reference: Side, other: Side, both: Inputs, meaning: Meaning, rtol: float) -> tuple[LayerReport, ...]:
    doubles = meaning.truth is not None and meaning.theirs is not None
    dtype, tolerance = ("float64", rtol) if doubles else ("float32", LOCAL32)
    return layer_reports(reference, other, (as_dtype(both[0], dtype), as_dtype(both[1], dtype)), dtype, tolerance)


def _release(*sides: Side) -> None:
    for side in sides:
        side.release()


def _overall(meaning: Meaning, outputs: Sequence[OutputReport]) -> Verdict:
    """The worst of all."""
    found = {output.verdict for output in outputs} | ({meaning.verdict} if meaning.verdict else set())
    return next((verdict for verdict in ORDER if verdict in found), Verdict.EXACT)


def _unlocated(layers: Sequence[LayerReport], outputs: Sequence[OutputReport]) -> Difference | None:
    """The first output that differs, where no layer does."""
    found = next((output for output in outputs if not output.verdict.ok), None)
    if found is None:
        return None
    best = found.float64 or found.float32
    why = "no layer that both sides know differs by itself" if layers else "there are no layers to compare by name"
    text = f"output {found.name}: relative error {best.max_rel:.2g}; {why}"
    return Difference(found.name, "output", "", best.max_rel, text)


def _sensitivity(reference: Side, inputs: Sequence[Array], meaning: Meaning, seed: int) -> float:
    """The least relative change of an output between examples, or under another input for a batch of one."""
    known = meaning.truth or reference.outputs(as_dtype(inputs, "float32"), "float32")
    if all(array.ndim and array.shape[0] > 1 and spread(array) > 0 for array in inputs):
        return min((spread(output.value) for output in known if output.value.ndim > 0), default=np.inf)
    generator = np.random.default_rng((seed, 1))
    changed = as_dtype([generator.permuted(array, axis=None) for array in inputs], "float32")
    again = reference.outputs(changed, "float32")
    pairs = [np.stack([a.value, b.value]) for a, b in zip(known, again, strict=True)]
    return min((spread(pair) for pair in pairs), default=np.inf)


def _notes(reference: Side, other: Side, meaning: Meaning, sensitivity: float) -> tuple[str, ...]:
    notes = [*reference.notes, *other.notes, *meaning.notes]
    low: tuple[str, ...] = getattr(reference, "low_policies", tuple)()
    if low:
        notes.append(f"rounding was judged as both models are, not in float32: the reference has {', '.join(low)}")
    if sensitivity < DULL:
        notes.append(
            f"an output hardly depends on the input (relative change {sensitivity:.1g}): this proves little; "
            "compare at the logits, or give the model live weights with xconv.randomize"
        )
    if reference.is_fresh():
        notes.append("all BatchNorm statistics are fresh (mean 0, variance 1), which hides errors: use xconv.randomize")
    return tuple(dict.fromkeys(notes))
