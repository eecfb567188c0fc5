"""Measures what each route through ONNX loses, and writes the table into docs/onnx.md; some minutes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("onnx.md")
BEGIN, END = "<!-- measured -->\n", "<!-- end -->"
KERAS = ("ResNet50", "MobileNetV2", "MobileNetV3Small", "DenseNet121", "EfficientNetB0", "ConvNeXtTiny")
TORCH = (
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "densenet121",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_16",
)
HEAD = ("network", "route", "seconds", "BatchNorm", "names", "train", "transposes", "error", "`verify`")


def of_keras(name: str, route: str) -> tuple[Any, Any, float]:
    """A network of keras.applications and the torch module of it."""
    import keras

    import xconv

    make = getattr(keras.applications, name)
    model = xconv.randomize(make(weights=None, input_shape=(65, 79, 3), classifier_activation=None), 0)
    start = time.perf_counter()
    return model, xconv.keras_to_torch(model, route=route), time.perf_counter() - start  # type: ignore[arg-type]


def of_torch(name: str, route: str) -> tuple[Any, Any, float]:
    """A network of torchvision and the Keras model of it."""
    import torch
    import torchvision

    import xconv

    image = torch.randn(1, 3, *((224, 224) if name.startswith("vit") else (65, 79)))
    module = xconv.randomize(getattr(torchvision.models, name)(weights=None).eval(), 0, inputs=image)
    start = time.perf_counter()
    return module, xconv.torch_to_keras(module, image, route=route), time.perf_counter() - start  # type: ignore[arg-type]


def rows() -> Iterator[tuple[str, ...]]:
    """One row for each network, direction and route."""
    import xconv
    from xconv.onnx import losses

    for make, names, way in ((of_keras, KERAS, "Keras to torch"), (of_torch, TORCH, "torch to Keras")):
        for name in names:
            for route in ("direct", "onnx"):
                source, result, seconds = make(name, route)
                lost, report = losses(source, result), xconv.verify(source, result)
                counts = (f"{pair[1]:,} of {pair[0]:,}" for pair in (lost.batch_norms, lost.names, lost.trainable))
                error = report.outputs[0].float64
                yield (
                    f"{name}, {way}",
                    route,
                    f"{seconds:.1f}",
                    *counts,
                    str(lost.transposes[1]),
                    f"{error.max_rel:.0e}" if error else "-",
                    str(report.verdict),
                )


def table() -> str:
    """All rows as a table."""
    lines = [HEAD, ("---",) * len(HEAD), *rows()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    from benchmarks.loading import load_torchvision
    from benchmarks.machine import describe, in_full

    load_torchvision()
    warnings.simplefilter("ignore")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    measured = f"{in_full(describe())}\n\n{table()}"
    PAGE.write_text(f"{before}{BEGIN}{measured}{END}{after}", encoding="utf-8")
