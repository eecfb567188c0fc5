"""Throughput of what xconv makes, against hand-written modules and every other way, on a GPU or on a CPU.

python -m benchmarks.throughput [--networks ResNet50 ...] [--batches 1 8 32] [--modes eager compile] [--arms xconv ...]
python -m benchmarks.throughput --quick        some minutes on two CPU cores

Every arm and network is a process of its own. The networks have random, live weights, and every arm's float32 outputs
are compared with the source's before anything is timed (but for the hand-written ones, which are other functions of
the same shape). Inputs are fresh noise in rotation. Calls are timed by CUDA events, on a CPU by the clock. TensorFlow
is not needed: the source is made by Keras on whichever backend there is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import throughput_page
from benchmarks.machine import describe, versions
from benchmarks.measure import run_arm
from benchmarks.options import parsed
from benchmarks.stored import FOLDER, append
from benchmarks.table import ratio
from benchmarks.throughput_arms import ARMS
from benchmarks.twins import OPTIONS

RESULTS = FOLDER / "throughput.jsonl"
NETWORKS = ("ResNet50", "ResNet101", "MobileNet", "MobileNetV2", "MobileNetV3Large", "EfficientNetB0", "ViTB16")
PRECISIONS = ("float32", "tf32", "bfloat16")
BATCHES = (1, 8, 32, 128, 256, 512)
MODES = ("eager", "channels_last", "compile", "max_autotune", "cuda_graph")
QUICK = {
    "networks": ["MobileNetV2"],
    "precisions": ["float32"],
    "batches": [1, 8],
    "modes": ["eager", "channels_last"],
    "size": 96,
    "rounds": 5,
}
EVERY_ARM = (*ARMS, "keras_jax")
BACKENDS = {"keras_torch": "torch", "keras_export": "torch", "onnx2torch": "tensorflow", "keras_jax": "jax"}
NO_COMPILER = ("keras_torch", "keras_export")
"""Arms that are measured eagerly alone: what their users run."""

Row = dict[str, Any]


def main() -> None:
    options = _options()
    run = {"run": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    append(options.results, {**run, "kind": "machine", **describe(), **_device(options), "quick": options.quick})
    for network in options.networks:
        for row in measure_network(network, options):
            append(options.results, {**run, **row})
            _show(row)
    if not options.no_render:
        throughput_page.write()


def measure_network(network: str, options: argparse.Namespace) -> Iterator[Row]:
    """The limits of the device for it, then one row for each arm."""
    with tempfile.TemporaryDirectory() as folder:
        task = _task(network, folder, options)
        made = _run("source", task, _backend())
        if "error" in made:
            yield {"kind": "source", "network": network, **made}
            return
        yield {"kind": "limits", "network": network, **_run("limits", task, _backend())}
        for arm in options.arms:
            modes = [mode for mode in task["modes"] if arm not in NO_COMPILER or mode in ("eager", "channels_last")]
            found = _run(arm, {**task, "modes": modes}, BACKENDS.get(arm, _backend()), options.seconds)
            yield {"kind": "throughput", "network": network, "arm": arm, **found}


def _task(network: str, folder: str, options: argparse.Namespace) -> Row:
    return {
        "network": network,
        "folder": folder,
        "options": OPTIONS.get(network, {}),
        "size": options.size,
        "device": options.device,
        "threads": options.threads,
        "precisions": options.precisions,
        "batches": options.batches,
        "modes": options.modes,
        "rounds": options.rounds,
        "training": options.training,
    }


def _run(arm: str, task: Row, backend: str, seconds: float = 3600) -> Row:
    threads = {name: str(task["threads"]) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    visible = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0")} if task["device"] == "cuda" else {}
    environment = {"KERAS_BACKEND": backend, **threads, **visible}
    return run_arm("benchmarks.throughput_arms", arm, json.dumps(task), environment=environment, timeout=seconds)


def _backend() -> str:
    """What Keras makes the source with: its torch backend where there is no TensorFlow."""
    return "tensorflow" if find_spec("tensorflow") else "torch"


def _device(options: argparse.Namespace) -> Row:
    import torch

    if options.device != "cuda":
        return {"device": "cpu", "threads": options.threads}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "device_memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "versions": versions("xconv", "torch", "torchvision", "timm", "keras", "jax", "numpy", "triton"),
        "threads": options.threads,
    }


def _show(row: Row) -> None:
    head = f"{row['network']:17} {row.get('arm', row['kind']):14}"
    if "error" in row:
        print(head, row["error"], flush=True)
    for cell in row.get("cells", ()):
        place = f"{cell['precision']:9} {cell.get('mode', ''):13} {cell.get('batch', ''):>4}"
        if "error" in cell:
            print(head, place, cell["error"])
        elif "images_per_second" in cell:
            print(head, place, f"{cell['images_per_second']:9.1f} images/s, p99/p50 {ratio(cell['p99'] / cell['p50'])}")
        else:
            peaks = f"{cell['bandwidth'] / 1e9:.0f} GB/s, {cell['operations'] / 1e12:.2f} Tflop/s"
            print(head, place, peaks, {batch: round(value, 1) for batch, value in cell["bound"].items()})


def _options() -> argparse.Namespace:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS)
    parser.add_argument("--arms", nargs="*", default=EVERY_ARM, choices=EVERY_ARM)
    parser.add_argument("--precisions", nargs="*", choices=PRECISIONS)
    parser.add_argument("--batches", nargs="*", type=int)
    parser.add_argument("--modes", nargs="*", choices=MODES)
    parser.add_argument("--size", type=int, help="height and width of the images")
    parser.add_argument("--rounds", type=int, help="timed calls of each cell")
    parser.add_argument("--device", default=device, choices=("cuda", "cpu"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=3600, help="that an arm may take for one network")
    parser.add_argument("--no-training", dest="training", action="store_false", help="leave the training step out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave the page as it is")
    options = parsed(parser, QUICK)
    for name, value in _defaults(options.device).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _defaults(device: str) -> Row:
    """What is measured where nothing is said: everything on a GPU, what a CPU can do in an hour."""
    if device == "cpu":
        modes, networks = ["eager", "channels_last", "compile"], list(NETWORKS)
        return {"networks": networks, "precisions": ["float32"], "batches": [1, 16], "modes": modes} | {
            "size": 224,
            "rounds": 15,
        }
    full = {"networks": list(NETWORKS), "precisions": list(PRECISIONS), "batches": list(BATCHES)}
    return full | {"modes": list(MODES), "size": 224, "rounds": 50}


if __name__ == "__main__":
    main()
