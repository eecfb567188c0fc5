"""How much is covered: layers, operations, operators, counted in the tools' own tables and tried example by example.

python -m benchmarks.coverage [--only Conv Pool ...] [--counts] [--resume] [--no-render]

The counts are taken from the registries that are installed, and from the public sources of what cannot be installed
beside Keras 3 (rival_operators.py). Then every example of every layer family goes from Keras to torch on every way that
there is, in float32, and the outputs are compared with Keras's: right, wrong, or refused. One process for some
families on each backend; a process that crashes, or takes too long, counts against the example and the way it was at.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import coverage_page
from benchmarks.coverage_arm import ROUTES, examples_of
from benchmarks.machine import context_of, versions
from benchmarks.measure import run_arm
from benchmarks.options import parsed
from benchmarks.pieces import pieces
from benchmarks.stored import FOLDER, append, read

RESULTS = FOLDER / "coverage.jsonl"
QUICK = {"only": ["Dense", "Softmax"]}
VERSIONS = ("xconv", "torch", "keras", "tensorflow", "tf2onnx", "onnx", "onnx2torch", "onnxruntime", "numpy")
THREADS = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
TOGETHER = 40
"""How many examples one process has, more or less."""

Row = dict[str, Any]


def main() -> int:
    options = _options()
    context = context_of(*VERSIONS)
    counted = run_arm("benchmarks.coverage_counts", environment=THREADS, timeout=options.seconds)
    append(options.results, {"kind": "counts", **counted, **context})
    print(*(_count_line(row) for row in counted.get("counts", ())), sep="\n", flush=True)
    if not options.counts:
        for group in together(_families(options)):
            for row in measure(group, options.seconds):
                append(options.results, {"kind": "family", **row, **context})
                print(_line(row), flush=True)
    if not options.no_render:
        coverage_page.write()
    return 1 if "error" in counted else 0


def together(families: Iterable[str]) -> Iterator[list[str]]:
    """Families for one process each, by the number of their examples."""
    group: list[str] = []
    for family in families:
        group.append(family)
        if sum(len(examples_of(name)) for name in group) >= TOGETHER:
            yield group
            group = []
    if group:
        yield group


def measure(families: list[str], seconds: float) -> Iterator[Row]:
    """A row for each family: what became of each example on each way."""
    names = ",".join(families)
    with tempfile.TemporaryDirectory() as folder:
        found = [
            item
            for side in ROUTES
            for piece in pieces(
                "benchmarks.coverage_arm",
                *(side, folder, names),
                environment={**THREADS, "KERAS_BACKEND": side},
                timeout=seconds,
            )
            for item in (*piece.get("results", ()), *_crashed(piece))
        ]
    place = 0
    for family in families:
        examples = examples_of(family)
        mine = [item for item in found if place <= item[0] < place + len(examples)]
        tried = [[examples[number - place].kind, number - place, *rest] for number, *rest in mine]
        yield {"family": family, "examples": len(examples), "tried": sorted(tried, key=lambda item: item[1])}
        place += len(examples)


def _crashed(piece: Row) -> Iterator[list[Any]]:
    if "error" in piece and "item" in piece:
        yield [*piece["item"], "refused", f"crash: {piece['error']}"]


def _families(options: argparse.Namespace) -> list[str]:
    """The families that have examples in Keras's words, as chosen."""
    from xconv.layers import families

    there = set()
    if options.resume:
        now = versions(*VERSIONS)
        there = {row["family"] for row in read(options.results) if row["kind"] == "family" and row["versions"] == now}
    named = [family.__name__ for family in families() if any(True for _ in family.examples())]
    return [name for name in dict.fromkeys(named) if (not options.only or name in options.only) and name not in there]


def _count_line(row: Row) -> str:
    return f"{row['what']}: {row['tool']} {row['covered']} of {row.get('total', '?')}"


def _line(row: Row) -> str:
    totals = coverage_page.totals([row])
    told = "; ".join(f"{way} {', '.join(f'{n} {what}' for what, n in of.items() if n)}" for way, of in totals.items())
    return f"{row['family']}: {row['examples']} examples; {told}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="names of families: Conv Recurrent Softmax")
    parser.add_argument("--counts", action="store_true", help="count registries alone: a minute")
    parser.add_argument("--resume", action="store_true", help="leave out families that are there for the same versions")
    parser.add_argument("--seconds", type=float, default=1800, help="the most that one process may take")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/comparison.md as it is")
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
