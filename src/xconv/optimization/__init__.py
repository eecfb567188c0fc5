"""What a module is made into before it serves: the same function, faster, every step proved and measured."""

from __future__ import annotations

from xconv.optimization.run import optimize

__all__ = ["optimize"]
