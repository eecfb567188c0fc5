"""docs/torch_models.md, written from the results of `benchmarks.torch_models`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown, percent, ratio, scientific, seconds

__all__ = ["missing_counts", "newest", "write"]

Row = dict[str, Any]

TITLES = {
    "torchvision": "torchvision: classification",
    "segmentation": "torchvision: segmentation",
    "timm": "timm: networks of every family",
}

PAGE = """\
# Torch networks as Keras models

{generated}

{summary}

Each network has random, live weights and BatchNorm statistics (`xconv.randomize`). It is captured by `torch.export`
with the batch open, converted by `xconv.torch_to_keras`, and `xconv.verify` compares the Keras model on TensorFlow
with the torch module. The model is then saved, loaded by Keras alone (`safe_mode=True`), and must give the same
numbers bit for bit.

- **input** is height by width: small, odd and unequal wherever the network allows that.
- **float64** is max|torch - Keras| / max|Keras| at the output, both sides in float64. At most 1e-10, or at most the
  network's own noise floor of less than 1e-8, is exact; beyond, every layer must be, on the other side's activations.
  Float32 that a network's own text asks for is read alike on both sides; the notes of each row say how.
- **float32** is the float32 error of the one side against the reference in float64, as a multiple of the other's own.
- **transposes** are the operations of the Keras model that only reorder axes, those at its ends included; in brackets
  those inside.
- **names**: modules that own parameters and are found again by their path in the names of Keras's layers.
- **export** and **convert** are the seconds of torch.export and of xconv on the exported program, the first in their
  process, on {machine}. Other work may have run beside it: for times, see [performance](performance.md).
- A network marked with * has more parameters than memory allows for: of its repeated blocks two are kept.

    python -m benchmarks.torch_models

{parts}
"""


def write(results: Path = FOLDER / "torch_models.jsonl", target: Path = ROOT / "docs" / "torch_models.md") -> None:
    """Writes docs/torch_models.md from the newest row of each network."""
    rows = list(newest(read(results)).values())
    if not rows:
        return
    parts = "\n\n".join(_parts(rows))
    machine = in_short(rows[-1]["machine"])
    text = PAGE.format(generated=GENERATED, summary=_summary(rows), machine=machine, parts=parts)
    target.write_text(text, encoding="utf-8")


def newest(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """The last row of each network, in the order of libraries, families and names."""
    found = {(row["library"], row["name"]): row for row in rows}
    places = list(TITLES)
    order = sorted(found, key=lambda key: (places.index(key[0]), found[key]["family"], key[1]))
    return {key: found[key] for key in order}


def missing_counts(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Every operator that has no rule, with the networks that call it; the most wanted first."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for name in row.get("missing", ()):
            found.setdefault(name, []).append(row["name"])
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def _summary(rows: Sequence[Row]) -> str:
    lines = []
    for library, title in TITLES.items():
        part = [row for row in rows if row["library"] == library]
        if part:
            good = sum(bool(row.get("ok")) for row in part)
            families = len({row["family"] for row in part})
            lines.append(f"{good} of {len(part)} networks ({families} families) of {title} are exact")
    return "; ".join(lines) + "."


def _parts(rows: Sequence[Row]) -> Iterator[str]:
    for library, title in TITLES.items():
        part = [row for row in rows if row["library"] == library]
        good = [row for row in part if row.get("ok")]
        if good:
            yield f"## {title}\n\n{_table(good)}"
        bad = [row for row in part if not row.get("ok")]
        if bad:
            yield f"### Not converted, with the reasons\n\n{_failures(bad)}"
    missing = missing_counts(rows)
    if missing:
        counts = ((name, len(users), ", ".join(users[:6])) for name, users in missing)
        yield "## Operators without a rule\n\n" + markdown(("operator", "networks", "such as"), counts)


def _table(rows: Sequence[Row]) -> str:
    head = ("network", "family", "input", "parameters", "float64", "float32", "verdict", "layers", "transposes")
    return markdown((*head, "names", "export", "convert"), map(_cells, rows))


def _cells(row: Row) -> Sequence[Any]:
    share = percent(row["names_kept"] / row["named_modules"]) if row.get("named_modules") else "-"
    return (
        row["name"] + ("*" if row.get("reduced") else ""),
        row["family"],
        f"{row['height']}x{row['width']}",
        f"{row['parameters']:,}",
        scientific(row["float64"]),
        ratio(row["float32_ratio"]),
        row["verdict"],
        row["layers"],
        f"{row['transposes']} ({row['interior_transposes']})" if row["transposes"] else "0",
        share,
        seconds(row["export_seconds"]),
        seconds(row["convert_seconds"]),
    )


def _failures(rows: Sequence[Row]) -> str:
    reasons = Counter(row["reason"] for row in rows)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{counts}.\n\n" + markdown(("network", "reason", "what"), map(_failure, rows))


def _failure(row: Mapping[str, Any]) -> Sequence[Any]:
    missing = ", ".join(row.get("missing", ()))
    what = f"no rule for {missing}" if missing else row.get("error", "")[:300]
    return row["name"], row["reason"], what
