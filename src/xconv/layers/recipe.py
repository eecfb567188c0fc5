"""What an operation of keras.ops means in other operations, written down one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

from xconv import axes
from xconv.layers.elementwise import Elementwise, wired
from xconv.layers.expand import ExpandDims, Squeeze
from xconv.layers.io import Identity
from xconv.layers.reduce import Reduce
from xconv.layers.reshape import Permute, regrouping
from xconv.layers.slicing import WHOLE, Slicing
from xconv.layers.steps import Taken
from xconv.layers.unary import Cast, Unary
from xconv.layers.where import Where
from xconv.spec import Example, KerasLayer, Made, Op, Shape, Slot, Spec

__all__ = ["Composed", "Method", "Operand", "Recipe"]

Operand: TypeAlias = Taken | float
"""A tensor of the call, what an earlier operation makes, or a number."""


@dataclass(slots=True)
class Recipe:
    """Operations wired together, with the shape of everything that they make.

    >>> recipe = Recipe(((None, 4, 3),))
    >>> recipe.shape(recipe.reduce("sum", Slot(0), (2,)))
    (None, 4)
    """

    given: Sequence[Shape]
    ops: list[Op] = field(default_factory=list)
    made: list[tuple[Shape, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, layer: KerasLayer) -> Recipe:
        """One for the tensors that a layer is called on."""
        return cls(layer.inputs)

    def shape(self, item: Taken) -> Shape:
        """The shape of a tensor."""
        return self.given[item.index] if isinstance(item, Slot) else self.made[item.op][item.index]

    def rank(self, item: Taken) -> int:
        """How many axes a tensor has."""
        return len(self.shape(item))

    def add(self, spec: Spec, *inputs: Taken) -> Made:
        """One more operation; its part of the name is what it computes."""
        name = getattr(spec, "name", None) or type(spec).__name__.lower()
        self.ops.append(Op(spec, {}, name, inputs))
        self.made.append(spec.out_shapes(*map(self.shape, inputs)))
        return Made(len(self.ops) - 1)

    def both(self, name: str, first: Operand, second: Operand) -> Made:
        """A function of two tensors or numbers."""
        operands, taken = wired(first, second)
        return self.add(Elementwise(name, operands), *taken)

    def each(self, name: str, item: Taken) -> Made:
        """A function of every element."""
        return self.add(Unary(name), item)

    def where(self, condition: Taken, yes: Operand, no: Operand) -> Made:
        """One or the other."""
        (_, *operands), taken = wired(condition, yes, no)
        return self.add(Where(operands[0], operands[1]), *taken)

    def cast(self, item: Taken, dtype: str) -> Made:
        """Another dtype."""
        return self.add(Cast(dtype), item)

    def reduce(self, name: str, item: Taken, over: tuple[int, ...], *, keepdims: bool = False) -> Taken:
        """One number for all places along these axes."""
        return self.add(Reduce(name, over, keepdims), item) if over else item

    def shaped(self, item: Taken, shape: Shape) -> Taken:
        """The same elements in other axes; at most one size is open."""
        return item if self.shape(item) == shape else self.add(regrouping(self.shape(item), shape), item)

    def flat(self, item: Taken) -> Taken:
        """One axis."""
        sizes = self.shape(item)
        return item if len(sizes) == 1 else self.add(regrouping(sizes, (None,)), item)

    def turned(self, item: Taken, order: axes.Order) -> Taken:
        """The axes in another order."""
        return item if axes.is_identity(order) else self.add(Permute(order), item)

    def moved(self, item: Taken, source: int, target: int) -> Taken:
        """One axis at another place; the others stay in their order."""
        rank = self.rank(item)
        return self.turned(item, axes.move_axis(rank, axes.normal(source, rank), axes.normal(target, rank)))

    def expanded(self, item: Taken, *places: int) -> Taken:
        """New axes of size 1 at these places of the result."""
        rank = self.rank(item) + len(places)
        found = tuple(sorted(axes.normal(place, rank) for place in places))
        return self.add(ExpandDims(found), item) if found else item

    def squeezed(self, item: Taken, *places: int) -> Taken:
        """Without these axes of size 1."""
        return self.add(Squeeze(tuple(sorted(axes.normal(place, self.rank(item)) for place in places))), item)

    def between(self, item: Taken, axis: int, start: int | None, stop: int | None) -> Taken:
        """The places of one axis from `start` to before `stop`."""
        if start in (0, None) and stop is None:
            return item
        rank = self.rank(item)
        at = axes.normal(axis, rank)
        return self.add(Slicing((*(WHOLE,) * at, (start or None, stop, None), *(WHOLE,) * (rank - at - 1))), item)

    def at(self, item: Taken, axis: int, place: int) -> Taken:
        """What stands at one place of an axis, without the axis."""
        rank = self.rank(item)
        where = axes.normal(axis, rank)
        return self.add(Slicing((*(WHOLE,) * where, place, *(WHOLE,) * (rank - where - 1))), item)

    def done(self, *returns: Taken) -> tuple[Op, ...]:
        """All of them; the last, or `returns`, is the result."""
        if not self.ops or (len(returns) == 1 and isinstance(returns[0], Slot)):
            return (*self.ops, Op(Identity(), {}, "", (returns[0] if returns else Slot(0),)))
        *ops, last = self.ops
        plain = returns in ((), (Made(len(ops)),))
        return (*ops, replace(last, name="" if plain else last.name, returns=None if plain else returns))


Method: TypeAlias = Callable[[KerasLayer, Recipe], Taken | tuple[Taken, ...]]
"""How an operation is made of others: it adds them to a recipe, and says what the result is."""


class Composed(Spec):
    """Operations that are made of others: never in a graph by itself."""

    __slots__ = ()
    methods: ClassVar[Mapping[str, Method]] = {}
    """By class name, with `ops.` in front."""
    cases: ClassVar[Sequence[Example]] = ()

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """What the operation is made of."""
        recipe = Recipe.of(layer)
        result = cls.methods[layer.kind](layer, recipe)
        return recipe.done(*(result if isinstance(result, tuple) else (result,)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Each operation with its options."""
        yield from cls.cases
