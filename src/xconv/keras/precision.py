"""A live Keras model rebuilt in another precision: same graph, same weights, the original untouched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.keras.depth import room_for
from xconv.keras.walk import all_layers, as_array, backend_of, family, graph_of

__all__ = ["policies_of", "rebuilt"]

ZEROS: dict[str, Any] = {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}
FLOATS = frozenset({"float64", "float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})
POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})


def policies_of(model: Any) -> frozenset[str]:
    """The names of the dtype policies that the model's layers have."""
    found = (getattr(layer, "dtype_policy", None) for layer in all_layers(model))
    return frozenset(str(policy.name) for policy in found if policy is not None)


def rebuilt(model: Any, dtype: str) -> Any:
    """A copy of the model whose every float policy is `dtype`, built from its config, with the weights copied.

    Classes that Keras has not registered are taken from the live layers. Initialisers are replaced by zeros, because
    every weight is overwritten.

    Raises:
        Unsupported: a layer's config does not rebuild it, as with subclassed models and Lambdas.
    """
    config = model.get_config()
    try:
        with _global_policy(model, dtype), room_for(len(getattr(model, "operations", ()))):
            copy = type(model).from_config(_in_dtype(config, dtype), custom_objects=_classes(model))
            if not copy.built:
                copy.build(_build_shape(model))
    except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError) as error:
        raise Unsupported(
            f"its config does not rebuild it in {dtype}: {_first_line(error)}",
            place=str(model.name),
            remedy="give it a get_config and from_config that Keras can use, or compare in float32",
        ) from error
    _copy_weights(model, copy)
    _avoid_compilation(copy)
    return copy


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _build_shape(model: Any) -> Any:
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    return next(iter(shapes.values())) if len(shapes) == 1 else model.input_shape


def _classes(model: Any) -> dict[str, Any]:
    kinds = {type(layer) for layer in all_layers(model)}
    graphs = [layer for layer in all_layers(model) if graph_of(layer) is not None]
    kinds |= {type(operation) for graph in graphs for operation in getattr(graph, "operations", ())}
    return {kind.__name__: kind for kind in kinds if not kind.__module__.startswith(("keras.src.layers", "tf_keras."))}


def _in_dtype(item: Any, dtype: str) -> Any:
    """A config with every float policy replaced, and every initialiser by zeros."""
    if isinstance(item, Mapping):
        if item.get("class_name") in POLICIES and item["config"].get("name") in FLOATS:
            return {**item, "config": {**item["config"], "name": dtype}}
        return {key: _entry(str(key), value, dtype) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)(_in_dtype(value, dtype) for value in item)
    return item


def _entry(key: str, value: Any, dtype: str) -> Any:
    if key == "dtype" and isinstance(value, str) and value in FLOATS:
        return dtype
    if key.endswith("initializer") and isinstance(value, Mapping):
        return dict(ZEROS)
    return _in_dtype(value, dtype)


@contextmanager
def _global_policy(model: Any, dtype: str) -> Iterator[None]:
    """Sublayers that a layer makes for itself take the global policy: it is `dtype` inside, and restored after."""
    if family(model) == "tf_keras":
        mixed = sys.modules["tf_keras"].mixed_precision
        old, change = mixed.global_policy(), mixed.set_global_policy
    else:
        policies = sys.modules["keras"].config
        old, change = policies.dtype_policy(), policies.set_dtype_policy
    change(dtype)
    try:
        yield
    finally:
        change(old)


def _numpy_dtype(variable: Any) -> str:
    return str(getattr(variable.dtype, "name", variable.dtype))


def _copy_weights(source: Any, target: Any) -> None:
    old, new = list(source.weights), list(target.weights)
    if [tuple(w.shape) for w in old] != [tuple(w.shape) for w in new]:
        raise Mismatch(
            f"rebuilt from its config it has {len(new)} weights of other shapes than its own {len(old)}",
            place=str(source.name),
            remedy="make get_config return everything that the constructor needs",
        )
    for before, after in zip(old, new, strict=True):
        values = as_array(before, source)
        after.assign(values.astype(_numpy_dtype(after)) if values.dtype.kind == "f" else values)
    for layer in all_layers(target):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _avoid_compilation(model: Any) -> None:
    """Lets TensorFlow's own kernel run grouped 2-D convolutions.

    Keras compiles each of them with XLA on every eager call: minutes for ConvNeXt in float64. It is the same sum.
    """
    if backend_of(model) != "tensorflow" or family(model) == "tf_keras":
        return
    for layer in all_layers(model):
        if type(layer).__name__ == "Conv2D" and layer.groups > 1 and layer.data_format == "channels_last":
            layer.convolution_op = _grouped_convolution(layer)


def _grouped_convolution(layer: Any) -> Callable[[Any, Any], Any]:
    nn = sys.modules["tensorflow"].nn
    stride, dilation, padding = layer.strides, layer.dilation_rate, layer.padding.upper()

    def convolve(inputs: Any, kernel: Any) -> Any:
        if kernel.shape[2] == 1 and kernel.shape[3] == layer.groups and stride[0] == stride[1]:
            kernel = sys.modules["tensorflow"].transpose(kernel, (0, 1, 3, 2))
            return nn.depthwise_conv2d(inputs, kernel, (1, *stride, 1), padding, dilations=dilation)
        return nn.conv2d(inputs, kernel, stride, padding, dilations=dilation)

    return convolve
