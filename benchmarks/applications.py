"""Every network of keras.applications, with and without top: converted live and from file, and verified.

python -m benchmarks.applications [--only ResNet50 ...] [--full-size] [--fresh]

One process for each network. Rows that benchmarks/results/applications.jsonl holds for the same versions are not
measured again. The last line of the run counts what is not exact; the exit code is 1 where anything is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import applications_page
from benchmarks.machine import describe, versions
from benchmarks.measure import PeakMemory, answer, run_arm, spent
from benchmarks.networks import NETWORKS, make
from benchmarks.options import parsed
from benchmarks.stored import FOLDER, append, read
from benchmarks.table import ratio, scientific, seconds
from benchmarks.traits import graph_traits

RESULTS = FOLDER / "applications.jsonl"
QUICK = {"only": ["MobileNetV2"]}
SMALL = 96
VERSIONS = ("xconv", "torch", "keras", "tensorflow", "numpy")

MACHINE = ("processor", "cores", "memory_gib", "commit")

Row = dict[str, Any]


def main() -> int:
    options = _options()
    if options.row:
        name, top, height, width = options.row
        answer(measure(name, top=top == "top", shape=(int(height), int(width))))
        return 0
    machine = {key: value for key, value in describe().items() if key in MACHINE}
    for task in tasks(options.only or list(NETWORKS), full_size=options.full_size):
        if options.fresh or not _is_known(task, read(options.results)):
            row = {**task, **_run(task), "versions": versions(*VERSIONS), "machine": machine}
            append(options.results, row)
            _show(row)
    if not options.no_render:
        applications_page.write()
    wanted = list(tasks(options.only or list(NETWORKS), full_size=options.full_size))
    bad = [task for task in wanted if not _is_known(task, read(options.results), ok=True)]
    print(f"{len(wanted) - len(bad)} of {len(wanted)} exact")
    return 1 if bad else 0


def tasks(names: Sequence[str], *, full_size: bool = False) -> Iterator[Row]:
    """What to measure: each network with top, square, and without top, at odd sizes that are not square."""
    for name in names:
        size = NETWORKS[name].size if full_size else SMALL
        yield {"network": name, "top": True, "height": size, "width": size}
        yield {"network": name, "top": False, "height": (size + 10) | 1, "width": (size + 2) | 1}


def measure(name: str, *, top: bool, shape: tuple[int, int]) -> Row:
    """Converts one network live and from its file and verifies the result; one row, plain data."""
    import torch  # noqa: F401  before TensorFlow

    import xconv

    model = make(name, shape, top=top)
    memory = PeakMemory()
    start = time.perf_counter()
    module = xconv.keras_to_torch(model)
    row = {"live_seconds": spent(start), "live_peak_bytes": memory.above()}
    row |= {"layers": len(model.layers), "parameters": int(model.count_params())}
    row |= {"permutes": graph_traits(module)["transposes"], **_from_file(model, module)}
    report = xconv.verify(model, module)
    output = report.outputs[0]
    return row | {
        "verdict": str(report.verdict),
        "ok": report.ok and row["file_is_equal"],
        "float64": output.float64.max_rel if output.float64 else None,
        "noise_floor": report.noise_floor,
        "constants": dict(report.constants),
        "float32": output.float32.max_rel,
        "keras_float32": output.reference_float32.max_rel if output.reference_float32 else None,
        "float32_ratio": output.ratio,
        "sensitivity": report.sensitivity,
        "first_difference": str(report.first_difference or ""),
        "notes": list(report.notes),
        "verify_seconds": report.seconds,
    }


def _from_file(model: Any, module: Any) -> Row:
    """Converts the saved model, and compares the result with the live one: the same code, the same numbers."""
    import torch

    import xconv

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        start = time.perf_counter()
        other = xconv.keras_to_torch(path)
        taken = spent(start)
    mine, yours = module.state_dict(), other.state_dict()
    equal = list(mine) == list(yours) and all(torch.equal(mine[key], yours[key]) for key in mine)
    return {"file_seconds": taken, "file_is_equal": equal and module.code == other.code}


def _run(task: Row) -> Row:
    arguments = (task["network"], "top" if task["top"] else "no-top", str(task["height"]), str(task["width"]))
    return run_arm("benchmarks.applications", "--row", *arguments)


def _is_known(task: Row, rows: Sequence[Row], *, ok: bool | None = None) -> bool:
    """Whether the newest row for the task has the same versions and no error, and is `ok` where that is asked."""
    same = [row for row in rows if all(row[key] == task[key] for key in task)]
    found = same[-1] if same else {"error": "not measured"}
    return "error" not in found and found["versions"] == versions(*VERSIONS) and (ok is None or found["ok"] == ok)


def _show(row: Row) -> None:
    """One line for the terminal."""
    head = f"{row['network']:18} {'top' if row['top'] else 'no top':7} {row['height']}x{row['width']:<5}"
    if "error" in row:
        print(head, row["error"], flush=True)
        return
    numbers = f"{scientific(row['float64'])} floor {scientific(row['noise_floor'])} f32 {ratio(row['float32_ratio'])}"
    times = f"live {seconds(row['live_seconds'])} file {seconds(row['file_seconds'])}"
    file = "" if row["file_is_equal"] else "FILE DIFFERS"
    print(
        head, row["verdict"], numbers, f"{row['permutes']} permutes", times, row["first_difference"], file, flush=True
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), metavar="NAME", help="these networks alone")
    parser.add_argument("--full-size", action="store_true", help="the input that each network is made for")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/applications.md as it is")
    parser.add_argument("--row", nargs=4, help=argparse.SUPPRESS)
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
