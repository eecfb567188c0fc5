"""Forward speed, both ways: converted against what others wrote by hand of the same architecture.

To torch: against torchvision's own module, and against Keras on two backends. To Keras: see
benchmarks/forward_keras.py.

python -m benchmarks.forward [--networks ResNet50 VGG16 DenseNet121 MobileNetV3Large] [--batches 1 16]
python -m benchmarks.forward --direction to_keras [--keras-networks ResNet50 MobileNetV2] [--backends tensorflow jax]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import forward_keras, performance_page
from benchmarks.machine import describe
from benchmarks.measure import run_arm
from benchmarks.options import parsed
from benchmarks.stored import FOLDER, append
from benchmarks.table import ratio, seconds
from benchmarks.twins import OPTIONS, TWINS

RESULTS = FOLDER / "forward.jsonl"
TO_KERAS = FOLDER / "forward_keras.jsonl"
DIRECTIONS = ("to_torch", "to_keras")
QUICK = {
    "networks": ["MobileNetV3Large"],
    "keras_networks": ["MobileNetV2"],
    "batches": [1],
    "rounds": 6,
    "size": 96,
    "allocators": ["default"],
}
DEFAULT = ("ResNet50", "VGG16", "DenseNet121", "MobileNetV3Large")
ALLOCATORS: dict[str, dict[str, str]] = {
    "default": {},
    "keeps": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"},
}
"""The C library's own habit, which gives large blocks back to the system each time, and one that keeps them."""

Row = dict[str, Any]


def main() -> None:
    options = _options()
    run = {"run": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    machine = {**run, "kind": "machine", **describe(), "threads": options.threads}
    if "to_torch" in options.direction:
        append(options.results, machine)
        for network in options.networks:
            with tempfile.TemporaryDirectory() as folder:
                for row in measure_network(network, folder, options):
                    append(options.results, {**run, **row})
                    _show(row)
    if "to_keras" in options.direction:
        append(options.to_keras_results, machine)
        allocators = {name: ALLOCATORS[name] for name in options.allocators}
        for network in options.keras_networks:
            for row in forward_keras.measure_network(network, options, allocators):
                append(options.to_keras_results, {**run, **row})
                forward_keras.show(row)
    if not options.no_render:
        performance_page.write()


def measure_network(network: str, folder: str, options: argparse.Namespace) -> Iterator[Row]:
    """One row for each arm and allocator; the arms check their outputs before they are timed."""
    task = {
        "network": network,
        "folder": folder,
        "size": options.size,
        "options": OPTIONS.get(network, {}),
        "batches": options.batches,
        "rounds": options.rounds,
        "threads": options.threads,
        "channels_last": True,
    }
    for allocator in options.allocators:
        for arm in ("keras_tensorflow", "converted", "keras_torch", *(["profile"] if options.profile else [])):
            yield {
                "kind": "forward",
                "network": network,
                "arm": arm,
                "allocator": allocator,
                **_run(arm, task, allocator),
            }


def _run(arm: str, task: Row, allocator: str) -> Row:
    backend = "torch" if arm == "keras_torch" else "tensorflow"
    threads = {name: str(task["threads"]) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    environment = {"KERAS_BACKEND": backend, **threads, **ALLOCATORS[allocator]}
    found = run_arm("benchmarks.forward_arms", arm, json.dumps(task), environment=environment)
    found.pop("wall_seconds", None)
    return found if "error" in found else {"operators" if arm == "profile" else "batches": found}


def _show(row: Row) -> None:
    """Some lines for the terminal."""
    head = f"{row['network']:17} {row['arm']:17} {row['allocator']:8}"
    if "error" in row:
        print(head, row["error"])
    for name, spans in row.get("operators", {}).items():
        print(head, name, *(f"\n    {key:45} {cost:9.3f} ms {calls:6.1f}" for key, (cost, calls) in spans.items()))
    for count, found in row.get("batches", {}).items():
        print(head, f"batch {count:>3}", _line(found))


def _line(found: Row) -> str:
    if "xconv" not in found:
        return seconds(found["median"])
    spread = f"{ratio(found['ratio']['low'])}..{ratio(found['ratio']['high'])}"
    times = f"{seconds(found['xconv']['median'])} against torchvision {seconds(found['torchvision']['median'])}"
    last = f"channels_last {ratio(found['ratio_last']['median'])}" if "ratio_last" in found else ""
    noise = f"noise {ratio(found['noise']['median'])}"
    return f"{times}, ratio {found['ratio']['median']:.3f} ({spread}), {noise}, {last}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", nargs="*", default=DIRECTIONS, choices=DIRECTIONS)
    parser.add_argument("--networks", nargs="*", default=DEFAULT, choices=sorted(TWINS))
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 16])
    parser.add_argument("--rounds", type=int, default=60, help="at batch 1; a quarter of it at batch 16")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", type=int, default=0, help="of the images; default: what the network is made for")
    parser.add_argument("--allocators", nargs="*", default=list(ALLOCATORS), choices=list(ALLOCATORS))
    parser.add_argument("--profile", action="store_true", help="also time by operator")
    parser.add_argument("--keras-networks", nargs="*", default=forward_keras.NETWORKS, choices=sorted(TWINS))
    parser.add_argument("--backends", nargs="*", default=forward_keras.BACKENDS, choices=forward_keras.BACKENDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--to-keras-results", type=Path, default=TO_KERAS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/performance.md as it is")
    return parsed(parser, QUICK)


if __name__ == "__main__":
    main()
