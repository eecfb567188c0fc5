"""The numbers of normalisations: statistics that were never loaded, swapped arrays, a variance in another form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xconv.causes.arrays import FRESH, Apart, compared
from xconv.causes.bias import NORMS, as_many_as_a, lone_weights
from xconv.causes.told import arranged, counted, exchanged_back, names_of, places_of, taken_from_a
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Place, Suspicion

__all__ = ["never_loaded", "statistics"]

STATISTICS = {"mean", "variance"}


def statistics(case: Case) -> Iterator[Suspicion]:
    """Whatever is wrong with the arrays of a normalisation, but for other numbers altogether."""
    yield from _fresh(case)
    yield from _swapped(case)
    yield from _formulas(case)
    yield from _lone(case)


def never_loaded(case: Case) -> list[Apart]:
    """The statistics of `b` that are as a new layer has them, while its gamma and beta are not."""
    fresh = [item for item in compared(case).apart if item.rest == FRESH and isinstance(item.b.spec, NORMS)]
    whole = {item.b.name for item in fresh if item.role not in STATISTICS}
    return [item for item in fresh if item.b.name not in whole]


def _fresh(case: Case) -> Iterator[Suspicion]:
    found = never_loaded(case)
    if found:
        count = len(names_of(found))
        yield Suspicion(
            "statistics",
            f"the statistics of {counted(count, 'BatchNorm')} in b are those of a new layer: mean 0, variance 1",
            places_of(found, "statistics of its training", "as a new layer has them"),
            "load running_mean and running_var too (strict=True tells what is missing), or xconv.transfer(a, b)",
            taken_from_a(case, found),
            hint="they are buffers, no parameters: model.parameters() leaves them out, model.state_dict() does not",
        )


def _swapped(case: Case) -> Iterator[Suspicion]:
    groups: dict[str, list[Apart]] = {}
    for item in compared(case).apart:
        if item.source != item.role and isinstance(item.b.spec, NORMS):
            groups.setdefault(item.b.name, []).append(item)
    kinds: dict[tuple[str, ...], list[Apart]] = {}
    for items in groups.values():
        kinds.setdefault(tuple(sorted(item.role for item in items)), []).extend(items)
    for roles, items in kinds.items():
        first = items[0]
        places = tuple(
            Place(item.a.name, item.b.name, f"{item.role}: its own", f"{item.role}: the numbers of {item.source}")
            for item in items
            if not item.again
        )
        yield Suspicion(
            "statistics",
            f"{' and '.join(roles)} of {counted(len(names_of(items)), 'normalisation')} stand in each other's place",
            places,
            f"exchange {' and '.join(roles)} of {spelled(case.b, first.b)}, or xconv.transfer(a, b)",
            exchanged_back(items),
            hint="Keras's order is gamma, beta, mean, variance; torch's is weight, bias, running_mean, running_var",
        )


def _formulas(case: Case) -> Iterator[Suspicion]:
    for says, found in arranged(case, "statistics").items():
        items: Sequence[Apart] = [item for item, _ in found]
        name = "running_var" if case.b.framework == "torch" else "moving_variance"
        hint = ""
        if "divided by" in says:
            hint = "torch's running_var takes the unbiased variance of the batch (n - 1), Keras's the biased one (n)"
        yield Suspicion(
            "statistics",
            f"the variance of {counted(len(names_of(items)), 'BatchNorm')} in b is {says}",
            places_of(items, "the variance", says),
            f"set {name} of {spelled(case.b, items[0].b)} to the variance, or xconv.transfer(a, b)",
            taken_from_a(case, items),
            hint=hint,
        )


def _lone(case: Case) -> Iterator[Suspicion]:
    for ours in (True, False):
        chosen = [lone for lone in lone_weights(case, norms=True) if lone.ours is ours]
        if not chosen:
            continue
        roles = " and ".join(sorted({lone.role for lone in chosen}))
        count = counted(len({lone.b.name for lone in chosen}), "normalisation of b", "normalisations of b")
        text = f"{count} without the {roles} that a has there" if ours else f"{count} with a {roles} that a lacks there"
        torch = case.b.framework == "torch"
        remedy = f"build them with {'affine=True' if torch else 'scale=True, center=True'}, and load a's numbers"
        if not ours:
            remedy = f"set {roles} of {spelled(case.b, chosen[0].b)} to {'1' if roles == 'gamma' else '0'}"
        yield Suspicion("statistics", text, tuple(lone.place for lone in chosen), remedy, as_many_as_a(case, chosen))
