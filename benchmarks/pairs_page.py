"""docs/pairs.md, written from the results of `benchmarks.pairs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown, scientific, seconds

__all__ = ["write"]

Row = dict[str, Any]

PAGE = """\
# One network, two libraries

{generated}

keras.applications and torchvision or timm have networks of one name that are not one function: strides stand
elsewhere, pads are uneven or even, epsilons differ. {summary}

Each pair has random, live weights (`xconv.randomize`) and is compared at the logits in float64.

- **naive** is the error once every weight that has a place was moved into the class as it stands (`strict=False`).
- **differs** is what `xconv.diagnose` finds between the two then, with the number of places; what shows in training
  alone is in brackets.
- **changed** is what `xconv.transfer(source, target, adapt=True)` changed in the target, with the number of places.
  The class and the keys of its state_dict, or the names of its layers, stay.
- **after** is the error of the adapted target. At most 1e-10, or at most the network's own noise floor of less than
  1e-8, is exact.
- Scaling that a Keras model begins with is not part of its partner: it is left out here, and the report gives the line
  of code that does the same outside.
- **diagnose** and **transfer** are seconds on {machine}; other work may have run beside them.

    python -m benchmarks.pairs

{table}

{outside}
"""
HEAD = ("source -> target", "px", "naive", "differs", "changed", "after", "diagnose", "transfer")


def write(results: Path = FOLDER / "pairs.jsonl", target: Path = ROOT / "docs" / "pairs.md") -> None:
    """Writes docs/pairs.md from the newest row of each pair."""
    rows = list({row["pair"]: row for row in read(results)}.values())
    if not rows:
        return
    good = [row for row in rows if row.get("ok")]
    text = PAGE.format(
        generated=GENERATED,
        summary=f"Of {len(rows)} pairs, `adapt=True` makes {len(good)} exact.",
        machine=in_short(rows[-1]["machine"]),
        table=markdown(HEAD, [_cells(row) for row in rows]),
        outside=_outside(rows),
    )
    target.write_text(text.rstrip() + "\n", encoding="utf-8")


def _cells(row: Row) -> list[str]:
    ends = f"keras {row['keras']}", f"{row['library']} {row['torch']}"
    name = " -> ".join(reversed(ends) if row["back"] else ends)
    if "error" in row:
        return [name, str(row["size"]), "-", row["error"], "-", "-", "-", "-"]
    found = [(item["cause"], item["places"], item["alone"] is not None) for item in row["findings"]]
    differs = ", ".join(f"{cause} {count}" if shows else f"({cause} {count})" for cause, count, shows in found)
    changed = ", ".join(f"{kind} {count}" for kind, count in row["changes"].items())
    after = scientific(row["after"]) + ("" if row["ok"] else " **differs**")
    times = seconds(row["diagnose_seconds"]), seconds(row["transfer_seconds"])
    return [name, str(row["size"]), scientific(row["naive"]), differs, changed, after, *times]


def _outside(rows: list[Row]) -> str:
    """What a caller does himself; the report adds the line of code."""
    found = (note for row in rows for note in row.get("outside", ()))
    notes = dict.fromkeys(note.partition(" inside, ")[0] + " inside" for note in found)
    return "\n".join(f"- {note}" for note in notes)
