"""Speed of the Keras model made of torchvision's network against keras.applications' own of the same architecture.

Both run in turn in one process, compiled (`tf.function`, `jax.jit`), with a second copy of keras.applications' model
beside them: what differs there is noise. Run by `python -m benchmarks.forward --direction to_keras`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from benchmarks.measure import run_arm
from benchmarks.table import scientific, seconds

__all__ = ["BACKENDS", "NETWORKS", "measure_network", "show"]

NETWORKS = ("ResNet50", "MobileNetV2", "VGG16", "DenseNet121", "MobileNetV3Large")
BACKENDS = ("tensorflow", "jax")

Row = dict[str, Any]


def measure_network(network: str, options: argparse.Namespace, allocators: dict[str, dict[str, str]]) -> Iterator[Row]:
    """One row for each backend and allocator."""
    names = ("size", "batches", "rounds", "threads")
    task = {"network": network, **{name: getattr(options, name) for name in names}}
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    for backend in options.backends:
        for allocator, variables in allocators.items():
            head = {"kind": "forward_keras", "network": network, "backend": backend, "allocator": allocator}
            if find_spec(backend) is None:
                yield {**head, "error": f"{backend} is not installed"}
                continue
            environment = {"KERAS_BACKEND": backend, **threads, **variables}
            yield {**head, **run_arm("benchmarks.forward_keras_arms", json.dumps(task), environment=environment)}


def show(row: Row) -> None:
    """Some lines for the terminal."""
    head = f"{row['network']:17} {row['backend']:11} {row['allocator']:8}"
    if "error" in row:
        print(head, row["error"], flush=True)
    for count, found in row.get("batches", {}).items():
        times = f"{seconds(found['xconv']['median'])} against {seconds(found['applications']['median'])}"
        spread = f"ratio {found['ratio']['median']:.3f} ({found['ratio']['low']:.2f}..{found['ratio']['high']:.2f})"
        noise = f"noise {found['noise']['median']:.3f}, difference {scientific(found['difference'])}"
        print(head, f"batch {count:>3}", f"{times}, {spread}, {noise}", flush=True)
