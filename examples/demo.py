"""Converts full-size ResNet50 and MobileNetV2 both ways, live and through saved files, and verifies every conversion.

Run it with `make demo`, or `python examples/demo.py` where xconv, Keras and torchvision are installed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # before TensorFlow: the other order can crash

import keras  # isort: skip
from rich.console import Console
from rich.table import Table

import xconv

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORKS = {"ResNet50": "resnet50", "MobileNetV2": "mobilenet_v2"}
"""The names in keras.applications and in torchvision.models."""


def sources(name: str, folder: Path) -> Iterator[tuple[str, keras.Model, keras.Model | Path]]:
    """The network of Keras twice: live, and as the file that Keras saves; its weights are random, but alive."""
    model = xconv.randomize(getattr(keras.applications, name)(weights=None, classifier_activation=None), seed=0)
    yield "live model", model, model
    path = folder / f"{name}.keras"
    model.save(path)
    yield ".keras file", model, path


def torchvision_models() -> Any:
    """The networks of torchvision, also of one that was built for CUDA, beside a torch without it."""
    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision.models


def to_torch(console: Console, summary: Table, folder: Path) -> bool:
    """Converts every network of Keras and prints the reports; returns whether all are exact."""
    exact = True
    for name in NETWORKS:
        for origin, model, source in sources(name, folder):
            console.rule(f"Keras {name}, {origin}")
            start = time.perf_counter()
            module = xconv.keras_to_torch(source, input_layout="channels_first")
            seconds = time.perf_counter() - start
            report = xconv.verify(model, module)
            console.print(str(report), markup=False, highlight=False, soft_wrap=True)
            count = sum(parameter.numel() for parameter in module.parameters())
            summary.add_row(name, origin, "PyTorch", f"{seconds:.2f}", f"{count:,}", str(report.verdict))
            exact = exact and report.ok
    return exact


def to_keras(console: Console, summary: Table, folder: Path) -> bool:
    """Converts every network of torchvision, saves it, loads it again without xconv, and prints the reports."""
    exact = True
    for name in NETWORKS.values():
        console.rule(f"torchvision {name}, saved and loaded again")
        module = xconv.randomize(getattr(torchvision_models(), name)(weights=None), seed=0)
        start = time.perf_counter()
        model = xconv.torch_to_keras(module, input_shape=(3, 224, 224))
        seconds = time.perf_counter() - start
        path = folder / f"{name}.keras"
        model.save(path)
        report = xconv.verify(module, keras.models.load_model(path))
        console.print(str(report), markup=False, highlight=False, soft_wrap=True)
        summary.add_row(name, "nn.Module", "Keras", f"{seconds:.2f}", f"{model.count_params():,}", str(report.verdict))
        exact = exact and report.ok
    return exact


def main() -> int:
    """Prints a report for each conversion, and a summary; returns 0 when every one is exact."""
    console = Console()
    summary = Table("network", "from", "to", "seconds", "parameters", "verdict", title="Conversions")
    with tempfile.TemporaryDirectory() as folder:
        results = [convert(console, summary, Path(folder)) for convert in (to_torch, to_keras)]
    console.print(summary)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
