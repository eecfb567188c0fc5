"""One table of how exact conversions are, over everything that was measured: a part of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import torch_models_page
from benchmarks.stored import read
from benchmarks.table import markdown, ratio, scientific

__all__ = ["part"]

Row = dict[str, Any]

TEXT = """\
## Fidelity

How far the converted networks are from their sources, max|a - b| / max|b| at the outputs in float64, both sides with
the same random, live weights. *Exact* is at most 1e-10, or at most the network's own noise of less than 1e-8. In
float32, a factor of about 1 means that the conversion rounds as the source does. Every network stands on its page."""

LIBRARIES = {
    "torchvision": "torchvision, classification, to Keras",
    "segmentation": "torchvision, segmentation, to Keras",
    "timm": "timm, one or more of every family, to Keras",
}


def part(results: Path) -> Iterator[str]:
    """The table; nothing where nothing was measured."""
    lines = [*_applications(results), *_torch_models(results), *_zoo(results), *_pairs(results)]
    if lines:
        head = ("", "networks", "exact", "float64, median", "float64, largest exact", "float32 factor, median", "page")
        yield TEXT
        yield markdown(head, lines)


def _applications(results: Path) -> Iterator[Sequence[Any]]:
    newest = {(row["network"], row["top"], row["height"]): row for row in read(results / "applications.jsonl")}
    if newest:
        page = "[applications](applications.md)"
        yield _line("keras.applications, with and without top, to torch", list(newest.values()), page)


def _torch_models(results: Path) -> Iterator[Sequence[Any]]:
    newest = list(torch_models_page.newest(read(results / "torch_models.jsonl")).values())
    for library, title in LIBRARIES.items():
        rows = [row for row in newest if row["library"] == library]
        if rows:
            yield _line(title, rows, "[torch_models](torch_models.md)")


def _zoo(results: Path) -> Iterator[Sequence[Any]]:
    """Every way of every row: a file as it is published, loaded and converted."""
    newest = {row["row"]: row for row in read(results / "zoo.jsonl")}
    ways = [{**way, "float64": way["error"]} for row in newest.values() for way in row.get("ways", ())]
    if ways:
        yield _line(f"published files, {len(newest)} pairs and networks, every way", ways, "[zoo](zoo.md)")


def _pairs(results: Path) -> Iterator[Sequence[Any]]:
    newest = {row["pair"]: {**row, "float64": row.get("after")} for row in read(results / "pairs.jsonl")}
    if newest:
        title = "one network in two libraries, `transfer(adapt=True)`"
        yield _line(title, list(newest.values()), "[pairs](pairs.md)")


def _line(title: str, rows: Sequence[Row], page: str) -> Sequence[Any]:
    good = [row for row in rows if row.get("ok")]
    errors = [row["float64"] for row in good if row.get("float64") is not None]
    factors = [row["float32_ratio"] for row in good if row.get("float32_ratio")]
    return (
        title,
        len(rows),
        len(good),
        scientific(median(errors) if errors else None),
        scientific(max(errors, default=None)),
        ratio(median(factors) if factors else None),
        page,
    )
