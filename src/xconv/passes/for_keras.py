"""What a resolved graph goes through before Keras can say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xconv.passes.anchor_variables import anchor_variables
from xconv.passes.expand_attention import expand_attention
from xconv.passes.keep_names import keep_names, unfold_idioms
from xconv.passes.name_global_pools import name_global_pools
from xconv.passes.safe_zero_pads import safe_zero_pads
from xconv.passes.split_strides import split_strides
from xconv.passes.stop_masks import stop_masks
from xconv.passes.tie_layers import tie_layers
from xconv.passes.trim_recurrent import trim_recurrent
from xconv.passes.unfold_pads import unfold_pads
from xconv.passes.without_unused import without_unused

if TYPE_CHECKING:
    from xconv.passes import Pass

__all__ = ["FOR_KERAS"]

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
    stop_masks,
    tie_layers,
    anchor_variables,  # last: what Keras cannot say without it
)
