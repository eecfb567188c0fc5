"""Serving on a CPU: what `xconv.optimize` makes of a converted network, against everything else that runs it.

python -m benchmarks.serving [--networks ResNet50 MobileNetV2] [--batches 1 16] [--allocators library kept jemalloc]
python -m benchmarks.serving --quick --profile

Every arm is a process of its own; they run in turn, `--repeat` times. Outputs are compared with TensorFlow's before
anything is timed (torchvision's networks have weights of their own: there the compiled module is compared with the
eager one). Inputs are fresh noise in rotation. The allocator is part of every figure: the C library's own habit, which
gives large blocks back to the system and gets them cleared again; the same told to keep them, as `xconv.keep_memory()`
does; jemalloc where its library is found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import serving_page
from benchmarks.machine import describe, versions
from benchmarks.measure import run_arm, summary
from benchmarks.options import parsed
from benchmarks.serving_arms import ARMS
from benchmarks.stored import FOLDER, append
from benchmarks.table import ratio, seconds
from benchmarks.twins import TWINS

RESULTS = FOLDER / "serving.jsonl"
NETWORKS = ("ResNet50", "MobileNetV2", "DenseNet121", "EfficientNetB0")
PACKAGES = ("onnxruntime", "openvino")
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
"""What xconv.keep_memory() tells the C library, told by the environment, for processes without xconv too."""
ALLOCATORS = ("library", "kept", "jemalloc")
LIBRARIES = ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2")
JEMALLOC = "oversize_threshold:0,dirty_decay_ms:-1,muzzy_decay_ms:-1"
"""Large blocks from the same arenas as all others, and nothing given back."""
QUICK = {"networks": ["MobileNetV2"], "batches": [1], "size": 96, "rounds": 6, "repeat": 1, "allocators": ["kept"]}

Row = dict[str, Any]


def main() -> None:
    options = _options()
    run = {"run": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    found = {**describe(), "threads": options.threads, "quick": options.quick, "size": options.size}
    found["versions"] |= versions(*PACKAGES)
    append(options.results, {**run, "kind": "machine", **found})
    for network in options.networks:
        for row in measure_network(network, options):
            append(options.results, {**run, **row})
            _show(row)
    if not options.no_render:
        serving_page.write()


def measure_network(network: str, options: argparse.Namespace) -> Iterator[Row]:
    """One row for each arm, batch and allocator."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("batches", "rounds", "threads", "size", "profile")
        task = {"network": network, "folder": folder, **{name: getattr(options, name) for name in names}}
        made = run_arm("benchmarks.serving_arms", "source", json.dumps(task), environment=_threads(task))
        if "error" in made:
            yield {"kind": "serving", "network": network, "arm": "source", "error": made["error"]}
            return
        for allocator in options.allocators:
            head = {"kind": "serving", "network": network, "allocator": allocator}
            environment = _environment(allocator, options.jemalloc)
            if environment is None:
                yield {**head, "error": "no library of jemalloc was found"}
                continue
            for arm, rounds in _in_turn(task, options, environment).items():
                yield from ({**head, "arm": arm, **cell} for cell in _cells(rounds, task))


def _in_turn(task: Row, options: argparse.Namespace, environment: Row) -> dict[str, list[Row]]:
    """What each arm answered in every round; one that failed is not run again."""
    found: dict[str, list[Row]] = {arm: [] for arm in options.arms}
    for number in range(options.repeat):
        for arm, rounds in found.items():
            if any("error" in earlier for earlier in rounds):
                continue
            if arm in PACKAGES and find_spec(arm) is None:
                rounds.append({"error": f"{arm} is not installed"})
                continue
            given = json.dumps({**task, "profile": task["profile"] and not number})
            variables = {**environment, **_threads(task)}
            rounds.append(run_arm("benchmarks.serving_arms", arm, given, environment=variables))
    return found


def _cells(rounds: Sequence[Row], task: Row) -> Iterator[Row]:
    """One row for each batch: all seconds of all processes together, the rest as the first one told it."""
    failed = next((row["error"] for row in rounds if "error" in row), None)
    if failed is not None:
        yield {"error": failed}
        return
    for count in map(str, task["batches"]):
        times = [value for row in rounds for value in row[count]["seconds"]]
        told = {key: value for key, value in rounds[0][count].items() if key != "seconds"}
        medians = [summary(row[count]["seconds"]).median for row in rounds]
        yield {"batch": int(count), **summary(times).to_dict(), "processes": medians, **told}


def _threads(task: Row) -> dict[str, str]:
    return {name: str(task["threads"]) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}


def _environment(allocator: str, library: str) -> dict[str, str] | None:
    """The variables that choose an allocator; None where there is none such."""
    if allocator == "library":
        return {}
    if allocator == "kept":
        return KEPT
    found = next((path for path in (library, *LIBRARIES) if path and Path(path).exists()), None)
    return {"LD_PRELOAD": found, "MALLOC_CONF": JEMALLOC} if found else None


def _show(row: Row) -> None:
    """Some lines for the terminal."""
    head = f"{row['network']:15} {row.get('allocator', ''):8} {row.get('arm', ''):20} {row.get('batch', ''):>3}"
    if "error" in row:
        print(head, row["error"], flush=True)
        return
    spread = f"({seconds(row['low'])} to {seconds(row['high'])})"
    print(head, seconds(row["median"]), spread, f"first call {seconds(row['first_call'])}", flush=True)
    for step in row.get("optimized", {}).get("steps", ()):
        kept = "kept" if step["kept"] else "not kept"
        print(f"{'':12} {step['name']:20} {ratio(step['gain'])} times as fast, {kept}; {step['what']}")
    for name, (cost, calls) in row.get("operators", {}).items():
        print(f"{'':12} {name[:60]:60} {cost:9.3f} ms {calls:6.1f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=sorted(TWINS))
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 16])
    parser.add_argument("--allocators", nargs="*", default=list(ALLOCATORS), choices=ALLOCATORS)
    parser.add_argument("--jemalloc", default="", help="the path of its library, where it is not in the usual place")
    parser.add_argument("--rounds", type=int, default=40, help="at batch 1; a quarter of it at batch 16")
    parser.add_argument("--repeat", type=int, default=3, help="processes of each arm, in turn")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", type=int, default=0, help="of the images; default: what the network is made for")
    parser.add_argument("--profile", action="store_true", help="also the time by operator, of torch and onnxruntime")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/serving.md as it is")
    return parsed(parser, QUICK)


if __name__ == "__main__":
    main()
