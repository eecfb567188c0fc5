"""What an alignment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Alignment", "Pair"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two nodes that are one, by name; `sure` is False where another node would have fitted as well."""

    a: str
    b: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Alignment:
    """The pairs in the order of `a`, and the nodes of either side that the other lacks."""

    pairs: tuple[Pair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    to_b: Mapping[str, str] = field(default_factory=dict)
    to_a: Mapping[str, str] = field(default_factory=dict)

    @property
    def unsure(self) -> tuple[Pair, ...]:
        """The pairs for which another node would have fitted as well."""
        return tuple(pair for pair in self.pairs if not pair.sure)

    def __str__(self) -> str:
        rows = [f"{pair.a}  <->  {pair.b}{'' if pair.sure else '  (not sure)'}" for pair in self.pairs]
        rows += [f"{name}  has no counterpart" for name in self.only_a]
        return "\n".join([*rows, *(f"no counterpart for  {name}" for name in self.only_b)])
