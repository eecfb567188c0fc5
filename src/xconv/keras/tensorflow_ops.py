"""TensorFlow functions inside a Keras 2 model (TFOpLambda and its kin) as operations of Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np

from xconv.errors import Unsupported
from xconv.keras.decoded import decode
from xconv.keras.records import Call, Entry

__all__ = ["as_operation"]

_NUMPY, _NN, _CORE, _IMAGE, _MATH = (f"keras.src.ops.{name}" for name in ("numpy", "nn", "core", "image", "math"))
_Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Rule:
    """The operation's class; which named arguments stay arguments; which become config, under what name."""

    kind: str
    module: str = _NUMPY
    args: tuple[str, ...] = ()
    config: _Config = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    adjust: Callable[[dict[str, Any]], dict[str, Any]] = dict
    inert: frozenset[str] = frozenset({"name"})


def _split(config: dict[str, Any]) -> dict[str, Any]:
    sections = config.get("indices_or_sections")
    if isinstance(sections, (list, tuple)):
        if any(type(size) is not int or size < 0 for size in sections):
            raise Unsupported(f"tf.split into sizes {sections!r}")
        config["indices_or_sections"] = list(accumulate(sections))[:-1]
    return config


def _lower_mode(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "mode": str(config.get("mode")).lower()}


_BINARY = {
    "Add": ("math.add", "__operators__.add", "add", "nn.bias_add"),
    "Subtract": ("math.subtract", "__operators__.sub", "subtract"),
    "Multiply": ("math.multiply", "__operators__.mul", "multiply"),
    "TrueDivide": ("math.truediv", "__operators__.truediv", "math.divide", "divide", "realdiv", "truediv"),
    "FloorDivide": ("math.floordiv", "__operators__.floordiv"),
    "Mod": ("math.floormod", "__operators__.mod", "math.mod"),
    "Power": ("math.pow", "pow", "__operators__.pow"),
    "Maximum": ("math.maximum", "maximum"),
    "Minimum": ("math.minimum", "minimum"),
    "Equal": ("math.equal", "equal"),
    "NotEqual": ("math.not_equal", "not_equal"),
    "Greater": ("math.greater", "greater", "__operators__.gt"),
    "GreaterEqual": ("math.greater_equal", "greater_equal", "__operators__.ge"),
    "Less": ("math.less", "less", "__operators__.lt"),
    "LessEqual": ("math.less_equal", "less_equal", "__operators__.le"),
    "LogicalAnd": ("math.logical_and", "logical_and"),
    "LogicalOr": ("math.logical_or", "logical_or"),
}
_UNARY = {
    "Absolute": ("math.abs", "abs"),
    "Exp": ("math.exp", "exp"),
    "Log": ("math.log",),
    "Log1p": ("math.log1p",),
    "Sqrt": ("math.sqrt", "sqrt"),
    "Square": ("math.square", "square"),
    "Negative": ("math.negative", "negative", "__operators__.neg"),
    "Reciprocal": ("math.reciprocal",),
    "Ceil": ("math.ceil",),
    "Floor": ("math.floor", "floor"),
    "Round": ("math.round", "round"),
    "Sign": ("math.sign", "sign"),
    "Sin": ("math.sin", "sin"),
    "Cos": ("math.cos", "cos"),
    "Tanh": ("math.tanh", "tanh", "nn.tanh"),
    "LogicalNot": ("math.logical_not", "logical_not"),
    "OnesLike": ("ones_like", "compat.v1.ones_like"),
    "ZerosLike": ("zeros_like", "compat.v1.zeros_like"),
}
_ACTIVATIONS = {
    "Relu": ("nn.relu", "keras.activations.relu", "keras.backend.relu"),
    "Relu6": ("nn.relu6",),
    "Sigmoid": ("math.sigmoid", "sigmoid", "nn.sigmoid", "keras.activations.sigmoid"),
    "Silu": ("nn.silu", "nn.swish", "keras.activations.swish", "keras.activations.silu"),
    "Elu": ("nn.elu",),
    "Selu": ("nn.selu",),
    "Softplus": ("math.softplus", "nn.softplus"),
    "Softsign": ("nn.softsign",),
}
_REDUCTIONS = {
    "Mean": "mean",
    "Sum": "sum",
    "Max": "max",
    "Min": "min",
    "Prod": "prod",
    "Std": "std",
    "Var": "variance",
    "All": "all",
    "Any": "any",
}
_TRANSPOSE = _Rule("Transpose", config={"axes": None}, renamed={"perm": "axes"}, inert=frozenset({"name", "conjugate"}))
_PAD = _Rule(
    "Pad", args=("constant_values",), config={"mode": "CONSTANT"}, renamed={"paddings": "pad_width"}, adjust=_lower_mode
)
_RULES: Mapping[str, _Rule] = {
    **{name: _Rule(kind, args=("y",)) for kind, names in _BINARY.items() for name in names},
    "nn.bias_add": _Rule("Add", args=("bias",)),
    **{name: _Rule(kind) for kind, names in _UNARY.items() for name in names},
    **{name: _Rule(kind, _NN) for kind, names in _ACTIVATIONS.items() for name in names},
    **{
        f"math.reduce_{word}": _Rule(kind, config={"axis": None, "keepdims": False})
        for kind, word in _REDUCTIONS.items()
    },
    "math.reduce_logsumexp": _Rule("Logsumexp", _MATH, config={"axis": None, "keepdims": False}),
    "math.rsqrt": _Rule("Rsqrt", _MATH),
    "math.erf": _Rule("Erf", _MATH),
    "nn.softmax": _Rule("Softmax", _NN, config={"axis": -1}),
    "nn.log_softmax": _Rule("LogSoftmax", _NN, config={"axis": -1}),
    "nn.gelu": _Rule("Gelu", _NN, config={"approximate": False}),
    "nn.leaky_relu": _Rule("LeakyRelu", _NN, config={"negative_slope": 0.2}, renamed={"alpha": "negative_slope"}),
    "reshape": _Rule("Reshape", renamed={"shape": "newshape"}),
    "transpose": _TRANSPOSE,
    "compat.v1.transpose": _TRANSPOSE,
    "concat": _Rule("Concatenate", config={"axis": 0}),
    "stack": _Rule("Stack", config={"axis": 0}),
    "unstack": _Rule("Unstack", _CORE, config={"num": None, "axis": 0}),
    "split": _Rule("Split", config={"axis": 0}, renamed={"num_or_size_splits": "indices_or_sections"}, adjust=_split),
    "expand_dims": _Rule("ExpandDims", config={}),
    "squeeze": _Rule("Squeeze", config={"axis": None}),
    "compat.v1.squeeze": _Rule("Squeeze", config={"axis": None}),
    "tile": _Rule("Tile", renamed={"multiples": "repeats"}),
    "cast": _Rule("Cast", _CORE),
    "pad": _PAD,
    "compat.v1.pad": _PAD,
    "clip_by_value": _Rule("Clip", renamed={"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "linalg.matmul": _Rule("Matmul", args=("b",)),
    "broadcast_to": _Rule("BroadcastTo"),
    "stop_gradient": _Rule("StopGradient", _CORE),
    "math.argmax": _Rule("Argmax", config={"axis": None, "keepdims": False}),
    "where": _Rule("Where", args=("x", "y")),
    "nn.depth_to_space": _Rule("DepthToSpace", _NN, config={}),
    "nn.space_to_depth": _Rule("SpaceToDepth", _NN, config={}),
    "image.resize": _Rule(
        "Resize",
        _IMAGE,
        config={"interpolation": "bilinear", "antialias": False, "data_format": "channels_last"},
        renamed={"method": "interpolation"},
    ),
    "__operators__.getitem": _Rule("GetItem", args=("slice_spec",)),
    "getitem": _Rule("GetItem", args=("slice_spec",)),
}
_LISTS = frozenset({"Concatenate", "Stack"})
_MATMUL_FLAGS = ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse")
_NODE_OPS = {
    **dict.fromkeys(("Add", "AddV2", "BiasAdd"), "math.add"),
    "Sub": "math.subtract",
    "Mul": "math.multiply",
    "RealDiv": "math.truediv",
    "Pow": "math.pow",
    "Maximum": "math.maximum",
    "Minimum": "math.minimum",
    "Neg": "math.negative",
    "Abs": "math.abs",
    "Exp": "math.exp",
    "Log": "math.log",
    "Sqrt": "math.sqrt",
    "Square": "math.square",
    "Tanh": "math.tanh",
    "Relu": "nn.relu",
    "Relu6": "nn.relu6",
    "Sigmoid": "math.sigmoid",
    "Elu": "nn.elu",
    "Softplus": "nn.softplus",
}


def as_operation(entry: Entry) -> Entry:
    """The entry of a TensorFlow function as an operation of Keras 3; with a `problem` where there is none."""
    try:
        if entry.kind == "TensorFlowOpLayer":
            return _from_node(entry)
        return _translate(entry, _rule_of(entry.config.get("function")))
    except Unsupported as error:
        return replace(entry, problem=f"{error}; replace it by a Keras layer or a function of keras.ops")


def _rule_of(function: Any) -> _Rule:
    rule = _RULES.get(function) if isinstance(function, str) else None
    if rule is None:
        raise Unsupported(f"the TensorFlow function tf.{function} has no operation of Keras here")
    return rule


def _translate(entry: Entry, rule: _Rule) -> Entry:
    spoken = [_speak(call, rule) for call in entry.calls]
    configs = [config for config, _ in spoken]
    if any(config != configs[0] for config in configs):
        raise Unsupported(f"{rule.kind} is called several times with different arguments")
    config = {"name": entry.name, **(configs[0] if configs else {})}
    return replace(
        entry,
        kind=rule.kind,
        module=rule.module,
        registered_name=rule.kind,
        is_op=True,
        config=config,
        calls=tuple(call for _, call in spoken),
    )


def _speak(call: Call, rule: _Rule) -> tuple[dict[str, Any], Call]:
    given = {key: value for key, value in call.kwargs.items() if key not in rule.inert}
    if rule.kind == "Matmul":
        given = _without_false_flags(given)
    args = [given.pop(key) for key in rule.args if key in given]
    if rule.kind == "GetItem":
        args = [tuple(arg) if isinstance(arg, list) else arg for arg in args]
    else:
        args = [_constant(arg) for arg in args]
    config = rule.adjust({**rule.config, **{rule.renamed.get(key, key): value for key, value in given.items()}})
    first = call.args if rule.kind in _LISTS else tuple(_constant(arg) for arg in call.args)
    return config, Call((*first, *args))


def _constant(value: Any) -> Any:
    """An array that the config holds as nested lists; TensorFlow takes floats as float32."""
    if not isinstance(value, (list, tuple)):
        return value
    try:
        array = np.array(value)
    except ValueError as error:
        raise Unsupported("a constant is not rectangular") from error
    if array.dtype.kind not in "bif":
        raise Unsupported(f"a constant holds {array.dtype}, not numbers")
    return array.astype({"f": "float32", "i": "int32", "b": "bool"}[array.dtype.kind])


def _without_false_flags(given: dict[str, Any]) -> dict[str, Any]:
    asked = [flag for flag in _MATMUL_FLAGS if given.get(flag)]
    if asked or given.get("output_type"):
        raise Unsupported(f"tf.linalg.matmul with {', '.join(asked) or 'output_type'}")
    inert = (*_MATMUL_FLAGS, "output_type", "grad_a", "grad_b")
    return {key: value for key, value in given.items() if key not in inert}


def _from_node(entry: Entry) -> Entry:
    """A TensorFlowOpLayer of TensorFlow 2.0 to 2.3: a graph node, with its constants by place."""
    node, constants = entry.config.get("node_def"), entry.config.get("constants") or {}
    operation = node.get("op") if isinstance(node, Mapping) else None
    rule = _RULES.get(_NODE_OPS.get(operation, "")) if isinstance(operation, str) else None
    if rule is None or not isinstance(constants, Mapping):
        raise Unsupported(f"the TensorFlow node {operation} has no operation of Keras here")
    calls = tuple(_with_constants(call, constants) for call in entry.calls)
    return _translate(replace(entry, calls=calls), replace(rule, args=()))


def _with_constants(call: Call, constants: Mapping[str, Any]) -> Call:
    tensors = list(call.args[0]) if isinstance(call.args[0], list) else [call.args[0]]
    places = {int(place): value for place, value in constants.items() if str(place).isdecimal()}
    for place, value in sorted(places.items()):
        tensors.insert(place, decode(value))
    return Call(tuple(tensors))
