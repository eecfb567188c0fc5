"""Torch to Keras side by side: xconv from the module and from a `.pt2` file, nobuco, onnx2tf.

Run by `python -m benchmarks.conversion --direction to_keras`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import rivals
from benchmarks.measure import run_arm, summary
from benchmarks.rivals import FOLDER
from benchmarks.table import scientific

__all__ = ["ARMS", "NETWORKS", "measure_network", "show"]

ARMS = ("xconv_live", "xconv_file", "nobuco", "onnx2tf")
NETWORKS = (
    *("resnet50", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "vgg16", "googlenet"),
    *("shufflenet_v2_x1_0", "regnet_y_400mf", "convnext_tiny", "swin_t"),
)
LIMIT = 600
"""Seconds for one conversion; who takes longer has not finished."""
LONG = 120
"""An arm that takes longer than this is not repeated."""

Row = dict[str, Any]


def measure_network(
    network: str, repeat: int, arms: Sequence[str] = ARMS, folder: Path = FOLDER, size: int = 224
) -> Iterator[Row]:
    """One row for the source and one for each arm; rounds are interleaved."""
    head = {"kind": "to_keras", "network": network}
    with tempfile.TemporaryDirectory() as held:
        source = run_arm("benchmarks.to_keras_arms", "source", network, held, str(size))
        if "error" in source:
            yield {**head, "arm": "source", **source}
            return
        yield {**head, "kind": "to_keras_source", **source}
        rounds: dict[str, list[Row]] = {arm: [] for arm in arms}
        for _ in range(repeat):
            for arm, found in rounds.items():
                if not found or ("error" not in found[-1] and found[-1]["wall_seconds"] < LONG):
                    found.append(_run(arm, network, held, folder))
        for arm, found in rounds.items():
            yield {**head, "arm": arm, **merged(found)}


def _run(arm: str, network: str, held: str, folder: Path) -> Row:
    if arm not in rivals.RIVALS:
        return run_arm("benchmarks.to_keras_arms", arm, network, held, timeout=LIMIT)
    missing = rivals.absent(arm, folder)
    if missing:
        return {"error": missing}
    python = str(rivals.interpreter(arm, folder))
    return run_arm("benchmarks.rival_arms", arm, network, held, timeout=LIMIT, interpreter=python)


def merged(found: Sequence[Row]) -> Row:
    """The last round's traits, with the seconds of all and the largest peak."""
    last = found[-1]
    if "error" in last:
        return {"error": last["error"]}
    spans = ("seconds", "export_seconds", "convert_seconds")
    times = {key: summary([row[key] for row in found]).to_dict() for key in spans if key in last}
    return {**last, **times, "peak_bytes": max(row["peak_bytes"] for row in found)}


def show(row: Row) -> None:
    """One line for the terminal."""
    head = f"{row['network']:20} {row.get('arm', 'source'):12}"
    if "error" in row:
        print(head, row["error"][:200], flush=True)
    elif "arm" in row:
        numbers = f"{row['seconds']['median']:.2f} s, {row['peak_bytes'] / 1e6:,.0f} MB"
        error = f"difference {scientific(row['difference'])}, batch of three {row['open_batch']}"
        kept = f"{row['interior_transposes']} transposes, {row['trainable']:,} trainable, {row['names_kept']} names"
        print(head, numbers, error, kept, "reloads" if row["reloads"] else "does not reload", flush=True)
