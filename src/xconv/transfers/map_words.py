"""The records of a plan as JSON and back: `{"take": "conv1/0", "stored": [7, 7, 3, 64], "order": [3, 2, 0, 1]}`.

What is read may have been written by anybody: every number is checked, so that a record that is made from it can be
carried out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import isfinite, prod
from typing import Any

from xconv import axes
from xconv.errors import Unreadable
from xconv.transfers.plan import Fill, Flip, Formula, Join, Part, Product, Sum, Take, shape_of
from xconv.weights import Shape, Weight

__all__ = [
    "formula_from",
    "formula_words",
    "known_only",
    "number_in",
    "rows_in",
    "text_in",
    "texts_in",
    "weight_from",
    "weight_words",
]

DTYPES = frozenset(
    {"float16", "bfloat16", "float32", "float64", "bool"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_RANK, _SIZE = 16, 2**40
_WEIGHT = {"stored", "split", "order", "shape", "dtype"}


def weight_words(weight: Weight, name: str) -> dict[str, Any]:
    """A weight with its key under `name`; what follows from the rest is left out.

    >>> weight_words(Weight.of("fc/0", (5, 3)).transpose((1, 0)), "take")
    {'take': 'fc/0', 'stored': [5, 3], 'order': [1, 0]}
    """
    if weight.constant is not None:
        return {"fill": weight.constant, "shape": list(weight.shape), **_dtype(weight)}
    said: dict[str, Any] = {name: weight.key, "stored": list(weight.source)}
    if weight.split != weight.source:
        said["split"] = list(weight.split)
    if weight.order != axes.identity(len(weight.split)):
        said["order"] = list(weight.order)
    if weight.shape != axes.apply(weight.split, weight.order):
        said["shape"] = list(weight.shape)
    return {**said, **_dtype(weight)}


def weight_from(said: Mapping[str, Any], name: str, also: frozenset[str] = frozenset()) -> Weight:
    """The weight that `weight_words` wrote; entries in `also` belong to somebody else.

    Raises:
        Unreadable: entries that are missing, unknown or that contradict each other.
    """
    known_only(said, {name, *_WEIGHT, *also})
    stored = _sizes(said, "stored")
    split = _sizes(said, "split") if "split" in said else stored
    order = _order(said, len(split)) if "order" in said else axes.identity(len(split))
    shape = _sizes(said, "shape") if "shape" in said else axes.apply(split, order)
    if not prod(stored) == prod(split) == prod(shape):
        raise Unreadable(f"{stored}, {split} and {shape} are not the same count of numbers")
    return Weight(text_in(said, name), stored, split, order, shape, _dtype_in(said))


def formula_words(formula: Formula) -> dict[str, Any]:
    """A formula as JSON, with one word for what it does.

    >>> formula_words(Sum(Take(Weight.of("bn/2", (4,))), Take(Weight.of("conv/1", (4,))), -1.0))
    {'sum': [{'take': 'bn/2', 'stored': [4]}, {'take': 'conv/1', 'stored': [4]}], 'factor': -1.0}
    """
    match formula:
        case Take(weight):
            return weight_words(weight, "take")
        case Fill(shape, value):
            return {"fill": value, "shape": list(shape)}
        case Flip(of, flipped, block):
            more = {} if block == 1 else {"block": block}
            return {"flip": formula_words(of), "axes": list(flipped), **more}
        case Part(of, start, stop):
            return {"part": formula_words(of), "rows": [start, stop]}
        case Join(parts):
            return {"join": [formula_words(part) for part in parts]}
        case Sum(of, other, factor):
            return {"sum": [formula_words(of), formula_words(other)], "factor": factor}
        case Product(of, vector, axis):
            return {"product": [formula_words(of), formula_words(vector)], "axis": axis}


def formula_from(said: Any) -> Formula:
    """The formula that `formula_words` wrote.

    Raises:
        Unreadable: not such a record, or one whose shapes do not fit together.
    """
    if not isinstance(said, Mapping):
        raise Unreadable(f"a formula is an object, not {_shown(said)}")
    kinds = [word for word in _READERS if word in said]
    if len(kinds) != 1:
        raise Unreadable(f"a formula has one of {', '.join(_READERS)}, it has {', '.join(map(str, said)) or 'none'}")
    formula = _READERS[kinds[0]](said)
    if prod(shape_of(formula)) > _SIZE:
        raise Unreadable(f"a formula makes {shape_of(formula)}, which is too large")
    return formula


def _take(said: Mapping[str, Any]) -> Formula:
    return Take(weight_from(said, "take"))


def _fill(said: Mapping[str, Any]) -> Formula:
    known_only(said, {"fill", "shape", "dtype"})
    _dtype_in(said)
    return Fill(_sizes(said, "shape"), number_in(said, "fill"))


def _flip(said: Mapping[str, Any]) -> Formula:
    known_only(said, {"flip", "axes", "block"})
    of = formula_from(said["flip"])
    flipped, block = _sizes(said, "axes"), said.get("block", 1)
    if any(axis >= len(shape_of(of)) for axis in flipped) or len(set(flipped)) != len(flipped):
        raise Unreadable(f"axes {flipped} of an array {shape_of(of)}")
    if not isinstance(block, int) or not _is_count(block) or not block or any(shape_of(of)[a] % block for a in flipped):
        raise Unreadable(f"blocks of {_shown(block)} in axes {flipped} of an array {shape_of(of)}")
    return Flip(of, flipped, block)


def _part(said: Mapping[str, Any]) -> Formula:
    known_only(said, {"part", "rows"})
    of, rows = formula_from(said["part"]), rows_in(said)
    if not shape_of(of) or rows[1] > shape_of(of)[0]:
        raise Unreadable(f"rows {rows} of an array {shape_of(of)}")
    return Part(of, *rows)


def _join(said: Mapping[str, Any]) -> Formula:
    known_only(said, {"join"})
    if not isinstance(said["join"], list) or not said["join"]:
        raise Unreadable("join needs a list of formulas")
    parts = tuple(map(formula_from, said["join"]))
    shapes = [shape_of(part) for part in parts]
    if not all(shapes) or len({shape[1:] for shape in shapes}) != 1:
        raise Unreadable(f"arrays {', '.join(map(str, shapes))} cannot be joined by rows")
    return Join(parts)


def _sum(said: Mapping[str, Any]) -> Formula:
    known_only(said, {"sum", "factor"})
    of, other = _two(said, "sum")
    if shape_of(of) != shape_of(other):
        raise Unreadable(f"{shape_of(of)} and {shape_of(other)} cannot be added")
    return Sum(of, other, number_in(said, "factor"))


def _product(said: Mapping[str, Any]) -> Formula:
    known_only(said, {"product", "axis"})
    of, vector = _two(said, "product")
    axis, shape = said.get("axis"), shape_of(of)
    if not isinstance(axis, int) or not _is_count(axis) or axis >= len(shape) or shape_of(vector) != (shape[axis],):
        raise Unreadable(f"{shape} along axis {_shown(axis)} cannot be multiplied by {shape_of(vector)}")
    return Product(of, vector, axis)


_READERS = {
    "take": _take,
    "fill": _fill,
    "flip": _flip,
    "part": _part,
    "join": _join,
    "sum": _sum,
    "product": _product,
}


def text_in(said: Mapping[str, Any], name: str) -> str:
    """A text; '' is one.

    Raises:
        Unreadable: missing, or something else.
    """
    value = said.get(name, "")
    if not isinstance(value, str):
        raise Unreadable(f"{name} is {_shown(value)}, not a text")
    return value


def texts_in(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts, empty where it is missing.

    Raises:
        Unreadable: something else.
    """
    value = said.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unreadable(f"{name} is {_shown(value)}, not a list of texts")
    return tuple(value)


def rows_in(said: Mapping[str, Any]) -> tuple[int, int]:
    """The first row and the one behind the last."""
    rows = _sizes(said, "rows")
    if len(rows) != len(("start", "stop")) or rows[0] > rows[1]:
        raise Unreadable(f"rows is {list(rows)}, not [first, behind the last]")
    return rows[0], rows[1]


def number_in(said: Mapping[str, Any], name: str) -> float:
    """A finite number.

    Raises:
        Unreadable: missing, or something else.
    """
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise Unreadable(f"{name} is {_shown(value)}, not a finite number")
    return float(value)


def _two(said: Mapping[str, Any], name: str) -> Iterator[Formula]:
    if not isinstance(said[name], list) or len(said[name]) != len(("of", "other")):
        raise Unreadable(f"{name} needs two formulas")
    return map(formula_from, said[name])


def known_only(said: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse entries of other names: nothing in a file is ignored.

    Raises:
        Unreadable: there is one.
    """
    strangers = [str(name) for name in said if name not in names]
    if strangers:
        raise Unreadable(f"the entry {strangers[0]!r} is unknown", remedy=f"known are {', '.join(sorted(names))}")


def _sizes(said: Mapping[str, Any], name: str) -> Shape:
    value = said.get(name)
    if not isinstance(value, list) or len(value) > _RANK or not all(map(_is_count, value)):
        raise Unreadable(f"{name} is {_shown(value)}, not a list of at most {_RANK} sizes")
    if name not in ("order", "axes", "rows") and prod(value) > _SIZE:
        raise Unreadable(f"{name} {value} is too large")
    return tuple(value)


def _order(said: Mapping[str, Any], rank: int) -> axes.Order:
    order = _sizes(said, "order")
    if sorted(order) != list(range(rank)):
        raise Unreadable(f"order {list(order)} is no order of {rank} axes")
    return order


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _SIZE


def _dtype(weight: Weight) -> dict[str, str]:
    return {} if weight.dtype == "float32" else {"dtype": weight.dtype}


def _dtype_in(said: Mapping[str, Any]) -> str:
    dtype = text_in(said, "dtype") if "dtype" in said else "float32"
    if dtype not in DTYPES:
        raise Unreadable(f"dtype is {_shown(dtype)}, which no array has")
    return dtype


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
