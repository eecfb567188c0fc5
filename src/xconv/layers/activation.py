"""Activations: Activation, ReLU, LeakyReLU, ELU, activation strings, keras.ops  <->  torch.nn activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Unknown, Unsupported
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Activation", "activation_op", "with_activation"]

TORCH = {
    "celu": "CELU",
    "elu": "ELU",
    "gelu": "GELU",
    "hard_shrink": "Hardshrink",
    "hard_sigmoid": "Hardsigmoid",
    "hard_silu": "Hardswish",
    "hard_tanh": "Hardtanh",
    "leaky_relu": "LeakyReLU",
    "linear": "Identity",
    "log_sigmoid": "LogSigmoid",
    "mish": "Mish",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "selu": "SELU",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "soft_shrink": "Softshrink",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
    "tanh_shrink": "Tanhshrink",
    "threshold": "Threshold",
}
"""Keras's canonical name -> the torch.nn class of the same meaning."""

RUNTIME = {
    "exponential": "Exponential",
    "clipped_relu": "ClippedReLU",
    "sparse_plus": "SparsePlus",
    "sparse_sigmoid": "SparseSigmoid",
    "squareplus": "Squareplus",
}
"""Keras's name -> the class in xconv.torch.modules, where torch has none."""

SYNONYMS = {"swish": "silu", "hard_swish": "hard_silu", "hardtanh": "hard_tanh", None: "linear"}

PARAMETERS: dict[str, dict[str, tuple[str, float | bool]]] = {
    "celu": {"alpha": ("alpha", 1.0)},
    "elu": {"alpha": ("alpha", 1.0)},
    "gelu": {"approximate": ("approximate", False)},
    "hard_shrink": {"threshold": ("lambd", 0.5)},
    "leaky_relu": {"negative_slope": ("negative_slope", 0.2)},
    "soft_shrink": {"threshold": ("lambd", 0.5)},
    "squareplus": {"b": ("b", 4.0)},
    "threshold": {"threshold": ("threshold", 0.0), "default_value": ("value", 0.0)},
}
"""For each name: Keras's argument -> (torch's argument, the value when only the name is given)."""

OPERATIONS = {
    "".join(part.capitalize() for part in name.split("_")): name
    for name in {**TORCH, **RUNTIME}
    if name not in ("linear", "clipped_relu", "exponential")
}
"""The class of keras.ops for each name: LeakyRelu, HardSilu ..."""


@dataclass(frozen=True, slots=True)
class Activation(Spec):
    """An elementwise nonlinearity by its canonical name, with its parameters resolved.

    >>> Activation("leaky_relu", (("negative_slope", 0.2),)).to_torch({}, ()).config
    {'negative_slope': 0.2}
    """

    name: str
    parameters: tuple[tuple[str, float | bool | None], ...] = ()

    order = Order.ANY
    keras_kinds = ("Activation", "ReLU", "LeakyReLU", "ELU", *(f"ops.{kind}" for kind in OPERATIONS))

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The layer's parameters, or those that the name alone stands for."""
        match layer.kind:
            case "Activation":
                return activation_op(layer["activation"])
            case "ReLU":
                return Op(_relu(layer["max_value"], layer["negative_slope"], layer["threshold"]))
            case "LeakyReLU":
                return Op(cls("leaky_relu", (("negative_slope", float(layer["negative_slope"])),)))
            case "ELU":
                return Op(cls("elu", (("alpha", float(layer["alpha"])),)))
        name = OPERATIONS[layer.kind.removeprefix("ops.")]
        options = PARAMETERS.get(name, {})
        values = {"approximate": True} if name == "gelu" else {}
        values |= {
            key: layer.argument(place + 1, key, default) for place, (key, (_, default)) in enumerate(options.items())
        }
        return Op(cls(name, tuple(values.items())))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer class that takes the parameters, or Activation where the name says it all."""
        options, defaults = dict(self.parameters), PARAMETERS.get(self.name, {})
        given = {key: value for key, value in options.items() if value != defaults.get(key, ("", None))[1]}
        shapes = tuple(inputs)
        if self.name == "clipped_relu":
            return KerasLayer("ReLU", options, inputs=shapes)
        if self.name == "leaky_relu":
            return KerasLayer("LeakyReLU", options, inputs=shapes)
        if self.name == "elu" and given:
            return KerasLayer("ELU", options, inputs=shapes)
        if given:
            kind = next(kind for kind, name in OPERATIONS.items() if name == self.name)
            return KerasLayer(f"ops.{kind}", options, inputs=shapes, args=(Slot(0),))
        return KerasLayer("Activation", {"activation": self.name}, inputs=shapes)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """The nn class of the same meaning."""
        renamed = PARAMETERS.get(self.name, {})
        config: dict[str, Any] = {renamed[key][0] if key in renamed else key: v for key, v in self.parameters}
        if self.name == "gelu":
            config = {"approximate": "tanh" if config["approximate"] else "none"}
        if self.name in TORCH:
            return TorchCall(f"torch.nn.{TORCH[self.name]}", config=config)
        return TorchCall(f"xconv.torch.modules.{RUNTIME[self.name]}", config=config)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every name as a string, the three layers with their parameters, operations with theirs."""
        float32 = ("gelu", "hard_sigmoid", "leaky_relu")
        for name in sorted({**TORCH, **RUNTIME}):
            if name not in ("clipped_relu", "threshold"):
                yield Example("Activation", ((5, 3),), {"activation": name}, float64=name not in float32)
        relu = {"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.25}
        yield Example("ReLU", ((4, 5, 3),), relu, float64=False)
        yield Example("ReLU", ((4, 5, 3),), {"max_value": 6.0})
        yield Example("LeakyReLU", ((4, 3),), {"negative_slope": 0.3}, float64=False)
        yield Example("ELU", ((4, 3),), {"alpha": 0.7})
        yield Example("ops.Gelu", ((4, 3),), {"approximate": True}, args=(Slot(0),), float64=False)
        yield Example("ops.Celu", ((4, 3),), {"alpha": 0.7}, args=(Slot(0),), float64=False)


def activation_op(value: Any) -> Op:
    """The operation that an `activation=` entry of a config names.

    >>> activation_op("hard_swish").spec
    Activation(name='hard_silu', parameters=())

    Raises:
        Unknown: a custom function, which a file can only name.
    """
    from xconv.layers.softmax import GLU, Softmax

    if isinstance(value, Mapping):
        return _nested(value)
    name = SYNONYMS.get(value, value)
    if name in ("softmax", "log_softmax"):
        return Op(Softmax(-1, log=name == "log_softmax"))
    if name == "glu":
        return Op(GLU(-1))
    if name not in TORCH and name not in RUNTIME:
        raise Unknown(f"activation {value!r} is not one of Keras's", remedy="teach it with xconv.register")
    parameters = PARAMETERS.get(name, {})
    return Op(Activation(name, tuple((key, default) for key, (_, default) in parameters.items())))


def with_activation(layer: KerasLayer, *ops: Op) -> tuple[Op, ...]:
    """The operations, then the activation that the layer applies to its result."""
    last = activation_op(layer.get("activation"))
    if last.spec == Activation("linear"):
        return ops
    name = last.spec.name if isinstance(last.spec, Activation) else type(last.spec).__name__.lower()
    return (*ops, Op(last.spec, last.weights, f"_{name}"))


def _nested(value: Mapping[str, Any]) -> Op:
    """An activation that a config spells as an object: a built-in function, or a layer."""
    config, kind = value.get("config"), value.get("class_name")
    if isinstance(config, str):
        return activation_op(config)
    if kind in ("ReLU", "LeakyReLU", "ELU") and isinstance(config, Mapping):
        return Activation.from_keras(KerasLayer(kind, config))
    if kind == "Softmax" and isinstance(config, Mapping):
        from xconv.layers.softmax import Softmax

        return Op(Softmax(config["axis"]))
    raise Unsupported(f"activation {kind!r} inside a layer", remedy="apply it as a layer of its own")


def _relu(maximum: float | None, slope: float, threshold: float) -> Activation:
    """Keras's ReLU: x above `threshold`, at most `maximum`; slope * (x - threshold) below it."""
    if not threshold and not slope and maximum is None:
        return Activation("relu")
    if not threshold and not slope and maximum == 6:
        return Activation("relu6")
    if not threshold and maximum is None:
        return Activation("leaky_relu", (("negative_slope", float(slope)),))
    limit = None if maximum is None else float(maximum)
    return Activation(
        "clipped_relu", (("max_value", limit), ("negative_slope", float(slope)), ("threshold", float(threshold)))
    )
