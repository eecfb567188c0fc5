"""Why two models differ: one cause a file, each a function that looks for it in a `Case`.

A cause yields `Suspicion`s: what differs, where, and the remedy as a change of a copy. `CAUSES` names them all; the
order is that in which their remedies are applied together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from xconv.causes.batch_norm import epsilon, momentum
from xconv.causes.feeding import feeding
from xconv.causes.mode import mode
from xconv.causes.padding import padding
from xconv.causes.precision import precision
from xconv.causes.randomness import randomness
from xconv.causes.softmax import softmax
from xconv.causes.stride import stride
from xconv.comparison.case import Case
from xconv.diagnosis.as_given import Outcome
from xconv.diagnosis.records import Suspicion
from xconv.statistics import Array

__all__ = ["CAUSES", "STATES", "Cause", "StateCause"]

Cause: TypeAlias = Callable[[Case], Iterator[Suspicion]]

CAUSES: tuple[Cause, ...] = (feeding, stride, padding, epsilon, momentum, softmax)

StateCause: TypeAlias = Callable[[Case, Outcome, tuple[Array, ...]], Iterator[Suspicion]]

STATES: tuple[StateCause, ...] = (mode, randomness, precision)
"""What makes one model, as it is, depart from what it means; the first that finds something is told for a side."""
