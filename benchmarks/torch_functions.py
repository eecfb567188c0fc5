"""torch's functions as Keras models: every function that torch itself keeps samples of for its tests.

python -m benchmarks.torch_functions [--only cat sort ...] [--samples 6] [--resume] [--no-render]

The samples are those of torch.testing._internal, which needs the package expecttest (pip install expecttest). Each is
called twice: with all of its tensors as arguments, and with the first alone, the others held as buffers. The Keras
model is compared with torch on the sample and on a larger batch where torch takes one, in float64 at 1e-10. Some
functions have one process together; a sample that ends the process, or takes too long, counts against its function.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import torch_functions_page
from benchmarks.machine import context_of
from benchmarks.measure import run_arm
from benchmarks.options import parsed
from benchmarks.pieces import pieces
from benchmarks.stored import FOLDER, append, read

RESULTS = FOLDER / "torch_functions.jsonl"
QUICK = {"only": ["cat", "nn.functional.linear", "sin"], "samples": 1}
VERSIONS = ("xconv", "torch", "keras", "tensorflow", "numpy")
THREADS = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
TOGETHER = 90
"""How many functions have one process together."""

Row = dict[str, Any]


def main() -> int:
    options = _options()
    context = context_of(*VERSIONS)
    wanted = _wanted(options, context["versions"])
    failed = 0
    for start in range(0, len(wanted), TOGETHER)[: options.processes]:
        for row in measure(wanted[start : start + TOGETHER], options.samples, options.seconds):
            append(options.results, {**row, "samples": options.samples, **context})
            failed += sum(row["outcomes"].get(kind, 0) for kind in ("wrong", "broken"))
            print(f"{row['function']}: {row['outcomes']} {row['reason']}", flush=True)
    if not options.no_render:
        torch_functions_page.write(options.results)
    print(f"{failed} calls wrong or broken")
    return 0


def measure(functions: Sequence[str], samples: int, seconds: float) -> Iterator[Row]:
    """A row for each function: how many calls came out how, and the first that was not right."""
    found: list[list[Any]] = []
    arguments = ("benchmarks.torch_functions_arm", ",".join(functions), str(samples))
    for piece in pieces(*arguments, environment=THREADS, timeout=seconds):
        found += piece.get("results", ())
        if "error" in piece:
            name, place = piece.get("item", (functions[0], 0))
            found.append([name, f"call {place}", "wrong", f"crash: {piece['error']}"])
    for function in functions:
        mine = [item for item in found if item[0] == function]
        others = sorted((item for item in mine if item[2] != "right"), key=_gravity)
        reason = {"call": others[0][1], "reason": others[0][3]} if others else {"call": "", "reason": ""}
        yield {"function": function, "outcomes": dict(Counter(kind for _, _, kind, _ in mine)), **reason}


def _gravity(item: Sequence[Any]) -> int:
    return ("wrong", "broken", "refused", "not exportable", "left out").index(item[2])


def _wanted(options: argparse.Namespace, now: dict[str, str]) -> list[str]:
    """The functions, as chosen; their names come from a process of its own."""
    listed = run_arm("benchmarks.torch_functions_arm", "--names", environment=THREADS, timeout=options.seconds)
    if "error" in listed:
        raise SystemExit(listed["error"])
    there = {row["function"] for row in read(options.results) if row["versions"] == now} if options.resume else set()
    chosen = [name for name in listed["names"] if not options.only or name in options.only]
    return [name for name in chosen if name not in there]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="names of functions: cat nn.functional.linear")
    parser.add_argument("--samples", type=int, default=6, help="how many samples of each function are tried")
    parser.add_argument(
        "--resume", action="store_true", help="leave out functions that are there for the same versions"
    )
    parser.add_argument("--processes", type=int, help="how many at most; --resume goes on behind them")
    parser.add_argument("--seconds", type=float, default=900, help="the most that one process may take")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/torch_functions.md as it is")
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
