"""What no other cause claims: any other setting of a pair, any other lone node, another number of inputs or outputs."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.lone import OTHER
from xconv.causes.structure import found
from xconv.causes.wording import names_of, said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Place, Suspicion

__all__ = ["other_settings"]


def other_settings(case: Case) -> Iterator[Suspicion]:
    """Whatever is left, each kind of difference by itself, so that nothing stays unnamed."""
    yield from _ports(case)
    for part in found(case, OTHER).parts():
        if part.pairs:
            first = part.pairs[0]
            names = ", ".join(first.fields) or "settings"
            text = (
                f"{len(part.pairs)} {names_of([first.a])} with another {names}: {said(first.a)} against {said(first.b)}"
            )
            yield part.suspicion(text)
        elif part.lone:
            nodes = [*part.lone.a, *part.lone.b]
            yield part.suspicion(f"{names_of(nodes)}: {'b lacks it' if part.lone.a else 'a lacks it'}")


def _ports(case: Case) -> Iterator[Suspicion]:
    """Another number of inputs or outputs."""
    for word in ("input", "output"):
        ours, theirs = (getattr(opened.graph, f"{word}_values")() for opened in (case.a, case.b))
        if len(ours) != len(theirs):
            said_a, said_b = f"{len(ours)} {word}s", f"{len(theirs)} {word}s"
            place = Place(case.a.name, case.b.name, said_a, said_b)
            yield Suspicion(OTHER, f"a has {said_a}, b {said_b}", (place,), f"give b {said_a}")
