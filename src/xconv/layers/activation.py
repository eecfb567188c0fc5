"""Activations: Activation, ReLU, LeakyReLU, ELU, activation strings, keras.ops  <->  aten and torch.nn activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Unknown, Unsupported
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

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

ATEN: dict[str, tuple[str, tuple[str, ...]]] = {
    "celu": ("celu", ("alpha",)),
    "elu": ("elu", ("alpha",)),
    "gelu": ("gelu", ("approximate",)),
    "hardshrink": ("hard_shrink", ("lambd",)),
    "hardsigmoid": ("hard_sigmoid", ()),
    "hardswish": ("hard_silu", ()),
    "hardtanh": ("hard_tanh", ()),
    "leaky_relu": ("leaky_relu", ("negative_slope",)),
    "log_sigmoid": ("log_sigmoid", ()),
    "mish": ("mish", ()),
    "relu": ("relu", ()),
    "relu6": ("relu6", ()),
    "rrelu": ("leaky_relu", ("lower", "upper")),
    "selu": ("selu", ()),
    "sigmoid": ("sigmoid", ()),
    "silu": ("silu", ()),
    "softplus": ("softplus", ()),
    "softshrink": ("soft_shrink", ("lambd",)),
    "tanh": ("tanh", ()),
    "threshold": ("threshold", ("threshold", "value")),
}
"""The ATen operator -> the canonical name, and its arguments in the order of `PARAMETERS`."""

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
    aten_ops = tuple(ATEN)

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

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """The operator's parameters under Keras's names; what has more of them than Keras knows is spelled out."""
        call.get("self")
        name, arguments = ATEN[call.op]
        if call.op in SPELLED:
            return SPELLED[call.op](call)
        values = tuple(float(call[argument]) for argument in arguments)
        if name == "threshold" and values == (0.0, 0.0):
            return Op(cls("relu"))
        return Op(cls(name, tuple(zip(PARAMETERS.get(name, {}), values, strict=True))))

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
        for kind, name in OPERATIONS.items():
            if name not in ("celu", "gelu"):
                config = {"threshold": 0.25, "default_value": -1.5} if name == "threshold" else {}
                yield Example(f"ops.{kind}", ((4, 3),), config, args=(Slot(0),), float64=name not in float32)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every class of torch.nn, and parameters other than the defaults."""
        float32 = ("gelu", "hard_sigmoid", "leaky_relu")
        for name, kind in TORCH.items():
            if name not in ("linear", "threshold"):
                yield TorchExample(f"torch.nn.{kind}", ((5, 4, 3),), float64=name not in float32)
        for kind, config, float64 in (
            ("CELU", {"alpha": 0.5}, False),
            ("ELU", {"alpha": 0.5}, True),
            ("GELU", {"approximate": "tanh"}, False),
            ("Hardshrink", {"lambd": 0.25}, True),
            ("Hardtanh", {"min_val": -0.25, "max_val": 0.75}, True),
            ("Hardtanh", {"min_val": 0.0, "max_val": 6.0}, True),
            ("LeakyReLU", {"negative_slope": 0.1}, False),
            ("Softplus", {"beta": 0.5}, True),
            ("Softplus", {"beta": 2.0, "threshold": 1.0}, True),
            ("Softplus", {"threshold": 0.5}, True),
            ("Softshrink", {"lambd": 0.25}, True),
            ("Threshold", {"threshold": 0.25, "value": -1.5}, True),
            ("Threshold", {"threshold": 0.0, "value": 0.0}, True),
        ):
            yield TorchExample(f"torch.nn.{kind}", ((5, 4, 3),), config, float64=float64)
        yield TorchExample("torch.nn.RReLU", ((5, 4, 3),), trains=False, float64=False)


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


def _hardtanh(call: AtenCall) -> Op:
    """ReLU6 and hard-tanh by their names, otherwise a clip."""
    from xconv.layers.unary import Clip

    low, high = float(call["min_val"]), float(call["max_val"])
    known = {(0.0, 6.0): "relu6", (-1.0, 1.0): "hard_tanh"}
    return Op(Activation(known[low, high]) if (low, high) in known else Clip(low, high))


def _gelu(call: AtenCall) -> Op:
    """Exact, or by the tangent."""
    return Op(Activation("gelu", (("approximate", call["approximate"] == "tanh"),)))


def _rrelu(call: AtenCall) -> Op:
    """In inference, the mean slope."""
    for key in ("training", "generator"):
        call.get(key)
    slope = (float(call["lower"]) + float(call["upper"])) / 2
    note = "torch draws a random slope in training; the mean slope is used there too"
    return Op(Activation("leaky_relu", (("negative_slope", slope),)), note=note)


def _elu(call: AtenCall) -> Sequence[Op]:
    """scale * (x above 0, alpha * (exp(x) - 1) below)."""
    from xconv.layers.elementwise import Elementwise
    from xconv.layers.steps import Steps

    alpha, scale, inner = (float(call[key]) for key in ("alpha", "scale", "input_scale"))
    if inner != 1:
        raise Unsupported(f"elu with input_scale={inner}", remedy="multiply outside of it")
    steps = Steps()
    result = steps.add(Activation("elu", (("alpha", alpha),)), Slot(0))
    if scale != 1:
        steps.add(Elementwise("multiply", (Slot(0), scale)), result, name="scaled")
    return steps.done()


def _softplus(call: AtenCall) -> Sequence[Op]:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x is above the threshold.

    A threshold of 20 or more changes nothing that a 32-bit number holds, and is left out.
    """
    from xconv.layers.elementwise import Elementwise
    from xconv.layers.steps import Steps, Taken
    from xconv.layers.where import Where

    beta, threshold = float(call["beta"]), float(call["threshold"])
    steps = Steps()
    scaled: Taken = Slot(0)
    if beta != 1:
        scaled = steps.add(Elementwise("multiply", (Slot(0), beta)), scaled, name="scaled")
    result = steps.add(Activation("softplus"), scaled)
    if beta != 1:
        result = steps.add(Elementwise("divide", (Slot(0), beta)), result, name="unscaled")
    if threshold < 20:
        above = steps.add(Elementwise("greater", (Slot(0), threshold)), scaled, name="above")
        steps.add(Where(Slot(1), Slot(2)), above, Slot(0), result, name="linear")
    return steps.done()


SPELLED: Mapping[str, Callable[[AtenCall], Op | Sequence[Op]]] = {
    "elu": _elu,
    "gelu": _gelu,
    "hardtanh": _hardtanh,
    "rrelu": _rrelu,
    "softplus": _softplus,
}
"""The ATen operators that mean what depends on their arguments."""


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
