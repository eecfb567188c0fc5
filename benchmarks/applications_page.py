"""docs/applications.md, written from the results of `benchmarks.applications`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.networks import NETWORKS
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown, ratio, scientific, seconds

__all__ = ["write"]

Row = dict[str, Any]

APPLICATIONS = """\
# Every network of keras.applications

{generated}

{summary} Each has random, live weights (`xconv.randomize`) and logits at its end, and is converted twice, from
the live model and from its saved `.keras` file: the two modules have the same code and the same numbers, bit
for bit. `xconv.verify` then compares the module with Keras on TensorFlow.

- **float64** is max|torch - Keras| / max|Keras| at the output, both sides in float64. At most 1e-10, or at most
  the network's own noise floor (how far Keras's output moves when its input moves by 1e-15; measured only where
  it is needed) of less than 1e-8, is exact.
- **constants**: how many constants TensorFlow keeps in float32 in a float64 network (the scale of a Rescaling,
  for example). Where there are any, torch is given the same rounded ones for the float64 comparison.
- **float32** is the error of the module in float32 against Keras in float64, as a multiple of Keras's own
  float32 error (RMS). About 1 means that both round alike.
- **permutes** are the transposes left in the module, those at its ends included.
- **live** and **file** are the seconds of the first conversion in a process that had just built the network, on
  {machine}. Other work may have run beside it: for times, see [performance](performance.md).

    python -m benchmarks.applications               # small inputs
    python -m benchmarks.applications --full-size

{tables}
"""


def write(results: Path = FOLDER / "applications.jsonl", target: Path = ROOT / "docs" / "applications.md") -> None:
    """Writes docs/applications.md from the newest row of each network, size and top."""
    newest = {_place(row): row for row in read(results)}
    if not newest:
        return
    rows = sorted(newest.values(), key=lambda row: (list(NETWORKS).index(row["network"]), not row["top"]))
    full = [row for row in rows if _is_full(row)]
    small = [row for row in rows if not _is_full(row)]
    parts = [("Small inputs", small), ("The inputs that the networks are made for", full)]
    tables = "\n\n".join(f"## {title}\n\n{_application_table(part)}" for title, part in parts if part)
    text = APPLICATIONS.format(
        generated=GENERATED, summary=_verdict(rows), machine=in_short(rows[-1]["machine"]), tables=tables
    )
    target.write_text(text, encoding="utf-8")


def _place(row: Row) -> tuple[str, bool, int]:
    return row["network"], row["top"], row["height"]


def _is_full(row: Row) -> bool:
    return row["height"] >= NETWORKS[row["network"]].size


def _verdict(rows: Sequence[Row]) -> str:
    good = [row for row in rows if row.get("ok")]
    names = {row["network"] for row in rows}
    head = f"{len(names)} of the {len(NETWORKS)} networks, with and without top: "
    head += f"{len(good)} of {len(rows)} rows are exact."
    bad = [f"{row['network']} ({'top' if row['top'] else 'no top'})" for row in rows if not row.get("ok")]
    return head + (f" Not exact: {', '.join(bad)}." if bad else "")


def _application_table(rows: Iterable[Row]) -> str:
    head = ("network", "top", "input", "parameters", "float64", "noise floor", "verdict", "constants", "float32")
    return markdown((*head, "permutes", "live", "file"), map(_application_cells, rows))


def _application_cells(row: Row) -> Sequence[Any]:
    start = (row["network"], "yes" if row["top"] else "no", f"{row['height']}x{row['width']}")
    if "error" in row:
        return (*start, "", "", "", f"failed: {row['error'][:120]}", *[""] * 5)
    exact = "exact" if row["ok"] else row["verdict"] if row["file_is_equal"] else "the file converts to another module"
    return (
        *start,
        f"{row['parameters']:,}",
        scientific(row["float64"]),
        scientific(row["noise_floor"]),
        exact,
        len(row["constants"]) or "",
        ratio(row["float32_ratio"]),
        row["permutes"],
        seconds(row["live_seconds"]),
        seconds(row["file_seconds"]),
    )
