"""From differing arrays to what is told of them: places, remedies for the live model, and what mends a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xconv import axes
from xconv.causes.arrays import Apart, compared
from xconv.causes.forms import Form
from xconv.comparison.case import Case, numbers, spelled
from xconv.comparison.trial import Mend, Trial
from xconv.diagnosis.records import Place
from xconv.graph import Node
from xconv.statistics import Array
from xconv.weights import ArraySource, NumpySource, Weight

__all__ = [
    "arranged",
    "counted",
    "exchanged_back",
    "names_of",
    "places_of",
    "rearranged_back",
    "remedy_of",
    "taken_from_a",
]

FOREIGN = "a:"
"""What stands before the key of an array that came from the other model."""


def arranged(case: Case, cause: str) -> dict[str, list[tuple[Apart, Form]]]:
    """The arrays that this cause explains, by what it says of them."""
    found: dict[str, list[tuple[Apart, Form]]] = {}
    for apart in compared(case).apart:
        for form in apart.forms:
            if form.cause == cause:
                found.setdefault(form.says, []).append((apart, form))
    return found


def taken_from_a(case: Case, chosen: Sequence[Apart]) -> Mend:
    """The remedy that gives `b` the numbers of `a`, in the arrangement in which it holds them now."""

    def mend(trial: Trial) -> Trial:
        edit = _Edit(trial)
        for apart in chosen:
            forms = [form for form in apart.forms if form.back is not None]
            if apart.wanted is None and not forms:
                edit.copy(case, apart)
                continue
            array = apart.wanted
            if array is None:
                array = numbers(case.a.graph.arrays, apart.a.weights[apart.source])
                for form in forms:
                    array = form.forward(array)
            edit.put(apart.b.name, apart.role, array)
        return edit.done()

    return mend


def rearranged_back(chosen: Sequence[tuple[Apart, Form]]) -> Mend:
    """The remedy that undoes one form of what `b` holds, whatever numbers these are."""

    def mend(trial: Trial) -> Trial:
        edit = _Edit(trial)
        for apart, form in chosen:
            weight = edit.node(apart.b.name).weights.get(apart.role) if edit.has(apart.b.name) else None
            if weight is not None and form.back is not None:
                edit.put(apart.b.name, apart.role, form.back(numbers(edit.arrays, weight)))
        return edit.done()

    return mend


def exchanged_back(chosen: Sequence[Apart]) -> Mend:
    """The remedy that puts arrays back that stand in each other's place within a layer."""

    def mend(trial: Trial) -> Trial:
        nodes: dict[str, Node | None] = {}
        for name, node in trial.b.by_name().items():
            moved = {apart.role: apart.source for apart in chosen if apart.b.name == name}
            if moved and moved.keys() == set(moved.values()) and moved.keys() <= node.weights.keys():
                put = {source: node.weights[role] for role, source in moved.items()}
                nodes[name] = replace(node, weights={**node.weights, **put})
        return replace(trial, b=trial.b.rebuilt(nodes))

    return mend


class _Edit:
    """Changes of many arrays of graph `b`, made at once."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.known = trial.b.by_name()
        self.nodes: dict[str, Node | None] = {}
        self.arrays: dict[str, ArraySource] = dict(trial.b.arrays)

    def has(self, name: str) -> bool:
        return name in self.known

    def node(self, name: str) -> Node:
        return self.nodes.get(name) or self.known[name]

    def put(self, name: str, role: str, array: Array) -> None:
        if self.has(name):
            key = f"{name}/{role}/mended"
            self.arrays[key] = NumpySource(np.ascontiguousarray(array))
            self._set(name, role, Weight.of(key, tuple(array.shape), str(array.dtype)))

    def copy(self, case: Case, apart: Apart) -> None:
        """The array of `a` itself; no number is copied."""
        if self.has(apart.b.name):
            weight = apart.a.weights[apart.source]
            if weight.key:
                self.arrays[f"{FOREIGN}{weight.key}"] = case.a.graph.arrays[weight.key]
                weight = replace(weight, key=f"{FOREIGN}{weight.key}")
            self._set(apart.b.name, apart.role, weight)

    def _set(self, name: str, role: str, weight: Weight) -> None:
        node = self.node(name)
        self.nodes[name] = replace(node, weights={**node.weights, role: weight})

    def done(self) -> Trial:
        return replace(self.trial, b=replace(self.trial.b.rebuilt(self.nodes), arrays=self.arrays))


def places_of(chosen: Sequence[Apart], ours: str, theirs: str) -> tuple[Place, ...]:
    """Every layer once, with its arrays and what either side says of them."""
    roles: dict[tuple[str, str], list[str]] = {}
    for apart in chosen:
        if not apart.again:
            roles.setdefault((apart.a.name, apart.b.name), []).append(apart.role)
    return tuple(
        Place(a, b, f"{', '.join(found)}: {ours}", f"{', '.join(found)}: {theirs}") for (a, b), found in roles.items()
    )


def names_of(chosen: Sequence[Apart]) -> list[str]:
    """The layers of `b`, each once."""
    return list(dict.fromkeys(apart.b.name for apart in chosen))


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "kernel"), counted(2, "kernel"), counted(2, "bias", "biases")
    ('1 kernel', '2 kernels', '2 biases')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def remedy_of(case: Case, apart: Apart, form: Form) -> str:
    """The line that undoes a form in the live model `b`; the transfer, where no one line does."""
    weight = apart.b.weights[apart.role]
    if case.b.framework == "torch":
        held = hasattr(case.b.model, "state_dict") and weight.key in case.b.model.state_dict()
        plain = held and weight.split == weight.shape == weight.source and axes.is_identity(weight.order)
        if plain and form.remedy:
            return f"w = {_parameter(weight.key)}; w.data = {form.remedy.replace('w', 'w.data', 1)}.contiguous()"
    elif form.order and weight.split == weight.source and len(weight.shape) == len(weight.source):
        back = axes.compose(axes.compose(weight.order, form.order), axes.inverse(weight.order))
        variable = f"{spelled(case.b, apart.b)}.{apart.role}"
        return f"w = {variable}; w.assign(keras.ops.transpose(w, {back}))"
    return "xconv.transfer(a, b)"


def _parameter(key: str) -> str:
    """The expression for an entry of a state_dict.

    >>> _parameter("layer1.0.conv1.weight")
    'model.layer1[0].conv1.weight'
    """
    return "model" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in key.split("."))
