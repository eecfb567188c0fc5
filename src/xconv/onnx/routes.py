"""Conversions that go through ONNX: `route="onnx"`, and a Keras model of an ONNX file."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xconv.errors import XConvWarning
from xconv.onnx.lost import Losses, losses

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from xconv.layout import Layout

__all__ = ["keras_through_onnx", "onnx_to_keras", "torch_through_onnx"]


def keras_through_onnx(source: Any, input_layout: Layout) -> GraphModule:
    """Keras -> tf2onnx -> ONNX -> onnx2torch; its record tells the layouts, so that it can be verified.

    Warns:
        XConvWarning: what was lost.
    """
    from xconv.keras.run import KerasSide
    from xconv.onnx.from_keras import keras_to_onnx, live_model
    from xconv.onnx.layouts import ports
    from xconv.onnx.to_torch import onnx_to_torch
    from xconv.torch.record import KEY

    model = live_model(source)
    record = ports(KerasSide(model), input_layout)
    module = onnx_to_torch(keras_to_onnx(model, input_layout=input_layout))
    lost = losses(model, module)
    module.meta[KEY] = replace(record, notes=(f"through ONNX: {lost}",))
    _tell(lost)
    return module


def torch_through_onnx(source: Any, example_inputs: Any, input_shape: Any, input_layout: Layout) -> Any:
    """torch -> torch.onnx -> ONNX -> the shared graph -> Keras.

    Warns:
        XConvWarning: what was lost.
    """
    from xconv.onnx.from_torch import module_of, torch_to_onnx

    module = module_of(source)
    exported = torch_to_onnx(module, example_inputs, input_shape=input_shape)
    converted = onnx_to_keras(exported, input_layout=input_layout)
    _tell(losses(module, converted))
    return converted


def onnx_to_keras(source: Any, *, input_shape: Any = None, input_layout: Layout = "channels_last") -> Any:
    """The Keras model that computes what an ONNX model computes.

    The model is read into the same graph as every other, so the result is made of Keras's own layers and operations.

    Args:
        source: an onnx.ModelProto, or the path of an `.onnx` file.
        input_shape: the shape of the input without the batch, or a list of shapes, where the model leaves it open.
        input_layout: how images are taken and returned: 'channels_last' as Keras does, 'channels_first' as ONNX.

    Returns:
        A Functional `keras.Model`; layers have the names of the model's weights or nodes, `layer1>0>conv1` for
        `layer1.0.conv1`.

    Raises:
        NotFound, IsDirectory, Unreadable: the file is not what it should be.
        Unknown, Unsupported: all operators that cannot be converted, in one error.
        MissingFramework: onnx or Keras is not installed.
    """
    from xconv.api import for_keras
    from xconv.keras.build import build
    from xconv.keras.origin import record_of, remember
    from xconv.keras.write import records_of
    from xconv.onnx.reading import read_onnx

    graph = for_keras(read_onnx(source, input_shape), input_layout)
    records = records_of(graph)
    return remember(build(records), record_of(graph, records, input_layout))


def _tell(lost: Losses) -> None:
    if not lost.nothing:
        warnings.warn(f"through ONNX: {lost}", XConvWarning, stacklevel=4)
