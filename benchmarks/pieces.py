"""Numbered items in a process of their own; where one ends it, another process goes on behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.measure import run_arm

__all__ = ["CRASHES", "pieces"]

CRASHES = 20
"""How many items may end their process before the rest is given up."""


def pieces(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, timeout: float
) -> Iterator[dict[str, Any]]:
    """What each process answered last; with an "error", and the number of the item in "running", where it ended early.

    The arm takes the number of the item that it begins with as its last argument, answers before every item with what
    it has found and the item's number in "running", and at the end with "done".
    """
    start = 0
    for _ in range(CRASHES):
        found = run_arm(module, *arguments, str(start), environment=environment, timeout=timeout)
        if "done" in found:
            found.pop("error", None)
        yield found
        if "error" not in found or "running" not in found:
            return
        start = found["running"] + 1
