"""Where the weights of a graph are at home: in arrays of the model's own, in rows of them, in sums of rows.

A recurrent layer of torch has its gates in another order than Keras and two biases that count as one, an attention has
its three projections in one array. Reading makes plain weights of them, `Graph.computed` remembers how. `read_from`
says such a weight in terms of the model's own arrays; `written_to` what those arrays become, so that it is as wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xconv.errors import Unsupported
from xconv.spec import Computed, Rows
from xconv.transfers.plan import Fill, Formula, Join, Part, Sum, Take, shape_of
from xconv.weights import Weight

__all__ = ["Piece", "part", "read_from", "written_to"]

SPLIT = "the whole in {first}, zeros in {others}: only their sum counts"


@dataclass(frozen=True, slots=True)
class Piece:
    """What an array of the target becomes, or rows of it."""

    target: Weight
    formula: Formula
    rows: tuple[int, int] | None = None
    note: str = ""


def read_from(weight: Weight, computed: Mapping[str, Computed]) -> Formula:
    """The weight in terms of arrays that the model holds.

    >>> torch_bias = Weight.of("bias_ih", (4,)), Weight.of("bias_hh", (4,))
    >>> both = Computed((tuple(Rows(bias, 0, 4) for bias in torch_bias),))
    >>> type(read_from(Weight.of("sum", (4,)), {"sum": both})).__name__
    'Sum'
    """
    how = _recipe(weight, computed)
    if how is None:
        return Take(weight)
    blocks: list[Formula] = []
    for block in how.blocks:
        first, *others = (_rows(item, computed) for item in block)
        for other in others:
            first = Sum(first, other)
        blocks.append(first)
    return Join(tuple(blocks)) if len(blocks) > 1 else blocks[0]


def written_to(
    weight: Weight,
    formula: Formula,
    computed: Mapping[str, Computed],
    source: tuple[Weight, Mapping[str, Computed]] | None = None,
) -> Iterator[Piece]:
    """What the target's own arrays become, so that `weight` is what the formula makes.

    Args:
        weight: a weight of the target's graph.
        formula: what it should be.
        computed: of the target's graph.
        source: where the formula is a weight of the source as it is: that weight, and how the source computes weights.
            Where both are made the same way, every term goes into its own.
    """
    how = _recipe(weight, computed)
    if how is None:
        yield Piece(weight, formula)
        return
    like = _recipe(source[0], source[1]) if source else None
    alike = like is not None and _form(like) == _form(how)
    place = 0
    for number, block in enumerate(how.blocks):
        size = block[0].stop - block[0].start
        wanted = part(formula, place, place + size)
        place += size
        for term, item in enumerate(block):
            if like is not None and source is not None and alike:
                yield from _into(item, _rows(like.blocks[number][term], source[1]), "")
                continue
            note = ""
            if len(block) > 1:
                note = SPLIT.format(first=block[0].weight.key, others=", ".join(rest.weight.key for rest in block[1:]))
            zeros = Fill((size, *item.weight.shape[1:]), 0.0)
            yield from _into(item, zeros if term else wanted, note)


def part(formula: Formula, start: int, stop: int) -> Formula:
    """Rows of what a formula makes, said as simply as can be.

    >>> first, second = Fill((2,), 0.0), Fill((3,), 1.0)
    >>> part(Join((first, second)), 2, 5)
    Fill(shape=(3,), value=1.0)
    """
    if (start, stop) == (0, shape_of(formula)[0]):
        return formula
    if isinstance(formula, Part):
        return part(formula.of, formula.start + start, formula.start + stop)
    if isinstance(formula, Fill):
        return Fill((stop - start, *formula.shape[1:]), formula.value)
    if isinstance(formula, Join):
        place = 0
        for item in formula.parts:
            size = shape_of(item)[0]
            if place <= start and stop <= place + size:
                return part(item, start - place, stop - place)
            place += size
    return Part(formula, start, stop)


def _into(item: Rows, formula: Formula, note: str) -> Iterator[Piece]:
    whole = (item.start, item.stop) == (0, item.weight.shape[0])
    yield Piece(item.weight, formula, None if whole else (item.start, item.stop), note)


def _rows(item: Rows, computed: Mapping[str, Computed]) -> Formula:
    return part(read_from(item.weight, computed), item.start, item.stop)


def _recipe(weight: Weight, computed: Mapping[str, Computed]) -> Computed | None:
    """How the weight is made; None where it is an array of the model.

    Raises:
        Unsupported: it is made of rows, and rearranged besides.
    """
    how = computed.get(weight.key)
    if how is None:
        return None
    if weight != Weight.of(weight.key, weight.source, weight.dtype):
        raise Unsupported("a weight that is made of rows of others and rearranged", place=weight.key)
    nested = [item.weight.key for block in how.blocks for item in block if item.weight.key in computed]
    return how if not nested else _flat(how, computed)


def _flat(how: Computed, computed: Mapping[str, Computed]) -> Computed:
    """Rows of rows as rows of the model's own arrays.

    Raises:
        Unsupported: rows that lie in several blocks.
    """
    blocks: list[tuple[Rows, ...]] = []
    for block in how.blocks:
        items: list[Rows] = []
        for item in block:
            inner = _recipe(item.weight, computed)
            items.extend([item] if inner is None else _inside(item, inner))
        blocks.append(tuple(items))
    return Computed(tuple(blocks), how.note)


def _inside(item: Rows, inner: Computed) -> Iterator[Rows]:
    place = 0
    for block in inner.blocks:
        size = block[0].stop - block[0].start
        if place <= item.start and item.stop <= place + size:
            for rows in block:
                yield Rows(rows.weight, rows.start + item.start - place, rows.start + item.stop - place)
            return
        place += size
    raise Unsupported("rows of a weight that lie in several arrays", place=item.weight.key)


def _form(how: Computed) -> list[list[int]]:
    """How many rows each term of each block has; two weights of one form go term by term."""
    return [[item.stop - item.start for item in block] for block in how.blocks]
