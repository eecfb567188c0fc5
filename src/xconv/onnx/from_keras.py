"""A Keras model -> ONNX: tf2onnx where TensorFlow runs Keras, Keras's own exporter on its other backends."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from xconv.errors import InvalidInput, Unsupported
from xconv.frameworks import require
from xconv.inputs import Feed
from xconv.keras.states import keeps_states
from xconv.keras.walk import graph_of
from xconv.layout import Layout
from xconv.onnx.files import foreign_operators, open_model, save_model
from xconv.onnx.layouts import IMAGE, orders, others
from xconv.onnx.renaming import renamed, turned

__all__ = ["OPSET", "keras_to_onnx", "live_model"]

OPSET = 17
STATES = "give the layers their states as inputs, and return them"


def keras_to_onnx(
    source: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int = OPSET,
    input_layout: Layout = "channels_last",
) -> Any:
    """The ONNX model that computes what a Keras model computes in inference, for any batch.

    Args:
        source: a live keras.Model or tf_keras model, or the path of a file that Keras loads.
        path: where to write it; an `.onnx` file.
        opset: the version of ONNX's operators.
        input_layout: how images are taken and returned: 'channels_last' as Keras does, or 'channels_first'.

    Returns:
        An `onnx.ModelProto`; inputs and outputs are called as in the Keras model.

    Raises:
        Unsupported: tf2onnx or Keras's exporter cannot say the model; the operators that are left are named.
        MissingFramework: Keras, onnx or tf2onnx is not installed.
    """
    require("onnx", "onnx", "keras_to_onnx")
    side = _side(source)
    if keeps_states(side.model):
        raise Unsupported("stateful layers, and an ONNX model keeps nothing", place=side.name, remedy=STATES)
    run = _by_tf2onnx if side.backend == "tensorflow" else _by_keras
    model, _ = open_model(run(side, opset, input_layout))
    if left := foreign_operators(model):
        said = ", ".join(f"{kind} ({count})" for kind, count in left.items())
        what = f"{_version('tf2onnx')} has no ONNX operator for TensorFlow's {said}"
        remedy = "convert it without ONNX (xconv.keras_to_torch), and that with xconv.torch_to_onnx"
        raise Unsupported(what, place=side.name, remedy=remedy)
    if path is not None:
        save_model(model, path)
    return model


def live_model(source: Any) -> Any:
    """A live Keras model, or the one in a file that Keras loads in safe mode.

    Raises:
        InvalidInput: neither of both.
        Unreadable, NotFound: the file is not what it should be.
    """
    if not isinstance(source, (str, os.PathLike)):
        return source
    from xconv.keras.depth import loaded
    from xconv.keras.file_kinds import HDF5, KERAS_DIRECTORY, ZIP, kind_of, refuse

    require("keras", "keras", "an ONNX model of a Keras file")
    kind, remedy = kind_of(Path(source))
    if kind not in (ZIP, HDF5, KERAS_DIRECTORY):
        raise refuse(Path(source), kind, remedy)
    return loaded(Path(source))


def _side(source: Any) -> Any:
    from xconv.keras.run import KerasSide

    model = live_model(source)
    kinds = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if not kinds & {"keras", "tf_keras"}:
        what = f"a {type(model).__name__} is not a Keras model"
        raise InvalidInput(what, remedy="give a keras.Model, or the path of a .keras or .h5 file")
    return KerasSide(model)


# ---------------------------------------------------------------------------------------------- TensorFlow


def _by_tf2onnx(side: Any, opset: int, layout: Layout) -> Any:
    """tf2onnx on a function of the model, which is traced here.

    Its own `from_keras` fails on Keras 3: it looks for the names of Keras's symbolic tensors among TensorFlow's. And
    Keras compiles grouped convolutions by XLA, which would stay calls; so all is traced into one graph.
    """
    tf2onnx = require("tf2onnx", "onnx", "keras_to_onnx")
    feeds = side.feeds()
    if graph_of(side.model) is None:
        what = "a subclassed model does not say which shapes it takes"
        raise Unsupported(what, place=side.name, remedy="call it on a keras.Input, and give that Functional model")
    traced, outputs = _traced(side, feeds)
    given, returned = orders(side, layout, [item.shape.rank for item in traced.outputs])
    names = [f"input_{place}:0" for place in range(len(feeds))]
    results = [item.name for item in traced.outputs]
    with _quiet("tf2onnx", "tensorflow"):
        try:
            model, _ = tf2onnx.convert.from_function(
                _Traced(traced),
                [None] * len(feeds),
                opset=opset,
                custom_op_handlers={"Erfc": (_erfc, [])},
                inputs_as_nchw=[name for name, order in zip(names, given, strict=True) if order == IMAGE],
                outputs_as_nchw=[name for name, order in zip(results, returned, strict=True) if order == IMAGE],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, NotImplementedError) as error:
            what = f"{_version('tf2onnx')} cannot convert it: {type(error).__name__}: {_first_line(error)}"
            raise Unsupported(what, place=side.name, remedy="convert it without ONNX (xconv.keras_to_torch)") from error
    _with_constants(model, traced)
    entries = [item.name for item in model.graph.input]
    exits = [item.name for item in model.graph.output]
    turned(model, others(entries, given), others(exits, returned))
    wanted = dict(zip(entries, (feed.name for feed in feeds), strict=True))
    return renamed(model, {**wanted, **dict(zip(exits, outputs, strict=True))}, side.name)


def _with_constants(model: Any, traced: Any) -> None:
    """Put in what the graph holds of tensors outside it: tf2onnx takes the mean of a Normalization for an input."""
    from onnx import numpy_helper

    held = {inner.name: outer for outer, inner in traced.graph.captures if outer.dtype != "resource"}
    held = {name: tensor for name, tensor in held.items() if hasattr(tensor, "numpy")}
    entries = [item for item in model.graph.input if item.name not in held]
    given = {item.name for item in model.graph.input} - {item.name for item in entries}
    del model.graph.input[:]
    model.graph.input.extend(entries)
    present = {tensor.name for tensor in model.graph.initializer}
    for name in sorted(given - present):
        model.graph.initializer.append(numpy_helper.from_array(held[name].numpy(), name))


class _Traced:
    """What tf2onnx asks for a function: it gives the graph that is there."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def get_concrete_function(self, *signature: Any) -> Any:
        """The traced function."""
        del signature
        return self.function


def _traced(side: Any, feeds: Sequence[Feed]) -> tuple[Any, list[str]]:
    """The model's call as one TensorFlow graph, and the names of its outputs."""
    import tensorflow as tf

    names: list[str] = []

    def call(*tensors: Any) -> Any:
        pairs = side.called(tensors)
        names[:] = [name for name, _ in pairs]
        return tuple(value for _, value in pairs)

    kinds = [str(getattr(tensor.dtype, "name", tensor.dtype)) for tensor in graph_of(side.model).inputs]
    specs = [
        tf.TensorSpec((None, *feed.shape[1:]), kind, name=f"input_{place}")
        for place, (feed, kind) in enumerate(zip(feeds, kinds, strict=True))
    ]
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)  # functions inside are then traced into the graph around them
    try:
        return tf.compat.v1.wrap_function(call, specs), names
    finally:
        tf.config.run_functions_eagerly(before)


def _erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Erfc, which tf2onnx does not know, as 1 - erf."""
    import numpy as np

    del arguments
    kind = np.float64 if graph.get_dtype(node.output[0]) == 11 else np.float32
    node.type = "Erf"
    one = graph.make_const(f"{name}__one", np.asarray(1, dtype=kind))
    result = node.output[0]
    difference = graph.insert_new_node_on_output("Sub", result, name=f"{name}__erfc")
    graph.replace_inputs(difference, [one.output[0], result])


# ---------------------------------------------------------------------------------------------- other backends


def _by_keras(side: Any, opset: int, layout: Layout) -> Any:
    """Keras's own exporter, which writes a file."""
    import onnx

    if layout != "channels_last":
        remedy = 'take channels_last, or set KERAS_BACKEND="tensorflow"'
        raise Unsupported("Keras's exporter leaves images as Keras has them", place=side.name, remedy=remedy)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        with _quiet("torch.onnx"), redirect_stdout(StringIO()):
            outputs = _called_once(side)
            try:
                side.model.export(str(target), format="onnx", verbose=False, opset_version=opset)
            except (ValueError, TypeError, RuntimeError, NotImplementedError, ImportError, AttributeError) as error:
                what = f"{_version('keras')} cannot export it on the {side.backend} backend: {_first_line(error)}"
                remedy = 'set KERAS_BACKEND="tensorflow", or convert it without ONNX (xconv.keras_to_torch)'
                raise Unsupported(what, place=side.name, remedy=remedy) from error
        model = onnx.load_model(target)
    entries = {item.name: feed.name for item, feed in zip(model.graph.input, side.feeds(), strict=True)}
    exits = {item.name: name for item, name in zip(model.graph.output, outputs, strict=True)}
    return renamed(model, {**entries, **exits}, side.name)


def _called_once(side: Any) -> list[str]:
    """Call the model, because Keras exports none that never was; the names of its outputs."""
    from xconv.inputs import SIZES, noise, sized

    feeds = side.feeds()
    return [output.name for output in side.outputs(noise(sized(feeds, SIZES[3], 1)), "float32")]


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Without the warnings and log lines that these packages write about themselves."""
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    for logger in found:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(found, levels, strict=True):
            logger.setLevel(level)


def _version(package: str) -> str:
    from importlib.metadata import version

    return f"{package} {version(package)}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else type(error).__name__
