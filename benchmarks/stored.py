"""Results as JSON lines under benchmarks/results: one row a line, appended as it is measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "GENERATED", "append", "last_run", "newest", "read"]

FOLDER = Path(__file__).resolve().parent / "results"
GENERATED = "<!-- Written by `python -m benchmarks.render` from benchmarks/results. Do not edit. -->"
SAME = ("processor", "cores", "threads", "quick", "size", "versions")
"""What two runs must have in common to stand in one table."""

Row = dict[str, Any]


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Adds one row at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, sort_keys=False) + "\n")


def read(path: Path) -> list[Row]:
    """All rows, oldest first; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def last_run(path: Path) -> list[Row]:
    """The rows of the newest run in the file."""
    rows = read(path)
    return [row for row in rows if row["run"] == rows[-1]["run"]]


def newest(path: Path, *keys: str) -> list[Row]:
    """The machine of the newest run, then the newest row for each combination of `keys`.

    Runs on another machine, with other versions or settings are left out.
    """
    rows = read(path)
    machines = {row["run"]: row for row in rows if row["kind"] == "machine"}
    if not machines:
        return []
    last = list(machines.values())[-1]
    same = {run for run, row in machines.items() if all(row.get(key) == last.get(key) for key in SAME)}
    found = {
        tuple(row.get(key) for key in keys): row for row in rows if row["run"] in same and row["kind"] != "machine"
    }
    return [last, *found.values()]
