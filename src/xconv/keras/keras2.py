"""A live tf_keras (Keras 2) model -> records, through its own config."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from xconv.errors import InvalidInput, Unsupported
from xconv.keras.parse import parse_model
from xconv.keras.records import KerasModel
from xconv.keras.variables import LiveVariable

__all__ = ["is_keras2_model", "read_keras2"]


def is_keras2_model(source: object) -> bool:
    """Whether `source` is a live model of tf_keras (Keras 2); imports nothing."""
    names = {f"{base.__module__}.{base.__name__}" for base in type(source).__mro__}
    return bool(names & {"tf_keras.src.engine.training.Model", "keras.engine.training.Model"})


def read_keras2(model: Any) -> KerasModel:
    """The records of a built tf_keras (Keras 2) model: its own config, and its variables by layer path.

    Raises:
        InvalidInput: the model is not built.
        Unsupported: a subclassed model; Keras 2 cannot trace one into layers.
    """
    if not model.built:
        raise InvalidInput("the model is not built", place=model.name, remedy="call model.build(input_shape)")

    def arrays_of(path: tuple[str, ...]) -> Sequence[LiveVariable]:
        part = model
        for name in path:
            if name.isdigit():
                part = part[int(name)]
            elif hasattr(part, "get_layer") and any(layer.name == name for layer in part.layers):
                part = part.get_layer(name)
            else:
                part = getattr(part, name, None)
            if part is None:
                return []  # the input layer of a Sequential, which is not among its layers
        return [LiveVariable(v) for v in (*part._trainable_weights, *part._non_trainable_weights)]

    try:
        config = json.loads(model.to_json())
    except NotImplementedError as error:
        raise Unsupported(
            "a subclassed tf_keras model has no graph", place=model.name, remedy="rebuild it with the functional API"
        ) from error
    return parse_model(config, arrays_of, source=f"the live model {model.name!r}", keras_version="2")
