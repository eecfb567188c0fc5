"""Pads that are computed for the size that arrives, into the convolution or max pool that they are made for.

before   SamePad(3x3, stride 2) -> Conv(3x3, stride 2)      after   Conv(3x3, stride 2, SAME)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xconv.graph import Graph, Node, Value
from xconv.layers.conv import Conv
from xconv.layers.pool import Pool
from xconv.layers.same import SamePad
from xconv.spec import Spec

__all__ = ["fold_same"]


def fold_same(graph: Graph) -> Graph:
    """The graph with such pads inside the layers behind them."""
    consumers, outputs = graph.consumers(), set(graph.output_values())
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        users = consumers.get(Value(node.name), [])
        specs = [_together(node.spec, user.spec) for user in users] if isinstance(node.spec, SamePad) else []
        if not specs or Value(node.name) in outputs:
            continue
        for user, spec in zip(users, specs, strict=True):
            if spec is not None:
                changes[user.name] = replace(user, spec=spec, inputs=node.inputs)
        if None not in specs:
            changes[node.name] = None
            aliases[Value(node.name)] = node.inputs[0]
    return graph.rebuilt(changes, aliases) if changes else graph


def _together(pad: SamePad, spec: Spec) -> Spec | None:
    """The layer with SAME; None where the pads are not made for it."""
    if not isinstance(spec, (Conv, Pool)) or spec.padding is None or any(map(any, spec.padding)):
        return None
    same = spec.kernel == pad.kernel and spec.stride == pad.stride
    value = 0.0 if isinstance(spec, Conv) else float("-inf")
    dilation = spec.dilation if isinstance(spec, Conv) else (1,) * len(spec.kernel)
    if not same or pad.value != value or pad.dilation != dilation or (isinstance(spec, Pool) and spec.kind != "max"):
        return None
    changes: dict[str, Any] = {"padding": None}
    return replace(spec, **changes)
