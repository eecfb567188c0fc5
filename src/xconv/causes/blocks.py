"""What one layer lacks and the BatchNorm behind it, or its own variance, makes up for: no difference (`blocks`).

A convolution's bias in the mean, an epsilon in the variance, a missing beta in the mean, a missing gamma in the kernel.
Biases that a BatchNorm further behind makes up for are `carried_biases`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xconv.causes.carried_biases import carried_biases
from xconv.causes.rounding import rounding
from xconv.comparison.case import Case, numbers
from xconv.comparison.opened import Opened
from xconv.graph import Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.statistics import Array

__all__ = ["Blocks", "blocks"]


@dataclass(slots=True)
class Blocks:
    """What counts as equal though it is said in other numbers; nodes are those of `b`."""

    wanted: dict[tuple[str, str], Array] = field(default_factory=dict)
    """The numbers of a node's role with which it is, with what else its block says, what `a` is."""
    absorbed: set[tuple[str, str]] = field(default_factory=set)
    """Roles that only one side has and the other makes up for."""
    settled: set[str] = field(default_factory=set)
    """Normalisations whose variance makes up for another epsilon."""


def blocks(case: Case) -> Blocks:
    """What the BatchNorms of either side make up for, and the blocks that say one thing in two ways."""
    if "blocks" not in case.memory:
        found = Blocks()
        for a, b in case.pairs():
            if isinstance(a.spec, BatchNorm) and isinstance(b.spec, BatchNorm) and a.spec.features == b.spec.features:
                _Block(case, a, b).tell(found)
        carried_biases(case, found.wanted, found.absorbed)
        case.memory["blocks"] = found
    result: Blocks = case.memory["blocks"]
    return result


class _Block:
    """A pair of BatchNorms, and the pair of layers in front of them that nothing else reads."""

    def __init__(self, case: Case, a: Node, b: Node) -> None:
        self.case, self.a, self.b = case, a, b
        self.before_a, self.before_b = _before(case.a, case.users_a, a), _before(case.b, case.users_b, b)
        if self.before_a is None or case.alignment.to_b.get(self.before_a.name) != getattr(self.before_b, "name", ""):
            self.before_a = self.before_b = None

    def tell(self, found: Blocks) -> None:
        self._variance(found)
        lone = [role for role in ("gamma", "beta") if (role in self.a.weights) != (role in self.b.weights)]
        biased = self.before_a is not None and self._has_lone_bias()
        if lone or biased:
            self._mean(found, lone, biased)

    def _variance(self, found: Blocks) -> None:
        epsilon_a, epsilon_b = (float(getattr(node.spec, "epsilon")) for node in (self.a, self.b))  # noqa: B009
        if epsilon_a == epsilon_b:
            return
        ours, theirs = self._ours("variance"), self._theirs("variance")
        wanted = ours + (epsilon_a - epsilon_b)
        if not np.array_equal(ours, theirs) and rounding(wanted, theirs) is not None:
            found.wanted[self.b.name, "variance"] = wanted
            found.settled.add(self.b.name)

    def _mean(self, found: Blocks, lone: list[str], biased: bool) -> None:
        """Whether the mean, and where gamma is missing the kernel, hold what the one side lacks."""
        wanted = self._ours("mean")
        if biased:
            wanted = wanted - _bias(self.case.a, self.before_a)
        gamma = self._ours("gamma") if "gamma" in self.a.weights else np.ones(1)
        if "beta" in lone:
            missing = self._ours("beta") if "beta" in self.a.weights else -self._theirs("beta")
            deviation = np.sqrt(self._ours("variance") + float(getattr(self.a.spec, "epsilon")))  # noqa: B009
            with np.errstate(divide="ignore", invalid="ignore"):
                wanted = wanted - missing * deviation / gamma
        kernel = None
        if "gamma" in lone and "gamma" in self.a.weights:
            kernel = self._scaled_kernel(gamma)
            if kernel is None:
                return
            wanted = wanted * gamma
        elif "gamma" in lone and not np.all(self._theirs("gamma") == 1):
            return
        if biased:
            wanted = wanted + _bias(self.case.b, self.before_b)
        if rounding(wanted, self._theirs("mean")) is None:
            return
        found.wanted[self.b.name, "mean"] = wanted
        found.absorbed |= {(self.b.name, role) for role in lone}
        if self.before_b is not None and biased:
            found.absorbed.add((self.before_b.name, "bias"))
        if self.before_b is not None and kernel is not None:
            found.wanted[self.before_b.name, "kernel"] = kernel

    def _scaled_kernel(self, gamma: Array) -> Array | None:
        """The kernel of `a` times gamma, where it is what `b` has."""
        if self.before_a is None or self.before_b is None:
            return None
        ours = numbers(self.case.a.graph.arrays, self.before_a.weights["kernel"]).astype(np.float64)
        scaled = ours * gamma.reshape(-1, *(1,) * (ours.ndim - 1))
        theirs = numbers(self.case.b.graph.arrays, self.before_b.weights["kernel"])
        fits = theirs.shape == scaled.shape and rounding(scaled, theirs) is not None
        return scaled if fits else None

    def _has_lone_bias(self) -> bool:
        return any(("bias" in one.weights) != ("bias" in other.weights) for one, other in [self._before()])

    def _before(self) -> tuple[Node, Node]:
        assert self.before_a is not None  # noqa: S101  asked only where there are
        assert self.before_b is not None  # noqa: S101
        return self.before_a, self.before_b

    def _ours(self, role: str) -> Array:
        return numbers(self.case.a.graph.arrays, self.a.weights[role]).astype(np.float64)

    def _theirs(self, role: str) -> Array:
        return numbers(self.case.b.graph.arrays, self.b.weights[role]).astype(np.float64)


def _bias(opened: Opened, node: Node | None) -> Array:
    if node is None or "bias" not in node.weights:
        return np.zeros(1)
    return numbers(opened.graph.arrays, node.weights["bias"]).astype(np.float64)


def _before(opened: Opened, users: dict[Value, list[Node]], norm: Node) -> Node | None:
    """The convolution or Dense that only this normalisation reads."""
    (value,) = norm.inputs
    node = opened.graph.by_name()[value.node]
    alone = len(users.get(value, ())) == 1 and value not in opened.graph.output_values()
    return node if isinstance(node.spec, (Conv, Dense)) and alone else None
