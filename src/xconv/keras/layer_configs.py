"""The config with which a layer of the records is made, the same for a live model and for a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from xconv.errors import Problem, Unsupported
from xconv.keras.defaults import DEFAULTS
from xconv.keras.names import torch_path
from xconv.keras.op_modules import module_of
from xconv.keras.records import Entry, KerasModel
from xconv.policies import LOW, compute_dtype, variable_dtype

__all__ = ["described", "dtype_of", "layer_dtype"]


def described(entry: Entry, dtype: str) -> dict[str, Any]:
    """Class, module and config of a layer or operation, as `keras.saving.deserialize_keras_object` reads them.

    Only what the records say is in the config, so that every release of Keras 3 reads it, and two things that users
    can change the default of: the dtype and the data format.
    """
    if entry.is_op:
        config, module = dict(entry.config), module_of(entry.kind)
        return {"module": module, "class_name": entry.kind, "config": config, "registered_name": entry.kind}
    config = _in_full(entry.kind, entry.config, dtype)
    module = "keras.layers" if entry.module is None or entry.module.startswith("keras.") else entry.module
    return {"module": module, "class_name": entry.kind, "config": config, "registered_name": entry.registered_name}


def layer_dtype(entry: Entry, dtype: str) -> str:
    """The dtype of a layer's variables: the model's, unless the layer's own is not of floating point."""
    own = _own_dtype(entry.config, dtype)
    return variable_dtype(own) if own else dtype


def _own_dtype(config: Mapping[str, Any], dtype: str) -> str | None:
    """The dtype policy of a layer that is not the model's: of whole numbers, or where either has less than float32."""
    own = config.get("dtype")
    if not isinstance(own, str):
        return None
    kept = "float" not in own or (compute_dtype(own) in LOW and dtype != "float64") or dtype in LOW
    return own if kept else None


def dtype_of(model: KerasModel) -> str:
    """The floating-point type of the weights; of the inputs where there are no weights.

    Raises:
        Unsupported: there are several, with the place of every weight that is not of the most common one.
    """
    held = [(entry.name, weight.dtype) for entry in model.entries for weight in entry.weights if weight.key]
    weights = Counter(dtype for _, dtype in held if "float" in dtype)
    if any(compute_dtype(str(entry.config.get("dtype"))) in LOW for entry in model.entries if not entry.is_op):
        return "float32" if "float32" in weights or not weights else weights.most_common(1)[0][0]
    if len(weights) > 1:
        usual, _ = weights.most_common(1)[0]
        others = dict.fromkeys((name, dtype) for name, dtype in held if dtype in weights and dtype != usual)
        remedy = "module.float() makes them one, or make it in the type of the others"
        problems = [
            Problem(torch_path(name), f"it holds {dtype}, other layers hold {usual}", remedy) for name, dtype in others
        ]
        raise Unsupported("weights of several types", problems=problems)
    inputs = {str(entry.config["dtype"]) for entry in model.entries if entry.kind == "InputLayer"}
    found = sorted(dtype for dtype in weights or inputs if "float" in dtype)
    if len(found) > 1:
        raise Unsupported(f"inputs of several types: {', '.join(found)}", remedy="give them one type")
    return found[0] if found else "float32"


def _in_full(kind: str, config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The config, that of layers inside it too, with dtype and data format."""
    if kind == "InputLayer":
        return dict(config)
    own = _own_dtype(config, dtype) or dtype
    full = {key: _nested(item, own if "float" in own else dtype) for key, item in config.items()}
    full["dtype"] = own
    defaults = DEFAULTS.get(kind, {})
    if "data_format" in defaults and full.get("data_format") is None:
        full["data_format"] = "channels_last"
    return full


def _nested(value: Any, dtype: str) -> Any:
    """A layer in the config of another, such as that of a Bidirectional; anything else as it is."""
    if isinstance(value, Mapping) and value.get("class_name") in DEFAULTS and isinstance(value.get("config"), Mapping):
        kind = str(value["class_name"])
        return {
            "module": "keras.layers",
            "registered_name": None,
            **value,
            "config": _in_full(kind, value["config"], dtype),
        }
    if isinstance(value, list):
        return [_nested(item, dtype) for item in value]
    return value
