"""What a transfer did, as a frozen record: `str()` is readable text, `to_dict()` plain data for JSON."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xconv.errors import InvalidInput, Problem
from xconv.transfers.changes import Change
from xconv.transfers.origin import Origin
from xconv.transfers.plan import Assignment, Plan

__all__ = ["TransferReport"]

VERDICTS = {
    "inference": "in inference",
    "rotated": "for an image turned by 180 degrees",
    "channels swapped": "for an image with its channels the other way round",
    "ends": "but for what one of them has at its ends alone",
}
SHOWN = 12
"""How many lines of a kind are printed."""
_SOURCE = re.compile(r"(?: |, )the (\w+) of ([^,;]+)")
"""How the note of a fold names a weight of the source."""
NAMED = 3
"""How many places are named of which the same is said."""


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What `transfer` did.

    `plan` tells what every array of the target became. `problems` is what keeps the two models apart: empty unless
    strict=False. `findings` are NaN, infinities, overflows and negative variances, with layer and count.
    """

    plan: Plan
    problems: tuple[Problem, ...] = ()
    findings: tuple[Problem, ...] = ()
    rounded: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """For each dtype, how many arrays were rounded to it, and the largest relative error."""
    adapted: tuple[Change, ...] = ()
    """What adapt=True changed in the target."""
    notes: tuple[str, ...] = ()
    numbers: int = 0
    """How many numbers of the target were written."""
    seconds: float = 0.0
    origin: Origin | None = field(default=None, repr=False, compare=False)
    target: Any = field(default=None, repr=False, compare=False)
    """The model that was filled: the one that was given, or the new one that adapt=True made of a Keras model."""

    @property
    def ok(self) -> bool:
        """Whether the target computes what the source does, under the conditions that the verdict names."""
        return not self.problems and not any("infinite now" in item.what for item in self.findings)

    @property
    def verdict(self) -> str:
        """'exact', 'exact in inference', ... , 'partial' where the two are not the same function."""
        if not self.ok:
            return "partial"
        return " ".join(["exact", ", ".join(VERDICTS[name] for name in self.plan.conditions)]).rstrip()

    @property
    def folds(self) -> tuple[Assignment, ...]:
        """The arrays of the target that are more than a rearrangement of one of the source."""
        return tuple(item for item in self.plan.assignments if item.note)

    def save_map(self, path: str | os.PathLike[str]) -> None:
        """Write the mapping as a file, which `xconv.apply_map` replays on other checkpoints of the same architectures.

        Raises:
            InvalidInput: the report is itself of a replayed map.
            IsDirectory, NotFound, Unwritable: the path cannot be written to; an older file stays as it was.
        """
        from xconv.transfers.map_file import save_map
        from xconv.transfers.mapping import map_of

        if self.origin is None:
            raise InvalidInput("this transfer followed a saved map", remedy="copy the file of that map")
        save_map(map_of(self.plan, self.origin, self.problems), path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: numbers, strings, lists and dicts."""
        plan = self.plan
        return {
            "verdict": self.verdict,
            "ok": self.ok,
            "source": plan.source,
            "target": plan.target,
            "frameworks": list(plan.frameworks),
            "conditions": list(plan.conditions),
            "arrays": len(plan.targets()),
            "numbers": self.numbers,
            "folds": [_folded(item) for item in self.folds],
            "left": [
                {"key": item.weight.key, "layer": item.layer, "role": item.role, "reason": item.reason}
                for item in plan.left
            ],
            "unfilled": [
                {"key": item.weight.key, "layer": item.layer, "role": item.role, "reason": item.reason}
                for item in plan.unfilled
            ],
            "adapted": [item.to_dict() for item in self.adapted],
            "problems": [str(item) for item in self.problems],
            "findings": [str(item) for item in self.findings],
            "rounded": {
                name: {"arrays": count, "max_rel": most if math.isfinite(most) else str(most)}
                for name, (count, most) in self.rounded.items()
            },
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def to_json(self, indent: int | None = 2) -> str:
        """The same as JSON text that every parser reads."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        return "\n".join([self._headline(), *(f"{what}: {text}" for what, text in _shortened(self._rows()))])

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=self._headline(), title_justify="left")
        for name in ("", "what"):
            table.add_column(name, overflow="fold")
        for row in _shortened(self._rows()):
            table.add_row(*row)
        return table

    def _headline(self) -> str:
        arrays = len(self.plan.targets())
        return (
            f"{self.plan.source} -> {self.plan.target}: {self.verdict}; "
            f"{arrays} arrays, {self.numbers:,} numbers ({self.seconds:.1f} s)"
        )

    def _rows(self) -> Iterator[tuple[str, str]]:
        """Kind and text of everything that is to be said."""
        said = ((f"{item.what}; {item.remedy}" if item.remedy else item.what, item.place) for item in self.problems)
        yield from _grouped("differs", said)
        yield from _grouped("changed", ((f"{item.before} -> {item.after}", item.place) for item in self.adapted))
        yield from _folds(self.folds)
        yield from _grouped("not moved", ((item.reason, item.weight.key) for item in self.plan.left))
        yield from _grouped("kept as it was", ((item.reason, item.weight.key) for item in self.plan.unfilled))
        yield from (("found", str(item)) for item in self.findings)
        for name, (count, most) in self.rounded.items():
            yield "rounded", f"{count} arrays to {name}, by at most {most:.2g} of their largest number"
        yield from (("note", text) for text in self.notes)


def _grouped(kind: str, items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """One row for all places of which the same is said."""
    groups: dict[str, list[str]] = {}
    for text, place in items:
        groups.setdefault(text, []).append(place)
    for text, places in groups.items():
        named = _named(places)
        yield kind, f"{named}: {text}" if named else text


def _named(places: Iterable[str]) -> str:
    """The first few of many places, and how many more there are."""
    known = [place for place in dict.fromkeys(places) if place]
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return f"{', '.join(known[:NAMED])}{more}"


def _folds(items: Iterable[Assignment]) -> Iterator[tuple[str, str]]:
    """One row for all folds of one kind, whichever layers of the source they come from."""
    groups: dict[str, tuple[list[str], dict[str, list[str]]]] = {}
    for item in items:
        layers, sources = groups.setdefault(f"{item.role}: {_SOURCE.sub('', item.note)}", ([], {}))
        layers.append(item.layer)
        for role, name in _SOURCE.findall(item.note):
            sources.setdefault(role, []).append(name)
    for kind, (layers, sources) in groups.items():
        what = " and ".join(f"the {role} of {_named(names)}" for role, names in sources.items())
        yield "folded", f"{_named(layers)}: {kind.replace('less', f'less {what}', 1) if what else kind}"


def _folded(item: Assignment) -> dict[str, Any]:
    return {
        "key": item.target.key,
        "layer": item.layer,
        "role": item.role,
        "sources": list(item.source_layers),
        "what": item.note,
        "condition": item.condition,
    }


def _shortened(rows: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The rows; of a kind that comes often only the first, and how many more."""
    counts: dict[str, int] = {}
    for kind, text in rows:
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= SHOWN or kind == "differs":
            yield kind, text
    for kind, count in counts.items():
        if count > SHOWN and kind != "differs":
            yield kind, f"and {count - SHOWN} more"
