"""Why two models differ: one cause a file, each a function that looks for it in a `Case`.

A cause yields `Suspicion`s: what differs, where, and the remedy as a change of a copy. `CAUSES` names them all; the
order is that in which their remedies are applied together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from xconv.causes.activation import activation
from xconv.causes.attention import attention
from xconv.causes.batch_norm import epsilon, momentum
from xconv.causes.bias import bias
from xconv.causes.channel_order import channel_order
from xconv.causes.features import features
from xconv.causes.feeding import feeding
from xconv.causes.flatten_order import flatten_order
from xconv.causes.gate_order import gate_order
from xconv.causes.initialisers import initialisers
from xconv.causes.kernel_layout import kernel_layout
from xconv.causes.layer_order import layer_order
from xconv.causes.missing_layers import missing_layers
from xconv.causes.mode import mode
from xconv.causes.other_settings import other_settings
from xconv.causes.padding import padding
from xconv.causes.pooling import pooling
from xconv.causes.precision import precision
from xconv.causes.randomness import randomness
from xconv.causes.recurrent import recurrent
from xconv.causes.rescaling import channel_reversal, rescaling
from xconv.causes.reshaping import reshaping
from xconv.causes.residual import residual
from xconv.causes.resizing import resizing
from xconv.causes.softmax import softmax
from xconv.causes.statistics import statistics
from xconv.causes.stride import stride
from xconv.causes.training_only import dropout, frozen
from xconv.causes.weights import rounded_weights, weights
from xconv.comparison.case import Case
from xconv.diagnosis.as_given import Outcome
from xconv.diagnosis.records import Suspicion
from xconv.statistics import Array

__all__ = ["CAUSES", "STATES", "Cause", "StateCause"]

Cause: TypeAlias = Callable[[Case], Iterator[Suspicion]]

CAUSES: tuple[Cause, ...] = (
    feeding,
    rescaling,
    channel_reversal,
    stride,
    padding,
    pooling,
    epsilon,
    momentum,
    activation,
    resizing,
    reshaping,
    attention,
    recurrent,
    residual,
    layer_order,
    missing_layers,
    features,
    softmax,
    rounded_weights,  # before what puts numbers into another arrangement
    weights,
    kernel_layout,
    flatten_order,
    channel_order,
    gate_order,
    bias,
    statistics,
    initialisers,
    dropout,
    frozen,
    other_settings,  # last: whatever no other claims
)

StateCause: TypeAlias = Callable[[Case, Outcome, tuple[Array, ...]], Iterator[Suspicion]]

STATES: tuple[StateCause, ...] = (mode, randomness, precision)
"""What makes one model, as it is, depart from what it means; the first that finds something is told for a side."""
