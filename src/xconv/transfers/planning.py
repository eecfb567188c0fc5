"""The plan of a transfer, from two aligned models: what every array of the target becomes (`make_plan`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

from xconv.comparison.case import Case, numbers
from xconv.errors import Problem
from xconv.graph import Node
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.transfers.accounts import Accounts
from xconv.transfers.fitting import one_weight, variant, why_not, with_axes_of
from xconv.transfers.gammas import Gammas, constant
from xconv.transfers.holdings import Holdings, holdings_of
from xconv.transfers.obstacles import Judged, judged, place_of
from xconv.transfers.places import read_from, written_to
from xconv.transfers.plan import COUNTERS, Assignment, Fill, Flip, Formula, Plan, Product, Sum, Take, shape_of, taken
from xconv.transfers.shifts import Shifts, shifts
from xconv.transfers.swapped import Swaps, swaps
from xconv.transfers.turned import rotation_problems, spatial_axes
from xconv.weights import Weight

__all__ = ["Options", "Planned", "make_plan"]

INFERENCE, ROTATED, SWAPPED, ENDS = "inference", "rotated", "channels swapped", "ends"
NEUTRAL = {"gamma": 1.0}
"""What a role is where a layer lacks it; zero for all others."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller allows or asks for; the meaning of each is that of `xconv.transfer`'s argument."""

    inference_only: bool = False
    rotate: bool = False
    swap_channels: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and all that keeps it from being exact."""

    plan: Plan
    problems: tuple[Problem, ...]
    source: Holdings
    target: Holdings


def make_plan(case: Case, options: Options) -> Planned:
    """What every array of `case.b` becomes, so that it computes what `case.a` does.

    Args:
        case: the source as `a`, the target as `b`.
        options: what may be done besides moving.

    Raises:
        InvalidInput: an option that these models have no use for.
    """
    planner = _Planner(case, options, holdings_of(case.a), holdings_of(case.b))
    return planner.run()


@dataclass(slots=True)
class _Planner:
    """One planning; what is found is collected."""

    case: Case
    options: Options
    source: Holdings
    target: Holdings
    assignments: dict[tuple[str, tuple[int, int] | None, str], Assignment] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    judged: Judged = field(init=False)
    shifts: Shifts = field(init=False)
    gammas: Gammas = field(init=False)
    accounts: Accounts = field(init=False)
    swaps: Swaps = field(default_factory=Swaps)
    sizes: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    def run(self) -> Planned:
        """Everything, in order."""
        options = self.options
        self.judged = judged(self.case, inference_only=options.inference_only, rotate=options.rotate)
        self.problems += self.judged.problems
        self.shifts = shifts(self.case)
        self.accounts = Accounts(self.case, self.source, self.target)
        self.gammas = Gammas(self.case, options.inference_only)
        self._images()
        for a, b in self.case.pairs():
            self._pair(a, b)
        self.accounts.close(self.assignments.values(), self.judged.ends)
        told = variant(self.case, self.sizes) if self.problems else ""
        if told:
            self.problems.insert(0, Problem("", told))
        conditions = {item.condition for item in self.assignments.values()} - {""}
        asked = ((options.rotate, ROTATED), (options.swap_channels, SWAPPED))
        ordered = [name for name in (INFERENCE,) if name in conditions] + [name for on, name in asked if on]
        if self.judged.ends:
            ordered.append(ENDS)
        plan = Plan(
            self.case.a.name,
            self.case.b.name,
            (self.case.a.framework, self.case.b.framework),
            tuple(self.assignments.values()),
            tuple(self.accounts.left.values()),
            tuple(self.accounts.unfilled.values()),
            tuple(ordered),
            (*self.judged.notes, *self.swaps.notes),
        )
        constants = {key: array for key, array in self.case.a.graph.arrays.items() if key not in self.source.arrays}
        source = replace(self.source, arrays={**constants, **self.source.arrays})
        return Planned(plan, tuple(self.problems), source, self.target)

    def _images(self) -> None:
        """What turning the image or its channels asks for."""
        if self.options.rotate:
            self.problems += rotation_problems(self.case)
        if self.options.swap_channels:
            self.swaps = swaps(self.case, self.judged.ends)
            self.problems += self.swaps.problems

    # ------------------------------------------------------------------ pairs

    def _pair(self, a: Node, b: Node) -> None:
        """Every weight of two layers that are one."""
        roles = dict(zip(b.weights, a.weights, strict=True)) if one_weight(a, b) else {role: role for role in b.weights}
        for role, weight in b.weights.items():
            ours = a.weights.get(roles[role])
            if ours is None:
                self._neutral(a, b, role)
            else:
                self._move(a, b, role, ours, weight)
        for role in a.weights.keys() - set(roles.values()):
            self._no_home(a, b, role)
        self._count(a, b)

    def _count(self, a: Node, b: Node) -> None:
        """How many training steps two BatchNorms of torch have seen: with momentum=None they average over all."""
        ours, theirs = (
            f"{node.weights['mean'].key.rpartition('.')[0]}.{COUNTERS}" if "mean" in node.weights else ""
            for node in (a, b)
        )
        if ours in self.source.arrays and theirs in self.target.arrays:
            formula, whole = Take(self.source.weight(ours)), self.target.weight(theirs)
            item = Assignment(whole, formula, b.layer or b.name, COUNTERS, (self.source.named(ours)[0],))
            self.assignments.setdefault((theirs, None, ""), item)

    def _move(self, a: Node, b: Node, role: str, ours: Weight, theirs: Weight) -> None:
        """One weight that both have."""
        ours = with_axes_of(ours, theirs)
        if ours.shape != theirs.shape:
            self._misfit(a, b, role, ours, theirs)
            return
        plain = read_from(ours, self.case.a.graph.computed)
        formula, note, condition = self._changed(a, b, role, plain)
        source = (ours, self.case.a.graph.computed) if formula is plain else None
        self._assign(a, b, role, theirs, formula, (note, condition), source)

    def _misfit(self, a: Node, b: Node, role: str, ours: Weight, theirs: Weight) -> None:
        place = place_of(self.case, a.name, b.name)
        reason = f"{role} has shape {ours.shape} against {theirs.shape}"
        self.problems.append(Problem(place, reason, why_not(self.case, b, ours.shape, theirs.shape)))
        self.accounts.leave(a, role, reason)
        self.accounts.keep(b, role, reason)
        self.sizes.append((role, ours.shape, theirs.shape))

    def _neutral(self, a: Node, b: Node, role: str) -> None:
        """A weight that the target alone has: it gets the number that does nothing."""
        if role not in ("gamma", "beta") and not role.startswith("bias") and not role.endswith("_bias"):
            reason = f"{self.case.a.name} has no {role} here"
            self.problems.append(Problem(place_of(self.case, a.name, b.name), reason))
            self.accounts.keep(b, role, reason)
            return
        weight, value = b.weights[role], NEUTRAL.get(role, 0.0)
        note = f"{'ones' if value else 'zeros'}: {self.case.a.name} has no {role} here"
        self._assign(a, b, role, weight, Fill(weight.shape, value), (note, ""), None)

    def _changed(self, a: Node, b: Node, role: str, formula: Formula) -> tuple[Formula, str, str]:
        """The formula with the folds and turns that this weight takes part in; note and condition."""
        notes: list[str] = []
        condition = ""
        shift = self.shifts.taken.get(a.name) if role == "mean" else None
        if shift is not None:
            formula = Sum(formula, shift.formula, -1.0)
            notes.append(f"less {self._names(shift.origins)}, which {self.case.b.name} has no place for")
        gamma = self.gammas.factor(a, role)
        if gamma is not None:
            formula, condition = Product(formula, gamma, 0), INFERENCE
            notes.append(f"times the gamma that {self.case.b.name} has no place for")
        if role == "variance" and isinstance(a.spec, BatchNorm) and isinstance(b.spec, BatchNorm):
            more = a.spec.epsilon - b.spec.epsilon
            if abs(more) > 1e-12 * a.spec.epsilon and self.options.inference_only:
                formula, condition = Sum(formula, Fill(shape_of(formula), more)), INFERENCE
                notes.append(f"epsilon {a.spec.epsilon} against {b.spec.epsilon}: {more:+.4g}")
        return self._turned(a, role, formula, notes), "; ".join(notes), condition

    def _turned(self, a: Node, role: str, formula: Formula, notes: list[str]) -> Formula:
        """The formula of a weight for an image that is turned, or has its channels the other way round."""
        if self.options.rotate and role == "kernel" and isinstance(a.spec, Conv) and prod(a.spec.kernel) > 1:
            formula = Flip(formula, spatial_axes(len(shape_of(formula))))
            notes.append("turned by 180 degrees")
        turn = self.swaps.turns.get((a.name, role))
        if turn is not None:
            formula = Flip(formula, (turn[0],), turn[1])
            notes.append("the image's channels the other way round")
        return formula

    # ------------------------------------------------------------------ weights of one side

    def _no_home(self, a: Node, b: Node, role: str) -> None:
        """A weight that the source alone has."""
        place, weight = place_of(self.case, a.name, b.name), a.weights[role]
        homeless = self.shifts.homeless.get((a.name, role), "")
        carried = role in ("bias", "beta") and isinstance(a.spec, (BatchNorm, Conv, Dense)) and not homeless
        if carried or (role == "gamma" and self.gammas.taker(a) is not None):
            return
        value = NEUTRAL.get(role, 0.0)
        if constant(self.case, weight, value):
            word = "ones" if value else "zeros"
            self.accounts.leave(
                a, role, f"{self.case.b.name} has no {role} here, and all its numbers are {word}", value
            )
            return
        remedy = "inference_only=True takes it into the layer before" if role == "gamma" else ""
        reason = f"{self.case.b.name} has no {role} here" + (f"; {homeless}" if homeless else "")
        self.problems.append(Problem(place, reason, remedy))
        self.accounts.leave(a, role, reason)

    # ------------------------------------------------------------------ collecting

    def _assign(
        self,
        a: Node,
        b: Node,
        role: str,
        weight: Weight,
        formula: Formula,
        said: tuple[str, str],
        source: tuple[Weight, object] | None,
    ) -> None:
        """One weight of the target, as what its own arrays become."""
        layer, note = b.layer or b.name, said[0]
        like = (source[0], self.case.a.graph.computed) if source else None
        sources = tuple(dict.fromkeys(self.source.named(item.key)[0] for item in taken(formula)))
        for piece in written_to(weight, formula, self.case.b.graph.computed, like):
            key = piece.target.key
            if key not in self.target.arrays:
                self._fixed(a, b, role, weight, formula)
                continue
            notes = "; ".join(text for text in (note, piece.note) if text)
            item = Assignment(piece.target, piece.formula, layer, role, sources, piece.rows, notes, said[1])
            self.assignments.setdefault((key, piece.rows, str(piece.formula)), item)

    def _fixed(self, a: Node, b: Node, role: str, weight: Weight, formula: Formula) -> None:
        """A constant of the target, or one that it computes from others: it must be as the source has it."""
        from xconv.transfers.evaluate import evaluate

        theirs = numbers(self.case.b.graph.arrays, weight)
        ours = evaluate(formula, self.case.a.graph.arrays).double().numpy()
        if ours.shape != theirs.shape or not (ours == theirs).all():
            what = f"{role} is a constant of {self.case.b.name}, or computed from others, and holds other numbers"
            self.problems.append(Problem(place_of(self.case, a.name, b.name), what))

    def _names(self, origins: tuple[tuple[str, str], ...]) -> str:
        nodes = self.case.nodes_a
        return ", ".join(f"the {role} of {nodes[name].layer or name}" for name, role in origins)
