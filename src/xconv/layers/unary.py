"""Elementwise functions of keras.ops with one operand  <->  torch.abs, exp, clamp, Tensor.float ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xconv.errors import Unsupported
from xconv.layers.steps import Steps, Taken
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights

__all__ = ["Cast", "Clip", "Unary"]

FUNCTIONS = {
    "Absolute": "abs",
    "Angle": "angle",
    "Arccos": "acos",
    "Arccosh": "acosh",
    "Arcsin": "asin",
    "Arcsinh": "asinh",
    "Arctan": "atan",
    "Arctanh": "atanh",
    "BitwiseNot": "bitwise_not",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Deg2rad": "deg2rad",
    "Erf": "erf",
    "Erfc": "erfc",
    "Erfinv": "erfinv",
    "Exp": "exp",
    "Exp2": "exp2",
    "Expm1": "expm1",
    "Floor": "floor",
    "I0": "i0",
    "Isfinite": "isfinite",
    "Isinf": "isinf",
    "Isnan": "isnan",
    "Isneginf": "isneginf",
    "Isposinf": "isposinf",
    "Log": "log",
    "Log10": "log10",
    "Log1p": "log1p",
    "Log2": "log2",
    "LogicalNot": "logical_not",
    "Negative": "neg",
    "OnesLike": "ones_like",
    "Rad2deg": "rad2deg",
    "Reciprocal": "reciprocal",
    "Rsqrt": "rsqrt",
    "Sign": "sign",
    "Signbit": "signbit",
    "Sin": "sin",
    "Sinc": "sinc",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Square": "square",
    "StopGradient": "detach",
    "Tan": "tan",
    "Trunc": "trunc",
    "ZerosLike": "zeros_like",
}
"""The class of keras.ops -> the torch function of the same meaning."""

SYNONYMS = {"Abs": "Absolute", "BitwiseInvert": "BitwiseNot", "EmptyLike": "ZerosLike"}
"""Classes of keras.ops that mean another one; what is empty is zeros, as TensorFlow makes it."""

ATEN = {name: name for name in (*FUNCTIONS.values(), "round") if name not in ("ones_like", "zeros_like")}
ATEN |= {"absolute": "abs", "negative": "neg", "fix": "trunc", "sgn": "sign", "special_i0": "i0"}
"""The ATen operator -> the torch function of the same meaning."""

CASTS = {
    "bfloat16": "bfloat16",
    "bool": "bool",
    "float16": "half",
    "float32": "float",
    "float64": "double",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "int8": "char",
    "uint8": "byte",
}
"""The name of a dtype -> the tensor method that converts to it."""


@dataclass(frozen=True, slots=True)
class Unary(Spec):
    """A function of each element, by the name of torch's function.

    >>> Unary("exp").to_torch({}, ()).target
    'torch.exp'
    """

    name: str

    order = Order.ANY
    keras_kinds = (*(f"ops.{kind}" for kind in (*FUNCTIONS, *SYNONYMS)), "ops.Round")
    aten_ops = tuple(ATEN)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """The function; ones and zeros take the input's dtype or another, numbers are rounded to integers."""
        kind = layer.kind.removeprefix("ops.")
        kind = SYNONYMS.get(kind, kind)
        if kind == "Round":
            if layer.argument(1, "decimals", 0):
                raise Unsupported("rounding to decimals", remedy="multiply, round, divide")
            return (Op(cls("round")),)
        dtype = layer.argument(1, "dtype") if kind in ("OnesLike", "ZerosLike") else None
        if dtype is None:
            return (Op(cls(FUNCTIONS[kind])),)
        if dtype not in CASTS:
            raise Unsupported(f"{kind} of {dtype!r}, which torch lacks", remedy="give another dtype")
        return Op(cls(FUNCTIONS[kind]), {}, "like"), Op(Cast(dtype))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The function; `~` is read where it means 'not'."""
        call.get("self")
        if call.get("decimals", 0):
            raise Unsupported("rounding to decimals", remedy="multiply, round, divide")
        name = ATEN[call.op]
        return Op(cls("logical_not" if name == "bitwise_not" and call.dtype == "bool" else name))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        kind = next((kind for kind, name in FUNCTIONS.items() if name == self.name), "Round")
        return KerasLayer(f"ops.{kind}", {}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """The function."""
        return TorchCall(f"torch.{self.name}")

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every function, where it is defined."""
        for kind in (*FUNCTIONS, *SYNONYMS, "Round"):
            if kind in ("LogicalNot", "BitwiseNot", "BitwiseInvert"):
                values = "boolean" if kind == "LogicalNot" else "integers"
                yield Example(f"ops.{kind}", ((4, 3),), args=(Slot(0),), values=values)
            elif kind in ("Arccos", "Arcsin", "Arctanh", "Erfinv"):
                yield Example(f"ops.{kind}", ((4, 3),), args=(Slot(0),), values="unit")
            elif kind == "Arccosh":
                yield Example("ops.Arccosh", ((4, 3),), args=(Slot(0),), values="above")
            else:
                positive = kind.startswith("Log") or kind in ("Sqrt", "Rsqrt", "Reciprocal")
                values = "positive" if positive else "normal"
                yield Example(f"ops.{kind}", ((4, 5, 3),), args=(Slot(0),), values=values)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Spellings that the functions above do not have."""
        for name in ("absolute", "negative", "fix", "sgn", "special.i0"):
            yield TorchExample(f"torch.{name}", ((4, 5, 3),), args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class Clip(Spec):
    """Each element, but not below `low` nor above `high`."""

    low: float
    high: float

    order = Order.ANY
    keras_kinds = ("ops.Clip",)
    aten_ops = "clamp", "clamp_max", "clamp_min", "clip"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Two numbers."""
        low, high = layer.argument(1, "x_min"), layer.argument(2, "x_max")
        if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
            raise Unsupported("clip between tensors", remedy="use maximum and minimum")
        return Op(cls(float(low), float(high)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Two numbers; one of them alone, and tensors, are a maximum or a minimum."""
        from xconv.layers.elementwise import Elementwise

        call.get("self")
        bounds = (call.get("min"), call.get("max"))
        if all(isinstance(bound, (int, float)) for bound in bounds):
            return (Op(cls(*map(float, bounds))),)
        steps = Steps()
        source: Taken = Slot(0)
        for name, bound in zip(("maximum", "minimum"), bounds, strict=True):
            if isinstance(bound, Slot):
                source = steps.add(Elementwise(name, (Slot(0), Slot(1))), source, bound)
            elif bound is not None:
                source = steps.add(Elementwise(name, (Slot(0), bound)), source)
        return steps.done()

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        config = {"x_min": self.low, "x_max": self.high}
        return KerasLayer("ops.Clip", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.clamp."""
        return TorchCall("torch.clamp", (Slot(0), self.low, self.high))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Limits that float32 holds exactly."""
        yield Example("ops.Clip", ((4, 3),), {"x_min": -0.5, "x_max": 0.75}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Either bound, both, tensors, other spellings."""
        yield TorchExample("torch.clamp", ((4, 5, 3),), args=(Slot(0), -0.5, 0.75))
        yield TorchExample("torch.clamp", ((4, 5, 3),), args=(Slot(0),), kwargs={"min": -0.5})
        yield TorchExample("torch.clamp", ((4, 5, 3),), args=(Slot(0),), kwargs={"max": 0.75})
        yield TorchExample("torch.clamp", ((5, 3), (5, 3)), args=(Slot(0),), kwargs={"min": Slot(1)})
        yield TorchExample("torch.clamp", ((5, 3),) * 3, args=(Slot(0), Slot(1), Slot(2)))
        yield TorchExample("torch.clamp_min", ((4, 3),), args=(Slot(0), 0.25))
        yield TorchExample("torch.clamp_max", ((4, 3),), args=(Slot(0), 0.25))
        yield TorchExample("torch.clip", ((4, 3),), args=(Slot(0), -0.25, 0.5))


@dataclass(frozen=True, slots=True)
class Cast(Spec):
    """Each element in another dtype."""

    dtype: str

    order = Order.ANY
    keras_kinds = ("ops.Cast",)
    aten_ops = "_to_copy", "to", "type_as"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The dtype's name."""
        dtype = layer.argument(1, "dtype")
        if dtype not in CASTS:
            raise Unsupported(f"a cast to {dtype!r}, which torch lacks", remedy="cast to another dtype")
        return Op(cls(dtype))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The dtype of the result, whatever the operator is called."""
        for key in call.arguments:
            call.get(key)
        if call.dtype not in CASTS:
            raise Unsupported(f"a cast to {call.dtype}, which Keras lacks", remedy="cast to another dtype")
        return Op(cls(call.dtype))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Cast", {"dtype": self.dtype}, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """Tensor.float, long ..."""
        return TorchCall(f"Tensor.{CASTS[self.dtype]}")

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """To integers, to numbers, from truth values."""
        yield Example("ops.Cast", ((4, 3),), {"dtype": "int32"}, args=(Slot(0),))
        yield Example("ops.Cast", ((4, 3),), {"dtype": "bool"}, args=(Slot(0),))
        yield Example("ops.Cast", ((4, 3),), {"dtype": "float32"}, args=(Slot(0),), values="boolean")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """To integers and back, like another tensor."""
        yield TorchExample("Tensor.int", ((4, 3),), args=(Slot(0),))
        yield TorchExample("Tensor.long", ((4, 3),), args=(Slot(0),))
        yield TorchExample("Tensor.bool", ((4, 3),), args=(Slot(0),))
