"""Converts full-size ResNet50 and MobileNetV2, from a live Keras model and from a saved file, and verifies both.

Run it with `make demo`, or `python examples/demo.py` where xconv and Keras are installed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # noqa: F401  before TensorFlow: the other order can crash

import keras  # isort: skip
from rich.console import Console
from rich.table import Table

import xconv

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORKS = ("ResNet50", "MobileNetV2")


def sources(name: str, folder: Path) -> Iterator[tuple[str, keras.Model, keras.Model | Path]]:
    """The network twice: as a live model, and as the file that Keras saves; the weights are random, but alive."""
    model = xconv.randomize(getattr(keras.applications, name)(weights=None, classifier_activation=None), seed=0)
    yield "live model", model, model
    path = folder / f"{name}.keras"
    model.save(path)
    yield ".keras file", model, path


def main() -> int:
    """Prints a report for each conversion, and a summary; returns 0 when every one is exact."""
    console = Console()
    summary = Table("network", "from", "seconds", "parameters", "verdict", title="Keras to PyTorch")
    exact = True
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            for origin, model, source in sources(name, Path(folder)):
                console.rule(f"{name}, {origin}")
                start = time.perf_counter()
                module = xconv.keras_to_torch(source, input_layout="channels_first")
                seconds = time.perf_counter() - start
                report = xconv.verify(model, module)
                console.print(str(report), markup=False, highlight=False, soft_wrap=True)
                count = sum(parameter.numel() for parameter in module.parameters())
                summary.add_row(name, origin, f"{seconds:.2f}", f"{count:,}", str(report.verdict))
                exact = exact and report.ok
    console.print(summary)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
