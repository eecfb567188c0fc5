"""docs/pairs.md, written from the results of `benchmarks.pairs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.pair_list import PAIRS, Pair, compared
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

- **naive** is the error once every weight was copied into the class as it stands; biases that it has no place for are
  lost.
- **differs** is what `xconv.diagnose` finds between the two then, with the number of places; what shows in training
  alone is in brackets. What differs is known from a study of the pairs that was made without xconv: anything else that
  is named, or not named, stands in bold.
- **weights alone** is the error after `xconv.transfer(source, target)`, for the pairs of which that is to be enough.
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
HEAD = (
    "source -> target",
    "px",
    "naive",
    "differs",
    "weights alone",
    "changed",
    "after",
    "diagnose",
    "transfer",
)


def write(results: Path = FOLDER / "pairs.jsonl", target: Path = ROOT / "docs" / "pairs.md") -> None:
    """Writes docs/pairs.md from the newest row of each pair, in the order of the list."""
    newest = {row["pair"]: row for row in read(results)}
    pairs = [pair for pair in PAIRS if pair.name in newest]
    rows = [newest[pair.name] for pair in pairs]
    if not rows:
        return
    found = [(pair, row["findings"]) for pair, row in zip(pairs, rows, strict=True) if "findings" in row]
    named = sum(not any(compared(pair, findings).values()) for pair, findings in found)
    exact = sum(bool(row.get("ok")) for row in rows)
    text = PAGE.format(
        generated=GENERATED,
        summary=f"Of {len(rows)} pairs, `xconv.diagnose` names what differs and nothing else in {named}, and "
        f"`adapt=True` makes {exact} exact.",
        machine=in_short(rows[-1]["machine"]),
        table=markdown(HEAD, [_cells(*item) for item in zip(pairs, rows, strict=True)]),
        outside=_outside(rows),
    )
    target.write_text(text.rstrip() + "\n", encoding="utf-8")


def _cells(pair: Pair, row: Row) -> list[str]:
    ends = _end("keras", pair.keras, pair.keras_options), _end(pair.library, pair.torch, pair.options)
    name = " -> ".join(reversed(ends) if pair.back else ends)
    if "error" in row:
        return [name, str(row["size"]), "-", f"**{row['error']}**", "-", "-", "-", "-", "-"]
    found = [(item["cause"], item["places"], item["alone"] is not None) for item in row["findings"]]
    words = [f"{cause} {count}" if shows else f"({cause} {count})" for cause, count, shows in found]
    wrong = compared(pair, row["findings"])
    words += [f"**not known: {cause} {count}**" for cause, count in wrong["unexpected"].items()]
    words += [f"**not named: {cause}{f' {count}' if count else ''}**" for cause, count in wrong["missing"].items()]
    words += [f"**unexplained: {row['unexplained']}**"] if row["unexplained"] else []
    plain = scientific(row["plain"]) + ("" if row["plain_ok"] else " **differs**") if "plain" in row else ""
    changed = ", ".join(f"{kind} {count}" for kind, count in row["changes"].items())
    after = scientific(row["after"]) + ("" if row["ok"] else " **differs**")
    times = seconds(row["diagnose_seconds"]), seconds(row["transfer_seconds"])
    naive = scientific(row["naive"])
    return [name, str(row["size"]), naive, ", ".join(words) or "nothing", plain, changed, after, *times]


def _end(library: str, name: str, options: Mapping[str, Any]) -> str:
    said = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{library} {name}({said})" if said else f"{library} {name}"


def _outside(rows: list[Row]) -> str:
    """What a caller does himself; the report adds the line of code."""
    found = (note for row in rows for note in row.get("outside", ()))
    notes = dict.fromkeys(note.partition(" inside, ")[0] + " inside" for note in found)
    return "\n".join(f"- {note}" for note in notes)
