"""Passes: Graph -> Graph, each with its picture in its docstring. The pipelines are plain lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

from xconv.graph import Graph
from xconv.passes.anchor_variables import anchor_variables, recover_variables
from xconv.passes.canonical import CANONICAL
from xconv.passes.expand_attention import expand_attention
from xconv.passes.fold_pads import fold_pads
from xconv.passes.fold_permutes import fold_flatten, merge_reshapes
from xconv.passes.fold_same import fold_same
from xconv.passes.keep_names import keep_names, unfold_idioms
from xconv.passes.name_global_pools import name_global_pools
from xconv.passes.recover_idioms import recover_idioms
from xconv.passes.recover_layers import recover_dense, recover_unit_norms
from xconv.passes.safe_zero_pads import safe_zero_pads
from xconv.passes.split_strides import join_strides, split_strides
from xconv.passes.tie_layers import join_variables, tie_layers
from xconv.passes.trim_recurrent import trim_recurrent
from xconv.passes.unfold_pads import unfold_pads
from xconv.passes.without_unused import without_unused

__all__ = ["AFTER_LAYOUT", "BEFORE_LAYOUT", "CANONICAL", "FOR_KERAS", "Pass", "run"]

Pass: TypeAlias = Callable[[Graph], Graph]

BEFORE_LAYOUT: Sequence[Pass] = (
    recover_variables,
    fold_same,
    recover_idioms,  # before fold_pads: the patterns are those that Keras wrote
    join_variables,
    recover_unit_norms,
    recover_dense,
    join_strides,
    fold_pads,  # before layout, so that no permute comes between a pad and its convolution
    trim_recurrent,
)

AFTER_LAYOUT: Sequence[Pass] = (
    fold_flatten,  # the permutes that it removes are layout's own
    merge_reshapes,  # last: reshapes that layout put beside the user's
)

FOR_KERAS: Sequence[Pass] = (
    without_unused,
    unfold_idioms,
    keep_names,
    unfold_pads,  # first: the paddings of a Keras model as it had them
    safe_zero_pads,
    trim_recurrent,
    expand_attention,
    split_strides,
    name_global_pools,
    tie_layers,
    anchor_variables,  # last: what Keras cannot say without it
)


def run(passes: Sequence[Pass], graph: Graph) -> Graph:
    """The graph after all passes, in order."""
    return reduce(lambda current, step: step(current), passes, graph)
