"""Why two models differ: one cause a file, each a function that looks for it in a `Case`.

A cause yields `Suspicion`s: what differs, where, and the remedy as a change of a copy. `CAUSES` names them all; the
order is that in which their remedies are applied together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from xconv.causes.batch_norm import epsilon, momentum
from xconv.causes.padding import padding
from xconv.causes.softmax import softmax
from xconv.causes.stride import stride
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion

__all__ = ["CAUSES", "Cause"]

Cause: TypeAlias = Callable[[Case], Iterator[Suspicion]]

CAUSES: tuple[Cause, ...] = (stride, padding, epsilon, momentum, softmax)
