"""Zero padding into the layer behind it, where that is exact and the pads come out even.

    before   Pad(3) -> Conv(7x7, valid)                 after   Conv(7x7, padding 3)
    before   relu -> Pad(1) -> max pool(3x3, valid)     after   relu -> max pool(3x3, padding 1)

A max pool ignores its own padding (-inf) and would see zeros from a Pad; behind a ReLU, where every window holds at
least one value that is not negative, this is the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.conv import Conv
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.padding import Pads, is_symmetric
from xconv.spec import Spec

__all__ = ["fold_pads"]

NOT_NEGATIVE = (Activation("relu"), Activation("relu6"))


def fold_pads(graph: Graph) -> Graph:
    """The graph with even zero pads inside convolutions and max pools."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    shared = {node.layer for node in graph.nodes if node.call}
    for node in graph.nodes:
        value = Value(node.name)
        users = consumers.get(value, [])
        if not isinstance(node.spec, Pad) or value in outputs or len(users) != 1 or users[0].layer in shared:
            continue
        (user,) = users
        pads = _total(node.spec, user, nodes[node.inputs[0].node])
        if pads is None:
            continue
        note = f"the zero padding of {node.name} is part of it"
        changes[user.name] = replace(user, spec=_padded(user.spec, pads), notes=(*user.notes, note))
        changes[node.name] = None
        aliases[value] = node.inputs[0]
    return graph.rebuilt(changes, aliases) if changes else graph


def _padded(spec: Spec, pads: Pads) -> Spec:
    """The convolution or pool with these pads."""
    changes: dict[str, Any] = {"padding": pads}
    return replace(spec, **changes)


def _total(pad: Pad, user: Node, before: Node) -> Pads | None:
    """The pads of the two together; None where folding them is not exact."""
    spec = user.spec
    if not isinstance(spec, (Conv, Pool)) or spec.padding is None or len(user.inputs) != 1:
        return None
    if any(size < 0 for pair in pad.pads for size in pair):
        return None
    total = tuple((a + c, b + d) for (a, b), (c, d) in zip(pad.pads, spec.padding, strict=True))
    if not is_symmetric(total):
        return None
    if isinstance(spec, Conv):
        return total
    bare = not any(map(any, spec.padding)) and all(2 * a <= k for (a, _), k in zip(total, spec.kernel, strict=True))
    return total if spec.kind == "max" and bare and before.spec in NOT_NEGATIVE else None
