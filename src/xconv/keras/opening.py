"""Whatever holds a Keras model, as records: a live model of Keras 3 or tf_keras, or a file."""

from __future__ import annotations

import os
from typing import Any

from xconv.errors import InvalidInput
from xconv.keras.adapters import Options
from xconv.keras.casting import in_policy
from xconv.keras.quantized import dequantized
from xconv.keras.records import KerasModel

__all__ = ["records_from"]


def records_from(source: Any, *, weights: Any = None, config: Any = None, options: Options | None = None) -> KerasModel:
    """The records of a Keras model; arguments as for `keras_to_torch`.

    Raises:
        InvalidInput: it is no Keras model.
        Unreadable, NotFound: the file is not what it should be.
    """
    from xconv.keras.keras2 import is_keras2_model, read_keras2
    from xconv.keras.live import is_keras_model, read_live

    if isinstance(source, (str, os.PathLike)):
        from xconv.keras.archive import read_file

        if is_keras_model(config) or is_keras2_model(config):
            config = config.to_json()
        found = read_file(source, config=config, weights=weights)
        found = dequantized(found) if options and options.dequantize else found
    elif is_keras_model(source):
        found = read_live(source, options)
    elif is_keras2_model(source):
        found = read_keras2(source)
    else:
        raise _no_model(source)
    return in_policy(found, options.dtype) if options and options.dtype else found


def _no_model(source: Any) -> InvalidInput:
    return InvalidInput(
        f"a {type(source).__name__} is not a Keras model",
        remedy="give a keras.Model, or the path of a .keras, .h5 or .weights.h5 file",
    )
