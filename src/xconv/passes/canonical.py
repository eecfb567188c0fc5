"""One form for two networks that are to be compared, both held channels-first.

before   Pad(0, 1) -> Conv(valid, stride 2)                 after   Conv(padding (0, 1), stride 2)
before   Dropout, Identity, a reshape to the same shape     after   nothing
before   mean over all positions                            after   GlobalPool
before   Dense on the channels of a map                     after   1x1 Conv

and what `plain_forms`, `plain_recurrent`, `plain_resamples`, `same_nodes` and `one_pixel_maps` do.

Nothing here changes what the network computes in inference; a graph in this form is compared, never written to a file.
"""

from __future__ import annotations

from dataclasses import replace

from xconv import axes
from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.concat import Concat
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.dropout import Dropout, Noise, SpatialDropout
from xconv.layers.io import Identity
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.policy_cast import PolicyCast
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.reduce import Reduce
from xconv.layers.reshape import Flatten, Permute, Reshape
from xconv.layers.unary import Unary
from xconv.padding import Pads
from xconv.passes.fold_pads import fold_pads
from xconv.passes.one_pixel_maps import one_pixel_maps
from xconv.passes.outer_biases import outer_biases
from xconv.passes.plain_forms import (
    join_concats,
    join_pads,
    name_scales,
    name_variables,
    spell_sums,
    split_crops,
    split_pads,
)
from xconv.passes.plain_recurrent import backward_layers, last_steps
from xconv.passes.plain_resamples import name_resamples
from xconv.passes.same_nodes import join_equals
from xconv.passes.sequence_pools import sequence_pools
from xconv.spec import Shape, Spec

__all__ = ["CANONICAL", "drop_identities", "fold_all_pads", "name_pools", "pointwise_convolutions"]

SILENT = (Dropout, SpatialDropout, Noise, Identity)
"""What does nothing in inference."""


def fold_all_pads(graph: Graph) -> Graph:
    """The graph with every zero pad inside the convolution or pool behind it, uneven ones too."""
    return fold_pads(graph, uneven=True)


def drop_casts(graph: Graph) -> Graph:
    """The graph without the casts of dtype policies, which are rounding and no meaning."""
    casts = [node for node in graph.nodes if isinstance(node.spec, PolicyCast) and not node.spec.every]
    changes: dict[str, Node | None] = dict.fromkeys(node.name for node in casts)
    return graph.rebuilt(changes, {Value(node.name): node.inputs[0] for node in casts}) if casts else graph


def drop_identities(graph: Graph) -> Graph:
    """The graph without what does nothing in inference: dropout, linear activations, empty pads, plain reshapes."""
    shapes = graph.value_shapes()
    changes: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        if len(node.inputs) == 1 and _does_nothing(node.spec, shapes[node.inputs[0]], node.shapes[0]):
            changes[node.name] = None
            aliases[Value(node.name)] = node.inputs[0]
    return graph.rebuilt(changes, aliases) if changes else graph


def _does_nothing(spec: Spec, before: Shape, after: Shape) -> bool:
    same = before == after
    if isinstance(spec, AdaptivePool):
        return same
    if isinstance(spec, Pool):
        return same and all(size == 1 for size in (*spec.kernel, *spec.stride))
    if isinstance(spec, (Pad, PadAxes)):
        return not any(map(any, spec.pads))
    if isinstance(spec, Permute):
        return spec.axes == axes.identity(len(spec.axes))
    if isinstance(spec, (Reshape, Flatten)):
        return same and before.count(None) <= 1
    if isinstance(spec, Activation):
        return spec.name == "linear"
    if isinstance(spec, Concat):
        return True  # of one tensor
    return isinstance(spec, SILENT) or (isinstance(spec, Unary) and spec.name in ("detach", "clone", "contiguous"))


def name_pools(graph: Graph) -> Graph:
    """The graph with a mean or a maximum over all positions of a map as a global pool, adaptive pools to size 1 too."""
    kinds = {"mean": "average", "amax": "max"}
    shapes = graph.value_shapes()
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        spec = node.spec
        if isinstance(spec, AdaptivePool) and set(spec.size) == {1}:
            changes[node.name] = replace(node, spec=GlobalPool(spec.kind, True, 1))
        if isinstance(spec, Reduce) and spec.name in kinds:
            rank = len(shapes[node.inputs[0]])
            if rank > 2 and spec.over == tuple(range(2, rank)):
                changes[node.name] = replace(node, spec=GlobalPool(kinds[spec.name], spec.keepdims, 1))
    return graph.rebuilt(changes) if changes else graph


def pointwise_convolutions(graph: Graph) -> Graph:
    """The graph with every Dense on the channels of a map as a convolution of size 1."""
    shapes = graph.value_shapes()
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        if isinstance(node.spec, Dense) and _on_channels(node.spec, shapes[node.inputs[0]]):
            changes[node.name] = _convolution(node, len(node.shapes[0]) - 2)
    return graph.rebuilt(changes) if changes else graph


def _on_channels(spec: Dense, shape: Shape) -> bool:
    return len(shape) > 3 and axes.normal(spec.axis, len(shape)) == 1


def _convolution(node: Node, rank: int) -> Node:
    spec, ones = node.spec, (1,) * rank
    assert isinstance(spec, Dense)  # noqa: S101  told by the caller
    pads: Pads = ((0, 0),) * rank
    kernel = node.weights["kernel"].reshape((spec.out_features, spec.in_features, *ones))
    conv = Conv(spec.in_features, spec.out_features, ones, ones, pads, ones, 1, 1)
    return replace(node, spec=conv, weights={**node.weights, "kernel": kernel})


CANONICAL = (
    drop_casts,
    name_variables,
    name_pools,
    sequence_pools,
    spell_sums,
    name_scales,
    outer_biases,
    join_pads,
    split_crops,
    split_pads,
    fold_all_pads,
    drop_identities,
    join_concats,
    last_steps,
    backward_layers,
    one_pixel_maps,
    pointwise_convolutions,
    name_resamples,
    join_equals,
    drop_identities,  # again: what became one between two that are gone
)
"""In order; of graphs that `layout` has resolved to channels-first."""
