"""Two sides layer by layer, in lock step: each tensor is compared as it comes, and dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xconv.keras.walk import Key
from xconv.report.records import Difference, LayerReport
from xconv.sides import Side
from xconv.statistics import Array, Comparison, compare

__all__ = ["first_difference", "layer_reports"]


class References:
    """The tensors of the reference by key, computed only as far as they are asked for, and held while still wanted."""

    def __init__(self, stream: Iterator[tuple[Key, Array]], wanted: Mapping[Key, int]) -> None:
        self._stream = stream
        self._wanted = Counter(wanted)
        self._held: dict[Key, Array] = {}

    def take(self, key: Key) -> Array | None:
        """The tensor, or None where the reference computes none of that name."""
        while key not in self._held:
            found = next(self._stream, None)
            if found is None:
                return None
            if self._wanted[found[0]] > 0:
                self._held[found[0]] = found[1]
        self._wanted[key] -= 1
        return self._held[key] if self._wanted[key] > 0 else self._held.pop(key)


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
    mine = dict(other.layers(inputs[1], dtype))
    pairs = ((key, mine.pop(key), value) for key, value in reference.layers(inputs[0], dtype) if key in mine)
    return tuple(_report(key, "", kinds, compare(a, b), None, tolerance) for key, a, b in pairs)


def _traced(
    reference: Side, other: Any, inputs: tuple[Sequence[Array], Sequence[Array]], dtype: str, tolerance: float
) -> Iterator[LayerReport]:
    from xconv.torch.tensorflow_constants import TensorflowConstants
    from xconv.torch.trace import keys_of

    kinds = reference.kinds()
    imitate = dtype == "float64" and getattr(reference, "backend", "") == "tensorflow"
    constants = TensorflowConstants() if imitate else None
    references = References(reference.layers(inputs[0], dtype), Counter(keys_of(other.record).values()))
    for row in other.traced(inputs[1], dtype, references.take, constants):
        chained, local = compare(row.chained, row.reference), compare(row.local, row.reference)
        note = constants.used.get(row.key.layer, "") if constants else ""
        note = f"float32 in TensorFlow: {note}" if note else ""
        yield _report(row.key, row.node, kinds, chained, local, tolerance, note)


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
