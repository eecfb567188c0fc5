"""Merging layers and arithmetic of keras.ops  <->  aten.add, mul, maximum ..., torch.add ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.layers.steps import Steps, Taken
from xconv.layers.unary import Cast, Unary
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["Elementwise", "broadcast", "in_sequence", "number_of", "wired"]

MERGES = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Maximum": "maximum", "Minimum": "minimum"}

BINARY = {
    "add": ("Add", "torch.add"),
    "subtract": ("Subtract", "torch.sub"),
    "multiply": ("Multiply", "torch.mul"),
    "divide": ("Divide", "torch.div"),
    "floor_divide": ("FloorDivide", "torch.floor_divide"),
    "remainder": ("Mod", "torch.remainder"),
    "fmod": ("Fmod", "torch.fmod"),
    "hypot": ("Hypot", "torch.hypot"),
    "logaddexp": ("Logaddexp", "torch.logaddexp"),
    "power": ("Power", "torch.pow"),
    "maximum": ("Maximum", "torch.maximum"),
    "minimum": ("Minimum", "torch.minimum"),
    "arctan2": ("Arctan2", "torch.arctan2"),
    "equal": ("Equal", "torch.eq"),
    "not_equal": ("NotEqual", "torch.ne"),
    "greater": ("Greater", "torch.gt"),
    "greater_equal": ("GreaterEqual", "torch.ge"),
    "less": ("Less", "torch.lt"),
    "less_equal": ("LessEqual", "torch.le"),
    "logical_and": ("LogicalAnd", "torch.logical_and"),
    "logical_or": ("LogicalOr", "torch.logical_or"),
    "logical_xor": ("LogicalXor", "torch.logical_xor"),
    "logaddexp2": ("Logaddexp2", "torch.logaddexp2"),
    "fmax": ("Fmax", "torch.fmax"),
    "fmin": ("Fmin", "torch.fmin"),
    "nextafter": ("Nextafter", "torch.nextafter"),
    "gcd": ("Gcd", "torch.gcd"),
    "lcm": ("Lcm", "torch.lcm"),
    "bitwise_and": ("BitwiseAnd", "torch.bitwise_and"),
    "bitwise_or": ("BitwiseOr", "torch.bitwise_or"),
    "bitwise_xor": ("BitwiseXor", "torch.bitwise_xor"),
    "left_shift": ("BitwiseLeftShift", "torch.bitwise_left_shift"),
    "right_shift": ("BitwiseRightShift", "torch.bitwise_right_shift"),
}
"""Name -> the class of keras.ops, the torch function."""

ATEN = {
    "__and__": "bitwise_and",
    "__lshift__": "left_shift",
    "__or__": "bitwise_or",
    "__rshift__": "right_shift",
    "__xor__": "bitwise_xor",
    "add": "add",
    "arctan2": "arctan2",
    "atan2": "arctan2",
    "bitwise_and": "bitwise_and",
    "bitwise_left_shift": "left_shift",
    "bitwise_or": "bitwise_or",
    "bitwise_right_shift": "right_shift",
    "bitwise_xor": "bitwise_xor",
    "div": "divide",
    "divide": "divide",
    "eq": "equal",
    "floor_divide": "floor_divide",
    "fmax": "fmax",
    "fmin": "fmin",
    "fmod": "fmod",
    "gcd": "gcd",
    "ge": "greater_equal",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "gt": "greater",
    "hypot": "hypot",
    "lcm": "lcm",
    "le": "less_equal",
    "less": "less",
    "less_equal": "less_equal",
    "logaddexp": "logaddexp",
    "logaddexp2": "logaddexp2",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "logical_xor": "logical_xor",
    "lt": "less",
    "maximum": "maximum",
    "minimum": "minimum",
    "mul": "multiply",
    "multiply": "multiply",
    "ne": "not_equal",
    "nextafter": "nextafter",
    "not_equal": "not_equal",
    "pow": "power",
    "remainder": "remainder",
    "rsub": "subtract",
    "sub": "subtract",
    "subtract": "subtract",
    "true_divide": "divide",
}
"""The ATen operator -> the name."""

SYNONYMS = {"TrueDivide": "divide", "LeftShift": "left_shift", "RightShift": "right_shift"}

OF_INTEGERS = ("gcd", "lcm", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift")

NEEDS_TENSORS = (
    *("arctan2", "fmax", "fmin", "gcd", "hypot", "lcm", "logaddexp", "logaddexp2", "logical_and", "logical_or"),
    *("logical_xor", "maximum", "minimum", "nextafter"),
)

NO_NUMBERS = ("bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "hypot", "lcm", "logaddexp2", "nextafter")
"""What takes tensors alone in Keras."""

BOUNDS = {"maximum": "min", "minimum": "max"}
"""The argument of torch.clamp that a number is as the other operand."""


@dataclass(frozen=True, slots=True)
class Elementwise(Spec):
    """A function of two or more tensors or numbers, element by element, with broadcasting.

    `operands` has an int for the i-th input tensor, a float for a number. `merge` is how lower ranks are aligned:
    Keras's merging layers put the new axes after the batch, `keras.ops` in front (NumPy's rule).
    """

    name: str
    operands: tuple[Slot | float, ...]
    merge: bool = False

    order = Order.ANY
    keras_kinds = (*MERGES, "Average", *(f"ops.{kind}" for kind, _ in BINARY.values()), *(f"ops.{k}" for k in SYNONYMS))
    aten_ops = tuple(ATEN)
    as_tensors = ()
    takes_sizes = "self", "other", "exponent"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A layer merges all its inputs; an operation has two operands, one of which may be a number."""
        if layer.kind in MERGES or layer.kind == "Average":
            slots = tuple(Slot(i) for i in range(len(layer.inputs)))
            if len(slots) < 2 or (layer.kind == "Subtract" and len(slots) != 2):
                raise Mismatch(f"{layer.kind} is called on {len(slots)} tensors")
            return Op(cls(MERGES.get(layer.kind, "average"), slots, merge=True))
        names = ("x1", "x2") if layer.kwargs.keys().isdisjoint("xy") else ("x", "y")
        operands = tuple(_operand(layer.argument(i, name)) for i, name in enumerate(names))
        kind = layer.kind.removeprefix("ops.")
        name = SYNONYMS.get(kind) or next(name for name, (op, _) in BINARY.items() if op == kind)
        return Op(cls(name, operands))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Two operands, `alpha` times the second; two tensors of one rank are what a merging layer takes."""
        name = ATEN[call.op]
        if name.startswith("bitwise") and call.dtype == "bool":
            name = name.replace("bitwise", "logical")
        first, second = (number_of(item) for item in (call.get("self"), call.get("other", call.get("exponent"))))
        rounding, alpha = call.get("rounding_mode"), call.get("alpha", 1)
        if call.op == "rsub":  # alpha belongs to what is subtracted
            first, second = second, first
        steps = Steps()
        if call.dtype in ("float16", "bfloat16", "float64") and not any("float" in have for have in call.dtypes):
            first, second = (steps.add(Cast(call.dtype), x) if isinstance(x, Slot) else x for x in (first, second))
        if alpha != 1 and not isinstance(second, (Slot, Made)):
            second = second * alpha
        elif alpha != 1:
            second = steps.add(cls("multiply", (Slot(0), float(alpha))), second, name="scaled")
        if name in BOUNDS and not isinstance(first, (Slot, Made)):
            first, second = second, first
        if rounding == "floor":
            name = "floor_divide"
        if name in NO_NUMBERS:
            first, second = _filled(steps, first, second), _filled(steps, second, first)
        operands, taken = wired(first, second)
        result = steps.add(cls(name, operands, merge=_merges(name, call)), *taken)
        if rounding == "trunc":
            steps.add(Unary("trunc"), result, name="trunc")
        return steps.done()

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The merging layer where it was one, otherwise the operation; a sum as TensorFlow gets it right."""
        operands = self.operands
        if self.name in ("add", "average") and len(inputs) == len(operands) == 2:
            sequence = in_sequence(*inputs)
            if sequence is None and self.name == "add":
                negative = KerasLayer("ops.Negative", args=(Slot(1),), name="negative")
                return KerasLayer("ops.Subtract", {}, inputs=tuple(inputs), args=(Slot(0), negative))
            operands = sequence or operands
        if self.merge:
            kind = next((kind for kind, name in MERGES.items() if name == self.name), "Average")
            return KerasLayer(kind, {}, inputs=tuple(inputs), args=(list(operands),))
        return KerasLayer(f"ops.{BINARY[self.name][0]}", {}, inputs=tuple(inputs), args=operands)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """One torch function, nested from the left for more than two operands."""
        if self.name == "average":
            return TorchCall("torch.div", (_nested("torch.add", self.operands), len(self.operands)))
        operands: list[Any] = list(self.operands)
        if any(not isinstance(item, Slot) for item in operands):
            if self.name == "subtract" and not isinstance(operands[0], Slot):
                return TorchCall("torch.rsub", (Slot(0), operands[0]))
            if self.name in BOUNDS:
                number = next(item for item in operands if not isinstance(item, Slot))
                return TorchCall("torch.clamp", (Slot(0),), {BOUNDS[self.name]: number})
            operands = self._with_tensors(operands)
        if self.name == "floor_divide":  # torch.floor_divide has no gradient, not even 0
            return TorchCall("torch.div", tuple(operands), {"rounding_mode": "floor"})
        return _nested(BINARY[self.name][1], operands)

    def _with_tensors(self, operands: list[Any]) -> list[Any]:
        """Numbers as tensors like the other operand, where the torch function takes no number there."""
        tensor = next(item for item in operands if isinstance(item, Slot))
        first_is_number = not isinstance(operands[0], Slot) and self.name not in ("add", "multiply", "power")
        if self.name in ("add", "multiply") and not isinstance(operands[0], Slot):
            return operands[::-1]
        if self.name in NEEDS_TENSORS or first_is_number:
            return [x if isinstance(x, Slot) else TorchCall("torch.full_like", (tensor, x)) for x in operands]
        return operands

    def out_shape(self, *inputs: Shape) -> Shape:
        """The broadcast shape."""
        return broadcast(inputs, merge=self.merge)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """All merges at equal and at unequal ranks; operations on two tensors and with numbers on either side."""
        for kind in (*MERGES, "Average"):
            yield Example(kind, ((4, 5, 3), (4, 5, 3)), args=([Slot(0), Slot(1)],))
        yield Example("Add", ((3,), (4, 5, 3)), args=([Slot(0), Slot(1)],))
        yield Example("Multiply", ((4, 5, 3), (1, 1, 3)), args=([Slot(0), Slot(1)],))
        yield Example("Add", ((4, 3), (4, 3), (4, 3)), args=([Slot(0), Slot(1), Slot(2)],))
        for name, (kind, _) in BINARY.items():
            values = "positive" if name in ("power", "floor_divide", "remainder", "divide", "fmod") else "normal"
            values = "integers" if name in OF_INTEGERS else values
            wide = name != "logaddexp2"  # TensorFlow keeps log(2) in float32
            values = "boolean" if name.startswith("logical") else values
            yield Example(f"ops.{kind}", ((4, 3), (4, 3)), args=(Slot(0), Slot(1)), values=values, float64=wide)
            if name not in NO_NUMBERS and not name.startswith("logical"):
                number = 3 if name in OF_INTEGERS else 1.5
                yield Example(f"ops.{kind}", ((4, 3),), args=(Slot(0), number), values=values)
        yield Example("ops.Subtract", ((4, 3),), args=(1.0, Slot(0)))
        yield Example("ops.Divide", ((4, 3),), args=(1.0, Slot(0)), values="positive")
        yield Example("ops.TrueDivide", ((4, 3), (4, 3)), args=(Slot(0), Slot(1)), values="positive")
        yield Example("ops.Power", ((4, 3),), args=(2.0, Slot(0)))
        yield Example("ops.Fmax", ((4, 1), (1, 5)), args=(Slot(0), Slot(1)))
        for kind in ("LeftShift", "RightShift"):
            yield Example(f"ops.{kind}", ((4, 3), (4, 3)), args=(Slot(0), Slot(1)), values="integers")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """`alpha`, rounding, numbers on either side, sizes of 1, other spellings."""
        two, one = ((4, 5, 3),) * 2, ((4, 5, 3),)
        yield TorchExample("torch.add", two, args=(Slot(0), Slot(1)), kwargs={"alpha": 0.5})
        yield TorchExample("torch.sub", two, args=(Slot(0), Slot(1)), kwargs={"alpha": 2})
        yield TorchExample("torch.add", one, args=(Slot(0), 3.0), kwargs={"alpha": 0.5})
        yield TorchExample("torch.rsub", two, args=(Slot(0), Slot(1)), kwargs={"alpha": 2})
        yield TorchExample("torch.rsub", one, args=(Slot(0), 1.5))
        yield TorchExample("torch.div", two, args=(Slot(0), Slot(1)), kwargs={"rounding_mode": "trunc"})
        yield TorchExample("torch.div", one, args=(Slot(0), 0.5), kwargs={"rounding_mode": "floor"})
        yield TorchExample("torch.mul", ((4, 5, 3), (4, 5, 1)), args=(Slot(0), Slot(1)))
        yield TorchExample("torch.pow", one, args=(2.0, Slot(0)))
        yield TorchExample("torch.pow", one, args=(Slot(0), 3))
        yield TorchExample("torch.true_divide", one, args=(Slot(0), 4))
        yield TorchExample("torch.bitwise_and", two, args=(Slot(0), Slot(1)), values="boolean")
        yield TorchExample("torch.bitwise_and", one, args=(Slot(0), 2), values="integers")
        yield TorchExample("torch.bitwise_left_shift", one, args=(Slot(0), 2), values="integers")
        for name in ("maximum", "minimum", "atan2", "hypot", "logaddexp", "fmod", "greater", "less_equal", "multiply"):
            yield TorchExample(f"torch.{name}", two, args=(Slot(0), Slot(1)))


def number_of(item: Any) -> Any:
    """A tensor of one number, whose size is open, as that number."""
    return getattr(item, "number", item)


def wired(*items: Any) -> tuple[tuple[Slot | float, ...], list[Taken]]:
    """The operands of the Spec, its inputs counted anew, and what these are."""
    taken = [item for item in items if isinstance(item, (Slot, Made))]
    places = iter(range(len(items)))
    return tuple(Slot(next(places)) if isinstance(item, (Slot, Made)) else item for item in items), taken


def _filled(steps: Steps, item: Any, like: Any) -> Any:
    """A number as a tensor like the other operand."""
    if isinstance(item, (Slot, Made)):
        return item
    ones = steps.add(Unary("ones_like"), like, name="ones")
    return steps.add(Elementwise("multiply", (Slot(0), item)), ones, name="number")


def _merges(name: str, call: AtenCall) -> bool:
    """Whether a merging layer says it: two tensors of one rank, both with a batch."""
    if len(call.inputs) != 2 or name not in MERGES.values():
        return False
    first, second = call.inputs
    return len(first) == len(second) > 1 and first[0] is None and second[0] is None


def _nested(function: str, operands: Sequence[Any]) -> TorchCall:
    """f(f(a, b), c): a function of two for any number of operands."""
    call = TorchCall(function, tuple(operands[:2]))
    for operand in operands[2:]:
        call = TorchCall(function, (call, operand))
    return call


def broadcast(shapes: Sequence[Shape], *, merge: bool = False) -> Shape:
    """The shape that elementwise operations give; an unknown size meets 1 or itself.

    >>> broadcast(((None, 4, 5, 3), (None, 3)), merge=True)
    (None, 4, 5, 3)

    Raises:
        Mismatch: the sizes do not fit.
    """
    rank = max(map(len, shapes))
    full = []
    for shape in shapes:
        ones = (1,) * (rank - len(shape))
        full.append((*shape[:1], *ones, *shape[1:]) if merge else (*ones, *shape))
    result: list[int | None] = []
    for sizes in zip(*full, strict=True):
        known = {size for size in sizes if size not in (1, None)}
        if len(known) > 1:
            raise Mismatch(f"shapes {', '.join(map(str, shapes))} cannot be broadcast")
        result.append(known.pop() if known else None if None in sizes else 1)
    return tuple(result)


def in_sequence(first: Shape, second: Shape) -> tuple[Slot, Slot] | None:
    """The sequence of the terms in which Keras adds them right on TensorFlow; None where neither does.

    `keras.ops.add` takes a second term for a bias where one of its sizes alone is not 1 and is that of the first term's
    axis 1 or last axis: it is added along that axis, whichever axis it is of. An open size may be any.

    >>> in_sequence((None, 5, 5), (1, 5, 1)), in_sequence((None, 4), (None, 1)), in_sequence((None, 4, 6), (6,))
    ((Slot(index=1), Slot(index=0)), (Slot(index=1), Slot(index=0)), (Slot(index=0), Slot(index=1)))
    >>> in_sequence((None, 1, 4), (None, 4, 1))
    """
    if first == second or not _misplaced(first, second):
        return Slot(0), Slot(1)
    return None if _misplaced(second, first) else (Slot(1), Slot(0))


def _misplaced(first: Shape, second: Shape) -> bool:
    """Whether the second term may be taken for a bias of another axis than its own."""
    if len(first) < 2:
        return False
    for axis, size in enumerate(second):
        others = (*second[:axis], *second[axis + 1 :])
        if size == 1 or any(other not in (None, 1) for other in others):
            continue
        fits = len(second) <= len(first)
        own, last = axis - len(second), len(first) - 1
        if fits and own == -1 and size is not None and size == first[-1]:
            continue  # a bias along the last axis, which is asked for first
        targets = [place - len(first) for place in (last, 1) if None in (size, first[place]) or size == first[place]]
        if any(not fits or place != own for place in targets):
            return True
    return False


def _operand(value: Any) -> Slot | float:
    """A tensor or a number; arrays of one element count as numbers."""
    if isinstance(value, (Slot, bool, int, float)):
        return value
    if getattr(value, "size", 0) == 1:
        return float(value.item())
    raise Unsupported(f"an operand of type {type(value).__name__}", remedy="hold the array in a layer's weight")
