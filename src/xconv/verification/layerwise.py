"""Two sides layer by layer, in lock step: each tensor is compared as it comes, and dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xconv.keras.walk import Key
from xconv.report.records import Difference, LayerReport
from xconv.sides import Side
from xconv.statistics import Array, Comparison, compare
from xconv.verification.references import References

__all__ = ["first_difference", "layer_reports"]

FLOAT32 = 2e-5
"""What is allowed where a function before the layer computes in float32, and the layer alone cannot be judged."""


def layer_reports(
    reference: Side, other: Side, inputs: tuple[Sequence[Array], Sequence[Array]], dtype: str, tolerance: float
) -> tuple[LayerReport, ...]:
    """Every tensor that both sides know by the same name, in the order in which the other side computes it.

    `inputs` are the arrays for the reference and for the other side. Where the other side is a converted module, each
    of its nodes is also fed with the reference's activations, which gives the local error; and where the reference is
    TensorFlow in float64, with its float32 constants.
    """
    kinds = reference.kinds()
    if getattr(other, "traceable", False):
        return tuple(_traced(reference, other, inputs, dtype, tolerance))
    if reference.framework == "keras" and other.framework == "torch":
        return tuple(_by_name(reference, other, inputs, dtype, tolerance))
    mine = dict(other.layers(inputs[1], dtype))
    pairs = ((key, mine.pop(key), value) for key, value in reference.layers(inputs[0], dtype) if key in mine)
    return tuple(_report(key, "", kinds, compare(a, b), None, tolerance) for key, a, b in pairs)


def _traced(
    reference: Side, other: Any, inputs: tuple[Sequence[Array], Sequence[Array]], dtype: str, tolerance: float
) -> Iterator[LayerReport]:
    from xconv.torch.trace import keys_of

    kinds, constants = reference.kinds(), _constants(reference, dtype)
    references = References(reference.layers(inputs[0], dtype), Counter(keys_of(other.record).values()))
    for row in other.traced(inputs[1], dtype, references.take, constants):
        chained, local = compare(row.chained, row.reference), compare(row.local, row.reference)
        note = _noted(constants, row.key.layer)
        yield _report(row.key, row.node, kinds, chained, local, tolerance, note)


def _by_name(
    reference: Side, other: Any, inputs: tuple[Sequence[Array], Sequence[Array]], dtype: str, tolerance: float
) -> Iterator[LayerReport]:
    """The modules of a torch network that was not made by xconv, or has lost its graph, beside layers of their name."""
    from xconv.verification.by_name import matched_layers

    kinds, constants = reference.kinds(), _constants(reference, dtype)
    for row in matched_layers(reference, other, inputs, dtype, constants):
        note = _noted(constants, row.module)
        allowed = tolerance if row.local is not None else max(tolerance, FLOAT32)
        yield _report(row.key, row.module, kinds, row.chained, row.local, allowed, note)


def _constants(reference: Side, dtype: str) -> Any:
    """TensorFlow's float32 constants, where the reference has them."""
    from xconv.torch.tensorflow_constants import TensorflowConstants

    imitate = dtype == "float64" and getattr(reference, "backend", "") == "tensorflow"
    return TensorflowConstants(reference.kinds()) if imitate else None


def _noted(constants: Any, layer: str) -> str:
    used = constants.used.get(layer, "") if constants else ""
    return f"float32 in TensorFlow: {used}" if used else ""


def _report(
    key: Key,
    node: str,
    kinds: Mapping[str, str],
    chained: Comparison,
    local: Comparison | None,
    tolerance: float,
    note: str = "",
) -> LayerReport:
    fine = (local or chained).max_rel <= tolerance
    return LayerReport(key.layer, key.call, key.tensor, kinds.get(key.layer, ""), node, chained, local, fine, note)


def first_difference(layers: Sequence[LayerReport]) -> Difference | None:
    """The first layer beyond its tolerance, by the local error where there is one: it arises in the layer itself."""
    found = next((layer for layer in layers if not layer.ok), None)
    if found is None:
        return None
    best = found.local or found.chained
    what = f"relative error {best.max_rel:.2g}, max abs {best.max_abs:.2g}"
    if best.shape != best.other_shape:
        what = f"shape {best.shape}, the reference has {best.other_shape}"
    elif best.nonfinite:
        what = f"{best.nonfinite} values are not finite"
    where = "arises here, on the reference's activations" if found.local else "is the first to be seen"
    call = f", call {found.call}" if found.call else ""
    text = f"{found.layer}{call} ({found.kind or 'layer'}): {what}; it {where}"
    return Difference(found.layer, found.kind, found.node, found.error, text)
