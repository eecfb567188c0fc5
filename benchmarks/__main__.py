"""One command for all benchmarks.

python -m benchmarks                                    # their names
python -m benchmarks NAME [its options]                 # one of them; --help lists its options
python -m benchmarks all [--quick] [--results FOLDER]   # every one in turn, then every table
"""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.options import QUICK_FOLDER
from benchmarks.stored import FOLDER

NAMES = {
    "applications": "fidelity: every network of keras.applications as a torch module",
    "torch_models": "fidelity: the networks of torchvision and timm as Keras models",
    "pairs": "one network in two libraries: what differs, and what adapt=True makes of it",
    "diagnosis": "planted mistakes: whether diagnose names them",
    "zoo": "pretrained networks: every pair of keras.applications with torchvision and timm, from files as published",
    "cases": "generated layers by the thousand: outputs, training and gradients in float64",
    "torch_functions": "torch's functions as Keras models, on the samples of torch's own tests",
    "coverage": "layers, operations and operators that each tool covers, counted, and tried example by example",
    "conversion": "seconds and memory of conversions, side by side with others; growth with depth and size",
    "forward": "eager speed of converted networks against hand-written ones, both ways",
    "throughput": "images a second in every precision, batch and mode; on a GPU where there is one",
    "serving": "what xconv.optimize gains on a CPU, against TensorFlow, onnxruntime and OpenVINO",
}
OTHERS = ("render", "rivals")
"""Commands that measure nothing."""


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__, *(f"    {name:14} {what}" for name, what in NAMES.items()), sep="\n")
        return 0
    name, arguments = sys.argv[1], sys.argv[2:]
    if name == "all":
        return _all(arguments)
    if name not in (*NAMES, *OTHERS):
        print(f"there is no benchmark {name!r}; there are {', '.join((*NAMES, *OTHERS))}, all", file=sys.stderr)
        return 2
    sys.argv = [f"benchmarks.{name}", *arguments]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    return 0


def _all(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks all", description="Runs every benchmark in turn.")
    parser.add_argument("--quick", action="store_true", help="few and small: all of them in some minutes")
    parser.add_argument("--results", type=Path, help="the folder for results and, where it is not the usual, pages")
    parser.add_argument("--only", nargs="+", default=list(NAMES), choices=list(NAMES))
    options = parser.parse_args(arguments)
    folder = options.results or (QUICK_FOLDER if options.quick else FOLDER)
    if options.quick and folder.resolve() == FOLDER:
        parser.error("quick results do not go among the full ones")
    if options.quick and options.results is None:
        for name in options.only:  # rows of an earlier run would be taken up, and not measured
            (folder / f"{name}.jsonl").unlink(missing_ok=True)
    outcomes = list(run_all(options.only, folder, quick=options.quick))
    from benchmarks import render  # here, because `render` is also a command

    usual = folder.resolve() == FOLDER
    render.write(folder, ROOT / "docs" if usual else folder)
    print(f"\npages in {'docs' if usual else folder}")
    for name, seconds, code in outcomes:
        print(f"{name:14} {seconds:7.1f} s  {'done' if code == 0 else f'exit code {code}'}")
    return 0 if not any(code for _, _, code in outcomes) else 1


def run_all(names: Sequence[str], folder: Path, *, quick: bool) -> Iterator[tuple[str, float, int]]:
    """Runs the benchmarks in turn, each in a process of its own; name, seconds and exit code of each."""
    chosen = [*(["--quick"] if quick else []), "--folder", str(folder.resolve()), "--no-render"]
    for name in names:
        print(f"\n== {name}", flush=True)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *chosen], cwd=ROOT, check=False)
        seconds = time.perf_counter() - start
        print(f"-- {name}: {seconds:.0f} s", flush=True)
        yield name, seconds, done.returncode


if __name__ == "__main__":
    sys.exit(main())
