"""Passes: Graph -> Graph, each with its picture in its docstring. The pipelines are plain lists.

Those that not every conversion needs, and their families of layers, are loaded on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

from xconv.graph import Graph
from xconv.lazy import loader
from xconv.passes.anchor_variables import recover_variables
from xconv.passes.fold_pads import fold_pads
from xconv.passes.fold_permutes import fold_flatten, merge_reshapes
from xconv.passes.fold_same import fold_same
from xconv.passes.recover_idioms import recover_idioms
from xconv.passes.recover_layers import recover_dense, recover_unit_norms
from xconv.passes.split_strides import join_strides
from xconv.passes.tie_layers import join_variables
from xconv.passes.trim_recurrent import trim_recurrent

if TYPE_CHECKING:
    from xconv.passes.canonical import CANONICAL
    from xconv.passes.for_keras import FOR_KERAS

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


def run(passes: Sequence[Pass], graph: Graph) -> Graph:
    """The graph after all passes, in order."""
    return reduce(lambda current, step: step(current), passes, graph)


# Hidden from type checkers, which would otherwise take any misspelt name for an object.
if not TYPE_CHECKING:
    __getattr__ = loader(__name__, {"CANONICAL": "xconv.passes.canonical", "FOR_KERAS": "xconv.passes.for_keras"})
