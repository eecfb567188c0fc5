"""Merging layers and arithmetic of keras.ops  <->  aten.add, mul, maximum ..., torch.add ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.spec import AtenCall, Example, KerasLayer, Made, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Elementwise", "broadcast"]

MERGES = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Maximum": "maximum", "Minimum": "minimum"}

BINARY = {
    "add": ("Add", "torch.add"),
    "subtract": ("Subtract", "torch.sub"),
    "multiply": ("Multiply", "torch.mul"),
    "divide": ("Divide", "torch.div"),
    "floor_divide": ("FloorDivide", "torch.floor_divide"),
    "remainder": ("Mod", "torch.remainder"),
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
}
"""Name -> the class of keras.ops, the torch function."""

ATEN = {
    "add": "add",
    "atan2": "arctan2",
    "div": "divide",
    "eq": "equal",
    "floor_divide": "floor_divide",
    "ge": "greater_equal",
    "gt": "greater",
    "le": "less_equal",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "logical_xor": "logical_xor",
    "lt": "less",
    "maximum": "maximum",
    "minimum": "minimum",
    "mul": "multiply",
    "ne": "not_equal",
    "pow": "power",
    "remainder": "remainder",
    "rsub": "subtract",
    "sub": "subtract",
}
"""The ATen operator -> the name."""

SYNONYMS = {"TrueDivide": "divide"}

NEEDS_TENSORS = ("maximum", "minimum", "arctan2", "logical_and", "logical_or", "logical_xor")


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
    keras_kinds = (*MERGES, "Average", *(f"ops.{kind}" for kind, _ in BINARY.values()), "ops.TrueDivide")
    aten_ops = tuple(ATEN)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A layer merges all its inputs; an operation has two operands, one of which may be a number."""
        if layer.kind in MERGES or layer.kind == "Average":
            slots = tuple(Slot(i) for i in range(len(layer.inputs)))
            if len(slots) < 2 or (layer.kind == "Subtract" and len(slots) != 2):
                raise Mismatch(f"{layer.kind} is called on {len(slots)} tensors")
            return Op(cls(MERGES.get(layer.kind, "average"), slots, merge=True))
        operands = tuple(_operand(layer.argument(i, f"x{i + 1}")) for i in (0, 1))
        kind = layer.kind.removeprefix("ops.")
        name = SYNONYMS.get(kind) or next(name for name, (op, _) in BINARY.items() if op == kind)
        return Op(cls(name, operands))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Two operands, `alpha` times the second; two tensors of one rank are what a merging layer takes."""
        name, first, second = ATEN[call.op], call.get("self"), call.get("other", call.get("exponent"))
        rounding, alpha = call.get("rounding_mode"), call.get("alpha", 1)
        if rounding == "trunc":
            raise Unsupported("division that rounds towards zero", remedy="divide, then torch.trunc")
        if rounding == "floor":
            name = "floor_divide"
        scaled: tuple[Op, ...] = ()
        taken = tuple(item for item in (first, second) if isinstance(item, Slot))
        if alpha != 1 and isinstance(second, Slot):
            scaled = (Op(cls("multiply", (Slot(0), float(alpha))), {}, "scaled", (second,)),)
            wired: tuple[Slot | Made, ...] = tuple(Made(0) if item is second else item for item in taken)
        else:
            wired, second = taken, second if isinstance(second, Slot) else second * alpha
        places = iter(range(2))
        operands = [Slot(next(places)) if isinstance(item, Slot) else item for item in (first, second)]
        if call.op == "rsub":
            operands, wired = _swapped(operands, wired)
        same_rank = len(wired) == 2 and len(call.inputs[0]) == len(call.inputs[1]) > 1
        batched = same_rank and call.inputs[0][0] is None and call.inputs[1][0] is None
        merge = batched and name in MERGES.values()
        return (*scaled, Op(cls(name, tuple(operands), merge), {}, "", wired))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The merging layer where it was one, otherwise the operation."""
        if self.merge:
            kind = next((kind for kind, name in MERGES.items() if name == self.name), "Average")
            return KerasLayer(kind, {}, inputs=tuple(inputs), args=(list(self.operands),))
        return KerasLayer(f"ops.{BINARY[self.name][0]}", {}, inputs=tuple(inputs), args=self.operands)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """One torch function, nested from the left for more than two operands."""
        if self.name == "average":
            return TorchCall("torch.div", (_nested("torch.add", self.operands), len(self.operands)))
        operands: list[Any] = list(self.operands)
        if any(not isinstance(item, Slot) for item in operands):
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
            values = "positive" if name in ("power", "floor_divide", "remainder", "divide") else "normal"
            if not name.startswith("logical"):
                yield Example(f"ops.{kind}", ((4, 3), (4, 3)), args=(Slot(0), Slot(1)), values=values)
                yield Example(f"ops.{kind}", ((4, 3),), args=(Slot(0), 1.5), values=values)
        yield Example("ops.Subtract", ((4, 3),), args=(1.0, Slot(0)))
        yield Example("ops.Divide", ((4, 3),), args=(1.0, Slot(0)), values="positive")
        yield Example("ops.Power", ((4, 3),), args=(2.0, Slot(0)))


def _swapped(
    operands: list[Slot | float], wired: tuple[Slot | Made, ...]
) -> tuple[list[Slot | float], tuple[Slot | Made, ...]]:
    """The operands the other way round, slots counted anew."""
    if len(wired) == 2:
        return operands, wired[::-1]
    return operands[::-1], wired


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


def _operand(value: Any) -> Slot | float:
    """A tensor or a number; arrays of one element count as numbers."""
    if isinstance(value, (Slot, bool, int, float)):
        return value
    if getattr(value, "size", 0) == 1:
        return float(value.item())
    raise Unsupported(f"an operand of type {type(value).__name__}", remedy="hold the array in a layer's weight")
