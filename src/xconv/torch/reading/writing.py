"""Where `x[..., index] = y` writes: places along the joined axes where the indices are constants, else the tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx

from xconv.errors import Unsupported
from xconv.graph import Value
from xconv.layers.elementwise import broadcast
from xconv.spec import Shape
from xconv.torch.reading.constants import Constants
from xconv.torch.reading.fillings import Fillings
from xconv.torch.reading.indexing import as_one, stands_apart
from xconv.torch.reading.meanings import Counted, Filled, Held, Meaning
from xconv.torch.reading.operators import arguments_of
from xconv.torch.reading.sizes import exact, shape_of

__all__ = ["MASKS", "WRITES", "written_at"]

MASKS = ("bool", "uint8")
"""The dtypes of masks."""

WRITES = frozenset({"index_add", "index_copy", "index_fill", "index_put", "index_reduce"})
"""The operators that write where numbers say."""


def written_at(
    node: fx.Node, name: str, arguments: Mapping[str, Any], constants: Constants, fillings: Fillings
) -> dict[str, Any]:
    """The arguments of such a call: `over`, the axes; `index`, numbers or tensors; `target`, the shape of the values.

    Or, where the places are those where a computed `mask` holds, that mask and how many axes are `before` it. The
    values are broadcast; they `have` a shape in which a size of 1 is one, open in the graph or not (`x[:1]`).

    Raises:
        Unsupported: a mask among other indices.
    """
    tensor = node.all_input_nodes[0].meta["val"]
    kept = {key: item for key, item in arguments.items() if key not in ("dim", "index", "indices")}
    values = arguments_of(node).get("values")
    have = shape_of(values.meta["val"]) if isinstance(values, fx.Node) else ()
    if name == "index_put":
        asked = list(arguments["indices"])
    else:
        asked = [*(None,) * (arguments["dim"] % max(tensor.dim(), 1)), arguments["index"]]
    given = [part for item in asked for part in _parts(node, item, constants, fillings)]
    found = [item for item in given if item is not None]
    if any(isinstance(item, Value) and constants.draft.dtype_of(item) in MASKS for item in found):
        if len(found) > 1:
            raise Unsupported("a computed mask among other indices", remedy="use torch.where")
        return {**kept, "mask": found[0], "before": given.index(found[0]), "have": have}
    joint = broadcast([_shape(item, constants) for item in found])
    target, over = _target(shape_of(tensor), given, joint)
    if _counts_batch(found, over, constants, exact(tensor)):
        over, found = over[1:], found[1:]
    places = None if name == "index_reduce" else _places(shape_of(tensor), over, found)
    index = places if places is not None else [_computed(node, item, constants, fillings) for item in found]
    return {**kept, "over": over, "index": tuple(index), "target": target, "have": have}


def _parts(node: fx.Node, item: Meaning, constants: Constants, fillings: Fillings) -> list[Any]:
    """One index as a tensor of numbers or a computed one; a constant mask as the numbers along each of its axes."""
    if isinstance(item, Filled):
        return [fillings.whole(node, item)]
    if not isinstance(item, (Held, int)):
        return [item]
    tensor = constants.number_tensor(item)
    if tensor.dtype in (torch.bool, torch.uint8):
        return list(tensor.nonzero(as_tuple=True))
    return [tensor.long()]


def _shape(item: Any, constants: Constants) -> Shape:
    if isinstance(item, Value):
        return constants.draft.shape_of(item)
    return item.shape if isinstance(item, Counted) else tuple(item.shape)


def _target(shape: Shape, given: Sequence[Any], joint: Shape) -> tuple[Shape, tuple[int, ...]]:
    """The shape of `x[given]`, and the axes that are indexed; their common shape stands in their place or in front."""
    over = tuple(axis for axis, item in enumerate(given) if item is not None)
    rest = [size for axis, size in enumerate(shape) if axis not in over]
    first = over[0] if over == tuple(range(over[0], over[0] + len(over))) else 0
    return (*rest[:first], *joint, *rest[first:]), over


def _counts_batch(found: Sequence[Any], over: tuple[int, ...], constants: Constants, whole: tuple[Any, ...]) -> bool:
    """Whether the first index counts the whole batch, along an axis that no other, a constant, has: `x[arange, 2]`."""
    first, *others = found
    if not isinstance(first, Counted) or not others or not all(isinstance(item, torch.Tensor) for item in others):
        return False
    apart = stands_apart(first.shape, [tuple(item.shape) for item in others], over)
    return apart and constants.meanings.same_size(first.size, whole[0])


def _places(shape: Shape, over: Sequence[int], found: Sequence[Any]) -> list[int] | None:
    """The places along the axes, counted as along one; None where they are not all known."""
    sizes = [size for size in (shape[axis] for axis in over) if size is not None]
    if len(sizes) < len(over) or not all(isinstance(item, torch.Tensor) for item in found):
        return None
    return [int(number) for number in as_one(found, sizes).flatten()]


def _computed(node: fx.Node, item: Any, constants: Constants, fillings: Fillings) -> Value:
    """An index as a value of the network."""
    if isinstance(item, Counted):
        return fillings.counted(node, item)
    if isinstance(item, torch.Tensor):
        tensor = item if item.dim() else item.reshape(1)
        return constants.draft.variable(constants.draft.constant(f"{node.name}_places", tensor))
    found: Value = item
    return found
