"""Numbers that differ: which, by how much, and whether by rounding, by more training, or as another checkpoint's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from xconv.causes.arrays import ALONE, FRESH, OTHER, Apart, compared
from xconv.causes.initial_values import FEWEST
from xconv.causes.rounding import LAST_DIGITS
from xconv.causes.statistics import never_loaded
from xconv.causes.told import counted, names_of, taken_from_a
from xconv.comparison.case import Case, numbers
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Value
from xconv.layers.batch_norm import BatchNorm

__all__ = ["rounded_weights", "weights"]

TRAINED = 0.5
"""Arrays that are correlated more than this had a start in common."""
LARGE = 64
"""The correlation of fewer numbers says little."""


def rounded_weights(case: Case) -> Iterator[Suspicion]:
    """Arrays of `b` that are those of `a` in fewer digits, or the other way round."""
    groups: dict[tuple[str, bool, bool], list[Apart]] = {}
    for item in compared(case).apart:
        if item.rest and item.rest not in (OTHER, FRESH) and all(form.back is not None for form in item.forms):
            groups.setdefault((item.rest, item.reverse, item.wanted is not None), []).append(item)
    for (name, reverse, folded), items in groups.items():
        each = [item for item in items if not item.again]
        ours, theirs = ("b", "a") if reverse else ("a", "b")
        text = f"{counted(len(each), 'array')} of {theirs} hold the numbers of {ours} rounded to {name}"
        if folded:
            text = f"{counted(len(each), 'array')} of b make up for what other layers lack, rounded to {name}"
        elif name == LAST_DIGITS:
            text = f"{counted(len(each), 'array')} of a and b differ in {name}"
        yield Suspicion(
            "dtype",
            text,
            tuple(_place(item, f"rounded to {name}") for item in each),
            _wider(folded, reverse),
            taken_from_a(case, items),
        )


def _wider(folded: bool, reverse: bool) -> str:
    if folded:
        return "make b float64 before xconv.transfer(a, b): model.double()"
    if reverse:
        return "give a its own numbers again: those of b are whole"
    return "save and load the weights in a's own dtype, or xconv.transfer(a, b)"


def weights(case: Case) -> Iterator[Suspicion]:
    """Arrays of `b` that hold other numbers in whatever arrangement."""
    done = {id(item) for item in never_loaded(case)}
    left = [item for item in compared(case).apart if item.rest in (OTHER, FRESH) and id(item) not in done]
    if not left:
        return
    misplaced = _misplaced(case, left)
    fresh = _fresh(case, [item for item in left if id(item) not in misplaced])
    rest = [item for item in left if id(item) not in misplaced and id(item) not in fresh]
    tuned = _tuned(rest)
    elsewhere = [item for item in left if id(item) in misplaced]
    if elsewhere:
        yield _told(case, elsewhere, f"hold the numbers of another layer of a ({misplaced[id(elsewhere[0])]})")
    for items, words in (
        ([item for item in left if id(item) in fresh], "were never loaded: they hold what a new layer begins with"),
        ([item for item in rest if id(item) in tuned], "hold other numbers, as after more training"),
        ([item for item in rest if id(item) not in tuned], "hold other numbers, as of another checkpoint"),
    ):
        if items:
            yield _told(case, items, words)


def _told(case: Case, items: Sequence[Apart], words: str) -> Suspicion:
    each = [item for item in items if not item.again]
    known = compared(case)
    share = sum(item.size for item in each) / max(known.numbers, 1)
    layers = names_of(each)
    where = "" if len(each) == known.arrays else f", in {_listed(layers)}"
    text = (
        f"{len(each)} of {known.arrays} arrays of b ({_percent(share)} of the numbers{where}) {words}; "
        f"correlation {_overall(each):.2g}, the largest difference {max(item.relative for item in each):.2g} of the "
        "largest number"
    )
    places = tuple(_place(item, f"another by {item.relative:.2g}, correlation {item.correlation:.2g}") for item in each)
    return Suspicion(
        "weights", text, places, "load a's checkpoint into b: xconv.transfer(a, b)", taken_from_a(case, items)
    )


def _place(item: Apart, says: str) -> Place:
    return Place(item.a.name, item.b.name, f"{item.role} {item.a.weights[item.source].shape}", f"{item.role} {says}")


def _listed(layers: Sequence[str]) -> str:
    if len(layers) > 3:
        return f"{len(layers)} layers from {layers[0]} to {layers[-1]}"
    return ", ".join(layers)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2g}"


def _overall(items: Sequence[Apart]) -> float:
    """The correlation, by how many numbers there are."""
    total = sum(item.size for item in items)
    return sum(item.size * item.correlation for item in items) / max(total, 1)


def _tuned(items: Sequence[Apart]) -> set[int]:
    """Those that had a start in common with `a`: each large array by its correlation, the others as most of them."""
    large = [item for item in items if item.size >= LARGE and _is_kernel(item)]
    known = {item.b.name: item.correlation > TRAINED for item in large}
    most = _overall(large or items) > TRAINED
    return {id(item) for item in items if known.get(item.b.name, most)}


def _fresh(case: Case, items: Sequence[Apart]) -> set[int]:
    """Those of `b` that hold what a new layer begins with, and those of `a` do not.

    A kernel is told by the distribution of its numbers, if the bias and the BatchNorm that belong to it are new too.
    """
    each: dict[str, list[Apart]] = {}
    for item in items:
        each.setdefault(item.b.name, []).append(item)
    new = {name for name, own in each.items() if _is_new(own, 1)}
    if 2 * len(new) > len(each):
        new |= {name for name, own in each.items() if _may_be_new(own)}
    found = {id(item) for item in items if item.rest == FRESH}
    norms = {name: [norm for norm in _norms_behind(case, name) if norm in each] for name in new}
    for name in new:
        if all(norm in new for norm in norms[name]):
            found |= {id(item) for item in each[name]}
    kernels = [name for name in new if any(map(_is_kernel, each[name]))]
    seeds = [name for name in kernels if all(_is_new(each[known], 0) for known in (name, *norms[name]))]
    if not compared(case).shared and 2 * len(seeds) > len(kernels):
        return set()  # neither was trained: two seeds
    return found


def _is_new(items: Sequence[Apart], side: int) -> bool:
    """Whether the arrays of a layer are what a new one has; the range of a bias alone is no evidence."""
    evidence = any(item.drawn[side] for item in items if _is_kernel(item) or item.rest == FRESH)
    return evidence and all(item.drawn[side] for item in items)


def _may_be_new(items: Sequence[Apart]) -> bool:
    """Whether a layer is too small to tell, and as any other in what there is of it."""
    return all(item.drawn[1] or (item.size < FEWEST and abs(item.correlation) < ALONE) for item in items)


def _is_kernel(item: Apart) -> bool:
    return len(item.a.weights[item.source].shape) > 1


def _norms_behind(case: Case, name: str) -> list[str]:
    """The BatchNorms of `b` that read what a layer makes."""
    return [user.name for user in case.users_b.get(Value(name), ()) if isinstance(user.spec, BatchNorm)]


def _misplaced(case: Case, items: Sequence[Apart]) -> dict[int, str]:
    """Arrays of `b` that are, bit for bit, those of another layer of `a`, with its name."""
    found: dict[int, str] = {}
    for item in items:
        for name, role in compared(case).prints.get(item.prints, ()):
            if name != item.a.name and role == item.role:
                ours = numbers(case.a.graph.arrays, case.nodes_a[name].weights[role])
                theirs = numbers(case.b.graph.arrays, item.b.weights[role])
                if np.array_equal(ours, theirs):
                    found[id(item)] = name
    return found
