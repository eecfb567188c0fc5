"""Zero padding into the layer behind it, where that is exact and the pads come out even.

    before   Pad(3) -> Conv(7x7, valid)                 after   Conv(7x7, padding 3)
    before   relu -> Pad(1) -> max pool(3x3, valid)     after   relu -> max pool(3x3, padding 1)
    before   Pad(1, -inf) -> max pool(3x3, valid)       after   max pool(3x3, padding 1)
    before   Pad(1) -> average pool(3x3, valid)         after   average pool(3x3, padding 1 that counts)
    before   Pad(1, border) -> Pad(1, border)           after   Pad(2, border)

Uneven pads stay a layer where Keras wrote one, if they are not asked for; torch has no other words for them.

A max pool ignores its own padding (-inf) and would see zeros from a Pad; behind a ReLU, where every window holds at
least one value that is not negative, this is the same.
"""

from __future__ import annotations

from dataclasses import replace

from xconv import axes
from xconv.graph import Graph, Node, Value
from xconv.layers.conv import Conv
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.pool import Pool, fits_torch
from xconv.padding import Pads, is_symmetric
from xconv.passes.not_negative import not_negative
from xconv.spec import Spec

__all__ = ["around", "fold_pads"]


def fold_pads(graph: Graph, *, uneven: bool = False) -> Graph:
    """The graph with pads inside the convolutions and pools behind them; a layer's `uneven` ones only on request."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())
    safe = not_negative(graph)
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    shared = {node.layer for node in graph.nodes if node.call}
    for old in graph.nodes:
        node = changes.get(old.name) or old
        value = Value(node.name)
        users = consumers.get(value, [])
        if not isinstance(node.spec, (Pad, PadAxes)) or value in outputs or len(users) != 1:
            continue
        (user,) = users
        spec = _together(node, user, safe=node.inputs[0] in safe, uneven=uneven)
        if spec is None or (user.layer in shared and nodes[user.name].weights):
            continue
        note = f"the padding of {node.name} is part of it"
        changes[user.name] = replace(user, spec=spec, notes=(*user.notes, note), inputs=node.inputs)
        changes[node.name] = None
        aliases[value] = node.inputs[0]
    return graph.rebuilt(changes, aliases) if changes else graph


def _together(before: Node, user: Node, *, safe: bool, uneven: bool) -> Spec | None:
    """The one Spec that a pad and its only user are; None where folding them is not exact."""
    pad, spec = before.spec, user.spec
    own_layer = not uneven and before.kind.startswith(("ops.", "ZeroPadding"))
    if isinstance(spec, PadAxes) and isinstance(pad, PadAxes):
        both = spec.mode == pad.mode == "replicate"
        return replace(spec, pads=_sum(spec.pads, pad.pads)) if both else None
    if not isinstance(spec, (Conv, Pool)) or spec.padding is None or len(user.inputs) != 1:
        return None
    assert isinstance(pad, (Pad, PadAxes))  # noqa: S101  told by the caller
    pads, value = around(pad, spec)
    if pads is None or any(size < 0 for pair in pads for size in pair):
        return None
    total, bare = _sum(spec.padding, pads), not any(map(any, spec.padding))
    if own_layer and value == 0 and not is_symmetric(total):
        return None
    narrow = fits_torch(total, spec.kernel) or (
        uneven and all(max(pair) < size for pair, size in zip(total, spec.kernel, strict=True))
    )
    safe = safe and bare and narrow
    return _folded(spec, total, value, safe=safe, counts=bare or getattr(spec, "counts_pads", False))


def _folded(spec: Conv | Pool, total: Pads, value: float, *, safe: bool, counts: bool) -> Spec | None:
    """The convolution or pool with all these pads inside."""
    if isinstance(spec, Conv):
        return replace(spec, padding=total) if value == 0 else None
    if spec.kind == "max":
        zeros = value == 0 and safe
        return replace(spec, padding=total) if zeros or value == float("-inf") else None
    too_wide = is_symmetric(total) and not fits_torch(total, spec.kernel)
    return replace(spec, padding=total, counts_pads=True) if value == 0 and counts and not too_wide else None


def around(pad: Pad | PadAxes, spec: Conv | Pool) -> tuple[Pads | None, float]:
    """The pads along the layer's spatial axes and their value; None where other axes are padded, or by no constant."""
    if isinstance(pad, Pad):
        rank = len(pad.pads) + 2
        return (pad.pads if axes.normal(pad.axis, rank) == axes.normal(spec.axis, rank) else None), 0.0
    still = (0, axes.normal(spec.axis, len(pad.pads)))
    if pad.mode != "constant" or any(any(pad.pads[place]) for place in still):
        return None, 0.0
    return tuple(pair for place, pair in enumerate(pad.pads) if place not in still), pad.value


def _sum(pads: Pads, more: Pads) -> Pads:
    """Both pads together."""
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(pads, more, strict=True))
