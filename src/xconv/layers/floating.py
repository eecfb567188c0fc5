"""Signs and exponents of numbers, written out: aten.copysign, ldexp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import copysign

from xconv.layers.recipe import Recipe
from xconv.layers.steps import Taken
from xconv.spec import AtenCall, Op, Slot, Spec, TorchExample

__all__ = ["CopySign", "Exponent"]


@dataclass(frozen=True, slots=True)
class CopySign(Spec):
    """The size of one number with the sign of another, which may be that of zero; never one layer in a graph."""

    aten_ops = ("copysign",)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The sign is a tensor's or a number's."""
        recipe, sign = Recipe(call.inputs), call["other"]
        size = recipe.each("abs", _whole(recipe, call, call["self"]))
        if isinstance(sign, Slot):
            return recipe.done(recipe.where(recipe.each("signbit", sign), recipe.each("neg", size), size))
        return recipe.done(recipe.each("neg", size) if copysign(1, sign) < 0 else size)

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Tensors, sizes of 1, whole numbers; numbers, zero among them."""
        yield TorchExample("torch.copysign", ((4, 3), (4, 3)))
        yield TorchExample("torch.copysign", ((4, 3), (1, 3)))
        yield TorchExample("torch.copysign", ((4, 3), (4, 3)), values="integers normal")
        for number in (-2.5, 0.0, -0.0):
            yield TorchExample("torch.copysign", ((4, 3),), args=(Slot(0), number))


@dataclass(frozen=True, slots=True)
class Exponent(Spec):
    """A number times a power of two; never one layer in a graph."""

    aten_ops = ("ldexp",)
    as_tensors = "self", "other"

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Exponents may be broken numbers."""
        recipe = Recipe(call.inputs)
        number, exponent = (_whole(recipe, call, call[name]) for name in ("self", "other"))
        return recipe.done(recipe.both("multiply", number, recipe.both("power", 2.0, exponent)))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Numbers and whole numbers as exponents, sizes of 1."""
        yield TorchExample("torch.ldexp", ((4, 3), (4, 3)))
        yield TorchExample("torch.ldexp", ((4, 3), (4, 1)), values="normal integers")


def _whole(recipe: Recipe, call: AtenCall, item: Slot) -> Taken:
    """A tensor in the dtype of the result."""
    return item if call.dtypes[item.index] == call.dtype else recipe.cast(item, call.dtype)
