"""Layers of a Keras model beside the modules of a torch network that does not come from it: matched by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xconv import axes
from xconv.keras.names import layer_name
from xconv.keras.origin import remembered
from xconv.keras.walk import Key
from xconv.statistics import Array, Comparison, compare
from xconv.verification.references import References

if TYPE_CHECKING:
    import torch

__all__ = ["Matched", "matched_layers"]

SAME = 1e-6
"""No other order of axes is tried where the tensors are as near as this."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One tensor of both sides: `chained` on the module's own activations, `local` on the reference's.

    `local` is None where the tensor was made of the result of a function that computes in float32 for TensorFlow's
    sake: what that is fed with is not the reference's to the last bit, which it makes a last bit of float32.
    """

    key: Key
    module: str
    chained: Comparison
    local: Comparison | None


@dataclass(frozen=True, slots=True)
class _Names:
    """Which Keras tensor a module returns, and in which order of axes; the order is None where shapes must tell."""

    placed: Mapping[Key, tuple[Key, axes.Order]] = field(default_factory=dict)
    known: frozenset[str] = frozenset()

    def find(self, key: Key) -> tuple[Key, axes.Order | None] | None:
        """The Keras tensor of what a module returns: by the record, else by name (`relu_1` is a second call of it)."""
        if self.placed or key.tensor:
            return self.placed.get(key)
        name = layer_name(key.layer)
        again = f"{name}_{key.call}"
        if key.call and again in self.known:
            return Key(again), None
        return (Key(name, key.call), None) if name in self.known else None


def matched_layers(
    reference: Any, other: Any, inputs: tuple[Sequence[Array], Sequence[Array]], dtype: str, constants: Any = None
) -> Iterator[Matched]:
    """Every tensor that a module returns and a Keras layer of its name computes, in torch's order.

    The torch network runs twice: by itself, and with every such tensor replaced by the reference's.
    """
    names = _names_of(reference)
    chained: dict[Key, Comparison] = {}
    rows: list[Matched] = []

    def visitor(*, local: bool) -> Any:
        references = References(reference.layers(inputs[0], dtype), _wanted(names))

        def visit(key: Key, value: torch.Tensor) -> torch.Tensor | None:
            found = names.find(key)
            expected = references.take(found[0]) if found else None
            if found is None or expected is None:
                return None
            order, error = _compared(value, expected, found[1])
            if not local:
                chained[key] = error
                return None
            local_error = None if constants is not None and constants.is_single(value) else error
            rows.append(Matched(found[0], key.layer.replace("/", "."), chained.get(key, error), local_error))
            return _instead(value, expected, order)

        return visit

    other.watch(inputs[1], dtype, visitor(local=False), constants)
    other.watch(inputs[1], dtype, visitor(local=True), constants)
    return iter(rows)


def _names_of(reference: Any) -> _Names:
    record = remembered(reference.model)
    if record is None:
        return _Names(known=frozenset(reference.kinds()))
    placed = {
        Key(place.layer.replace(".", "/"), place.call, place.tensor): (_parsed(name), place.order)
        for name, place in record.places.items()
    }
    return _Names(placed)


def _wanted(names: _Names) -> Counter[Key]:
    """How often each reference tensor will be asked for, at most."""
    if names.placed:
        return Counter(key for key, _ in names.placed.values())
    return Counter({Key(name): 1 for name in names.known})


def _parsed(text: str) -> Key:
    """The key that `str` wrote.

    >>> _parsed("conv call 1 [2]"), _parsed("conv")
    (Key(layer='conv', call=1, tensor=2), Key(layer='conv', call=0, tensor=0))
    """
    layer, call, tensor = re.fullmatch(r"(.*?)(?: call (\d+))?(?: \[(\d+)\])?", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return Key(layer, int(call or 0), int(tensor or 0))


def _compared(value: torch.Tensor, expected: Array, order: axes.Order | None) -> tuple[axes.Order, Comparison]:
    """The comparison in the order given; else in the one that fits, the better where several do.

    A module may turn what its last layer gave: then the record's order is not that of its result.
    """
    from xconv.torch.widened import as_array

    array = as_array(value)
    rank = array.ndim
    given = (order,) if order is not None and len(order) == rank else ()
    tried = dict.fromkeys((*given, axes.identity(rank), axes.channels_last(rank), axes.channels_first(rank)))
    best: tuple[axes.Order, Comparison] | None = None
    for item in tried:
        error = compare(array.transpose(item), expected)
        if best is None or error.max_rel < best[1].max_rel:
            best = item, error
        if error.max_rel <= SAME:
            break
    assert best is not None  # noqa: S101 - the identity is always tried
    return best


def _instead(value: torch.Tensor, expected: Array, order: axes.Order) -> torch.Tensor | None:
    """The reference's tensor as the module would have returned it; None where it has another shape."""
    import torch

    from xconv.torch.widened import like

    if tuple(value.permute(order).shape) != expected.shape:
        return None
    array = expected if expected.flags.writeable else expected.copy()
    return like(torch.from_numpy(array).permute(axes.inverse(order)).contiguous(), value)
