"""What a report remembers of its transfer, so that the mapping can be saved later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Origin"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The target as it was given, and the further names of arrays that have several."""

    model: Any
    source: Mapping[str, str] = field(default_factory=dict)
    """Of the source: by each further name the first."""
    target: Mapping[str, str] = field(default_factory=dict)
