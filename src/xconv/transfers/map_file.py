"""A plan as a file that a person can read: JSON, one line for each array of the target. It holds no numbers.

{"to": "bn1.running_mean", "stored": [64], "role": "mean", "layer": "bn1",
 "from": {"sum": [{"take": "conv1_bn/2", "stored": [64]}, {"take": "conv1_conv/1", "stored": [64]}], "factor": -1.0},
 "note": "the bias of conv1_conv is taken off the mean"}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from xconv.atomic import replacing
from xconv.errors import IsDirectory, NotFound, Problem, Unreadable, XConvError
from xconv.keras import json_text
from xconv.transfers.keras_layout import KerasLayout
from xconv.transfers.map_words import (
    formula_from,
    formula_words,
    known_only,
    number_in,
    rows_in,
    text_in,
    texts_in,
    weight_from,
    weight_words,
)
from xconv.transfers.plan import Assignment, Left, Plan, Unfilled, shape_of

__all__ = ["TransferMap", "load_map", "save_map"]

VERSION = 1
"""Of the format; a reader refuses later ones."""
_BYTES = 256 << 20
_PROBLEMS = 20
_REMEDY = "save the map again; it is not meant to be written by hand"
_LISTS = ("weights", "left", "unfilled", "problems")
_HEAD = frozenset(("xconv_map", "source", "target", "conditions", "notes", *_LISTS, "shared", "layout"))
_TO = frozenset({"layer", "role", "from", "source_layers", "rows", "note", "condition"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TransferMap:
    """What a map file holds: the plan, and where a Keras file keeps each array of the target."""

    plan: Plan
    layout: KerasLayout = field(default_factory=KerasLayout)
    shared_source: Mapping[str, str] = field(default_factory=dict)
    """Further names of arrays of the source, and the name under which each is the same array."""
    shared_target: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    """What keeps the two models apart, where the map is of a transfer that was not exact."""


def save_map(found: TransferMap, path: str | os.PathLike[str]) -> None:
    """Write a map file, whole or not at all; equal maps give equal bytes.

    Raises:
        IsDirectory, NotFound, Unwritable: the path cannot be written to.
    """
    with replacing(path) as temporary:
        temporary.write_text(_text(found), encoding="utf-8")


def load_map(path: str | os.PathLike[str]) -> TransferMap:
    """The map in a file, every record of it checked.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, no map, a damaged one, or one of a later version.
    """
    where = Path(path)
    if where.is_dir():
        raise IsDirectory("is a directory", place=str(where), remedy="give the path of the map file")
    if not where.is_file():
        raise NotFound("there is no such file", place=str(where), remedy="check the path")
    if where.stat().st_size > _BYTES:
        raise Unreadable(f"is larger than {_BYTES} bytes, which no map is", place=str(where))
    said = json_text.load(where.read_bytes(), str(where))
    version = said.get("xconv_map")
    if version != VERSION or isinstance(version, bool):
        what = "is no map of xconv" if "xconv_map" not in said else f"is a map of version {version!r}"
        raise Unreadable(what, place=str(where), remedy=f"give a map of version {VERSION}, saved by xconv")
    return _Reading(str(where)).whole(said)


def _text(found: TransferMap) -> str:
    plan = found.plan
    ends = zip(("source", "target"), (plan.source, plan.target), plan.frameworks, strict=True)
    head: list[tuple[str, Any]] = [("xconv_map", VERSION)]
    head += [(end, {"name": name, "framework": framework}) for end, name, framework in ends]
    head += [("conditions", plan.conditions), ("notes", plan.notes)]
    lines = [f" {_json(name)}: {_json(value)}" for name, value in head]
    lines += [
        _listed("weights", map(_assignment_words, plan.assignments)),
        _listed("left", map(_left_words, plan.left)),
        _listed("unfilled", map(_unfilled_words, plan.unfilled)),
    ]
    if found.problems:
        lines.append(_listed("problems", map(asdict, found.problems)))
    if found.shared_source or found.shared_target:
        lines.append(f' "shared": {_json({"source": found.shared_source, "target": found.shared_target})}')
    if found.layout.places:
        lines.append(
            f' "layout": {{\n  "names": {_json(found.layout.names)},\n  "places": {_json(found.layout.places)}}}'
        )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _listed(name: str, items: Iterable[Mapping[str, Any]]) -> str:
    rows = ",\n".join(f"  {_json(item)}" for item in items)
    return f" {_json(name)}: [\n{rows}]" if rows else f" {_json(name)}: []"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _assignment_words(item: Assignment) -> dict[str, Any]:
    said = {**weight_words(item.target, "to"), "layer": item.layer, "role": item.role}
    if item.rows is not None:
        said["rows"] = list(item.rows)
    said["from"] = formula_words(item.formula)
    extra = {"source_layers": list(item.source_layers), "note": item.note, "condition": item.condition}
    return said | {name: value for name, value in extra.items() if value}


def _assignment_from(said: Mapping[str, Any]) -> Assignment:
    target = weight_from(said, "to", _TO)
    formula = formula_from(said.get("from"))
    rows = rows_in(said) if "rows" in said else None
    wanted = target.shape if rows is None else (rows[1] - rows[0], *target.shape[1:])
    if rows is not None and (not target.shape or rows[1] > target.shape[0]):
        raise Unreadable(f"rows {rows} of an array {target.shape}")
    if shape_of(formula) != wanted:
        raise Unreadable(f"makes {shape_of(formula)}, and {wanted} is needed")
    return Assignment(
        target,
        formula,
        text_in(said, "layer"),
        text_in(said, "role"),
        texts_in(said, "source_layers"),
        rows,
        text_in(said, "note"),
        text_in(said, "condition"),
    )


def _left_words(item: Left) -> dict[str, Any]:
    said = {**weight_words(item.weight, "key"), "layer": item.layer, "role": item.role, "reason": item.reason}
    return said if item.must_be is None else {**said, "must_be": item.must_be}


def _left_from(said: Mapping[str, Any]) -> Left:
    weight = weight_from(said, "key", frozenset({"layer", "role", "reason", "must_be"}))
    must_be = number_in(said, "must_be") if "must_be" in said else None
    return Left(weight, text_in(said, "layer"), text_in(said, "role"), text_in(said, "reason"), must_be)


def _unfilled_words(item: Unfilled) -> dict[str, Any]:
    return {**weight_words(item.weight, "key"), "layer": item.layer, "role": item.role, "reason": item.reason}


def _unfilled_from(said: Mapping[str, Any]) -> Unfilled:
    weight = weight_from(said, "key", frozenset({"layer", "role", "reason"}))
    return Unfilled(weight, text_in(said, "layer"), text_in(said, "role"), text_in(said, "reason"))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads a map and collects what is wrong with it."""

    place: str
    problems: list[Problem] = field(default_factory=list)

    def whole(self, said: Mapping[str, Any]) -> TransferMap:
        """The map, or one error with everything that is wrong."""
        self.tried("", lambda: known_only(said, _HEAD))
        ends = [self.end(said, name) for name in ("source", "target")]
        plan = Plan(
            ends[0][0],
            ends[1][0],
            (ends[0][1], ends[1][1]),
            tuple(self.each(said, "weights", _assignment_from)),
            tuple(self.each(said, "left", _left_from)),
            tuple(self.each(said, "unfilled", _unfilled_from)),
            self.tried("", lambda: texts_in(said, "conditions")) or (),
            self.tried("", lambda: texts_in(said, "notes")) or (),
        )
        layout = self.tried("layout", lambda: KerasLayout.from_words(said.get("layout", {}))) or KerasLayout()
        shared = self.tried("shared", lambda: _shared_from(said.get("shared", {}))) or ({}, {})
        problems = self.each(said, "problems", _problem_from) if "problems" in said else []
        self.coherent(plan)
        if self.problems:
            raise Unreadable(f"{self.place} is no whole map", problems=self.problems[:_PROBLEMS])
        return TransferMap(plan, layout, *shared, tuple(problems))

    def end(self, said: Mapping[str, Any], name: str) -> tuple[str, str]:
        """Name and framework of a model."""
        value = said.get(name)
        if not isinstance(value, dict) or value.get("framework") not in ("keras", "torch"):
            self.problems.append(Problem(f"{self.place}/{name}", "does not say its framework", _REMEDY))
            return "", ""
        return self.tried(name, lambda: text_in(value, "name")) or "", str(value["framework"])

    def each(self, said: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
        """The records of a list."""
        value = said.get(name)
        if not isinstance(value, list):
            self.problems.append(Problem(f"{self.place}/{name}", "is not a list", _REMEDY))
            return []
        found = [self.tried(f"{name}[{place}]", partial(_read, read, item)) for place, item in enumerate(value)]
        return [item for item in found if item is not None]

    def tried(self, inside: str, read: Callable[[], T]) -> T | None:
        """What `read` gives; its error is noted."""
        place = f"{self.place}/{inside}" if inside else self.place
        try:
            return read()
        except XConvError as error:
            self.problems.append(Problem(place, str(error), _REMEDY))
        except RecursionError:
            self.problems.append(Problem(place, "is nested too deeply", _REMEDY))
        return None

    def coherent(self, plan: Plan) -> None:
        """One array has one shape, and is made once unless its rows are made apart."""
        for key, shapes in _shapes(plan).items():
            if len(shapes) > 1:
                what = f"is said to have the shapes {' and '.join(map(str, sorted(shapes)))}"
                self.problems.append(Problem(f"{self.place}: {key[1]} of the {key[0]}", what, _REMEDY))


def _problem_from(said: Mapping[str, Any]) -> Problem:
    known_only(said, ("place", "what", "remedy"))
    return Problem(text_in(said, "place"), text_in(said, "what"), text_in(said, "remedy"))


def _shared_from(said: Any) -> tuple[dict[str, str], dict[str, str]]:
    if not isinstance(said, dict):
        raise Unreadable("is not an object")
    known_only(said, ("source", "target"))
    found = said.get("source", {}), said.get("target", {})
    if not all(isinstance(item, dict) and all(isinstance(v, str) for v in item.values()) for item in found):
        raise Unreadable("is not names by name")
    return found


def _read(read: Callable[[Mapping[str, Any]], T], item: Any) -> T:
    if not isinstance(item, dict):
        raise Unreadable("is not an object")
    return read(item)


def _shapes(plan: Plan) -> dict[tuple[str, str], set[tuple[int, ...]]]:
    """The stored shapes under which each array is named."""
    from xconv.transfers.plan import taken

    found: dict[tuple[str, str], set[tuple[int, ...]]] = {}
    sources = [weight for item in plan.assignments for weight in taken(item.formula)]
    for end, weights in (
        ("source", [*sources, *(item.weight for item in plan.left)]),
        ("target", [*(item.target for item in plan.assignments), *(item.weight for item in plan.unfilled)]),
    ):
        for weight in weights:
            found.setdefault((end, weight.key), set()).add(weight.source)
    return found
