"""docs/diagnosis.md, written from the results of `benchmarks.diagnosis`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown, scientific, seconds

__all__ = ["newest", "write"]

Row = dict[str, Any]

PAGE = """\
# How well differences are diagnosed

{generated}

{summary}

Each mistake is planted in a copy of a torch network that agrees exactly with its Keras twin, as people make it who port
a network by hand. `xconv.diagnose(twin, copy)` then has to name that cause first, with the place where it was planted
among its places; where several are planted at once, every one of them. A twin without a mistake must give no finding.

- **found** lists the causes of all findings, the largest effect first.
- **error** is the relative error of the outputs in float64, **left** what all remedies together leave of it: applied to
  a copy, run again. At most 1e-10 is exact.
- A cause may be told by another true name where one mistake has two (`a|b` in the table).

    python -m benchmarks.diagnosis

{parts}

## Time

Processor seconds to align two networks in canonical form, and to diagnose the pair from live models to findings, on
{machine};
keras.applications against torchvision with weights of its own, the differences of ResNet v1 and v1.5 included. The
clock is in brackets: other work may have run beside them.

{times}

    python -m benchmarks.diagnosis --only --times
"""


def write(results: Path = FOLDER / "diagnosis.jsonl", target: Path = ROOT / "docs" / "diagnosis.md") -> None:
    """Writes docs/diagnosis.md from the newest row of each case."""
    rows = newest(read(results))
    cases = [row for row in rows if row["kind"] == "planted"]
    if not cases:
        return
    timed = [row for row in rows if row["kind"] == "time"]
    machine = in_short((timed or rows)[-1]["machine"])
    parts = "\n\n".join(_parts(cases))
    times = _times(timed)
    text = PAGE.format(generated=GENERATED, summary=_summary(cases), machine=machine, parts=parts, times=times)
    target.write_text(text, encoding="utf-8")


def newest(rows: Sequence[Row]) -> list[Row]:
    """The last row of each case, in the order in which they were first measured."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        found[row["kind"], row["subject"], *row.get("planted", ())] = row
    return list(found.values())


def right(row: Row) -> bool:
    """Whether the causes and their places are the planted ones."""
    return bool(row["cause_right"] and row["place_right"])


def _summary(rows: Sequence[Row]) -> str:
    lines = []
    words = {0: "twins without a mistake", 1: "single mistakes", 2: "pairs of mistakes", 3: "triples of mistakes"}
    for count, word in words.items():
        part = [row for row in rows if len(row["planted"]) == count]
        if part:
            lines.append(f"{sum(map(right, part))} of {len(part)} {word}")
    explained = sum(bool(row["explained"]) for row in rows if row["planted"])
    planted = sum(1 for row in rows if row["planted"])
    return f"Right: {', '.join(lines)}. With all remedies exact: {explained} of {planted}."


def _parts(rows: Sequence[Row]) -> Iterator[str]:
    for subject, count in Counter(row["subject"] for row in rows).items():
        part = [row for row in rows if row["subject"] == subject]
        yield f"## {subject}\n\n{sum(map(right, part))} of {count} right.\n\n{_table(part)}"


def _table(rows: Sequence[Row]) -> str:
    head = ("planted", "right", "found", "error", "left", "seconds")
    return markdown(head, map(_cells, rows))


def _cells(row: Row) -> Sequence[Any]:
    return (
        "; ".join(row["planted"]) or "nothing",
        "yes" if right(row) else "**no**",
        ", ".join(row["found"]) or "nothing",
        _number(row["error"]),
        _number(row["left"]),
        seconds(row["seconds"]),
    )


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else scientific(value)


def _times(rows: Sequence[Row]) -> str:
    head = ("network", "nodes", "align", "per node", "diagnose", "per node")
    return markdown(head, (_time_cells(row) for row in rows))


def _time_cells(row: Row) -> Sequence[str]:
    cells = [row["subject"], f"{row['nodes']:,}"]
    for name in ("align", "diagnose"):
        clock = seconds(row[f"{name}_seconds"])
        if f"{name}_processor" in row:
            cells += [f"{seconds(row[f'{name}_processor'])} ({clock})", seconds(row[f"{name}_per_node"])]
        else:
            cells += [clock, ""]  # measured before the processor's seconds were
    return cells
