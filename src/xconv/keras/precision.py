"""A live Keras model rebuilt in another precision: same graph, same weights, the original untouched."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.keras.adapters import Adapter, adapter_of
from xconv.keras.depth import room_for
from xconv.keras.remade import live_lambda, remade_classes
from xconv.keras.trace import input_shapes
from xconv.keras.variables import LiveVariable
from xconv.keras.walk import all_layers, as_array, backend_of, family, graph_of

__all__ = ["global_policy", "policies_of", "rebuilt"]

ZEROS: dict[str, Any] = {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}
FLOATS = frozenset({"float64", "float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})
POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})


def policies_of(model: Any) -> frozenset[str]:
    """The names of the dtype policies that the model's layers have."""
    found = (getattr(layer, "dtype_policy", None) for layer in all_layers(model))
    return frozenset(str(policy.name) for policy in found if policy is not None)


def rebuilt(model: Any, dtype: str, *, rounded: bool = False) -> Any:
    """A copy of the model whose every float policy is `dtype`, built from its config, with the weights copied.

    Classes that Keras has not registered are taken from the live layers. Initialisers are replaced by zeros, because
    every weight is overwritten. What LoRA adds to a kernel is added; `rounded`, in the type of the model's own kernel.

    Raises:
        Unsupported: a layer's config does not rebuild it.
    """
    config = model.get_config()
    try:
        with global_policy(model, dtype), room_for(len(getattr(model, "operations", ()))):
            copy = _from_config(model, _in_dtype(config, dtype))
            if not copy.built:
                _build(copy, model)
    except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError) as error:
        raise Unsupported(
            f"its config does not rebuild it in {dtype}: {_first_line(error)}",
            place=str(model.name),
            remedy="give it a get_config and from_config that Keras can use, or compare in float32",
        ) from error
    _copy_weights(model, copy, rounded=rounded)
    _avoid_compilation(copy)
    return copy


def _from_config(model: Any, config: Any) -> Any:
    """The model of a config; a `from_config` that takes no classes finds them in a scope."""
    classes = remade_classes(model)
    make = classes.get(type(model).__name__, type(model)).from_config
    if "custom_objects" in inspect.signature(make).parameters:
        return make(config, custom_objects=classes)
    with sys.modules[family(model)].utils.custom_object_scope(classes):
        return make(config)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _build(copy: Any, model: Any) -> None:
    """Make the copy's variables, by a call where the class does not say how."""
    if family(model) == "tf_keras" or "build" in vars(type(model)) or graph_of(model) is not None:
        copy.build(_build_shape(model))
        return
    keras, shapes = sys.modules["keras"], input_shapes(model)
    if isinstance(shapes, Mapping):
        copy({name: keras.KerasTensor(shape) for name, shape in shapes.items()})
        return
    tensors = [keras.KerasTensor(shape) for shape in shapes]
    copy(tensors[0] if len(tensors) == 1 else tensors)


def _build_shape(model: Any) -> Any:
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    return next(iter(shapes.values())) if len(shapes) == 1 else model.input_shape


def _in_dtype(item: Any, dtype: str) -> Any:
    """A config with every float policy replaced, and every initialiser by zeros."""
    if isinstance(item, Mapping):
        if item.get("class_name") == "Lambda" and item.get("module") == "keras.layers":
            item = live_lambda(item)
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
def global_policy(model: Any, dtype: str) -> Iterator[None]:
    """Layers that a layer makes for itself, also while it is called, take the global policy: it is `dtype` inside."""
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


def _add_low_rank(source: Adapter, target: Adapter, *, rounded: bool) -> None:
    """The kernel with what LoRA adds to it, which is then zero: Keras keeps its matrices in float32 in any model.

    `rounded` says whether the sum is rounded to the type of the source's kernel, as where it is held.
    """
    parts = [next(LiveVariable(item).blocks())[1] for item in (source.variable, source.a, source.b)]
    kernel, a, b = (part.astype("float64") for part in parts)
    whole = kernel + source.factor * (a @ b)
    target.variable.assign(whole.astype(parts[0].dtype) if rounded else whole)
    target.b.assign(target.b * 0)


def _copy_weights(source: Any, target: Any, *, rounded: bool) -> None:
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
    for layer, copied in zip(all_layers(source), all_layers(target), strict=False):
        adapter, other = adapter_of(layer), adapter_of(copied)
        if adapter is not None and other is not None:
            _add_low_rank(adapter, other, rounded=rounded)
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
