"""Biases: one that the other model lacks and nothing makes up for, one that counts twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xconv.causes.blocks import blocks
from xconv.causes.claims import taken_whole
from xconv.causes.told import arranged, counted, places_of, rearranged_back, remedy_of
from xconv.comparison.case import Case, numbers, spelled
from xconv.comparison.trial import Mend, Trial
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Node
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.group_norm import GroupNorm
from xconv.layers.layer_norm import LayerNorm

__all__ = ["NORMS", "Lone", "as_many_as_a", "bias", "lone_weights"]

NORMS = BatchNorm, LayerNorm, GroupNorm
FOREIGN = "a:"


@dataclass(frozen=True, slots=True)
class Lone:
    """A weight that only one of two layers has, and that does something."""

    a: Node
    b: Node
    role: str

    @property
    def ours(self) -> bool:
        """Whether it is `a` that has it."""
        return self.role in self.a.weights

    @property
    def place(self) -> Place:
        """Where it is and where it lacks."""
        says = (f"has {self.role}", f"has no {self.role}")
        return Place(self.a.name, self.b.name, *(says if self.ours else says[::-1]))


def lone_weights(case: Case, norms: bool) -> list[Lone]:
    """Weights that only one side has: of normalisations, or of everything else.

    One that changes nothing (a bias of zeros, a gamma of ones), and one that the next layer makes up for, are none.
    """
    made_up = blocks(case).absorbed
    found = []
    for a, b in case.pairs():
        if type(a.spec) is not type(b.spec) or isinstance(a.spec, NORMS) != norms or a.name in taken_whole(case):
            continue
        for role in dict.fromkeys((*a.weights, *b.weights)):
            if (role in a.weights) != (role in b.weights) and (b.name, role) not in made_up:
                lone = Lone(a, b, role)
                if not _idle(case, lone):
                    found.append(lone)
    return found


def _idle(case: Case, lone: Lone) -> bool:
    opened, node = (case.a, lone.a) if lone.ours else (case.b, lone.b)
    array = numbers(opened.graph.arrays, node.weights[lone.role])
    return bool(np.all(array == (1 if lone.role == "gamma" else 0)))


def as_many_as_a(case: Case, chosen: Sequence[Lone]) -> Mend:
    """The remedy that adds what only `a` has, and drops what only `b` has."""

    def mend(trial: Trial) -> Trial:
        known, arrays = trial.b.by_name(), dict(trial.b.arrays)
        nodes: dict[str, Node | None] = {}
        for lone in chosen:
            node = nodes.get(lone.b.name) or known.get(lone.b.name)
            if node is None:
                continue
            weights = {role: weight for role, weight in node.weights.items() if role != lone.role}
            if lone.ours:
                weight = lone.a.weights[lone.role]
                if weight.key:
                    arrays[f"{FOREIGN}{weight.key}"] = case.a.graph.arrays[weight.key]
                    weight = replace(weight, key=f"{FOREIGN}{weight.key}")
                weights[lone.role] = weight
            nodes[node.name] = replace(node, weights=weights)
        return replace(trial, b=replace(trial.b.rebuilt(nodes), arrays=arrays))

    return mend


def bias(case: Case) -> Iterator[Suspicion]:
    """Biases that one side lacks, and such as count twice or half."""
    for ours in (True, False):
        chosen = [lone for lone in lone_weights(case, norms=False) if lone.ours is ours]
        if chosen:
            yield _lone(case, chosen)
    for says, found in arranged(case, "bias").items():
        apart, form = found[0]
        items = [item for item, _ in found]
        text = f"the bias of {', '.join(dict.fromkeys(item.b.name for item in items))} is {says}"
        remedy = remedy_of(case, apart, form)
        yield Suspicion("bias", text, places_of(items, "as it is", says), remedy, rearranged_back(found))


def _lone(case: Case, chosen: Sequence[Lone]) -> Suspicion:
    first = chosen[0]
    count = counted(len({lone.b.name for lone in chosen}), "layer of b", "layers of b")
    missing = first.ours
    behind = [lone for lone in chosen if _feeds_norm(case, lone)]
    text = f"{count} without the bias that a has there" if missing else f"{count} with a bias that a lacks there"
    if behind:
        text += ", and the BatchNorm behind does not make up for it"
    where = spelled(case.b, first.b)
    if behind and missing:
        remedy = f"subtract a's bias from the mean of the BatchNorm behind {where}, or xconv.transfer(a, b)"
    elif missing:
        remedy = f"build {where} with {'bias=True' if case.b.framework == 'torch' else 'use_bias=True'}, and load a's"
    else:
        remedy = f"{where}.bias = None" if case.b.framework == "torch" else f"{where}.bias.assign(0 * {where}.bias)"
    return Suspicion("bias", text, tuple(lone.place for lone in chosen), remedy, as_many_as_a(case, chosen))


def _feeds_norm(case: Case, lone: Lone) -> bool:
    users = case.users_b
    return any(
        isinstance(user.spec, BatchNorm)
        for value, known in users.items()
        if value.node == lone.b.name
        for user in known
    )
