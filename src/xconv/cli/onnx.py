"""What `xconv convert` does where an `.onnx` file is on one side; `cli` calls it and prints."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xconv
from xconv.onnx.files import is_onnx, save_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from xconv.graph import Graph
    from xconv.layout import Layout
    from xconv.report.records import Report

__all__ = ["Exported", "export", "graph_of", "is_onnx", "module_of"]


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX model that was exported: what it takes, how many numbers it holds, and the verification."""

    inputs: tuple[dict[str, Any], ...]
    parameters: int
    report: Report | None


def export(source: Path, output: Path, layout: str | None, step: Callable[[str], None], *, verify: bool) -> Exported:
    """A Keras or torch file as an `.onnx` file; it is written unless the verification fails."""
    from xconv.onnx import keras_to_onnx, torch_to_onnx

    if source.suffix in (".pt2", ".safetensors"):
        if layout not in (None, "channels_first"):
            raise xconv.InvalidInput("ONNX takes images as torch has them", remedy="leave out --input-layout")
        model = torch_to_onnx(source)
    else:
        model = keras_to_onnx(source, input_layout="channels_first" if layout == "channels_first" else "channels_last")
    report = None
    if verify:
        step("verifying")
        report = xconv.verify(source, model)
    if report is None or report.ok:
        step(f"writing {output.name}")
        save_model(model, output)
    count = sum(prod(tensor.dims) for tensor in model.graph.initializer)
    return Exported(tuple(map(_port, model.graph.input)), count, report)


def _port(item: Any) -> dict[str, Any]:
    sizes = [dim.dim_value or None for dim in item.type.tensor_type.shape.dim]
    return {"name": item.name, "shape": sizes}


def graph_of(source: Path, *, through: bool) -> Graph:
    """The graph of an `.onnx` file, or of a torch file `through` ONNX."""
    from xconv.onnx import torch_to_onnx
    from xconv.onnx.reading import read_onnx

    return read_onnx(torch_to_onnx(source) if through else source)


def module_of(source: Path, layout: Layout, *, through: bool) -> Any:
    """The torch module of an `.onnx` file, or of a Keras file `through` ONNX."""
    if through:
        return xconv.keras_to_torch(source, input_layout=layout, route="onnx")
    from xconv.onnx import onnx_to_torch

    return onnx_to_torch(source, reader="xconv")
