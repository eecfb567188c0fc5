"""The public functions; each reads as a sentence of a few calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from xconv.errors import InvalidInput
from xconv.layout import Layout

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from xconv.graph import Graph
    from xconv.keras.records import KerasModel

__all__ = ["keras_to_torch", "read_keras"]


def keras_to_torch(
    source: Any,
    *,
    input_layout: Layout = "channels_first",
    weights: Any = None,
    config: Any = None,
) -> GraphModule:
    """The torch module that computes what a Keras model computes.

    Args:
        source: a live keras.Model (Functional, Sequential, subclassed; any backend), a live tf_keras model, or the
            path of a `.keras`, a whole-model `.h5`, or a `.weights.h5` (with `config`).
        input_layout: how images are taken and returned. 'channels_first' is torch's (N, C, H, W); 'channels_last' is
            Keras's (N, H, W, C), taken without a copy. Tensors that no spatial layer touches stay as Keras has them.
        weights: the path of a weights file for a `source` that is a configuration.
        config: the configuration (a path, a mapping or JSON) for a `source` that holds weights alone.

    Returns:
        A `torch.fx.GraphModule` in training mode. `xconv.record(module)` tells where every weight came from.

    Raises:
        Unreadable, NotFound: the file is not what it should be.
        Unknown, Unsupported: all layers that cannot be converted, in one error.
        Mismatch: weights or shapes that do not fit.
    """
    from xconv.layout import resolve
    from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
    from xconv.torch.write import write

    graph = run(BEFORE_LAYOUT, read_keras(source, weights=weights, config=config))
    return write(run(AFTER_LAYOUT, resolve(graph, "first", input_layout)), input_layout)


def read_keras(source: Any, *, weights: Any = None, config: Any = None) -> Graph:
    """The graph of a Keras model, live or from a file."""
    from xconv.keras.read import read

    return read(_records(source, weights, config))


def _records(source: Any, weights: Any, config: Any) -> KerasModel:
    from xconv.keras.live import is_keras_model, read_live

    if isinstance(source, (str, os.PathLike)):
        from xconv.keras.archive import read_file

        return read_file(source, config=config, weights=weights)
    if is_keras_model(source):
        return read_live(source)
    from xconv.keras.keras2 import is_keras2_model, read_keras2

    if is_keras2_model(source):
        return read_keras2(source)
    raise InvalidInput(
        f"a {type(source).__name__} is not a Keras model",
        remedy="give a keras.Model, or the path of a .keras, .h5 or .weights.h5 file",
    )
