"""Several Ops that one call means, written one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from xconv.spec import Made, Op, Slot, Spec, Weights

__all__ = ["Steps", "Taken"]

Taken: TypeAlias = Slot | Made


@dataclass(slots=True)
class Steps:
    """Ops wired together: `add` gives what the next ones take.

    >>> from xconv.layers.unary import Unary
    >>> steps = Steps()
    >>> steps.add(Unary("sqrt"), steps.add(Unary("square"), Slot(0)))
    Made(op=1, index=0)
    >>> len(steps.ops)
    2
    """

    ops: list[Op] = field(default_factory=list)

    def add(self, spec: Spec, *inputs: Taken, weights: Weights | None = None, name: str = "") -> Made:
        """One more Op on these inputs; what it makes."""
        self.ops.append(Op(spec, weights or {}, name, inputs))
        return Made(len(self.ops) - 1)

    def done(self) -> tuple[Op, ...]:
        """All of them; the last makes the result."""
        return tuple(self.ops)
