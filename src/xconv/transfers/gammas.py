"""Gammas that the target's BatchNorms have no place for, in the layer before: exact in inference.

W x + b -> (. - m) / s * g          is          (g W) x + g b -> (. - g m) / s
"""

from __future__ import annotations

from dataclasses import dataclass

from xconv.comparison.case import Case, numbers
from xconv.graph import Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.transfers.places import read_from
from xconv.transfers.plan import Formula
from xconv.weights import Weight

__all__ = ["Gammas", "constant"]


@dataclass(frozen=True, slots=True)
class Gammas:
    """What becomes of the gammas of `case.a` that `case.b` has no place for; nothing unless `allowed`."""

    case: Case
    allowed: bool

    def factor(self, node: Node, role: str) -> Formula | None:
        """The gamma that a weight is multiplied by; None where it stays as it is."""
        if role == "mean":
            return self._gamma(node) if self.taker(node) is not None else None
        if role in ("kernel", "bias") and isinstance(node.spec, (Conv, Dense)):
            users = self.case.users_a.get(Value(node.name), [])
            if len(users) == 1 and self.taker(users[0]) == node.name:
                return self._gamma(users[0])
        return None

    def taker(self, norm: Node) -> str | None:
        """The convolution that takes the gamma of a BatchNorm, where the target has none and it is not all ones."""
        other = self.case.alignment.to_b.get(norm.name)
        if other is None or not isinstance(norm.spec, BatchNorm) or not self.allowed:
            return None
        lacks = "gamma" in norm.weights and "gamma" not in self.case.nodes_b[other].weights
        return self._before(norm) if lacks and not constant(self.case, norm.weights["gamma"], 1.0) else None

    def _before(self, norm: Node) -> str | None:
        """The layer before, where its kernel serves this BatchNorm alone."""
        value = norm.inputs[0]
        before = self.case.nodes_a[value.node]
        alone = len(self.case.users_a.get(value, [])) == 1 and value not in self.case.a.graph.output_values()
        if not alone or before.name not in self.case.alignment.to_b or not isinstance(before.spec, (Conv, Dense)):
            return None
        key = before.weights["kernel"].key
        calls = sum(weight.key == key for node in self.case.a.graph.nodes for weight in node.weights.values())
        return before.name if calls == 1 else None

    def _gamma(self, norm: Node) -> Formula:
        return read_from(norm.weights["gamma"], self.case.a.graph.computed)


def constant(case: Case, weight: Weight, value: float) -> bool:
    """Whether all numbers of a weight of `case.a` are this one."""
    return bool((numbers(case.a.graph.arrays, weight) == value).all())
