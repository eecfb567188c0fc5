"""The plan of a transfer, from two aligned models: what every array of the target becomes (`make_plan`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

from xconv.comparison.case import Case, numbers
from xconv.comparison.opened import Opened
from xconv.errors import Mismatch, Problem
from xconv.graph import Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.io import Variable
from xconv.passes.without_unused import without_unused
from xconv.transfer.fitting import variant, why_not
from xconv.transfer.holdings import Holdings, holdings_of
from xconv.transfer.obstacles import Judged, judged, place_of
from xconv.transfer.places import read_from, written_to
from xconv.transfer.plan import Assignment, Fill, Flip, Formula, Left, Plan, Product, Sum, Unfilled, shape_of, taken
from xconv.transfer.shifts import Shifts, shifts
from xconv.transfer.turned import first_convolutions, rotation_problems, spatial_axes
from xconv.weights import Weight

__all__ = ["Options", "Planned", "make_plan"]

INFERENCE, ROTATED, SWAPPED = "inference", "rotated", "channels swapped"
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
    left: dict[str, Left] = field(default_factory=dict)
    unfilled: dict[str, Unfilled] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    judged: Judged = field(init=False)
    shifts: Shifts = field(init=False)
    first: frozenset[str] = frozenset()
    sizes: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    def run(self) -> Planned:
        """Everything, in order."""
        options = self.options
        self.judged = judged(self.case, inference_only=options.inference_only, rotate=options.rotate)
        self.problems += self.judged.problems
        self.shifts = shifts(self.case)
        self._images()
        for a, b in self.case.pairs():
            self._pair(a, b)
        self._lone()
        self._rest()
        told = variant(self.case, self.sizes) if self.problems else ""
        if told:
            self.problems.append(Problem("", told))
        conditions = {item.condition for item in self.assignments.values()} - {""}
        asked = ((options.rotate, ROTATED), (options.swap_channels, SWAPPED))
        ordered = [name for name in (INFERENCE,) if name in conditions] + [name for on, name in asked if on]
        plan = Plan(
            self.case.a.name,
            self.case.b.name,
            (self.case.a.framework, self.case.b.framework),
            tuple(self.assignments.values()),
            tuple(self.left.values()),
            tuple(self.unfilled.values()),
            tuple(ordered),
            self.judged.notes,
        )
        constants = {key: array for key, array in self.case.a.graph.arrays.items() if key not in self.source.arrays}
        source = replace(self.source, arrays={**constants, **self.source.arrays})
        return Planned(plan, tuple(self.problems), source, self.target)

    def _images(self) -> None:
        """What turning the image or its channels asks for."""
        if self.options.rotate:
            self.problems += rotation_problems(self.case)
        if self.options.swap_channels:
            self.first, problems = first_convolutions(self.case)
            self.problems += problems

    # ------------------------------------------------------------------ pairs

    def _pair(self, a: Node, b: Node) -> None:
        """Every weight of two layers that are one."""
        roles = (
            dict(zip(b.weights, a.weights, strict=True)) if _one_weight(a, b) else {role: role for role in b.weights}
        )
        for role, weight in b.weights.items():
            ours = a.weights.get(roles[role])
            if ours is None:
                self._neutral(a, b, role)
            else:
                self._move(a, b, role, ours, weight)
        for role in a.weights.keys() - set(roles.values()):
            self._no_home(a, b, role)

    def _move(self, a: Node, b: Node, role: str, ours: Weight, theirs: Weight) -> None:
        """One weight that both have."""
        ours = _reshaped(ours, theirs)
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
        self._leave(a, role, reason)
        self._keep(b, role, reason)
        self.sizes.append((role, ours.shape, theirs.shape))

    def _neutral(self, a: Node, b: Node, role: str) -> None:
        """A weight that the target alone has: it gets the number that does nothing."""
        if role not in ("gamma", "beta") and not role.startswith("bias") and not role.endswith("_bias"):
            reason = f"{self.case.a.name} has no {role} here"
            self.problems.append(Problem(place_of(self.case, a.name, b.name), reason))
            self._keep(b, role, reason)
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
        gamma = self._scale(a, role)
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
        """The formula of a kernel for an image that is turned, or has its channels the other way round."""
        if role != "kernel" or not isinstance(a.spec, Conv):
            return formula
        if self.options.rotate and prod(a.spec.kernel) > 1:
            formula = Flip(formula, spatial_axes(len(shape_of(formula))))
            notes.append("turned by 180 degrees")
        if a.name in self.first:
            formula = Flip(formula, (1,))
            notes.append("input channels the other way round")
        return formula

    # ------------------------------------------------------------------ weights of one side

    def _scale(self, node: Node, role: str) -> Formula | None:
        """The gamma that this weight is multiplied by, because the target's BatchNorm has none."""
        if role == "mean":
            return self._gamma(node) if self._scaled(node) is not None else None
        if role in ("kernel", "bias") and isinstance(node.spec, (Conv, Dense)):
            users = self.case.users_a.get(Value(node.name), [])
            if len(users) == 1 and self._scaled(users[0]) == node.name:
                return self._gamma(users[0])
        return None

    def _gamma(self, node: Node) -> Formula:
        return read_from(node.weights["gamma"], self.case.a.graph.computed)

    def _scaled(self, norm: Node) -> str | None:
        """The convolution that takes the gamma of a BatchNorm, where the target has none and it is not all ones."""
        other = self.case.alignment.to_b.get(norm.name)
        if other is None or not isinstance(norm.spec, BatchNorm) or not self.options.inference_only:
            return None
        if "gamma" not in norm.weights or "gamma" in self.case.nodes_b[other].weights:
            return None
        if self._constant(norm.weights["gamma"], 1.0):
            return None
        value = norm.inputs[0]
        before = self.case.nodes_a[value.node]
        alone = len(self.case.users_a.get(value, [])) == 1 and value not in self.case.a.graph.output_values()
        paired = before.name in self.case.alignment.to_b and isinstance(before.spec, (Conv, Dense))
        if not alone or not paired:
            return None
        key = before.weights["kernel"].key
        calls = sum(weight.key == key for node in self.case.a.graph.nodes for weight in node.weights.values())
        return before.name if calls == 1 else None

    def _no_home(self, a: Node, b: Node, role: str) -> None:
        """A weight that the source alone has."""
        place, weight = place_of(self.case, a.name, b.name), a.weights[role]
        homeless = self.shifts.homeless.get((a.name, role), "")
        carried = role in ("bias", "beta") and isinstance(a.spec, (BatchNorm, Conv, Dense)) and not homeless
        if carried or (role == "gamma" and self._scaled(a) is not None):
            return
        value = NEUTRAL.get(role, 0.0)
        if self._constant(weight, value):
            word = "ones" if value else "zeros"
            self._leave(a, role, f"{self.case.b.name} has no {role} here, and all its numbers are {word}", value)
            return
        remedy = "inference_only=True takes it into the layer before" if role == "gamma" else ""
        reason = f"{self.case.b.name} has no {role} here" + (f"; {homeless}" if homeless else "")
        self.problems.append(Problem(place, reason, remedy))
        self._leave(a, role, reason)

    def _constant(self, weight: Weight, value: float) -> bool:
        return bool((numbers(self.case.a.graph.arrays, weight) == value).all())

    def _lone(self) -> None:
        """Weights of nodes that the other model lacks."""
        for node in self.case.only_a():
            for role in node.weights if node.name in self._used(self.case.a) else ():
                ends = ", what stands at the ends alone is yours to do" if node.name in self.judged.ends else ""
                self._leave(node, role, f"{self.case.b.name} has no such layer{ends}")
        for node in self.case.only_b():
            for role in node.weights if node.name in self._used(self.case.b) else ():
                self._keep(node, role, f"{self.case.a.name} has no such layer")

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
        from xconv.transfer.evaluate import evaluate

        theirs = numbers(self.case.b.graph.arrays, weight)
        ours = evaluate(formula, self.case.a.graph.arrays).double().numpy()
        if ours.shape != theirs.shape or not (ours == theirs).all():
            what = f"{role} is a constant of {self.case.b.name}, or computed from others, and holds other numbers"
            self.problems.append(Problem(place_of(self.case, a.name, b.name), what))

    def _leave(self, node: Node, role: str, reason: str, must_be: float | None = None) -> None:
        for item in taken(read_from(node.weights[role], self.case.a.graph.computed)):
            whole = self.source.weight(item.key) if item.key in self.source.arrays else item
            self.left.setdefault(item.key, Left(whole, node.layer or node.name, role, reason, must_be))

    def _keep(self, node: Node, role: str, reason: str) -> None:
        for item in taken(read_from(node.weights[role], self.case.b.graph.computed)):
            whole = self.target.weight(item.key) if item.key in self.target.arrays else item
            self.unfilled.setdefault(item.key, Unfilled(whole, node.layer or node.name, role, reason))

    def _used(self, side: Opened) -> dict[str, Node]:
        """The nodes on which an output depends."""
        return without_unused(side.graph).by_name()

    def _rest(self) -> None:
        """Arrays that no layer of the graphs uses."""
        unused = "nothing that {} computes in inference uses it"
        read = {weight.key for item in self.assignments.values() for weight in taken(item.formula)}
        known = {self.source.shared.get(key, key) for key in (*read, *self.left)}
        for key in self.source.arrays:
            if self.source.shared.get(key, key) not in known:
                reason = self.source.without_meaning(key) or unused.format(self.case.a.name)
                if key in self.source.uses:
                    reason = f"{self.case.a.name} computes other weights from it, and those are moved"
                self.left[key] = Left(self.source.weight(key), *self.source.named(key), reason)
        filled = {item.target.key for item in self.assignments.values()}
        known = {self.target.shared.get(key, key) for key in (*filled, *self.unfilled)}
        for key in self.target.arrays:
            if self.target.shared.get(key, key) not in known:
                reason = self.target.without_meaning(key) or unused.format(self.case.b.name)
                self.unfilled[key] = Unfilled(self.target.weight(key), *self.target.named(key), reason)

    def _names(self, origins: tuple[tuple[str, str], ...]) -> str:
        nodes = self.case.nodes_a
        return ", ".join(f"the {role} of {nodes[name].layer or name}" for name, role in origins)


def _one_weight(a: Node, b: Node) -> bool:
    """Whether both hold one weight, which they may call by different names."""
    return isinstance(b.spec, Variable) and len(a.weights) == len(b.weights) == 1


def _reshaped(ours: Weight, theirs: Weight) -> Weight:
    """The weight with as many axes of length 1 as the other has."""
    bare = [tuple(size for size in weight.shape if size != 1) for weight in (ours, theirs)]
    if bare[0] != bare[1] or ours.shape == theirs.shape:
        return ours
    try:
        return ours.reshape(theirs.shape)
    except Mismatch:
        return ours
