"""Generated layers by the thousand: the strategies of tests/layers, with many more cases than the tests draw.

python -m benchmarks.cases [--cases 300] [--only recurrent test_dense ...] [--workers 1] [--resume] [--no-render]

Every test of tests/layers/test_*generated*.py that takes a strategy is a group, and runs in a process of its own, with
`--cases` cases drawn under one seed. Each case is compared as the test does it, and in the mode, inference or training,
that the test leaves out. Where a process crashes, the case that ran is a failure and the others go on. The exit code is
1 where any case failed. `--resume` leaves out groups that have these cases under the same versions.
"""

from __future__ import annotations

import argparse
import ast
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import cases_page
from benchmarks.machine import ROOT, context_of
from benchmarks.options import parsed
from benchmarks.pieces import pieces
from benchmarks.stored import FOLDER, append, read

RESULTS = FOLDER / "cases.jsonl"
QUICK = {"cases": 4, "only": ["test_generated.test_dense", "test_torch_generated.test_linear"]}
VERSIONS = ("xconv", "torch", "keras", "tensorflow", "numpy", "hypothesis")
THREADS = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

Row = dict[str, Any]


def main() -> int:
    options = _options()
    context = context_of(*VERSIONS)
    asked = {"cases": options.cases, "seed": options.seed}
    there = _there(options.results, {**asked, "versions": context["versions"]}) if options.resume else set()
    wanted = [group for group in groups() if _chosen(group, options.only) and group not in there]
    failed = 0
    with ThreadPoolExecutor(options.workers) as pool:
        for row in pool.map(lambda group: measure(group, **asked, seconds=options.seconds), wanted):
            append(options.results, {**row, **asked, **context})
            failed += len(row["failures"])
            print(_line(row), flush=True)
    if not options.no_render:
        cases_page.write()
    print(f"{failed} cases failed")
    return 1 if failed else 0


def groups(folder: Path = ROOT / "tests" / "layers") -> list[str]:
    """The tests that take a strategy, by file and name, found without running anything.

    >>> "test_generated.test_dense" in groups()
    True
    """
    return [
        f"{path.stem}.{node.name}"
        for path in sorted(folder.glob("test_*generated*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and any(map(_is_given, node.decorator_list))
    ]


def _is_given(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id == "given"


def measure(group: str, cases: int, seed: int, seconds: float) -> Row:
    """The counts of one group; the case that ends its process is a failure."""
    row: Row = {"group": group, "distinct": 0, "seconds": 0.0, "layers": {}, "failures": []}
    arguments = (group, str(cases), str(seed))
    for found in pieces("benchmarks.cases_arm", *arguments, environment=THREADS, timeout=seconds):
        merge(row, found)
        if "error" in found:
            row["failures"].append({"layer": "", "case": found.get("case", ""), "error": found["error"]})
    return row


def merge(row: Row, found: Row) -> None:
    """Adds what one process found."""
    row["distinct"] = max(row["distinct"], found.get("distinct", 0))
    row["seconds"] += found.get("seconds", 0.0)
    row["failures"] += found.get("failures", [])
    for layer, counts in found.get("layers", {}).items():
        cases_page.add(row["layers"], layer, counts)


def _there(results: Path, asked: Row) -> set[str]:
    """The groups that were measured as asked."""
    rows = (row for row in read(results) if row["distinct"])
    return {row["group"] for row in rows if all(row[key] == value for key, value in asked.items())}


def _chosen(group: str, only: list[str] | None) -> bool:
    return not only or any(part in group for part in only)


def _line(row: Row) -> str:
    totals = cases_page.totals(row["layers"])
    line = (
        f"{row['group']}: {row['distinct']} cases, {totals['float64']} in float64 ({totals['comparisons']} "
        f"comparisons, worst {totals['worst']:.1e}), {totals['float32']} in float32, {len(row['failures'])} failed, "
        f"{row['seconds']:.0f} s"
    )
    return "\n".join([line, *(f"  {failure['error']}\n    {failure['case']}" for failure in row["failures"])])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300, help="how many are drawn for each group")
    parser.add_argument("--only", nargs="+", help="parts of the names of groups: recurrent, test_generated.test_dense")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same cases")
    parser.add_argument("--workers", type=int, default=1, help="how many groups run at once, each on one thread")
    parser.add_argument("--resume", action="store_true", help="leave out groups that were measured as asked")
    parser.add_argument("--seconds", type=float, default=14400, help="the most that one process may take")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/laws.md as it is")
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
